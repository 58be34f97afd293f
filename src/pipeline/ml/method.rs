//! The two traits of a method: [`Method`] fits, and what it fits is a [`Scorer`], which predicts.
//!
//! A new method is one file in `methods/` with an implementation of each, and one line in the list
//! of its task (`tasks/churn.rs`, `tasks/clv.rs`); `docs/MODELS.md` shows it step by step.

use super::features;
use super::metrics::DECISION_THRESHOLD;
use super::report::Candidate;
use super::snapshot::CustomerSnapshot;
use super::training_set::{Input, TrainingSet};

/// A way to do a task.
pub(crate) trait Method {
    /// What it fits.
    type Model: Scorer;

    /// Name in columns and URLs.
    fn name(&self) -> &'static str;

    /// One line on how it works.
    fn algorithm(&self) -> String;

    /// The libraries that fit, with their versions.
    fn library(&self) -> &'static str;

    /// What it learns from.
    fn input(&self) -> Input {
        Input::Features
    }

    /// The names of the features it uses.
    fn features(&self) -> Vec<&'static str> {
        features::NAMES.to_vec()
    }

    /// Fits a model, and notes its parameters in the candidate.
    ///
    /// # Errors
    /// Why there is no fit, as the end of a sentence.
    fn fit(&self, training: &TrainingSet, candidate: &mut Candidate)
    -> Result<Self::Model, String>;
}

/// A fitted model.
pub(crate) trait Scorer: Send + Sync {
    /// The name of the method that fitted it.
    fn method(&self) -> &'static str;

    /// The prediction for a customer: a probability of churn within `days_ahead`, or the spend of
    /// 12 months in EUR, scaled from `days_ahead` by models that look ahead themselves.
    fn predict(&self, snapshot: &CustomerSnapshot<'_>, row: usize, days_ahead: f64) -> f64;

    /// By how much each feature moved that prediction: what would change without it.
    fn effects(
        &self,
        snapshot: &CustomerSnapshot<'_>,
        row: usize,
        days_ahead: f64,
    ) -> Vec<(usize, f64)>;

    /// Whether a customer with this predicted probability is classified as churning.
    fn classify(&self, _snapshot: &CustomerSnapshot<'_>, _row: usize, probability: f64) -> bool {
        probability >= DECISION_THRESHOLD
    }

    /// A customer's value of a feature, as a phrase.
    fn describe_value(
        &self,
        snapshot: &CustomerSnapshot<'_>,
        row: usize,
        feature: usize,
    ) -> String {
        features::describe_value(feature, snapshot.features.row(row))
    }
}
