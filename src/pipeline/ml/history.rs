//! Purchases by customer and time, and the cut that keeps models from seeing the future.
//!
//! A [`History`] holds everything; what features are built from is a [`Past`], which only
//! [`History::up_to`] makes and which has no way to reach a later purchase. What a model is to
//! foretell is a [`Window`] after the cut.

use polars::prelude::*;

use crate::domain::time::{DAY_MICROS, Timestamp};
use crate::pipeline::Result;

/// Every purchase, by customer and then by time.
#[derive(Debug)]
pub struct History {
    /// The customers who bought, ascending.
    ids: Vec<i64>,
    /// Where each customer's purchases start; one more entry than customers.
    starts: Vec<usize>,
    /// When, microseconds.
    at: Vec<i64>,
    /// How much, EUR.
    amounts: Vec<f64>,
    /// Which product, as a number that means nothing else.
    products: Vec<u32>,
}

impl History {
    /// From purchases in any order: id_achat, id_client, date_achat, montant, produit.
    ///
    /// # Errors
    /// Whatever the frame engine says.
    pub fn new(purchases: &DataFrame) -> Result<Self> {
        let product = purchases.column("produit")?.as_materialized_series();
        let codes = product.to_physical_repr().str()?.clone();
        let products = codes.unique()?.sort(false);
        let known: std::collections::HashMap<&str, u32> =
            products.iter().flatten().zip(0..).collect();
        let codes: Vec<u32> = codes
            .iter()
            .map(|name| name.and_then(|name| known.get(name)).copied().unwrap_or(0))
            .collect();
        let rows = purchases
            .select(["id_achat", "id_client", "date_achat", "montant"])?
            .hstack(&[Column::new("product".into(), codes)])?
            .lazy()
            .with_columns([
                col("id_client").cast(DataType::Int64),
                col("montant").cast(DataType::Float64),
            ])
            .sort(["id_client", "date_achat", "id_achat"], SortMultipleOptions::default())
            .collect()?;
        let clients: Vec<i64> = rows.column("id_client")?.i64()?.iter().flatten().collect();
        let dates = rows.column("date_achat")?.to_physical_repr();
        let mut history = Self {
            ids: Vec::new(),
            starts: Vec::new(),
            at: dates.i64()?.iter().flatten().collect(),
            amounts: rows.column("montant")?.f64()?.iter().flatten().collect(),
            products: rows.column("product")?.u32()?.iter().flatten().collect(),
        };
        for (row, id) in clients.iter().enumerate() {
            if history.ids.last() != Some(id) {
                history.ids.push(*id);
                history.starts.push(row);
            }
        }
        history.starts.push(clients.len());
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

    /// What was known at an instant: purchases up to and including it, of the customers who had
    /// bought by then.
    #[must_use]
    pub fn up_to(&self, cut_off: Timestamp) -> Past<'_> {
        let customers = (0..self.ids.len())
            .filter_map(|customer| {
                let (start, end) = (self.starts[customer], self.starts[customer + 1]);
                let kept = self.at[start..end].partition_point(|at| *at <= cut_off.0);
                (kept > 0).then_some(Known { customer, start, end: start + kept })
            })
            .collect();
        Past { history: self, customers, cut_off }
    }

    /// What the customers of a past did in `(its cut-off, until]`.
    #[must_use]
    pub fn after(&self, past: &Past<'_>, until: Timestamp) -> Vec<Window> {
        past.customers
            .iter()
            .map(|known| {
                let later = known.end..self.starts[known.customer + 1];
                let reached = self.at[later.clone()].partition_point(|at| *at <= until.0);
                let bought = &self.amounts[later.start..later.start + reached];
                Window { purchases: bought.len(), spend: bought.iter().sum() }
            })
            .collect()
    }
}

/// What a customer did in a window of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Number of purchases.
    pub purchases: usize,
    /// Their sum, EUR.
    pub spend: f64,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    customer: usize,
    start: usize,
    end: usize,
}

/// What was known at the cut-off, and nothing else.
#[derive(Debug)]
pub struct Past<'a> {
    history: &'a History,
    customers: Vec<Known>,
    cut_off: Timestamp,
}

/// One customer's purchases up to the cut-off, at least one, by time.
#[derive(Debug, Clone, Copy)]
pub struct Purchases<'a> {
    /// When, microseconds, ascending.
    pub at: &'a [i64],
    /// How much, EUR.
    pub amounts: &'a [f64],
    /// Which product.
    pub products: &'a [u32],
}

impl Purchases<'_> {
    /// The days of the first and of the last purchase, counted from the epoch.
    #[must_use]
    pub fn span(&self) -> (i64, i64) {
        (day(self.at[0]), day(self.at[self.at.len() - 1]))
    }

    /// On how many days there was a purchase: the transactions of models of buying.
    #[must_use]
    pub fn transactions(&self) -> u32 {
        let days = self.at.chunk_by(|a, b| day(*a) == day(*b)).count();
        u32::try_from(days).unwrap_or(u32::MAX)
    }

    /// Their sum, EUR.
    #[must_use]
    pub fn spend(&self) -> f64 {
        self.amounts.iter().sum()
    }
}

impl Past<'_> {
    /// The cut-off.
    #[must_use]
    pub fn cut_off(&self) -> Timestamp {
        self.cut_off
    }

    /// How many customers had bought by then.
    #[must_use]
    pub fn len(&self) -> usize {
        self.customers.len()
    }

    /// Whether nobody had bought by then.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.customers.is_empty()
    }

    /// The customers, ascending.
    pub fn ids(&self) -> impl Iterator<Item = i64> + '_ {
        self.customers.iter().map(|known| self.history.ids[known.customer])
    }

    /// The purchases of one of them, by position.
    #[must_use]
    pub fn purchases(&self, position: usize) -> Purchases<'_> {
        let Known { start, end, .. } = self.customers[position];
        Purchases {
            at: &self.history.at[start..end],
            amounts: &self.history.amounts[start..end],
            products: &self.history.products[start..end],
        }
    }
}

/// The day of an instant, counted from the epoch.
#[must_use]
pub fn day(at: i64) -> i64 {
    at.div_euclid(DAY_MICROS)
}

/// Days between two instants: the floor of the time elapsed.
#[must_use]
pub fn days_between(from: i64, to: i64) -> i64 {
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
    fn who_has_not_bought_by_then_is_not_known() {
        assert!(history().up_to(Timestamp(DAY - 1)).is_empty());
    }
}
