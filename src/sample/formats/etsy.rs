//! Etsy: Shop Manager > Settings > Options > Download Data > Order Items.
//!
//! Days without a time; no refunds, which are in another file.

use super::table::{english, month_first_short, write};
use super::view::{Entry, EntryColumn, orders};
use crate::sample::shop::Shop;
use crate::sample::spec::{Files, SampleError};

/// Writes the file, the latest row first.
pub(super) fn files(shop: &Shop) -> Result<Files, SampleError> {
    let rows = orders(shop).rev().flat_map(Entry::lines);
    Ok(vec![("EtsySoldOrderItems.csv", write(b',', COLUMNS, rows)?)])
}

const NONE: fn(&Entry<'_>) -> String = |_| String::new();

fn discount(entry: &Entry<'_>) -> i64 {
    entry.list_amount() - entry.amount()
}

fn coupon(entry: &Entry<'_>) -> String {
    if discount(entry) > 0 { "MERCI10".to_owned() } else { String::new() }
}

/// The user name, which a guest does not have.
fn buyer(entry: &Entry<'_>) -> String {
    entry.email().split('@').next().unwrap_or_default().replace('.', "_")
}

/// Unlike a line's number, another one in each order.
fn transaction(entry: &Entry<'_>) -> String {
    (4_500_000_000_u64 + 10 * entry.number() as u64 + entry.line_number() as u64).to_string()
}

fn sold_on(entry: &Entry<'_>) -> String {
    month_first_short(entry.at())
}

const COLUMNS: &[EntryColumn] = &[
    ("Sale Date", sold_on),
    ("Item Name", |e| e.product().to_owned()),
    ("Buyer", buyer),
    ("Quantity", |e| e.units().to_string()),
    ("Price", |e| english(e.list_price())),
    ("Coupon Code", coupon),
    ("Coupon Details", NONE),
    ("Discount Amount", |e| english(discount(e))),
    ("Shipping Discount", |_| english(0)),
    ("Order Shipping", |_| english(0)),
    ("Order Sales Tax", |_| english(0)),
    ("Item Total", |e| english(e.list_amount())),
    ("Currency", |_| "EUR".to_owned()),
    ("Transaction ID", transaction),
    ("Listing ID", |e| (1_700_000_000 + e.product_index()).to_string()),
    ("Date Paid", sold_on),
    ("Date Shipped", NONE),
    ("Ship Name", |e| e.buyer().name()),
    ("Ship Address1", NONE),
    ("Ship Address2", NONE),
    ("Ship City", NONE),
    ("Ship State", NONE),
    ("Ship Zipcode", NONE),
    ("Ship Country", |e| e.buyer().country.name.to_owned()),
    ("Order ID", |e| (3_200_000_000_u64 + e.number() as u64).to_string()),
    ("Variations", NONE),
    ("Order Type", |_| "online".to_owned()),
    ("Listings Type", |_| "listing".to_owned()),
    ("Payment Type", |_| "online_cc".to_owned()),
    ("InPerson Discount", NONE),
    ("InPerson Location", NONE),
    ("VAT Paid by Buyer", NONE),
    ("SKU", |e| format!("SKU-{:04}", e.product_index() + 1)),
];
