//! Random forests by smartcore, converted into the form that serves.
//!
//! smartcore's forest classifier votes and gives no probabilities. Its regression forest on labels
//! 0 and 1 averages the shares of ones in its leaves, which are probabilities. smartcore grows its
//! trees on one thread, so several small forests with seeds of their own grow in parallel here.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use smartcore::ensemble::random_forest_regressor::{
    RandomForestRegressor, RandomForestRegressorParameters,
};
use smartcore::linalg::basic::matrix::DenseMatrix;

use super::trees::{Link, Node, Tree, Trees};
use crate::pipeline::ml::features;
use crate::pipeline::ml::matrix::Matrix;
use crate::pipeline::ml::method::{Method, Scorer};
use crate::pipeline::ml::report::Candidate;
use crate::pipeline::ml::snapshot::CustomerSnapshot;
use crate::pipeline::ml::training_set::TrainingSet;

/// The method's name in columns and URLs.
pub const NAME: &str = "random_forest";
const LIBRARY: &str = "smartcore 0.7";

/// Trees in a forest, from the contract.
const TREES: u64 = 100;
/// Trees that one thread grows at a time.
const BATCH: u64 = 10;
/// Longest path from root to leaf.
const MAX_DEPTH: u16 = 10;
/// Least training rows in a leaf: a share of ones among fewer is not much of a probability.
const MIN_LEAF_ROWS: usize = 20;

/// Random forests of class labels.
pub(crate) struct ForestMethod;

impl Method for ForestMethod {
    type Model = RandomForest;

    fn name(&self) -> &'static str {
        NAME
    }

    fn algorithm(&self) -> String {
        "random forest; probabilities are the means of its leaves".to_owned()
    }

    fn library(&self) -> &'static str {
        LIBRARY
    }

    fn fit(
        &self,
        training: &TrainingSet,
        candidate: &mut Candidate,
    ) -> Result<RandomForest, String> {
        let trees = fit(&training.features, &training.labels, training.seed)?;
        candidate.hyper_parameters = hyper_parameters(features::COUNT);
        Ok(RandomForest(trees))
    }
}

/// A random forest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RandomForest(Trees);

impl Scorer for RandomForest {
    fn method(&self) -> &'static str {
        NAME
    }

    fn predict(&self, snapshot: &CustomerSnapshot<'_>, row: usize, _: f64) -> f64 {
        self.0.predict(snapshot.features.row(row))
    }

    fn effects(&self, snapshot: &CustomerSnapshot<'_>, row: usize, _: f64) -> Vec<(usize, f64)> {
        self.0.effects(snapshot.features.row(row))
    }
}

fn hyper_parameters(features: usize) -> String {
    format!(
        "trees={TREES}, max_depth={MAX_DEPTH}, min_samples_leaf={MIN_LEAF_ROWS}, features_per_split={}",
        features_per_split(features)
    )
}

/// Number of features tried at a split: a third, as is usual for regression forests.
fn features_per_split(features: usize) -> usize {
    features.div_ceil(3)
}

/// Fits a forest whose prediction is the mean of its trees. `labels` has one entry per row.
///
/// # Errors
/// The error of smartcore.
pub fn fit(rows: &Matrix, labels: &[f32], seed: u64) -> Result<Trees, String> {
    let values = rows.values.clone();
    let x = DenseMatrix::new(rows.rows(), rows.width, values, false).map_err(|e| e.to_string())?;
    let labels = labels.to_vec();
    let batches = (0..TREES / BATCH)
        .into_par_iter()
        .map(|batch| {
            let parameters = RandomForestRegressorParameters {
                max_depth: Some(MAX_DEPTH),
                min_samples_leaf: MIN_LEAF_ROWS,
                min_samples_split: 2 * MIN_LEAF_ROWS,
                n_trees: usize::try_from(BATCH).unwrap_or(1),
                m: Some(features_per_split(rows.width)),
                keep_samples: false,
                // smartcore gives its trees the seeds from this one upwards.
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

/// smartcore has no accessors for its nodes, but serialises them.
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

/// The threshold for "less than" that selects the single-precision values of at most `split`.
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
    fn converted_trees_predict_what_smartcore_predicts() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let values: Vec<f32> = (0..900).map(|_| rng.random::<f32>() * 10.0).collect();
        let rows = Matrix { values, width: 3 };
        let labels: Vec<f32> = (0..300).map(|row| f32::from(rows.row(row)[0] > 5.0)).collect();
        let x = DenseMatrix::new(300, 3, rows.values.clone(), false).unwrap();
        let parameters = RandomForestRegressorParameters::default().with_n_trees(7);
        let forest = RandomForestRegressor::fit(&x, &labels, parameters).unwrap();
        let expected = forest.predict(&x).unwrap();
        let trees = to_trees(&forest).unwrap();
        let converted = Trees { link: Link::Identity, base: 0.0, weight: 1.0 / 7.0, trees };
        for (row, expected) in expected.iter().enumerate() {
            let difference = (converted.predict(rows.row(row)) - f64::from(*expected)).abs();
            assert!(difference < 1e-6, "row {row} differs by {difference}");
        }
    }
}
