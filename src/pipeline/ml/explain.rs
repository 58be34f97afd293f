//! Explanations: the median customer that others are compared with, and feature importances.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::features::{DAYS_SINCE_LAST, FREQUENCY, NAMES, TENURE};
use super::methods::bg_nbd::Pattern;
use super::methods::gamma_gamma::Spend;
use super::sampling::SeededSampler;

/// Most customers that importances are computed from.
const MAX_ROWS: usize = 5_000;

/// The median customer, with whom purchase models compare others.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ReferenceCustomer {
    /// Transactions after the first one.
    repeats: u32,
    /// Days from the first transaction to the last, over customers with several; 0 without any.
    recency: f64,
    /// Mean amount of a transaction, EUR.
    #[serde(rename = "worth")]
    mean_amount: f64,
}

impl ReferenceCustomer {
    /// The median of these customers.
    #[must_use]
    pub fn of(patterns: &[Pattern], spends: &[Spend]) -> Self {
        let returned = patterns.iter().filter(|pattern| pattern.repeats > 0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let repeats =
            median(patterns.iter().map(|pattern| f64::from(pattern.repeats)).collect()) as u32;
        Self {
            repeats,
            recency: median(returned.map(|pattern| pattern.recency).collect()),
            mean_amount: median(spends.iter().map(|spend| spend.mean).collect()),
        }
    }

    /// The customer's pattern without one feature, feature by feature: had they bought just now; as
    /// often as the median customer; over as long a time. Each is a pattern that can occur.
    pub(crate) fn counterfactuals(&self, own: Pattern) -> Vec<(usize, Pattern)> {
        let Pattern { repeats, recency, age } = own;
        let silence = age - recency;
        let pattern = |repeats: u32, recency: f64, silence: f64| {
            // A transaction is a day, so that the number of transactions needs as many days.
            let recency = if repeats == 0 { 0.0 } else { recency.max(f64::from(repeats)) };
            Pattern { repeats, recency, age: recency + silence }
        };
        if repeats == 0 {
            // Here the days since the last purchase and the tenure are the same.
            return vec![
                (DAYS_SINCE_LAST, pattern(0, 0.0, 0.0)),
                (FREQUENCY, pattern(self.repeats, self.recency, silence)),
            ];
        }
        vec![
            (DAYS_SINCE_LAST, pattern(repeats, age, 0.0)),
            (FREQUENCY, pattern(self.repeats, recency, silence)),
            (TENURE, pattern(repeats, self.recency, silence)),
        ]
    }

    /// A customer's transactions with the median customer's amounts.
    pub(crate) fn with_median_amount(&self, own: Spend) -> Spend {
        Spend { mean: self.mean_amount, ..own }
    }
}

/// The upper median; 0 without a value.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Feature importances: the mean size of a feature's effects over customers, as a share of all;
/// greatest first, without features that have no effect. `effects` gives features and effects for
/// one of `rows`.
pub(crate) fn importances(
    rows: &[usize],
    seed: u64,
    effects: impl Fn(usize) -> Vec<(usize, f64)> + Sync,
) -> Vec<(&'static str, f64)> {
    let chosen = SeededSampler::new(seed, "importances").sample(rows.len(), MAX_ROWS);
    let all: Vec<Vec<(usize, f64)>> =
        chosen.par_iter().map(|index| effects(rows[*index])).collect();
    let mut totals: Vec<(&'static str, f64)> = NAMES.iter().map(|name| (*name, 0.0)).collect();
    for (feature, effect) in all.iter().flatten() {
        totals[*feature].1 += effect.abs();
    }
    totals.retain(|(_, total)| *total > 0.0);
    let sum: f64 = totals.iter().map(|(_, total)| total).sum();
    for total in &mut totals {
        total.1 /= sum;
    }
    totals.sort_by(|a, b| b.1.total_cmp(&a.1));
    totals
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCE_CUSTOMER: ReferenceCustomer =
        ReferenceCustomer { repeats: 4, recency: 200.0, mean_amount: 30.0 };

    #[test]
    fn the_median_recency_is_that_of_customers_with_several_purchases() {
        let pattern = |repeats, recency, age| Pattern { repeats, recency, age };
        let patterns = [pattern(0, 0.0, 9.0), pattern(4, 200.0, 300.0), pattern(9, 300.0, 350.0)];
        let spends = [10.0, 30.0, 70.0].map(|mean| Spend { transactions: 1, mean });
        let found = ReferenceCustomer::of(&patterns, &spends);
        assert_eq!(found, ReferenceCustomer { recency: 300.0, ..REFERENCE_CUSTOMER });
        assert_eq!(
            ReferenceCustomer::of(&[], &[]),
            ReferenceCustomer { repeats: 0, recency: 0.0, mean_amount: 0.0 }
        );
    }

    #[test]
    fn customers_are_compared_with_patterns_that_can_occur() {
        let once = Pattern { repeats: 0, recency: 0.0, age: 500.0 };
        assert_eq!(
            REFERENCE_CUSTOMER.counterfactuals(once),
            [
                (DAYS_SINCE_LAST, Pattern { age: 0.0, ..once }),
                (FREQUENCY, Pattern { repeats: 4, recency: 200.0, age: 700.0 }),
            ]
        );
        let often = Pattern { repeats: 10, recency: 100.0, age: 130.0 };
        let rare = ReferenceCustomer { repeats: 0, recency: 3.0, mean_amount: 1.0 };
        assert_eq!(
            rare.counterfactuals(often),
            [
                (DAYS_SINCE_LAST, Pattern { recency: 130.0, ..often }),
                (FREQUENCY, Pattern { repeats: 0, recency: 0.0, age: 30.0 }),
                // Eleven days with a purchase do not fit into three days.
                (TENURE, Pattern { recency: 10.0, age: 40.0, ..often }),
            ]
        );
    }

    #[test]
    fn importances_are_shares_of_the_sizes_of_effects() {
        let effects =
            |row: usize| if row == 0 { vec![(0, -0.3), (3, 0.1)] } else { vec![(0, 0.4)] };
        let found = importances(&[0, 1], 42, effects);
        assert_eq!(found.iter().map(|(name, _)| *name).collect::<Vec<_>>(), [NAMES[0], NAMES[3]]);
        assert!((found[0].1 - 0.7 / 0.8).abs() < 1e-12);
        assert!(importances(&[], 42, effects).is_empty());
    }
}
