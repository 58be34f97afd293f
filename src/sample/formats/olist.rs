//! The public data set of Olist: orders, their items and their customers.
//!
//! Every order has a customer of its own, who is one of several of a person; a person without an account is
//! one too. One row per piece; no refunds.

use super::table::{plain, stamp, write};
use super::view::{Entry, EntryColumn, hashed, orders};
use crate::sample::shop::{Buyer, Shop};
use crate::sample::spec::{Files, SampleError};

/// Writes the three files that sales are in.
pub(super) fn files(shop: &Shop) -> Result<Files, SampleError> {
    let pieces = orders(shop).flat_map(|order| {
        let pieces = lines_of(order);
        pieces.enumerate().map(|(index, line)| Piece { number: index + 1, line })
    });
    Ok(vec![
        ("olist_customers_dataset.csv", write(b',', CUSTOMERS, orders(shop))?),
        ("olist_order_items_dataset.csv", write(b',', ITEMS, pieces)?),
        ("olist_orders_dataset.csv", write(b',', ORDERS, orders(shop))?),
    ])
}

/// One unit of a line.
struct Piece<'a> {
    /// Within its order, from 1.
    number: usize,
    line: Entry<'a>,
}

/// The lines of an order, each as often as it has units.
fn lines_of(order: Entry<'_>) -> impl Iterator<Item = Entry<'_>> {
    order.lines().flat_map(|line| (0..line.units()).map(move |_| line))
}

const NONE: fn(&Entry<'_>) -> String = |_| String::new();

fn order(entry: &Entry<'_>) -> String {
    hashed("order", entry.number())
}

fn customer(entry: &Entry<'_>) -> String {
    hashed("customer", entry.number())
}

fn person(entry: &Entry<'_>) -> String {
    match entry.order().buyer {
        Buyer::Customer(index) => hashed("person", index),
        Buyer::Guest(index) => hashed("guest", index),
    }
}

fn bought(entry: &Entry<'_>) -> String {
    stamp(entry.at())
}

#[allow(clippy::type_complexity)]
const ITEMS: &[(&str, fn(&Piece<'_>) -> String)] = &[
    ("order_id", |piece| order(&piece.line)),
    ("order_item_id", |piece| piece.number.to_string()),
    ("product_id", |piece| hashed("product", piece.line.product_index())),
    ("seller_id", |_| hashed("seller", 1)),
    ("shipping_limit_date", |piece| bought(&piece.line)),
    ("price", |piece| plain(piece.line.price())),
    ("freight_value", |_| plain(0)),
];

const ORDERS: &[EntryColumn] = &[
    ("order_id", order),
    ("customer_id", customer),
    ("order_status", |_| "delivered".to_owned()),
    ("order_purchase_timestamp", bought),
    ("order_approved_at", bought),
    ("order_delivered_carrier_date", NONE),
    ("order_delivered_customer_date", NONE),
    ("order_estimated_delivery_date", NONE),
];

const CUSTOMERS: &[EntryColumn] = &[
    ("customer_id", customer),
    ("customer_unique_id", person),
    ("customer_zip_code_prefix", |_| "01001".to_owned()),
    ("customer_city", |_| "sao paulo".to_owned()),
    ("customer_state", |_| "SP".to_owned()),
];
