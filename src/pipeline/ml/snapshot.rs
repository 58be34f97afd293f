//! Everything models see of the customers of a [`Past`], computed once.

use rayon::prelude::*;

use super::features::features;
use super::history::{Past, days_between};
use super::matrix::Matrix;
use super::methods::bg_nbd::Pattern;
use super::methods::gamma_gamma::Spend;
use super::rfm::Rfm;

/// The customers of a past as models see them: one entry per customer, ascending by id.
#[derive(Debug)]
pub struct CustomerSnapshot<'a> {
    pub(crate) past: Past<'a>,
    pub(crate) ids: Vec<i64>,
    /// A row per customer.
    pub(crate) features: Matrix,
    /// Purchase patterns, for the models of purchase frequency.
    pub patterns: Vec<Pattern>,
    /// Transactions and their mean amounts, for the model of spend.
    pub spends: Vec<Spend>,
}

impl<'a> CustomerSnapshot<'a> {
    /// Computes features, patterns and spends of all customers of a past.
    #[must_use]
    pub fn of(past: Past<'a>) -> Self {
        let now = past.cut_off().0;
        let rows = || (0..past.len()).into_par_iter();
        Self {
            ids: past.ids().collect(),
            features: features(&past),
            patterns: rows().map(|row| Pattern::of(past.purchases(row), now)).collect(),
            spends: rows().map(|row| Spend::of(past.purchases(row))).collect(),
            past,
        }
    }

    /// Number of customers.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // no caller needs it
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Days from the first purchase of all customers to the cut-off; 0 without one.
    pub(crate) fn history_days(&self) -> i64 {
        let now = self.past.cut_off().0;
        let firsts = (0..self.len()).map(|row| self.past.purchases(row).at[0]);
        firsts.min().map_or(0, |first| days_between(first, now))
    }

    /// A customer's recency, frequency and monetary value.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn rfm(&self, row: usize) -> Rfm {
        let purchases = self.past.purchases(row);
        let last = purchases.at[purchases.at.len() - 1];
        Rfm {
            recency: days_between(last, self.past.cut_off().0) as f64,
            frequency: purchases.orders() as f64,
            monetary: purchases.spend(),
        }
    }
}
