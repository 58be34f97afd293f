//! Amounts in other currencies become those of the currency that is served.

use std::collections::BTreeMap;

use polars::prelude::PlHashMap;

use super::purchase_rows::{PurchaseRows, check_sums_fit};
use super::raw::Raw;
use crate::domain::account::{Account, in_millionths, in_units, shown};
use crate::domain::rates::{Factor, Rates};
use crate::domain::text::counted;
use crate::domain::time::{Day, Timestamp};
use crate::pipeline::{PipelineError, Result};

/// Converts what is served by the rate of the day of the sale, and enters the results into the accounts.
///
/// # Errors
/// [`PipelineError::BadSource`] for an amount or a price that is too large to be counted exactly once it is converted,
/// [`PipelineError::Overflow`] when only their sum is.
pub(super) fn convert(
    raw: &Raw,
    rows: &mut PurchaseRows,
    orders: &[i64],
    rates: &Rates,
    accounts: &mut [Account],
) -> Result<()> {
    let factors = factors(rows, orders, rates);
    if factors.is_empty() {
        return Ok(());
    }
    let mut sums: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for (row, factor) in &factors {
        let converted = |value: i64, column: &str| {
            factor.convert(value).ok_or_else(|| too_large(raw, rows, *row, column))
        };
        let micros = converted(rows.micros[*row], "montant")?;
        let price = rows.prices[*row].map(|price| converted(in_millionths(price), "prix"));
        let price = price.transpose()?;
        rows.micros[*row] = micros;
        rows.amounts[*row] = Some(in_units(micros));
        rows.prices[*row] = price.map(in_units);
        let file = raw.files[raw.file_of(*row)].name.as_str();
        let sum = sums.entry((file, rows.currencies.get(*row).unwrap_or_default())).or_default();
        *sum = sum.saturating_add(micros);
    }
    for account in accounts {
        let key = (account.file.as_str(), account.currency.as_deref().unwrap_or_default());
        account.converted = sums.get(&key).copied();
    }
    check_sums_fit(&rows.micros)
}

fn too_large(raw: &Raw, rows: &PurchaseRows, row: usize, column: &str) -> PipelineError {
    let code = rows.currencies.get(row).unwrap_or_default();
    let problem = format!(
        "{} is more than can be counted exactly once it is converted from {code}; correct the rate of {code} in sources.rates",
        raw.shown(column, row)
    );
    PipelineError::BadSource { file: raw.files[raw.file_of(row)].name.clone(), problem }
}

/// The served rows in other currencies, with their rates. What is given back has the rate of what was sold.
fn factors(rows: &PurchaseRows, orders: &[i64], rates: &Rates) -> Vec<(usize, Factor)> {
    let is_other = |row: &usize| {
        let code = rows.currencies.get(*row);
        rows.reasons[*row].is_none() && code.is_some() && code != rows.currency.as_deref()
    };
    let others: Vec<usize> = (0..rows.reasons.len()).filter(is_other).collect();
    let mut sold: PlHashMap<i64, i64> = PlHashMap::default();
    for row in others.iter().filter(|row| rows.micros[**row] >= 0) {
        let Some(at) = rows.at[*row] else { continue };
        sold.entry(orders[*row]).and_modify(|first| *first = at.min(*first)).or_insert(at);
    }
    let factor = |row: usize| {
        let code = rows.currencies.get(row)?;
        let on = |at: i64| rates.on(code, day(at));
        sold.get(&orders[row]).and_then(|sold| on(*sold)).or(on(rows.at[row]?))
    };
    others.into_iter().filter_map(|row| Some((row, factor(row)?))).collect()
}

fn day(at: i64) -> Day {
    Timestamp(at).day()
}

/// A sentence for each file and currency that was converted.
pub(super) fn sentences(accounts: &[Account], currency: Option<&str>) -> Vec<String> {
    let sentence = |account: &Account| {
        Some(format!(
            "{}: {} in {}, {} in all, converted by sources.rates to {} {}",
            account.file,
            counted(account.sale_rows + account.refund_rows, "row"),
            account.currency.as_deref()?,
            shown(account.sales - account.refunds),
            shown(account.converted?),
            currency?
        ))
    };
    accounts.iter().filter_map(sentence).collect()
}
