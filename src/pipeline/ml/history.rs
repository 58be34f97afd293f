//! Purchases by customer and time, and the cut-off that keeps models from seeing the future.
//!
//! A [`History`] holds everything. Features are built from a [`Past`], which only
//! [`History::up_to`] makes and which cannot reach a later purchase. Labels come from a
//! [`Window`] after the cut-off.

use polars::prelude::*;

use crate::domain::time::{DAY_MICROS, Timestamp};
use crate::pipeline::Result;

/// What "12 months" means, days.
pub(crate) const YEAR_DAYS: f64 = 365.0;
/// A history shorter than this says nothing about 12 months: its last third is less than a month.
pub(crate) const MIN_HISTORY_DAYS: i64 = 90;

/// Every purchase, by customer and then by time.
#[derive(Debug)]
pub struct History {
    /// The customers with a purchase, ascending.
    ids: Vec<i64>,
    /// Where each customer's purchases start; one more entry than customers.
    starts: Vec<usize>,
    /// Instants, microseconds.
    at: Vec<i64>,
    /// Amounts, EUR.
    amounts: Vec<f64>,
    /// Products, as codes that are only good for telling them apart.
    products: Vec<u32>,
}

impl History {
    /// From purchases in any order: id_achat, id_client, date_achat, montant, produit.
    ///
    /// # Errors
    /// When a column is missing or has another type.
    pub fn new(purchases: &DataFrame) -> Result<Self> {
        let rows = purchases
            .select(["id_achat", "id_client", "date_achat", "montant"])?
            .hstack(&[Column::new("product".into(), product_codes(purchases)?)])?
            .lazy()
            .with_columns([
                col("id_client").cast(DataType::Int64),
                col("montant").cast(DataType::Float64),
            ])
            .sort(["id_client", "date_achat", "id_achat"], SortMultipleOptions::default())
            .collect()?;
        let customers: Vec<i64> = rows.column("id_client")?.i64()?.iter().flatten().collect();
        let dates = rows.column("date_achat")?.to_physical_repr();
        let mut history = Self {
            ids: Vec::new(),
            starts: Vec::new(),
            at: dates.i64()?.iter().flatten().collect(),
            amounts: rows.column("montant")?.f64()?.iter().flatten().collect(),
            products: rows.column("product")?.u32()?.iter().flatten().collect(),
        };
        for (row, id) in customers.iter().enumerate() {
            if history.ids.last() != Some(id) {
                history.ids.push(*id);
                history.starts.push(row);
            }
        }
        history.starts.push(customers.len());
        Ok(history)
    }

    /// The instant of the first purchase; `None` without one.
    #[must_use]
    pub fn first(&self) -> Option<Timestamp> {
        self.at.iter().min().copied().map(Timestamp)
    }

    /// The instant of the last purchase; `None` without one.
    #[must_use]
    pub fn last(&self) -> Option<Timestamp> {
        self.at.iter().max().copied().map(Timestamp)
    }

    /// Days from the first purchase to an instant; 0 without a purchase.
    pub(crate) fn days_until(&self, as_of: Timestamp) -> i64 {
        days_between(self.first().unwrap_or(as_of).0, as_of.0)
    }

    /// What was known at an instant: purchases up to and including it, of the customers who had
    /// bought by then.
    #[must_use]
    pub fn up_to(&self, cut_off: Timestamp) -> Past<'_> {
        let customers = (0..self.ids.len())
            .filter_map(|customer| {
                let (start, end) = (self.starts[customer], self.starts[customer + 1]);
                let count = self.at[start..end].partition_point(|at| *at <= cut_off.0);
                (count > 0).then_some(PurchaseRange { customer, start, end: start + count })
            })
            .collect();
        Past { history: self, customers, cut_off }
    }

    /// What the customers of a past did in `(its cut-off, until]`.
    #[must_use]
    pub fn after(&self, past: &Past<'_>, until: Timestamp) -> Vec<Window> {
        past.customers
            .iter()
            .map(|range| {
                let later = range.end..self.starts[range.customer + 1];
                let reached = self.at[later.clone()].partition_point(|at| *at <= until.0);
                let amounts = &self.amounts[later.start..later.start + reached];
                Window { purchases: amounts.len(), spend: amounts.iter().sum() }
            })
            .collect()
    }
}

/// A number per row that is the same for the same product.
fn product_codes(purchases: &DataFrame) -> Result<Vec<u32>> {
    let product = purchases.column("produit")?.as_materialized_series();
    let names = product.to_physical_repr().str()?.clone();
    let distinct = names.unique()?.sort(false);
    let codes: std::collections::HashMap<&str, u32> = distinct.iter().flatten().zip(0..).collect();
    let code = |name: Option<&str>| name.and_then(|name| codes.get(name)).copied().unwrap_or(0);
    Ok(names.iter().map(code).collect())
}

/// What a customer did in a window of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Number of purchases.
    pub purchases: usize,
    /// Their sum, EUR.
    pub spend: f64,
}

/// The rows of one customer's purchases up to the cut-off.
#[derive(Debug, Clone, Copy)]
struct PurchaseRange {
    customer: usize,
    start: usize,
    end: usize,
}

/// What was known at the cut-off, and nothing else.
#[derive(Debug)]
pub struct Past<'a> {
    history: &'a History,
    customers: Vec<PurchaseRange>,
    cut_off: Timestamp,
}

/// One customer's purchases up to the cut-off, at least one, by time.
#[derive(Debug, Clone, Copy)]
pub struct Purchases<'a> {
    /// Instants, microseconds, ascending.
    pub at: &'a [i64],
    /// Amounts, EUR.
    pub amounts: &'a [f64],
    /// Product codes.
    pub products: &'a [u32],
}

impl Purchases<'_> {
    /// The days of the first and of the last purchase, counted from the epoch.
    pub(crate) fn span(&self) -> (i64, i64) {
        (day(self.at[0]), day(self.at[self.at.len() - 1]))
    }

    /// Number of days with a purchase: the transactions of the purchase models.
    pub(crate) fn transactions(&self) -> u32 {
        let days = self.at.chunk_by(|a, b| day(*a) == day(*b)).count();
        u32::try_from(days).unwrap_or(u32::MAX)
    }

    /// Sum of the amounts, EUR.
    pub(crate) fn spend(&self) -> f64 {
        self.amounts.iter().sum()
    }
}

impl Past<'_> {
    pub(crate) fn cut_off(&self) -> Timestamp {
        self.cut_off
    }

    /// How many customers had bought by the cut-off.
    pub(crate) fn len(&self) -> usize {
        self.customers.len()
    }

    /// The ids of the customers, ascending.
    pub fn ids(&self) -> impl Iterator<Item = i64> + '_ {
        self.customers.iter().map(|range| self.history.ids[range.customer])
    }

    /// The purchases of the customer at a position of [`Past::ids`].
    pub(crate) fn purchases(&self, position: usize) -> Purchases<'_> {
        let PurchaseRange { start, end, .. } = self.customers[position];
        Purchases {
            at: &self.history.at[start..end],
            amounts: &self.history.amounts[start..end],
            products: &self.history.products[start..end],
        }
    }
}

/// The day of an instant, counted from the epoch.
pub(crate) fn day(at: i64) -> i64 {
    at.div_euclid(DAY_MICROS)
}

/// Whole days between two instants, rounded down.
pub(crate) fn days_between(from: i64, to: i64) -> i64 {
    (to - from).div_euclid(DAY_MICROS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = DAY_MICROS;

    fn history() -> History {
        let frame = df!(
            "id_achat" => [4_i64, 1, 2, 3],
            "id_client" => [7_i64, 9, 7, 7],
            "date_achat" => [3 * DAY, DAY, DAY, 2 * DAY],
            "montant" => [40.0, 5.0, 10.0, 20.0],
            "produit" => ["b", "a", "a", "b"],
        );
        History::new(&frame.unwrap()).unwrap()
    }

    #[test]
    fn a_past_ends_at_its_cut_off_and_the_window_begins_after_it() {
        let history = history();
        let past = history.up_to(Timestamp(2 * DAY));
        assert_eq!(past.ids().collect::<Vec<_>>(), [7, 9]);
        assert_eq!(past.purchases(0).amounts, [10.0, 20.0]);
        assert_eq!(past.purchases(1).amounts, [5.0]);
        let next = history.after(&past, Timestamp(3 * DAY));
        assert_eq!(next[0], Window { purchases: 1, spend: 40.0 });
        assert_eq!(next[1], Window { purchases: 0, spend: 0.0 });
        let just_before = history.after(&past, Timestamp(3 * DAY - 1));
        assert_eq!(just_before[0].purchases, 0);
    }

    #[test]
    fn purchases_of_a_day_are_one_transaction() {
        let at = [0, DAY - 1, DAY, 5 * DAY];
        let purchases = Purchases { at: &at, amounts: &[1.0, 2.0, 3.0, 4.0], products: &[0; 4] };
        assert_eq!((purchases.transactions(), purchases.span()), (3, (0, 5)));
    }

    #[test]
    fn customers_without_a_purchase_by_the_cut_off_are_not_in_its_past() {
        assert_eq!(history().up_to(Timestamp(DAY - 1)).len(), 0);
    }
}
