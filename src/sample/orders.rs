//! Makes orders of purchases: what was bought together, for which prices, and what was given back.
//!
//! [`super::population`] says who buys when and for how much. Further lines are of the same order, so that
//! they change neither how often nor for how much a customer buys.

use std::collections::BTreeSet;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1};

use super::people::{Customer, Person};
use super::population::{END_MICROS, Purchase};
use super::products::{Products, units};
use super::shop::{Buyer, Line, Order, Pair, Refund, Shop};
use crate::domain::time::DAY_MICROS;

/// Orders of guests, as a share of those of customers.
pub(super) const GUESTS: f64 = 0.04;
/// Share of orders with goods that are given back, if time is left for it.
const REFUNDED: f64 = 0.04;
/// Share of these of which everything is given back.
const GIVEN_BACK: f64 = 0.5;
/// Probability of one more line.
const ONE_MORE: f64 = 0.3;
const MAX_LINES: usize = 5;
/// Share of lines that are sold for a reduced price.
const REDUCED: f64 = 0.1;
/// Ranks by sales of the products of each pair.
const PAIRS: [(usize, usize); 6] = [(2, 30), (5, 45), (11, 60), (17, 24), (26, 80), (38, 110)];
/// The probability that an order which is placed for the first product of a pair has the second too.
pub(super) const TOGETHER: f64 = 0.6;

/// Makes the shop of its people and their purchases, which are in chronological order.
pub(super) fn shop(
    customers: Vec<Customer>,
    guests: Vec<Person>,
    purchases: &[Purchase],
    guest_purchases: &[(i64, f64)],
    rng: &mut ChaCha8Rng,
    products: Products,
) -> Shop {
    let pair = |(first, second): (usize, usize)| Pair {
        first: products.ranked(first),
        second: products.ranked(second),
    };
    let pairs: Vec<Pair> = PAIRS.into_iter().map(pair).collect();
    let of_customers =
        purchases.iter().map(|made| (made.at, Buyer::Customer(made.customer), made.amount));
    let of_guests = guest_purchases
        .iter()
        .enumerate()
        .map(|(guest, (at, amount))| (*at, Buyer::Guest(guest), *amount));
    let mut placed: Vec<(i64, Buyer, f64)> = of_customers.chain(of_guests).collect();
    // Stable: of one instant, customers come first.
    placed.sort_by_key(|(at, ..)| *at);
    let mut known = BTreeSet::new();
    let order = |(at, buyer, amount)| {
        let is_first = match buyer {
            Buyer::Customer(customer) => known.insert(customer),
            Buyer::Guest(_) => true,
        };
        let lines = lines(amount, &products, &pairs, rng);
        let refund = refund(at, &lines, rng);
        Order { buyer, at, is_first, lines, refund }
    };
    let orders = placed.into_iter().map(order).collect();
    Shop { customers, guests, products, pairs, orders }
}

/// The lines of an order that comes to about this amount.
fn lines(amount: f64, products: &Products, pairs: &[Pair], rng: &mut ChaCha8Rng) -> Vec<Line> {
    let chosen = choose(amount, products, pairs, rng);
    let listed =
        |(product, units): &(usize, u32)| f64::from(*units) * products.list_price(*product);
    let level = amount / chosen.iter().map(listed).sum::<f64>();
    let line = |(product, units): (usize, u32)| {
        #[allow(clippy::cast_possible_truncation)]
        let price = ((products.list_price(product) * level * 100.0).round() as i64).max(1);
        let is_reduced = rng.random::<f64>() < REDUCED;
        let reduction = if is_reduced { (price / 9).max(1) } else { 0 };
        Line { product, units, price, reduction }
    };
    let mut lines: Vec<Line> = chosen.into_iter().map(line).collect();
    // Equal amounts over several products could as well be the order's total, repeated.
    let first = lines[0].amount();
    if lines.len() > 1 && lines.iter().all(|line| line.amount() == first) {
        lines[0].price += 1;
    }
    lines
}

/// Different products with their units, the one that the order is placed for first.
fn choose(
    amount: f64,
    products: &Products,
    pairs: &[Pair],
    rng: &mut ChaCha8Rng,
) -> Vec<(usize, u32)> {
    let mut lines = 1;
    while lines < MAX_LINES && rng.random::<f64>() < ONE_MORE {
        lines += 1;
    }
    let first_units = units(rng);
    #[allow(clippy::cast_precision_loss)]
    let first_price = amount / lines as f64 / f64::from(first_units);
    let first = products.near(first_price, rng);
    let mut chosen = vec![(first, first_units)];
    if let Some(pair) = pairs.iter().find(|pair| pair.first == first)
        && rng.random::<f64>() < TOGETHER
    {
        chosen.push((pair.second, 1));
    }
    for _ in 1..lines {
        let (product, units) = (products.any(rng), units(rng));
        if chosen.iter().all(|(other, _)| *other != product) {
            chosen.push((product, units));
        }
    }
    chosen
}

/// What is given back of an order, if anything is before the sample ends.
fn refund(ordered_at: i64, lines: &[Line], rng: &mut ChaCha8Rng) -> Option<Refund> {
    /// Time from an order to its refund: at least, and beyond that on average.
    const MIN_DAYS: f64 = 1.0;
    const MEAN_DAYS_MORE: f64 = 8.0;
    if rng.random::<f64>() >= REFUNDED {
        return None;
    }
    let more: f64 = Exp1.sample(rng);
    let is_all = rng.random::<f64>() < GIVEN_BACK;
    let one = rng.random_range(0..lines.len());
    let of_one = rng.random_range(1..=lines[one].units);
    let units = |(index, line): (usize, &Line)| match index == one {
        _ if is_all => line.units,
        true => of_one,
        false => 0,
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    let seconds = ((MIN_DAYS + more * MEAN_DAYS_MORE) * (DAY_MICROS / 1_000_000) as f64) as i64;
    let at = ordered_at + seconds * 1_000_000;
    let units = lines.iter().enumerate().map(units).collect();
    (at < END_MICROS).then_some(Refund { at, units })
}
