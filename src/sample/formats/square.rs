//! Square: Transactions > Items > Export.
//!
//! What is given back is a row with negative amounts under the number of its sale.

use super::table::{day, euros, time, write};
use super::view::{Entry, EntryColumn, hashed, movements};
use crate::sample::shop::Shop;
use crate::sample::spec::{Files, SampleError};

/// Writes the file, the latest row first.
pub(super) fn files(shop: &Shop) -> Result<Files, SampleError> {
    let rows = movements(shop).into_iter().rev().flat_map(Entry::lines);
    Ok(vec![("items-2023-01-01-2026-01-01.csv", write(b',', COLUMNS, rows)?)])
}

const NONE: fn(&Entry<'_>) -> String = |_| String::new();

fn transaction(entry: &Entry<'_>) -> String {
    hashed("transaction", entry.number())
}

fn event(entry: &Entry<'_>) -> String {
    if entry.is_refund() { "Refund" } else { "Payment" }.to_owned()
}

/// The number and the name that the till knows of a customer.
fn customer(entry: &Entry<'_>) -> String {
    let key = |number| hashed("customer", number)[..24].to_uppercase();
    entry.customer_number().map_or_else(String::new, key)
}

fn customer_name(entry: &Entry<'_>) -> String {
    entry.customer_number().map_or_else(String::new, |_| entry.buyer().name())
}

fn quantity(entry: &Entry<'_>) -> String {
    format!("{}.0", entry.signed(i64::from(entry.units())))
}

const COLUMNS: &[EntryColumn] = &[
    ("Date", |e| day(e.at())),
    ("Time", |e| time(e.at())),
    ("Time Zone", |_| "UTC".to_owned()),
    ("Category", NONE),
    ("Item", |e| e.product().to_owned()),
    ("Qty", quantity),
    ("Price Point Name", |_| "Regular".to_owned()),
    ("SKU", |e| format!("SKU-{:04}", e.product_index() + 1)),
    ("Modifiers Applied", NONE),
    ("Gross Sales", |e| euros(e.list_amount())),
    ("Discounts", |e| euros(e.amount() - e.list_amount())),
    ("Net Sales", |e| euros(e.amount())),
    ("Tax", |_| euros(0)),
    ("Transaction ID", transaction),
    ("Payment ID", |e| hashed("payment", e.number())),
    ("Device Name", |_| "Counter".to_owned()),
    ("Notes", NONE),
    ("Details", NONE),
    ("Event Type", event),
    ("Location", |_| "Atelier Exemple".to_owned()),
    ("Dining Option", NONE),
    ("Customer ID", customer),
    ("Customer Name", customer_name),
    ("Customer Reference ID", NONE),
    ("Unit", |_| "ea".to_owned()),
    ("Count", |_| "1".to_owned()),
    ("GTIN", NONE),
    ("Itemization Type", |_| "Physical Good".to_owned()),
    ("Commission", NONE),
    ("Employee", NONE),
    ("Fulfillment Note", NONE),
    ("Channel", |_| "Atelier Exemple".to_owned()),
    ("Token", NONE),
    ("Card Brand", NONE),
    ("PAN Suffix", NONE),
];
