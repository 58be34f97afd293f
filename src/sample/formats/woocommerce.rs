//! WooCommerce: Analytics > Orders and Analytics > Customers.
//!
//! Orders list their products in one cell and know a customer by name only. A refund is a row of its own.

use super::table::{euros, short, stamp, write};
use super::view::{CustomerColumn, Entry, EntryColumn, customers, movements};
use crate::sample::shop::Shop;
use crate::sample::spec::{Files, SampleError};

/// Writes both files, the latest order first.
pub(super) fn files(shop: &Shop) -> Result<Files, SampleError> {
    Ok(vec![
        ("customers_2026-01-01.csv", write(b',', CUSTOMERS, customers(shop))?),
        ("orders_2026-01-01.csv", write(b',', ORDERS, movements(shop).into_iter().rev())?),
    ])
}

fn formatted(entry: &Entry<'_>) -> String {
    let text = euros(entry.total()).replace('€', "&euro;");
    // So that no spreadsheet takes it for a formula.
    if text.starts_with('-') { format!("'{text}") } else { text }
}

fn status(entry: &Entry<'_>) -> String {
    let is_refunded = entry.is_refund() || entry.order().is_given_back();
    if is_refunded { "refunded" } else { "completed" }.to_owned()
}

fn products(entry: &Entry<'_>) -> String {
    if entry.is_refund() {
        return String::new();
    }
    let product = |line: Entry<'_>| format!("{}× {}", line.units(), line.product());
    entry.lines().map(product).collect::<Vec<_>>().join(", ")
}

fn items(entry: &Entry<'_>) -> String {
    let units: u32 = entry.lines().map(|line| line.units()).sum();
    entry.signed(i64::from(units)).to_string()
}

fn customer_type(entry: &Entry<'_>) -> String {
    if entry.order().is_first { "new" } else { "returning" }.to_owned()
}

const ORDERS: &[EntryColumn] = &[
    ("Date", |e| stamp(e.at())),
    ("Order #", |e| (5_000 + e.number()).to_string()),
    ("N. Revenue (formatted)", formatted),
    ("Status", status),
    ("Customer", |e| e.buyer().name()),
    ("Customer type", customer_type),
    ("Product(s)", products),
    ("Items sold", items),
    ("Coupon(s)", |_| String::new()),
    ("Net Sales", |e| short(e.total())),
    ("Attribution", |_| "Direct".to_owned()),
];

const CUSTOMERS: &[CustomerColumn] = &[
    ("Name", |c| c.customer.person.name()),
    ("Username", |c| c.user_name()),
    ("Last Active", |c| stamp(c.last_at.unwrap_or(c.customer.signup))),
    ("Sign Up", |c| stamp(c.customer.signup)),
    ("Email", |c| c.customer.email.clone()),
    ("Orders", |c| c.orders.to_string()),
    ("Total Spend", |c| short(c.spent)),
    ("AOV", |c| short(c.spent / i64::try_from(c.orders.max(1)).unwrap_or(1))),
    ("Country / Region", |c| c.customer.person.country.code.to_owned()),
    ("City", |_| String::new()),
    ("Region", |_| String::new()),
    ("Postal Code", |_| String::new()),
    ("Billing Phone", |_| String::new()),
    ("Shipping Phone", |_| String::new()),
    ("Role", |_| "customer".to_owned()),
];
