//! Gradient-boosted trees by hessboost, converted into the form that serves.
//!
//! smartcore's boosted trees sort every feature at every node on one thread. hessboost works on
//! histograms, on all cores, and grows the same trees on any number of them
//! (`docs/BENCHMARKS.md` compares both in time and held-out error).

use std::num::NonZeroUsize;

use hessboost::config::TreeMethod;
use hessboost::model::BoostedModel;
use hessboost::objective::{Objective, RegLoss};
use hessboost::prelude::{DMatrix, Trainer, TrainingParams, train};
use hessboost::tree::RegTree;

use serde::{Deserialize, Serialize};

use super::trees::{Link, Node, Tree, Trees};
use crate::pipeline::ml::matrix::{Matrix, select};
use crate::pipeline::ml::method::{Method, Scorer};
use crate::pipeline::ml::report::Candidate;
use crate::pipeline::ml::snapshot::CustomerSnapshot;
use crate::pipeline::ml::training_set::TrainingSet;

/// The method's name in columns and URLs.
pub(crate) const NAME: &str = "boosted_trees";
pub(crate) const LIBRARY: &str = "hessboost 0.4";

/// Most trees; fewer when the validation rows stop improving.
const MAX_ROUNDS: usize = 400;
/// Rounds without an improvement after which no more trees are grown.
const EARLY_STOPPING_ROUNDS: usize = 20;
/// One training row in this many validates when to stop.
const VALIDATION_STEP: usize = 8;
/// Fewer rows leave too few for validation.
const MIN_ROWS: usize = 2 * VALIDATION_STEP;
const LEARNING_RATE: f64 = 0.05;
const MAX_DEPTH: usize = 4;
const MIN_LEAF_ROWS: f64 = 20.0;
const SUBSAMPLE: f64 = 0.8;

/// Gradient-boosted trees of labels or amounts.
pub(crate) struct BoostedMethod {
    pub target: Target,
}

impl Method for BoostedMethod {
    type Model = BoostedTrees;

    fn name(&self) -> &'static str {
        NAME
    }

    fn algorithm(&self) -> String {
        let loss = match self.target {
            Target::Probability => "logistic loss",
            Target::Mean => "squared error",
        };
        format!("gradient-boosted trees on histograms, {loss}")
    }

    fn library(&self) -> &'static str {
        LIBRARY
    }

    fn fit(
        &self,
        training: &TrainingSet,
        candidate: &mut Candidate,
    ) -> Result<BoostedTrees, String> {
        let trees = fit(&training.features, &training.labels, self.target, training.seed)?;
        candidate.hyper_parameters = hyper_parameters(&trees);
        Ok(BoostedTrees(trees))
    }
}

/// Gradient-boosted trees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BoostedTrees(Trees);

impl Scorer for BoostedTrees {
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

/// What the trees learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The probability of a 1 among labels 0 and 1.
    Probability,
    /// The mean of an amount.
    Mean,
}

impl Target {
    /// Least sum of the weights of a leaf's rows.
    fn leaf_weight(self) -> f64 {
        match self {
            // A row's weight is p(1 - p) here, at most a quarter.
            Self::Probability => MIN_LEAF_ROWS / 4.0,
            Self::Mean => MIN_LEAF_ROWS,
        }
    }
}

/// The hyper-parameters, as a text for the metrics.
pub(crate) fn hyper_parameters(trees: &Trees) -> String {
    let target = if trees.link == Link::Logit { Target::Probability } else { Target::Mean };
    let leaf_weight = target.leaf_weight();
    format!(
        "trees={} (of at most {MAX_ROUNDS}, stopped early), max_depth={MAX_DEPTH}, learning_rate={LEARNING_RATE}, subsample={SUBSAMPLE}, min_child_weight={leaf_weight}",
        trees.trees.len()
    )
}

/// Fits boosted trees: every eighth row validates how many trees are best, then that many are grown
/// on all rows.
///
/// # Errors
/// With too few rows, and the errors of hessboost.
pub fn fit(rows: &Matrix, labels: &[f32], target: Target, seed: u64) -> Result<Trees, String> {
    if rows.rows() < MIN_ROWS {
        return Err(format!("{} customers, and fewer than {MIN_ROWS} are too few", rows.rows()));
    }
    fit_with(rows, labels, target, seed).map_err(|error| error.to_string())
}

fn fit_with(
    rows: &Matrix,
    labels: &[f32],
    target: Target,
    seed: u64,
) -> hessboost::error::Result<Trees> {
    let (validation, fitted): (Vec<usize>, Vec<usize>) =
        (0..rows.rows()).partition(|row| row % VALIDATION_STEP == 0);
    let matrix = |part: &[usize]| {
        let x = rows.select(part);
        DMatrix::from_dense_vec(x.values, part.len(), rows.width)?
            .with_labels(&select(labels, part))
    };
    let loss = RegLoss::default();
    let objective = match target {
        Target::Probability => Objective::BinaryLogistic(loss),
        Target::Mean => Objective::SquaredError(loss),
    };
    let parameters = TrainingParams::builder()
        .objective(objective)
        .tree_method(TreeMethod::Hist)
        .max_depth(MAX_DEPTH)
        .eta(LEARNING_RATE)
        .subsample(SUBSAMPLE)
        .min_child_weight(target.leaf_weight())
        .seed(seed)
        .build()?;
    let (fitted, validation) = (matrix(&fitted)?, matrix(&validation)?);
    let mut trainer =
        Trainer::new(&parameters, &fitted, MAX_ROUNDS).eval(&validation, "validation");
    if let Some(rounds) = NonZeroUsize::new(EARLY_STOPPING_ROUNDS) {
        trainer = trainer.early_stopping_rounds(rounds);
    }
    let stopped = trainer.train()?.model;
    let rounds = stopped.best_iteration().map_or(stopped.num_trees(), |best| best + 1);
    let all: Vec<usize> = (0..rows.rows()).collect();
    Ok(to_trees(&train(&parameters, &matrix(&all)?, rounds)?, target))
}

fn to_trees(model: &BoostedModel, target: Target) -> Trees {
    Trees {
        link: match target {
            Target::Probability => Link::Logit,
            Target::Mean => Link::Identity,
        },
        base: f64::from(model.base_score()),
        weight: 1.0,
        trees: model.trees().iter().map(to_tree).collect(),
    }
}

/// The tree with a value in every node: the mean of the leaves below, by the weight of their rows.
fn to_tree(tree: &RegTree) -> Tree {
    let nodes = tree.nodes();
    let child = |index: i32| u32::try_from(index).unwrap_or(0);
    let mut converted: Vec<Node> = nodes
        .iter()
        .map(|node| Node {
            feature: u16::try_from(node.split_feature).unwrap_or(0),
            threshold: node.split_cond,
            left: child(node.left),
            right: child(node.right),
            value: f64::from(node.leaf_value),
        })
        .collect();
    // Children come after their parents.
    for index in (0..converted.len()).rev() {
        let Node { left, right, .. } = converted[index];
        if left != 0 {
            let (left, right) = (left as usize, right as usize);
            let (l, r) = (f64::from(nodes[left].sum_hess), f64::from(nodes[right].sum_hess));
            let weight = (l + r).max(f64::MIN_POSITIVE);
            converted[index].value =
                (l * converted[left].value + r * converted[right].value) / weight;
        }
    }
    Tree(converted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hessboost::model::Iterations;
    use rand::{RngExt, SeedableRng};

    #[test]
    fn too_few_rows_are_an_error_and_one_class_gives_numbers_or_an_error() {
        let few = Matrix::zeros(15, 2);
        assert!(fit(&few, &[1.0; 15], Target::Mean, 42).unwrap_err().contains("15 customers"));
        let rows = Matrix::zeros(40, 2);
        for target in [Target::Mean, Target::Probability] {
            for label in [0.0, 1.0] {
                if let Ok(trees) = fit(&rows, &[label; 40], target, 42) {
                    assert!(trees.predict(rows.row(0)).is_finite(), "{target:?} {label}");
                }
            }
        }
    }

    #[test]
    fn converted_trees_predict_what_hessboost_predicts() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let values: Vec<f32> = (0..1_200).map(|_| rng.random::<f32>() * 10.0).collect();
        let rows = Matrix { values, width: 3 };
        let labels: Vec<f32> = (0..400).map(|row| f32::from(rows.row(row)[0] > 5.0)).collect();
        let data = DMatrix::from_dense(&rows.values, 400, 3).unwrap().with_labels(&labels).unwrap();
        for (target, objective) in [
            (Target::Probability, Objective::BinaryLogistic(RegLoss::default())),
            (Target::Mean, Objective::SquaredError(RegLoss::default())),
        ] {
            let parameters =
                TrainingParams::builder().objective(objective).max_depth(3).build().unwrap();
            let model = train(&parameters, &data, 9).unwrap();
            let expected = model.predict(&data, Iterations::Best).unwrap();
            let converted = to_trees(&model, target);
            for (row, expected) in expected.as_slice().iter().enumerate() {
                let difference = (converted.predict(rows.row(row)) - f64::from(*expected)).abs();
                assert!(difference < 1e-5, "row {row} differs by {difference}");
            }
        }
    }
}
