//! Magento 2: Sales > Orders > Export, with all columns of the grid.

use super::table::{american, plain, write};
use super::view::{Entry, EntryColumn, orders};
use crate::sample::shop::{Line, Shop};
use crate::sample::spec::{Files, SampleError};

/// Writes the file.
pub(super) fn files(shop: &Shop) -> Result<Files, SampleError> {
    Ok(vec![("export.csv", write(b',', COLUMNS, orders(shop))?)])
}

/// Amounts have four decimals.
fn amount(cents: i64) -> String {
    plain(cents) + "00"
}

/// Before reductions.
fn subtotal(entry: &Entry<'_>) -> String {
    let order = entry.order();
    amount(order.total() + order.lines.iter().map(Line::discount).sum::<i64>())
}

fn status(entry: &Entry<'_>) -> String {
    if entry.order().is_given_back() { "Closed" } else { "Complete" }.to_owned()
}

fn name(entry: &Entry<'_>) -> String {
    entry.buyer().name()
}

fn address(entry: &Entry<'_>) -> String {
    format!("1 Sample Street,Sampleton,,10000,{}", entry.buyer().country.code)
}

fn group(entry: &Entry<'_>) -> String {
    if entry.order().is_of_guest() { "NOT LOGGED IN" } else { "General" }.to_owned()
}

const COLUMNS: &[EntryColumn] = &[
    ("ID", |e| format!("{:09}", e.number())),
    ("Purchase Point", |_| {
        "Main Website\n    Main Website Store\n        Default Store View".to_owned()
    }),
    ("Purchase Date", |e| american(e.at())),
    ("Bill-to Name", name),
    ("Ship-to Name", name),
    ("Grand Total (Base)", |e| amount(e.total())),
    ("Grand Total (Purchased)", |e| amount(e.total())),
    ("Status", status),
    ("Billing Address", address),
    ("Shipping Address", address),
    ("Shipping Information", |_| "Free Shipping - Free".to_owned()),
    ("Customer Email", |e| e.email()),
    ("Customer Group", group),
    ("Subtotal", subtotal),
    ("Shipping and Handling", |_| amount(0)),
    ("Customer Name", name),
    ("Payment Method", |_| "checkmo".to_owned()),
    ("Total Refunded", |e| amount(e.order().refunded())),
];
