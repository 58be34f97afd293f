//! Shopify: Orders > Export and Customers > Export.
//!
//! What is said of an order stands on its first row, but for name, address and date.

use super::table::{plain, stamp, write};
use super::view::{CustomerColumn, Entry, EntryColumn, customers, lines};
use crate::sample::shop::{Line, Shop};
use crate::sample::spec::{Files, SampleError};

/// Writes both files.
pub(super) fn files(shop: &Shop) -> Result<Files, SampleError> {
    Ok(vec![
        ("customers_export.csv", write(b',', CUSTOMERS, customers(shop))?),
        ("orders_export.csv", write(b',', ORDERS, lines(shop))?),
    ])
}

const NONE: fn(&Entry<'_>) -> String = |_| String::new();

/// What stands on the first row of an order only.
fn once(entry: &Entry<'_>, text: impl FnOnce() -> String) -> String {
    if entry.line_number() == 1 { text() } else { String::new() }
}

fn status(entry: &Entry<'_>) -> String {
    let order = entry.order();
    let status = match &order.refund {
        Some(_) if order.is_given_back() => "refunded",
        Some(_) => "partially_refunded",
        None => "paid",
    };
    status.to_owned()
}

fn created(entry: &Entry<'_>) -> String {
    stamp(entry.at()) + " +0000"
}

fn reduced(entry: &Entry<'_>) -> i64 {
    entry.order().lines.iter().map(Line::discount).sum()
}

fn line_discount(entry: &Entry<'_>) -> i64 {
    entry.list_amount() - entry.amount()
}

fn sku(entry: &Entry<'_>) -> String {
    format!("SKU-{:04}", entry.product_index() + 1)
}

fn name(entry: &Entry<'_>) -> String {
    once(entry, || entry.buyer().name())
}

fn country(entry: &Entry<'_>) -> String {
    once(entry, || entry.buyer().country.code.to_owned())
}

fn payment(entry: &Entry<'_>) -> String {
    once(entry, || format!("r{}.1", 1000 + entry.number()))
}

const ORDERS: &[EntryColumn] = &[
    ("Name", |e| format!("#{}", 1000 + e.number())),
    ("Email", |e| e.email()),
    ("Financial Status", |e| once(e, || status(e))),
    ("Paid at", |e| once(e, || created(e))),
    ("Fulfillment Status", |e| once(e, || "fulfilled".to_owned())),
    ("Fulfilled at", NONE),
    ("Accepts Marketing", |e| once(e, || "no".to_owned())),
    ("Currency", |e| once(e, || "EUR".to_owned())),
    ("Subtotal", |e| once(e, || plain(e.total()))),
    ("Shipping", |e| once(e, || plain(0))),
    ("Taxes", |e| once(e, || plain(0))),
    ("Total", |e| once(e, || plain(e.total()))),
    ("Discount Code", NONE),
    ("Discount Amount", |e| once(e, || plain(reduced(e)))),
    ("Shipping Method", |e| once(e, || "Free shipping".to_owned())),
    ("Created at", created),
    ("Lineitem quantity", |e| e.units().to_string()),
    ("Lineitem name", |e| e.product().to_owned()),
    ("Lineitem price", |e| plain(e.list_price())),
    ("Lineitem compare at price", NONE),
    ("Lineitem sku", sku),
    ("Lineitem requires shipping", |_| "true".to_owned()),
    ("Lineitem taxable", |_| "true".to_owned()),
    ("Lineitem fulfillment status", |_| "fulfilled".to_owned()),
    ("Billing Name", name),
    ("Billing Street", NONE),
    ("Billing Address1", NONE),
    ("Billing Address2", NONE),
    ("Billing Company", NONE),
    ("Billing City", NONE),
    ("Billing Zip", NONE),
    ("Billing Province", NONE),
    ("Billing Country", country),
    ("Billing Phone", NONE),
    ("Shipping Name", name),
    ("Shipping Street", NONE),
    ("Shipping Address1", NONE),
    ("Shipping Address2", NONE),
    ("Shipping Company", NONE),
    ("Shipping City", NONE),
    ("Shipping Zip", NONE),
    ("Shipping Province", NONE),
    ("Shipping Country", country),
    ("Shipping Phone", NONE),
    ("Notes", NONE),
    ("Note Attributes", NONE),
    ("Cancelled at", NONE),
    ("Payment Method", |e| once(e, || "Shopify Payments".to_owned())),
    ("Payment Reference", payment),
    ("Refunded Amount", |e| once(e, || plain(e.order().refunded()))),
    ("Vendor", |_| "Atelier Exemple".to_owned()),
    ("Outstanding Balance", |e| once(e, || plain(0))),
    ("Employee", NONE),
    ("Location", NONE),
    ("Device ID", NONE),
    ("Id", |e| once(e, || (16_700_000_000_000 + e.number()).to_string())),
    ("Tags", NONE),
    ("Risk Level", |e| once(e, || "Low".to_owned())),
    ("Source", |e| once(e, || "web".to_owned())),
    ("Lineitem discount", |e| plain(line_discount(e))),
    ("Tax 1 Name", NONE),
    ("Tax 1 Value", NONE),
    ("Tax 2 Name", NONE),
    ("Tax 2 Value", NONE),
    ("Tax 3 Name", NONE),
    ("Tax 3 Value", NONE),
    ("Tax 4 Name", NONE),
    ("Tax 4 Value", NONE),
    ("Tax 5 Name", NONE),
    ("Tax 5 Value", NONE),
    ("Phone", NONE),
    ("Receipt Number", NONE),
    ("Duties", NONE),
    ("Billing Province Name", NONE),
    ("Shipping Province Name", NONE),
    ("Payment ID", payment),
    ("Payment Terms Name", NONE),
    ("Next Payment Due At", NONE),
    ("Payment References", payment),
];

const CUSTOMERS: &[CustomerColumn] = &[
    ("Customer ID", |c| format!("'{}", 7_001_000_000_000 + c.number)),
    ("First Name", |c| c.customer.person.first.clone()),
    ("Last Name", |c| c.customer.person.last.clone()),
    ("Email", |c| c.customer.email.clone()),
    ("Accepts Email Marketing", |_| "no".to_owned()),
    ("Default Address Company", |_| String::new()),
    ("Default Address Address1", |_| String::new()),
    ("Default Address Address2", |_| String::new()),
    ("Default Address City", |_| String::new()),
    ("Default Address Province Code", |_| String::new()),
    ("Default Address Country Code", |c| c.customer.person.country.code.to_owned()),
    ("Default Address Zip", |_| String::new()),
    ("Default Address Phone", |_| String::new()),
    ("Phone", |_| String::new()),
    ("Accepts SMS Marketing", |_| "no".to_owned()),
    ("Total Spent", |c| plain(c.spent)),
    ("Total Orders", |c| c.orders.to_string()),
    ("Note", |_| String::new()),
    ("Tax Exempt", |_| "no".to_owned()),
    ("Tags", |_| String::new()),
];
