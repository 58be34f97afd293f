//! What is true of a generated shop: the sums that any export of it must give, and who buys what together.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::orders::TOGETHER;
use super::shop::{Buyer, Order, Pair, Shop};
use crate::domain::time::Timestamp;

/// Sums and numbers of the shop; amounts are texts with two decimals.
pub(super) fn totals(shop: &Shop) -> Value {
    let sum = |is_counted: &dyn Fn(&Order) -> bool, amount: &dyn Fn(&Order) -> i64| {
        let counted = shop.orders.iter().filter(|order| is_counted(order));
        let cents: i64 = counted.map(amount).sum();
        decimal(cents)
    };
    let refunds = || shop.orders.iter().filter_map(|order| order.refund.as_ref());
    let refunded_units = refunds().flat_map(|refund| &refund.units);
    let number = |is_counted: &dyn Fn(&Order) -> bool| {
        shop.orders.iter().filter(|order| is_counted(order)).count()
    };
    let lines = |is_counted: &dyn Fn(&Order) -> bool| {
        let counted = shop.orders.iter().filter(|order| is_counted(order));
        counted.map(|order| order.lines.len()).sum::<usize>()
    };
    let is_refunded = |order: &Order| order.refund.is_some();
    let buyers: BTreeSet<usize> = shop.orders.iter().filter_map(customer).collect();
    json!({
        "orders": shop.orders.len(),
        "sale_lines": lines(&|_| true),
        "gross_revenue": sum(&|_| true, &Order::total),
        "units": shop.orders.iter().flat_map(|order| &order.lines).map(|line| line.units).sum::<u32>(),
        "refunded_orders": number(&is_refunded),
        "lines_of_refunded_orders": lines(&is_refunded),
        "refund_lines": refunded_units.filter(|units| **units > 0).count(),
        "refunds": sum(&|_| true, &Order::refunded),
        "orders_given_back": number(&Order::is_given_back),
        "lines_of_orders_given_back": lines(&Order::is_given_back),
        "refunds_of_orders_given_back": sum(&Order::is_given_back, &Order::refunded),
        "total_revenue": sum(&|_| true, &|order| order.total() - order.refunded()),
        "guest_orders": shop.guests.len(),
        "guest_gross_revenue": sum(&Order::is_of_guest, &Order::total),
        "guest_revenue": sum(&Order::is_of_guest, &|order| order.total() - order.refunded()),
        "customers": shop.customers.len(),
        "purchasing_customers": buyers.len(),
        "last_sale": shop.orders.last().map(|order| Timestamp(order.at)),
        "last_sale_of_a_customer":
            shop.orders.iter().rfind(|order| !order.is_of_guest()).map(|order| Timestamp(order.at)),
        "last_refund": refunds().map(|refund| refund.at).max().map(Timestamp),
    })
}

/// The planted pairs, and in how many orders their products are.
pub(super) fn pairs(shop: &Shop) -> Value {
    let mut with: BTreeMap<usize, usize> = BTreeMap::new();
    let mut with_both: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    let has =
        |order: &Order, product: usize| order.lines.iter().any(|line| line.product == product);
    for order in &shop.orders {
        for line in &order.lines {
            *with.entry(line.product).or_default() += 1;
        }
        for Pair { first, second } in &shop.pairs {
            let both = has(order, *first) && has(order, *second);
            *with_both.entry((*first, *second)).or_default() += usize::from(both);
        }
    }
    let pair = |pair: &Pair| {
        json!({
            "products": [shop.products.names[pair.first], shop.products.names[pair.second]],
            "orders_with_first": with.get(&pair.first).copied().unwrap_or(0),
            "orders_with_second": with.get(&pair.second).copied().unwrap_or(0),
            "orders_with_both": with_both.get(&(pair.first, pair.second)).copied().unwrap_or(0),
        })
    };
    json!({
        "probability": TOGETHER,
        "planted": shop.pairs.iter().map(pair).collect::<Vec<_>>(),
    })
}

fn customer(order: &Order) -> Option<usize> {
    match order.buyer {
        Buyer::Customer(index) => Some(index),
        Buyer::Guest(_) => None,
    }
}

/// Cents as an amount with two decimals.
fn decimal(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100)
}
