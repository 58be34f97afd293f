//! The generated shop in memory: people, products and orders, whatever file they are written to.
//!
//! Money is counted in cents. The shop adds neither tax nor shipping, so that an order's total is its goods.

use super::people::{Customer, Person};
use super::products::Products;

/// A generated shop.
#[derive(Debug)]
pub(super) struct Shop {
    /// In the order they registered.
    pub(super) customers: Vec<Customer>,
    /// Buyers without an account, one for each of their orders.
    pub(super) guests: Vec<Person>,
    pub(super) products: Products,
    /// Products that are often bought together.
    pub(super) pairs: Vec<Pair>,
    /// In chronological order.
    pub(super) orders: Vec<Order>,
}

/// Two products: who buys the first often takes the second along.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub(super) first: usize,
    pub(super) second: usize,
}

/// Who placed an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Buyer {
    /// Index into [`Shop::customers`].
    Customer(usize),
    /// Index into [`Shop::guests`].
    Guest(usize),
}

/// One order.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) buyer: Buyer,
    /// Instant, microseconds.
    pub(super) at: i64,
    /// Whether it is the first of its buyer.
    pub(super) is_first: bool,
    /// At least one; no two of the same product, and never all of the same amount.
    pub(super) lines: Vec<Line>,
    pub(super) refund: Option<Refund>,
}

/// Some units of one product.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    /// Index into the products.
    pub(super) product: usize,
    pub(super) units: u32,
    /// What one unit was sold for.
    pub(super) price: i64,
    /// What was taken off the price of each unit before.
    pub(super) reduction: i64,
}

/// Goods that were given back, on a later day.
#[derive(Debug)]
pub(super) struct Refund {
    /// Instant, microseconds.
    pub(super) at: i64,
    /// Units of each line of the order.
    pub(super) units: Vec<u32>,
}

impl Line {
    pub(super) fn amount(&self) -> i64 {
        i64::from(self.units) * self.price
    }

    /// What was taken off all units.
    pub(super) fn discount(&self) -> i64 {
        i64::from(self.units) * self.reduction
    }
}

impl Order {
    pub(super) fn total(&self) -> i64 {
        self.lines.iter().map(Line::amount).sum()
    }

    /// The amount that was given back.
    pub(super) fn refunded(&self) -> i64 {
        let units = self.refund.iter().flat_map(|refund| &refund.units);
        self.lines.iter().zip(units).map(|(line, units)| i64::from(*units) * line.price).sum()
    }

    pub(super) fn is_given_back(&self) -> bool {
        self.refunded() == self.total()
    }

    pub(super) fn is_of_guest(&self) -> bool {
        matches!(self.buyer, Buyer::Guest(_))
    }
}

impl Shop {
    pub(super) fn buyer(&self, order: &Order) -> &Person {
        match order.buyer {
            Buyer::Customer(index) => &self.customers[index].person,
            Buyer::Guest(index) => &self.guests[index],
        }
    }
}
