//! What a row of an export is about: a line of an order, a whole order, a refund of either, or a customer.

use std::fmt::Write as _;

use crate::domain::digest::sha256_hex;
use crate::sample::people::{Customer, Person};
use crate::sample::shop::{Buyer, Line, Order, Shop};

/// A column of a table of entries.
pub(super) type EntryColumn = (&'static str, fn(&Entry<'_>) -> String);
/// A column of a table of customers.
pub(super) type CustomerColumn = (&'static str, fn(&Listed<'_>) -> String);

/// A line of an order or, on its first line, the order; either as it was sold or as it was given back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) shop: &'a Shop,
    /// Position of the order, from 0.
    index: usize,
    /// Position of the line, from 0.
    line: usize,
    is_refund: bool,
}

/// Every order once.
pub(super) fn orders(shop: &Shop) -> impl DoubleEndedIterator<Item = Entry<'_>> {
    (0..shop.orders.len()).map(|index| Entry { shop, index, line: 0, is_refund: false })
}

/// Every line of every order.
pub(super) fn lines(shop: &Shop) -> impl DoubleEndedIterator<Item = Entry<'_>> {
    orders(shop).flat_map(Entry::lines)
}

/// Every order and every refund of one, in chronological order.
pub(super) fn movements(shop: &Shop) -> Vec<Entry<'_>> {
    let is_refunded = |entry: &Entry<'_>| entry.order().refund.is_some();
    let refunds = orders(shop).filter(is_refunded).map(|entry| Entry { is_refund: true, ..entry });
    let mut movements: Vec<Entry<'_>> = orders(shop).chain(refunds).collect();
    movements.sort_by_key(Entry::at);
    movements
}

impl<'a> Entry<'a> {
    /// The lines that were sold, or given back.
    pub(super) fn lines(self) -> impl DoubleEndedIterator<Item = Self> {
        let lines = (0..self.order().lines.len()).map(move |line| Self { line, ..self });
        lines.filter(|entry| entry.units() > 0)
    }

    pub(super) fn order(&self) -> &'a Order {
        &self.shop.orders[self.index]
    }

    /// The number of the order, from 1 in chronological order.
    pub(super) const fn number(&self) -> usize {
        self.index + 1
    }

    /// The number of the line within its order, from 1.
    pub(super) const fn line_number(&self) -> usize {
        self.line + 1
    }

    pub(super) const fn is_refund(&self) -> bool {
        self.is_refund
    }

    /// When it was sold or given back, microseconds.
    pub(super) fn at(&self) -> i64 {
        let refund = self.order().refund.as_ref().filter(|_| self.is_refund);
        refund.map_or(self.order().at, |refund| refund.at)
    }

    fn sold(&self) -> &'a Line {
        &self.order().lines[self.line]
    }

    /// Units that were sold or given back.
    pub(super) fn units(&self) -> u32 {
        match &self.order().refund {
            Some(refund) if self.is_refund => refund.units[self.line],
            _ => self.sold().units,
        }
    }

    /// What one unit was sold for.
    pub(super) fn price(&self) -> i64 {
        self.sold().price
    }

    /// What one unit costs before reductions.
    pub(super) fn list_price(&self) -> i64 {
        self.sold().price + self.sold().reduction
    }

    /// The amount of the line, negative where it was given back.
    pub(super) fn amount(&self) -> i64 {
        self.signed(i64::from(self.units()) * self.price())
    }

    /// The same before reductions.
    pub(super) fn list_amount(&self) -> i64 {
        self.signed(i64::from(self.units()) * self.list_price())
    }

    /// The amount of the order, negative where it was given back.
    pub(super) fn total(&self) -> i64 {
        if self.is_refund { -self.order().refunded() } else { self.order().total() }
    }

    /// A number of the line with the sign of its amount.
    pub(super) fn signed(&self, number: i64) -> i64 {
        if self.is_refund { -number } else { number }
    }

    /// The position of the line's product, from 0.
    pub(super) fn product_index(&self) -> usize {
        self.sold().product
    }

    pub(super) fn product(&self) -> &'a str {
        &self.shop.products.names[self.product_index()]
    }

    pub(super) fn buyer(&self) -> &'a Person {
        self.shop.buyer(self.order())
    }

    /// The number of the customer, from 1; `None` for a guest.
    pub(super) fn customer_number(&self) -> Option<usize> {
        match self.order().buyer {
            Buyer::Customer(index) => Some(index + 1),
            Buyer::Guest(_) => None,
        }
    }

    /// The address of the customer; empty for a guest.
    pub(super) fn email(&self) -> String {
        let index = self.customer_number().map(|number| number - 1);
        index.map_or_else(String::new, |index| self.shop.customers[index].email.clone())
    }
}

/// A customer with what their orders came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listed<'a> {
    pub(super) customer: &'a Customer,
    /// From 1.
    pub(super) number: usize,
    pub(super) orders: usize,
    /// Sales less refunds, cents.
    pub(super) spent: i64,
    pub(super) refunded: i64,
    /// Instant of the latest order, microseconds.
    pub(super) last_at: Option<i64>,
}

impl Listed<'_> {
    /// A name to log in with, which no other customer has.
    pub(super) fn user_name(&self) -> String {
        self.customer.email.split('@').next().unwrap_or_default().replace('.', "")
    }
}

/// Every customer, in the order they registered.
pub(super) fn customers(shop: &Shop) -> Vec<Listed<'_>> {
    let listed = |(index, customer)| Listed {
        customer,
        number: index + 1,
        orders: 0,
        spent: 0,
        refunded: 0,
        last_at: None,
    };
    let mut all: Vec<Listed<'_>> = shop.customers.iter().enumerate().map(listed).collect();
    for order in &shop.orders {
        if let Buyer::Customer(index) = order.buyer {
            let listed = &mut all[index];
            listed.orders += 1;
            listed.spent += order.total() - order.refunded();
            listed.refunded += order.refunded();
            listed.last_at = Some(order.at);
        }
    }
    all
}

/// Hexadecimal digits for a thing and its number, as systems that hash their keys have.
pub(super) fn hashed(thing: &str, number: usize) -> String {
    let mut text = thing.to_owned();
    // Writing to a text cannot fail.
    let _ = write!(text, " {number}");
    sha256_hex(text.as_bytes())[..32].to_owned()
}
