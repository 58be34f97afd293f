//! The account of a file's money: everything that its amounts add up to, and where it went.
//!
//! Money is counted in whole millionths of the file's currency. An account balances when what was
//! read equals what is served plus what is not, to the millionth.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The money of one file in one currency.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The file's name.
    pub file: String,
    /// The currency that its rows name; `None` for rows that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Sum of every readable amount, millionths.
    pub read: i64,
    /// Sum of the sale lines that are served, millionths.
    pub sales: i64,
    /// Sum of the refund lines that are served, as a positive number, millionths.
    pub refunds: i64,
    /// Number of the sale lines that are served.
    #[serde(default)]
    pub sale_rows: u64,
    /// Number of the refund lines that are served.
    #[serde(default)]
    pub refund_rows: u64,
    /// What sales less refunds are in the currency that is served, millionths; `None` where that is their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub converted: Option<i64>,
    /// Rows that are neither sales nor rejects, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set_aside: BTreeMap<String, Entry>,
    /// Rejected rows, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<String, Entry>,
}

/// Rows with one reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Number of rows.
    pub rows: u64,
    /// Rows of these whose amount cannot be read; they are counted beside the account.
    pub without_amount: u64,
    /// Sum of the readable amounts, millionths.
    pub sum: i64,
    /// The line of the first of these rows.
    pub line: i64,
    /// The cell of that row that the reason is about.
    pub value: String,
}

impl Account {
    /// What is served and what is not, millionths; equal to [`Account::read`] in an account that
    /// balances.
    #[must_use]
    pub fn explained(&self) -> i64 {
        let entries = self.set_aside.values().chain(self.left_out.values());
        self.sales - self.refunds + entries.map(|entry| entry.sum).sum::<i64>()
    }
}

/// Millionths in units of the currency.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn in_units(millionths: i64) -> f64 {
    millionths as f64 / 1e6
}

/// Millionths in units of the currency with two decimals, for sentences.
#[must_use]
pub fn shown(millionths: i64) -> String {
    format!("{:.2}", in_units(millionths))
}

/// An amount in units of the currency in whole millionths, halves to the even one.
#[must_use]
#[allow(clippy::cast_possible_truncation)]
pub fn in_millionths(amount: f64) -> i64 {
    (amount * 1e6).round_ties_even() as i64
}

/// A quotient rounded to the nearest integer, halves to the even one.
#[must_use]
pub fn half_even(dividend: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (dividend.div_euclid(divisor), dividend.rem_euclid(divisor));
    match (rest * 2).cmp(&divisor) {
        std::cmp::Ordering::Less => quotient,
        std::cmp::Ordering::Greater => quotient + 1,
        std::cmp::Ordering::Equal => quotient + (quotient & 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_round_to_the_even_millionth() {
        assert_eq!(half_even(5, 2), 2);
        assert_eq!(half_even(7, 2), 4);
        assert_eq!(half_even(-5, 2), -2);
        assert_eq!(half_even(8, 3), 3);
    }
}
