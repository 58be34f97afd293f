//! Why trees say what they say: of one customer, and on the whole.

use rayon::prelude::*;

use super::chance::Chance;
use super::features::NAMES;
use super::matrix::Matrix;
use super::trees::Trees;

/// Customers that importances are taken from.
const ROWS: usize = 5_000;

/// By how much each feature moved the prediction for a row: what changes when its contributions
/// along the paths are taken away.
#[must_use]
pub fn effects(trees: &Trees, row: &[f32]) -> Vec<f64> {
    let moved = trees.contributions(row);
    let sum = trees.bias() + moved.iter().sum::<f64>();
    let here = trees.link.apply(sum);
    moved.iter().map(|moved| here - trees.link.apply(sum - moved)).collect()
}

/// How much each feature moves predictions: the mean of its effects' sizes over customers the
/// trees have not seen, as a share of all; greatest first.
#[must_use]
pub fn importances(trees: &Trees, rows: &Matrix, seed: u64) -> Vec<(&'static str, f64)> {
    let chosen = Chance::new(seed, "importances").sample(rows.rows(), ROWS);
    let sizes: Vec<Vec<f64>> =
        chosen.par_iter().map(|row| effects(trees, rows.row(*row))).collect();
    let mut totals: Vec<(&'static str, f64)> = NAMES.iter().map(|name| (*name, 0.0)).collect();
    for effects in &sizes {
        for (total, effect) in totals.iter_mut().zip(effects) {
            total.1 += effect.abs();
        }
    }
    let all: f64 = totals.iter().map(|(_, total)| total).sum();
    if all > 0.0 {
        for total in &mut totals {
            total.1 /= all;
        }
    }
    totals.sort_by(|a, b| b.1.total_cmp(&a.1));
    totals
}
