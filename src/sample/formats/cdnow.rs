//! The master file of CDNOW: no header; customer, day, units and dollars of each order.
//!
//! It has neither products nor refunds, and orders of customers only.

use std::fmt::Write as _;

use super::table::{day, plain};
use super::view::{Entry, orders};
use crate::sample::shop::{Line, Shop};
use crate::sample::spec::Files;

/// Writes the file, by customer.
pub(super) fn files(shop: &Shop) -> Files {
    let mut rows: Vec<(usize, Entry<'_>)> = orders(shop)
        .filter_map(|entry| entry.customer_number().map(|customer| (customer, entry)))
        .collect();
    // Stable: the orders of a customer stay in chronological order.
    rows.sort_by_key(|(customer, _)| *customer);
    let mut text = String::new();
    for (customer, entry) in rows {
        let day = day(entry.at()).replace('-', "");
        let units: u32 = entry.order().lines.iter().map(|line: &Line| line.units).sum();
        // Writing to a text cannot fail.
        let _ = writeln!(text, " {customer:05} {day} {units:2} {:>7}", plain(entry.total()));
    }
    vec![("CDNOW_master.txt", text.into_bytes())]
}
