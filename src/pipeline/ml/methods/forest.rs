//! Random forests by smartcore, brought into the form that serves.
//!
//! smartcore's forest classifier votes and gives no probabilities; its regression forest on labels
//! 0 and 1 averages its leaves to them (the leaves' shares of ones). It grows its trees on one
//! thread, so here several small forests with seeds of their own grow side by side.

use rayon::prelude::*;
use serde::Deserialize;
use smartcore::ensemble::random_forest_regressor::{
    RandomForestRegressor, RandomForestRegressorParameters,
};
use smartcore::linalg::basic::matrix::DenseMatrix;

use crate::pipeline::ml::matrix::Matrix;
use crate::pipeline::ml::methods::trees::{Link, Node, Tree, Trees};

/// The library that fits, with its version.
pub const LIBRARY: &str = "smartcore 0.7";

/// Trees in a forest: the contract's.
const TREES: u64 = 100;
/// Trees that grow on one thread at a time.
const BATCH: u64 = 10;
/// Deepest path from root to leaf.
const DEPTH: u16 = 10;
/// Fewest training rows in a leaf: its share of ones is a probability only when there are some.
const LEAF_ROWS: usize = 20;

/// The hyper-parameters, for the metrics.
#[must_use]
pub fn hyper_parameters(features: usize) -> String {
    format!(
        "trees={TREES}, max_depth={DEPTH}, min_samples_leaf={LEAF_ROWS}, features_per_split={}",
        per_split(features)
    )
}

/// Features tried at a split: a third, as is usual for regression forests.
fn per_split(features: usize) -> usize {
    features.div_ceil(3)
}

/// Fits a forest whose prediction is the mean of its trees. `labels` has one entry per row.
///
/// # Errors
/// What smartcore says.
pub fn fit(rows: &Matrix, labels: &[f32], seed: u64) -> Result<Trees, String> {
    let values = rows.values.clone();
    let x = DenseMatrix::new(rows.rows(), rows.width, values, false).map_err(|e| e.to_string())?;
    let labels = labels.to_vec();
    let batches = (0..TREES / BATCH)
        .into_par_iter()
        .map(|batch| {
            let parameters = RandomForestRegressorParameters {
                max_depth: Some(DEPTH),
                min_samples_leaf: LEAF_ROWS,
                min_samples_split: 2 * LEAF_ROWS,
                n_trees: usize::try_from(BATCH).unwrap_or(1),
                m: Some(per_split(rows.width)),
                keep_samples: false,
                // smartcore numbers its trees' seeds from this one upwards.
                seed: seed.wrapping_add(batch * BATCH),
            };
            let forest = RandomForestRegressor::fit(&x, &labels, parameters)
                .map_err(|error| error.to_string())?;
            to_trees(&forest)
        })
        .collect::<Result<Vec<Vec<Tree>>, String>>()?;
    let trees: Vec<Tree> = batches.into_iter().flatten().collect();
    #[allow(clippy::cast_precision_loss)]
    let weight = 1.0 / trees.len() as f64;
    Ok(Trees { link: Link::Identity, base: 0.0, weight, trees })
}

/// smartcore keeps its nodes to itself, but shows them when serialised.
#[derive(Deserialize)]
struct SerialisedForest {
    forest_regressor: SerialisedTrees,
}
#[derive(Deserialize)]
struct SerialisedTrees {
    trees: Vec<SerialisedTree>,
}
#[derive(Deserialize)]
struct SerialisedTree {
    nodes: Vec<SerialisedNode>,
}
#[derive(Deserialize)]
struct SerialisedNode {
    output: f64,
    split_feature: u16,
    split_value: Option<f64>,
    true_child: Option<u32>,
    false_child: Option<u32>,
}

type Forest = RandomForestRegressor<f32, f32, DenseMatrix<f32>, Vec<f32>>;

fn to_trees(forest: &Forest) -> Result<Vec<Tree>, String> {
    let json = serde_json::to_vec(forest).map_err(|error| error.to_string())?;
    let read: SerialisedForest =
        serde_json::from_slice(&json).map_err(|error| error.to_string())?;
    let to_node = |node: SerialisedNode| match (node.split_value, node.true_child, node.false_child)
    {
        (Some(split), Some(left), Some(right)) => Node {
            feature: node.split_feature,
            threshold: strictly_above(split),
            left,
            right,
            value: node.output,
        },
        _ => Node { feature: 0, threshold: 0.0, left: 0, right: 0, value: node.output },
    };
    let trees = read.forest_regressor.trees.into_iter();
    Ok(trees.map(|tree| Tree(tree.nodes.into_iter().map(to_node).collect())).collect())
}

/// The threshold below which exactly those single-precision values lie that are at most `split`.
#[allow(clippy::cast_possible_truncation)]
fn strictly_above(split: f64) -> f32 {
    let nearest = split as f32;
    if f64::from(nearest) <= split { nearest.next_up() } else { nearest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;
    use rand::SeedableRng;

    #[test]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn our_trees_predict_what_smartcore_predicts() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let values: Vec<f32> = (0..900).map(|_| rng.random::<f32>() * 10.0).collect();
        let rows = Matrix { values, width: 3 };
        let labels: Vec<f32> = (0..300).map(|row| f32::from(rows.row(row)[0] > 5.0)).collect();
        let x = DenseMatrix::new(300, 3, rows.values.clone(), false).unwrap();
        let parameters = RandomForestRegressorParameters::default().with_n_trees(7);
        let forest = RandomForestRegressor::fit(&x, &labels, parameters).unwrap();
        let theirs = forest.predict(&x).unwrap();
        let trees = to_trees(&forest).unwrap();
        let ours = Trees { link: Link::Identity, base: 0.0, weight: 1.0 / 7.0, trees };
        for (row, theirs) in theirs.iter().enumerate() {
            let difference = (ours.predict(rows.row(row)) - f64::from(*theirs)).abs();
            assert!(difference < 1e-6, "row {row} differs by {difference}");
        }
    }
}
