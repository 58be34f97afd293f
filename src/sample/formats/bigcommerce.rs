//! BigCommerce: Orders > Export, with the default template: totals of orders, days without a time.

use super::table::{euros, month_first, write};
use super::view::{Entry, EntryColumn, orders};
use crate::sample::shop::Shop;
use crate::sample::spec::{Files, SampleError};

/// Writes the file.
pub(super) fn files(shop: &Shop) -> Result<Files, SampleError> {
    Ok(vec![("orders-2026-01-01.csv", write(b',', COLUMNS, orders(shop))?)])
}

const NONE: fn(&Entry<'_>) -> String = |_| String::new();

fn status(entry: &Entry<'_>) -> String {
    let order = entry.order();
    let status = match &order.refund {
        Some(_) if order.is_given_back() => "Refunded",
        Some(_) => "Partially Refunded",
        None => "Completed",
    };
    status.to_owned()
}

const COLUMNS: &[EntryColumn] = &[
    ("Order ID", |e| (1_000 + e.number()).to_string()),
    ("Order Date", |e| month_first(e.at())),
    ("Order Source", |_| "www".to_owned()),
    ("Order Status", status),
    ("Order Total", |e| euros(e.total())),
    ("Payment Method", |_| "Card".to_owned()),
    ("Refund Amount", |e| euros(e.order().refunded())),
    ("Ship Method", |_| "Free Shipping".to_owned()),
    ("First Name", |e| e.buyer().first.clone()),
    ("Last Name", |e| e.buyer().last.clone()),
    ("Company", NONE),
    ("Email Address", |e| e.email()),
    ("Billing Street 1", NONE),
    ("Billing City", NONE),
    ("Billing State", NONE),
    ("Billing Zip", NONE),
    ("Billing Country", |e| e.buyer().country.name.to_owned()),
    ("Customer Message", NONE),
];
