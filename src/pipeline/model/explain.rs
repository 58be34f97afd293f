//! Why trees say what they say: of one customer, and on the whole.

use rayon::prelude::*;

use super::chance::Chance;
use super::features::NAMES;
use super::trees::Trees;

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

/// How much each feature moves predictions: the mean size of its effects over customers, as a
/// share of all; greatest first, those without any left out. `effects` gives feature and effect for
/// one of `rows` customers.
pub fn importances(
    rows: usize,
    seed: u64,
    effects: impl Fn(usize) -> Vec<(usize, f64)> + Sync,
) -> Vec<(&'static str, f64)> {
    let chosen = Chance::new(seed, "importances").sample(rows, ROWS);
    let all: Vec<Vec<(usize, f64)>> = chosen.par_iter().map(|row| effects(*row)).collect();
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

    #[test]
    fn importances_are_shares_of_the_sizes_of_effects() {
        let effects =
            |row: usize| if row == 0 { vec![(0, -0.3), (3, 0.1)] } else { vec![(0, 0.4)] };
        let found = importances(2, 42, effects);
        assert_eq!(found.iter().map(|(name, _)| *name).collect::<Vec<_>>(), [NAMES[0], NAMES[3]]);
        assert!((found[0].1 - 0.7 / 0.8).abs() < 1e-12);
        assert!(importances(0, 42, effects).is_empty());
    }
}
