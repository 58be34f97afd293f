//! Churn: the probability that a customer makes no purchase in the horizon.
//!
//! [`lesson`] learns at `as_of - horizon` on what happened since and judges on customers held out
//! of the fit; [`leak`] looks for features that tell the label; [`rule`] is what has to be beaten.
//! Here is what serves, and why it says what it says.

pub mod train;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::domain::text::counted;
use crate::pipeline::ml::explain::{self, ReferenceCustomer};
use crate::pipeline::ml::features::{DAYS_SINCE_LAST, FREQUENCY, NAMES, TENURE, in_words};
use crate::pipeline::ml::methods::bg_nbd::{Dropout, PurchaseModel};
use crate::pipeline::ml::methods::decision_stump::DecisionStump;
use crate::pipeline::ml::methods::trees::Trees;
use crate::pipeline::ml::metrics::DECISION_THRESHOLD;
use crate::pipeline::ml::report::Method;
use crate::pipeline::ml::snapshot::CustomerSnapshot;

pub use train::train;

/// Factors told of a customer.
const FACTORS: usize = 3;
/// A factor that moves the probability by less is not told.
const LEAST_EFFECT: f64 = 0.005;
/// Least probability of a high risk, and of a medium one: the contract's.
const HIGH: f64 = 0.7;
const MEDIUM: f64 = 0.4;

/// The risk level of a probability.
#[must_use]
pub fn risk_level(probability: f64) -> &'static str {
    match probability {
        p if p >= HIGH => "High",
        p if p >= MEDIUM => "Medium",
        _ => "Low",
    }
}

/// What serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Model {
    /// A random forest.
    Forest(Trees),
    /// Gradient-boosted trees.
    Boosted(Trees),
    /// A model of buying, and whom it compares others with.
    PurchaseModel(PurchaseModel, ReferenceCustomer),
    /// The rule.
    DecisionStump(DecisionStump),
}

impl Model {
    /// How it works.
    #[must_use]
    pub fn method(&self) -> Method {
        match self {
            Self::Forest(_) => Method::Forest,
            Self::Boosted(_) => Method::Boosted,
            Self::PurchaseModel(model, _) => Method::of_buying(model.dropout),
            Self::DecisionStump(_) => Method::Baseline,
        }
    }

    /// The probability of no purchase in `horizon_days`, for these customers.
    #[must_use]
    pub fn probabilities(
        &self,
        facts: &CustomerSnapshot<'_>,
        rows: &[usize],
        horizon_days: f64,
    ) -> Vec<f64> {
        rows.par_iter().map(|row| self.probability(facts, *row, horizon_days)).collect()
    }

    fn probability(&self, facts: &CustomerSnapshot<'_>, row: usize, horizon_days: f64) -> f64 {
        let features = facts.features.row(row);
        match self {
            Self::Forest(trees) | Self::Boosted(trees) => trees.predict(features),
            Self::PurchaseModel(model, _) => model.p_silent(facts.patterns[row], horizon_days),
            Self::DecisionStump(rule) => rule.probability(features[rule.feature]),
        }
    }

    /// Whether it says plainly that a customer with this probability will churn.
    #[must_use]
    pub fn says(&self, facts: &CustomerSnapshot<'_>, row: usize, probability: f64) -> bool {
        match self {
            // By the side of the threshold, whatever the rate seen there.
            Self::DecisionStump(rule) => rule.says(facts.features.row(row)[rule.feature]),
            _ => probability >= DECISION_THRESHOLD,
        }
    }

    /// By how much each feature moved a customer's probability: what would change without it.
    #[must_use]
    pub fn effects(
        &self,
        facts: &CustomerSnapshot<'_>,
        row: usize,
        horizon_days: f64,
    ) -> Vec<(usize, f64)> {
        match self {
            Self::Forest(trees) | Self::Boosted(trees) => {
                explain::effects(trees, facts.features.row(row))
            }
            Self::PurchaseModel(model, typical) => {
                let own = facts.patterns[row];
                let here = model.p_silent(own, horizon_days);
                let is_nbd = model.dropout == Dropout::Never;
                let without = |(feature, other)| {
                    // Without an end, silence is only a part of the time they have been a customer.
                    let is_tenure = is_nbd && feature == DAYS_SINCE_LAST;
                    let feature = if is_tenure { TENURE } else { feature };
                    (feature, here - model.p_silent(other, horizon_days))
                };
                typical.instead(own).into_iter().map(without).collect()
            }
            Self::DecisionStump(rule) => {
                let here = self.probability(facts, row, horizon_days);
                vec![(rule.feature, here - f64::midpoint(rule.below, rule.above))]
            }
        }
    }

    /// The features that moved a customer's probability most, by name and in words.
    #[must_use]
    pub fn factors(
        &self,
        facts: &CustomerSnapshot<'_>,
        row: usize,
        horizon_days: f64,
    ) -> (Vec<&'static str>, Vec<String>) {
        let mut effects = self.effects(facts, row, horizon_days);
        effects.retain(|(_, effect)| effect.abs() >= LEAST_EFFECT);
        effects.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0)));
        effects.truncate(FACTORS);
        let words = |feature: usize| match self {
            // What it counts are days, not purchases.
            Self::PurchaseModel(..) if feature == FREQUENCY => {
                format!("bought on {}", counted(facts.spends[row].transactions, "day"))
            }
            _ => in_words(feature, facts.features.row(row)),
        };
        let told = |(feature, effect): &(usize, f64)| {
            let verb = if *effect > 0.0 { "raises" } else { "lowers" };
            let points = counted(format!("{:.0}", effect.abs() * 100.0), "point");
            format!("{} {verb} it by {points}", words(*feature))
        };
        (
            effects.iter().map(|(feature, _)| NAMES[*feature]).collect(),
            effects.iter().map(told).collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn risk_levels_begin_at_their_thresholds() {
        assert_eq!(
            [0.0, 0.399, 0.4, 0.699, 0.7, 1.0].map(risk_level),
            ["Low", "Low", "Medium", "Medium", "High", "High"]
        );
    }
}
