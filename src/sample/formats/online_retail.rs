//! The public data set UCI Online Retail II, as CSV.
//!
//! What is given back has an invoice of its own, whose number begins with C, and negative quantities.

use super::table::{plain, stamp, write};
use super::view::{Entry, movements};
use crate::sample::shop::Shop;
use crate::sample::spec::{Files, SampleError};

/// A line of an invoice.
struct Row<'a> {
    /// Number of the invoice, refunds included, from 0.
    invoice: usize,
    line: Entry<'a>,
}

/// Writes the file.
pub(super) fn files(shop: &Shop) -> Result<Files, SampleError> {
    const FIRST_INVOICE: usize = 489_434;
    let rows = movements(shop).into_iter().enumerate().flat_map(|(index, entry)| {
        entry.lines().map(move |line| Row { invoice: FIRST_INVOICE + index, line })
    });
    Ok(vec![("online_retail_II.csv", write(b',', COLUMNS, rows)?)])
}

fn invoice(row: &Row<'_>) -> String {
    let prefix = if row.line.is_refund() { "C" } else { "" };
    format!("{prefix}{}", row.invoice)
}

fn customer(row: &Row<'_>) -> String {
    const FIRST_CUSTOMER: usize = 12_346;
    let number = row.line.customer_number();
    number.map_or_else(String::new, |number| format!("{}.0", FIRST_CUSTOMER + number - 1))
}

#[allow(clippy::type_complexity)]
const COLUMNS: &[(&str, fn(&Row<'_>) -> String)] = &[
    ("Invoice", invoice),
    ("StockCode", |row| (20_001 + row.line.product_index()).to_string()),
    ("Description", |row| row.line.product().to_owned()),
    ("Quantity", |row| row.line.signed(i64::from(row.line.units())).to_string()),
    ("InvoiceDate", |row| stamp(row.line.at())),
    ("Price", |row| plain(row.line.price())),
    ("Customer ID", customer),
    ("Country", |row| row.line.buyer().country.name.to_owned()),
];
