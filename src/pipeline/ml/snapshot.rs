//! CustomerSnapshot: all that models are told of the customers of a past, worked out once.

use rayon::prelude::*;

use super::features::features;
use super::history::{Past, days_between};
use super::matrix::Matrix;
use crate::pipeline::ml::methods::bg_nbd::Pattern;
use crate::pipeline::ml::methods::gamma_gamma::Spend;
use crate::pipeline::ml::tasks::segmentation::Rfm;

/// What is known of the customers of a past; one entry per customer, ascending by id.
#[derive(Debug)]
pub struct CustomerSnapshot<'a> {
    /// Where it comes from.
    pub past: Past<'a>,
    /// The customers.
    pub ids: Vec<i64>,
    /// Features, a row per customer.
    pub features: Matrix,
    /// Patterns of buying.
    pub patterns: Vec<Pattern>,
    /// Transactions and what they were worth.
    pub spends: Vec<Spend>,
}

impl<'a> CustomerSnapshot<'a> {
    /// Everything about the customers of a past.
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

    /// How many customers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Days since the first purchase of all; 0 without one.
    #[must_use]
    pub fn history_days(&self) -> i64 {
        let now = self.past.cut_off().0;
        let firsts = (0..self.len()).map(|row| self.past.purchases(row).at[0]);
        firsts.min().map_or(0, |first| days_between(first, now))
    }

    /// What tells a customer's segment.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn rfm(&self, row: usize) -> Rfm {
        let purchases = self.past.purchases(row);
        let last = purchases.at[purchases.at.len() - 1];
        Rfm {
            recency: days_between(last, self.past.cut_off().0) as f64,
            frequency: purchases.at.len() as f64,
            monetary: purchases.spend(),
        }
    }
}
