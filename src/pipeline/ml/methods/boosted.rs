//! Gradient-boosted trees by hessboost, brought into the form that serves.
//!
//! smartcore's boosted trees sort every feature at every node on one thread; hessboost works on
//! histograms, on all cores, and grows the same trees on any number of them
//! (`docs/BENCHMARKS.md` has both beside each other, in time and in held-out error).

use std::num::NonZeroUsize;

use hessboost::config::TreeMethod;
use hessboost::model::BoostedModel;
use hessboost::objective::{Objective, RegLoss};
use hessboost::prelude::{DMatrix, Trainer, TrainingParams, train};
use hessboost::tree::RegTree;

use crate::pipeline::ml::matrix::{Matrix, select};
use crate::pipeline::ml::methods::trees::{Link, Node, Tree, Trees};

/// The library that fits, with its version.
pub const LIBRARY: &str = "hessboost 0.4";

/// Most trees; fewer when the rows kept aside stop getting better.
const ROUNDS: usize = 400;
/// Rounds without an improvement after which no more trees are grown.
const PATIENCE: usize = 20;
/// One row in this many is kept aside to decide when to stop.
const KEPT_ASIDE: usize = 8;
/// Fewer rows leave nothing to keep aside.
const FEWEST_ROWS: usize = 2 * KEPT_ASIDE;
const RATE: f64 = 0.05;
const DEPTH: usize = 4;
const LEAF_ROWS: f64 = 20.0;
const ROW_SHARE: f64 = 0.8;

/// What the trees learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The probability of a 1 among labels 0 and 1.
    Probability,
    /// The mean of an amount.
    Mean,
}

impl Target {
    /// Least weight of a leaf's rows.
    fn leaf_weight(self) -> f64 {
        match self {
            // A row's weight is p(1 - p) here, at most a quarter.
            Self::Probability => LEAF_ROWS / 4.0,
            Self::Mean => LEAF_ROWS,
        }
    }
}

/// The hyper-parameters, for the metrics.
#[must_use]
pub fn hyper_parameters(trees: &Trees) -> String {
    let target = if trees.link == Link::Logit { Target::Probability } else { Target::Mean };
    let leaf_weight = target.leaf_weight();
    format!(
        "trees={} (of at most {ROUNDS}, stopped early), max_depth={DEPTH}, learning_rate={RATE}, subsample={ROW_SHARE}, min_child_weight={leaf_weight}",
        trees.trees.len()
    )
}

/// Fits boosted trees: every eighth row is kept aside to decide how many, then all rows grow so
/// many.
///
/// # Errors
/// What hessboost says.
pub fn fit(rows: &Matrix, labels: &[f32], target: Target, seed: u64) -> Result<Trees, String> {
    if rows.rows() < FEWEST_ROWS {
        return Err(format!("{} customers, and fewer than {FEWEST_ROWS} are too few", rows.rows()));
    }
    fit_with(rows, labels, target, seed).map_err(|error| error.to_string())
}

fn fit_with(
    rows: &Matrix,
    labels: &[f32],
    target: Target,
    seed: u64,
) -> hessboost::error::Result<Trees> {
    let (aside, fitted): (Vec<usize>, Vec<usize>) =
        (0..rows.rows()).partition(|row| row % KEPT_ASIDE == 0);
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
        .max_depth(DEPTH)
        .eta(RATE)
        .subsample(ROW_SHARE)
        .min_child_weight(target.leaf_weight())
        .seed(seed)
        .build()?;
    let (most, watched) = (matrix(&fitted)?, matrix(&aside)?);
    let mut trainer = Trainer::new(&parameters, &most, ROUNDS).eval(&watched, "kept aside");
    if let Some(patience) = NonZeroUsize::new(PATIENCE) {
        trainer = trainer.early_stopping_rounds(patience);
    }
    let tried = trainer.train()?.model;
    let rounds = tried.best_iteration().map_or(tried.num_trees(), |best| best + 1);
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
    let mut made: Vec<Node> = nodes
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
    for index in (0..made.len()).rev() {
        let Node { left, right, .. } = made[index];
        if left != 0 {
            let (left, right) = (left as usize, right as usize);
            let (l, r) = (f64::from(nodes[left].sum_hess), f64::from(nodes[right].sum_hess));
            let weight = (l + r).max(f64::MIN_POSITIVE);
            made[index].value = (l * made[left].value + r * made[right].value) / weight;
        }
    }
    Tree(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hessboost::model::Iterations;
    use rand::{RngExt, SeedableRng};

    #[test]
    fn too_few_rows_are_refused_and_one_class_gives_numbers_or_a_refusal() {
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
    fn our_trees_predict_what_hessboost_predicts() {
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
            let theirs = model.predict(&data, Iterations::Best).unwrap();
            let ours = to_trees(&model, target);
            for (row, theirs) in theirs.as_slice().iter().enumerate() {
                let difference = (ours.predict(rows.row(row)) - f64::from(*theirs)).abs();
                assert!(difference < 1e-5, "row {row} differs by {difference}");
            }
        }
    }
}
