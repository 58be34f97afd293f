//! Why models say what they say: of one customer, and on the whole.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::features::{DAYS_SINCE_LAST, FREQUENCY, NAMES, TENURE};
use crate::pipeline::ml::methods::bg_nbd::Pattern;
use crate::pipeline::ml::methods::gamma_gamma::Spend;
use crate::pipeline::ml::methods::trees::Trees;
use crate::pipeline::ml::sampling::SeededSampler;

/// Customers that importances are taken from.
const ROWS: usize = 5_000;

/// By how much each feature moved the prediction for a row: what changes when its contributions
/// along the paths are taken away.
#[must_use]
pub fn effects(trees: &Trees, row: &[f32]) -> Vec<(usize, f64)> {
    let moved = trees.contributions(row);
    let sum = trees.bias() + moved.iter().sum::<f64>();
    let here = trees.link.apply(sum);
    moved.iter().map(|moved| here - trees.link.apply(sum - moved)).enumerate().collect()
}

/// The median customer, whom models of buying compare others with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ReferenceCustomer {
    /// Transactions after the first one.
    repeats: u32,
    /// Time from the first transaction to the last of those who came back, days; 0 if none did.
    recency: f64,
    /// Mean amount of a transaction, EUR.
    worth: f64,
}

impl ReferenceCustomer {
    /// Of these customers.
    #[must_use]
    pub fn of(patterns: &[Pattern], spends: &[Spend]) -> Self {
        let returned = patterns.iter().filter(|pattern| pattern.repeats > 0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let repeats =
            median(patterns.iter().map(|pattern| f64::from(pattern.repeats)).collect()) as u32;
        Self {
            repeats,
            recency: median(returned.map(|pattern| pattern.recency).collect()),
            worth: median(spends.iter().map(|spend| spend.mean).collect()),
        }
    }

    /// What a customer would have looked like but for a feature, feature by feature: had they
    /// bought just now; as often as the median customer; for as long. Every one of them is a
    /// pattern that can be.
    #[must_use]
    pub fn instead(&self, own: Pattern) -> Vec<(usize, Pattern)> {
        let Pattern { repeats, recency, age } = own;
        let silence = age - recency;
        let lasting = |repeats: u32, recency: f64, silence: f64| {
            // A transaction is a day: so many need so long.
            let recency = if repeats == 0 { 0.0 } else { recency.max(f64::from(repeats)) };
            Pattern { repeats, recency, age: recency + silence }
        };
        if repeats == 0 {
            // Their silence is all the time they have been a customer.
            return vec![
                (DAYS_SINCE_LAST, lasting(0, 0.0, 0.0)),
                (FREQUENCY, lasting(self.repeats, self.recency, silence)),
            ];
        }
        vec![
            (DAYS_SINCE_LAST, lasting(repeats, age, 0.0)),
            (FREQUENCY, lasting(self.repeats, recency, silence)),
            (TENURE, lasting(repeats, self.recency, silence)),
        ]
    }

    /// A customer's transactions, each worth what the median customer's are.
    #[must_use]
    pub fn spending_as_usual(&self, own: Spend) -> Spend {
        Spend { mean: self.worth, ..own }
    }
}

/// The upper median; 0 of nothing.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// How much each feature moves predictions: the mean size of its effects over customers, as a
/// share of all; greatest first, those without any left out. `effects` gives feature and effect for
/// one of `rows`.
pub fn importances(
    rows: &[usize],
    seed: u64,
    effects: impl Fn(usize) -> Vec<(usize, f64)> + Sync,
) -> Vec<(&'static str, f64)> {
    let chosen = SeededSampler::new(seed, "importances").sample(rows.len(), ROWS);
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
        ReferenceCustomer { repeats: 4, recency: 200.0, worth: 30.0 };

    #[test]
    fn the_median_customer_lasted_as_long_as_those_who_came_back() {
        let pattern = |repeats, recency, age| Pattern { repeats, recency, age };
        let patterns = [pattern(0, 0.0, 9.0), pattern(4, 200.0, 300.0), pattern(9, 300.0, 350.0)];
        let spends = [10.0, 30.0, 70.0].map(|mean| Spend { transactions: 1, mean });
        let found = ReferenceCustomer::of(&patterns, &spends);
        assert_eq!(found, ReferenceCustomer { recency: 300.0, ..REFERENCE_CUSTOMER });
        assert_eq!(
            ReferenceCustomer::of(&[], &[]),
            ReferenceCustomer { repeats: 0, recency: 0.0, worth: 0.0 }
        );
    }

    #[test]
    fn who_bought_once_is_compared_with_patterns_that_can_be() {
        let once = Pattern { repeats: 0, recency: 0.0, age: 500.0 };
        assert_eq!(
            REFERENCE_CUSTOMER.instead(once),
            [
                (DAYS_SINCE_LAST, Pattern { age: 0.0, ..once }),
                (FREQUENCY, Pattern { repeats: 4, recency: 200.0, age: 700.0 }),
            ]
        );
        let often = Pattern { repeats: 10, recency: 100.0, age: 130.0 };
        let rare = ReferenceCustomer { repeats: 0, recency: 3.0, worth: 1.0 };
        assert_eq!(
            rare.instead(often),
            [
                (DAYS_SINCE_LAST, Pattern { recency: 130.0, ..often }),
                (FREQUENCY, Pattern { repeats: 0, recency: 0.0, age: 30.0 }),
                // Eleven days of purchases within three days cannot be.
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
