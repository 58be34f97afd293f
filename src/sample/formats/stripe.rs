//! Stripe: Payments > Export and Customers > Export, of a European account: decimal commas.
//!
//! A payment is an order; it has no products.

use super::table::{comma, stamp, write};
use super::view::{CustomerColumn, Entry, EntryColumn, customers, hashed, orders};
use crate::sample::shop::Shop;
use crate::sample::spec::{Files, SampleError};

/// Writes both files, the latest row first.
pub(super) fn files(shop: &Shop) -> Result<Files, SampleError> {
    Ok(vec![
        ("unified_customers.csv", write(b',', CUSTOMERS, customers(shop).into_iter().rev())?),
        ("unified_payments.csv", write(b',', PAYMENTS, orders(shop).rev())?),
    ])
}

const NONE: fn(&Entry<'_>) -> String = |_| String::new();

/// A key as Stripe makes them: a prefix and some letters and digits.
fn key(prefix: &str, number: usize) -> String {
    format!("{prefix}_{}", &hashed(prefix, number)[..16])
}

fn customer(entry: &Entry<'_>) -> String {
    entry.customer_number().map_or_else(String::new, |number| key("cus", number))
}

fn refunded_at(entry: &Entry<'_>) -> String {
    entry.order().refund.as_ref().map_or_else(String::new, |refund| stamp(refund.at))
}

fn status(entry: &Entry<'_>) -> String {
    if entry.order().is_given_back() { "Refunded" } else { "Paid" }.to_owned()
}

/// 1.5 per cent and 25 cents.
fn fee(entry: &Entry<'_>) -> String {
    comma(entry.total() * 15 / 1_000 + 25)
}

const PAYMENTS: &[EntryColumn] = &[
    ("id", |e| key("ch", e.number())),
    ("Created date (UTC)", |e| stamp(e.at())),
    ("Amount", |e| comma(e.total())),
    ("Amount Refunded", |e| comma(e.order().refunded())),
    ("Currency", |_| "eur".to_owned()),
    ("Captured", |_| "true".to_owned()),
    ("Converted Amount", |e| comma(e.total())),
    ("Converted Amount Refunded", |e| comma(e.order().refunded())),
    ("Converted Currency", |_| "eur".to_owned()),
    ("Decline Reason", NONE),
    ("Description", |e| format!("Order {}", e.number())),
    ("Fee", fee),
    ("Mode", |_| "Live".to_owned()),
    ("PaymentIntent ID", |e| key("pi", e.number())),
    ("Payment Source Type", |_| "card".to_owned()),
    ("Refunded date (UTC)", refunded_at),
    ("Statement Descriptor", |_| "ATELIER EXEMPLE".to_owned()),
    ("Status", status),
    ("Seller Message", |_| "Payment complete.".to_owned()),
    ("Taxes On Fee", |_| comma(0)),
    ("Card ID", |e| key("pm", e.number())),
    ("Card Name", |e| e.buyer().name()),
    ("Card Brand", |_| "Visa".to_owned()),
    ("Card Issue Country", |e| e.buyer().country.code.to_owned()),
    ("Customer ID", customer),
    ("Customer Description", NONE),
    ("Customer Email", |e| e.email()),
    ("Invoice ID", NONE),
    ("Transfer", NONE),
];

const CUSTOMERS: &[CustomerColumn] = &[
    ("id", |c| key("cus", c.number)),
    ("Description", |_| String::new()),
    ("Email", |c| c.customer.email.clone()),
    ("Name", |c| c.customer.person.name()),
    ("Created (UTC)", |c| stamp(c.customer.signup)),
    ("Delinquent", |_| "false".to_owned()),
    ("Card ID", |_| String::new()),
    ("Total Spend", |c| comma(c.spent)),
    ("Payment Count", |c| c.orders.to_string()),
    ("Refunded Volume", |c| comma(c.refunded)),
];
