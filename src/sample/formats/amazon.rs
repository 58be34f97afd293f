//! Amazon: Reports > Fulfillment > All Orders, a text of tabs.
//!
//! It names no buyers. A status says that a parcel came back; of a part of one it says nothing.

use super::table::{plain, stamp, write};
use super::view::{Entry, EntryColumn, lines};
use crate::sample::shop::Shop;
use crate::sample::spec::{Files, SampleError};

/// Writes the file.
pub(super) fn files(shop: &Shop) -> Result<Files, SampleError> {
    Ok(vec![("78412019876.txt", write(b'\t', COLUMNS, lines(shop))?)])
}

const NONE: fn(&Entry<'_>) -> String = |_| String::new();

fn order(entry: &Entry<'_>) -> String {
    format!("302-{:07}-{:07}", entry.number() / 10_000_000, entry.number() % 10_000_000)
}

fn status(entry: &Entry<'_>) -> String {
    let is_back = entry.order().is_given_back();
    if is_back { "Shipped - Returned to Seller" } else { "Shipped - Delivered to Buyer" }.to_owned()
}

fn discount(entry: &Entry<'_>) -> String {
    let discount = entry.list_amount() - entry.amount();
    if discount > 0 { plain(discount) } else { String::new() }
}

fn purchased(entry: &Entry<'_>) -> String {
    stamp(entry.at()).replace(' ', "T") + "+00:00"
}

const COLUMNS: &[EntryColumn] = &[
    ("amazon-order-id", order),
    ("merchant-order-id", NONE),
    ("purchase-date", purchased),
    ("last-updated-date", purchased),
    ("order-status", status),
    ("fulfillment-channel", |_| "Merchant".to_owned()),
    ("sales-channel", |_| "Amazon.fr".to_owned()),
    ("order-channel", NONE),
    ("url", NONE),
    ("ship-service-level", |_| "Standard".to_owned()),
    ("product-name", |e| e.product().to_owned()),
    ("sku", |e| format!("SKU-{:04}", e.product_index() + 1)),
    ("asin", |e| format!("B0EXMPL{:03}", e.product_index() + 1)),
    ("item-status", |_| "Shipped".to_owned()),
    ("quantity", |e| e.units().to_string()),
    ("currency", |_| "EUR".to_owned()),
    ("item-price", |e| plain(e.list_amount())),
    ("item-tax", NONE),
    ("shipping-price", NONE),
    ("shipping-tax", NONE),
    ("gift-wrap-price", NONE),
    ("gift-wrap-tax", NONE),
    ("item-promotion-discount", discount),
    ("ship-promotion-discount", NONE),
    ("ship-city", NONE),
    ("ship-state", NONE),
    ("ship-postal-code", NONE),
    ("ship-country", |e| e.buyer().country.code.to_owned()),
    ("promotion-ids", NONE),
    ("is-business-order", |_| "false".to_owned()),
    ("purchase-order-number", NONE),
    ("price-designation", NONE),
];
