//! Regression trees as they serve: one compact form for every library that grows them.
//!
//! Libraries fit them ([`forest`](super::forest), [`boosted`](super::boosted)). This form predicts,
//! explains and is stored with the generation, so that the trees that were evaluated are the trees
//! that score, even after a library changed.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::pipeline::ml::matrix::Matrix;

/// A node: a split, or a leaf when `left` is 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// The column that is compared with the threshold.
    pub feature: u16,
    /// Smaller values go left.
    pub threshold: f32,
    /// The left child; 0 for a leaf, as the root is never a child.
    pub left: u32,
    /// The right child.
    pub right: u32,
    /// The mean of the node's training rows: what a leaf predicts.
    pub value: f64,
}

/// A tree; its root is the first node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tree(pub Vec<Node>);

/// How the sum over the trees becomes a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Link {
    /// The sum is the prediction.
    Identity,
    /// The sum is the log-odds.
    Logit,
}

impl Link {
    fn apply(self, sum: f64) -> f64 {
        match self {
            Self::Identity => sum,
            Self::Logit => 1.0 / (1.0 + (-sum).exp()),
        }
    }
}

/// Trees whose weighted sum predicts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trees {
    /// How the sum becomes a prediction.
    pub link: Link,
    /// Added to the sum of the trees.
    pub base: f64,
    /// Multiplies each tree's prediction.
    pub weight: f64,
    /// The trees.
    pub trees: Vec<Tree>,
}

impl Tree {
    /// The nodes from the root to the row's leaf.
    fn path<'a>(&'a self, row: &'a [f32]) -> impl Iterator<Item = &'a Node> {
        std::iter::successors(self.0.first(), |node| match node.left {
            0 => None,
            left => {
                let goes_left = row[usize::from(node.feature)] < node.threshold;
                Some(&self.0[if goes_left { left } else { node.right } as usize])
            }
        })
    }
}

impl Trees {
    /// The prediction for one row.
    #[must_use]
    pub fn predict(&self, row: &[f32]) -> f64 {
        let leaves = self.trees.iter().filter_map(|tree| tree.path(row).last());
        self.link.apply(self.base + self.weight * leaves.map(|leaf| leaf.value).sum::<f64>())
    }

    /// The predictions for all rows.
    #[must_use]
    pub fn predict_all(&self, rows: &Matrix) -> Vec<f64> {
        rows.values.par_chunks(rows.width).map(|row| self.predict(row)).collect()
    }

    /// By how much each feature moved the prediction for a row: the change when the feature's
    /// contributions along the paths are removed.
    pub(crate) fn effects(&self, row: &[f32]) -> Vec<(usize, f64)> {
        let contributions = self.contributions(row);
        let sum = self.bias() + contributions.iter().sum::<f64>();
        let prediction = self.link.apply(sum);
        let effect = |contribution: &f64| prediction - self.link.apply(sum - contribution);
        contributions.iter().map(effect).enumerate().collect()
    }

    /// By how much each feature moved a row's sum away from the mean of all training rows: the
    /// changes of the node means along the paths, added up by the feature of the split (Saabas
    /// 2014, "Interpreting random forests").
    fn contributions(&self, row: &[f32]) -> Vec<f64> {
        let mut contributions = vec![0.0; row.len()];
        for tree in &self.trees {
            let mut path = tree.path(row);
            let Some(mut node) = path.next() else { continue };
            for next in path {
                contributions[usize::from(node.feature)] += self.weight * (next.value - node.value);
                node = next;
            }
        }
        contributions
    }

    /// The sum without any feature: the mean of all training rows.
    fn bias(&self) -> f64 {
        let roots = self.trees.iter().filter_map(|tree| tree.0.first());
        self.base + self.weight * roots.map(|root| root.value).sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(value: f64) -> Node {
        Node { feature: 0, threshold: 0.0, left: 0, right: 0, value }
    }

    /// x0 < 1 → 0.2; else x1 < 5 → 0.4, else 1.0.
    fn trees() -> Trees {
        let root = Node { feature: 0, threshold: 1.0, left: 1, right: 2, value: 0.45 };
        let inner = Node { feature: 1, threshold: 5.0, left: 3, right: 4, value: 0.7 };
        let tree = Tree(vec![root, leaf(0.2), inner, leaf(0.4), leaf(1.0)]);
        Trees {
            link: Link::Identity,
            base: 0.0,
            weight: 0.5,
            trees: vec![tree, Tree(vec![leaf(0.6)])],
        }
    }

    #[test]
    fn a_row_falls_to_its_leaf_and_a_value_at_the_threshold_goes_right() {
        assert!((trees().predict(&[0.0, 9.0]) - 0.4).abs() < 1e-12);
        assert!((trees().predict(&[1.0, 4.0]) - 0.5).abs() < 1e-12);
        assert!((trees().predict(&[1.0, 5.0]) - 0.8).abs() < 1e-12);
    }

    #[test]
    fn bias_and_contributions_add_up_to_the_prediction() {
        let trees = trees();
        let contributions = trees.contributions(&[3.0, 9.0]);
        assert!((contributions[0] - 0.5 * (0.7 - 0.45)).abs() < 1e-12);
        assert!((contributions[1] - 0.5 * (1.0 - 0.7)).abs() < 1e-12);
        let sum = trees.bias() + contributions.iter().sum::<f64>();
        assert!((sum - trees.predict(&[3.0, 9.0])).abs() < 1e-12);
    }
}
