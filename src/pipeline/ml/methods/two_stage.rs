//! Spend in two stages: the probability of a purchase, times the spend of customers who buy.

use serde::{Deserialize, Serialize};

use super::boosted::{self, Target};
use super::trees::Trees;
use crate::pipeline::ml::matrix::{Matrix, select};
use crate::pipeline::ml::method::{Method, Scorer};
use crate::pipeline::ml::report::Candidate;
use crate::pipeline::ml::snapshot::CustomerSnapshot;
use crate::pipeline::ml::training_set::TrainingSet;

const NAME: &str = "two_stage";

/// Gradient-boosted trees of whether customers buy, and of what the buyers spend.
pub(crate) struct TwoStageMethod;

impl Method for TwoStageMethod {
    type Model = TwoStage;

    fn name(&self) -> &'static str {
        NAME
    }

    fn algorithm(&self) -> String {
        "gradient-boosted trees: P(buys in the window) × spend of those who buy".to_owned()
    }

    fn library(&self) -> &'static str {
        boosted::LIBRARY
    }

    fn fit(&self, training: &TrainingSet, candidate: &mut Candidate) -> Result<TwoStage, String> {
        let model = fit(&training.features, &training.labels, training.seed)?;
        candidate.hyper_parameters = format!(
            "buys: {}; spends: {}",
            boosted::hyper_parameters(&model.buys),
            boosted::hyper_parameters(&model.spends)
        );
        Ok(model)
    }
}

/// The two stages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TwoStage {
    /// The probability of a purchase.
    buys: Trees,
    /// The spend of customers who buy, EUR.
    spends: Trees,
}

impl Scorer for TwoStage {
    fn method(&self) -> &'static str {
        NAME
    }

    fn predict(&self, snapshot: &CustomerSnapshot<'_>, row: usize, _: f64) -> f64 {
        let row = snapshot.features.row(row);
        self.buys.predict(row) * self.spends.predict(row).max(0.0)
    }

    /// What changes when a feature is removed from both stages.
    fn effects(&self, snapshot: &CustomerSnapshot<'_>, row: usize, _: f64) -> Vec<(usize, f64)> {
        let row = snapshot.features.row(row);
        let (buys, spends) = (self.buys.predict(row), self.spends.predict(row));
        let pairs = self.buys.effects(row).into_iter().zip(self.spends.effects(row));
        pairs
            .map(|((feature, on_buys), (_, on_spends))| {
                (feature, buys * spends - (buys - on_buys) * (spends - on_spends))
            })
            .collect()
    }
}

fn fit(rows: &Matrix, spend: &[f32], seed: u64) -> Result<TwoStage, String> {
    let labels: Vec<f32> = spend.iter().map(|spend| f32::from(*spend > 0.0)).collect();
    let buyers: Vec<usize> = (0..spend.len()).filter(|row| spend[*row] > 0.0).collect();
    if buyers.is_empty() || buyers.len() == spend.len() {
        let quantity = if buyers.is_empty() { "no" } else { "every" };
        return Err(format!(
            "{quantity} customer bought in the window, so there is no first stage to learn"
        ));
    }
    let buys = boosted::fit(rows, &labels, Target::Probability, seed)?;
    let spends = boosted::fit(&rows.select(&buyers), &select(spend, &buyers), Target::Mean, seed)?;
    Ok(TwoStage { buys, spends })
}
