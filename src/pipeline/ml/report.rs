//! What a run reports of its models: one [`Candidate`] per model that serves and per method tried.

use strum::IntoStaticStr;

use super::metrics::{Bin, ClassificationMetrics, RegressionMetrics};
use crate::domain::time::Timestamp;

/// The name of the baselines in columns and URLs.
pub const BASELINE: &str = "baseline";

/// What a model is for. The names are those in columns and URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Task {
    /// Customer segments.
    Segmentation,
    /// Which customers will not buy again soon.
    Churn,
    /// What a customer will spend in 12 months.
    Clv,
    /// Whether customers are active, and how much they will buy.
    #[strum(serialize = "buying")]
    PurchaseForecast,
}

impl Task {
    /// The name in columns and URLs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether several methods compete for it.
    pub(crate) fn has_selection(self) -> bool {
        matches!(self, Self::Churn | Self::Clv)
    }
}

/// How well predictions fit customers that no fit has seen.
#[derive(Debug, Clone, PartialEq)]
pub enum Metrics {
    /// Of churn probabilities.
    Churn(ClassificationMetrics),
    /// Of lifetime values.
    Clv(RegressionMetrics),
}

/// How well segments separate customers.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentationMetrics {
    /// Mean silhouette.
    pub silhouette: Option<f64>,
    /// Sum of squared distances to the centres, standardised.
    pub inertia: Option<f64>,
    /// Agreement with the last published run: the adjusted Rand index over common customers.
    pub adjusted_rand_index: Option<f64>,
    /// Segments and their sizes.
    pub sizes: Vec<(String, u64)>,
}

/// One model or method, how it was fitted and how well it does.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// What it is for.
    pub task: Task,
    /// Its method, by the name in columns and URLs.
    pub method: &'static str,
    /// One line on how it works.
    pub algorithm: String,
    /// The libraries that fit it.
    pub library: &'static str,
    /// Whether its predictions are the ones that are published.
    pub serves: bool,
    /// What a reader has to know, in clauses; may be empty.
    pub note: String,
    /// Where the past ended that it learnt from.
    pub cut_off: Option<Timestamp>,
    /// Length of the window after it, days.
    pub horizon_days: Option<i64>,
    /// Customers known at the cut-off.
    pub customers: usize,
    /// Customers it was fitted on.
    pub fitted: usize,
    /// Customers it was evaluated on.
    pub held_out: usize,
    /// The names of the features it uses.
    pub features: Vec<&'static str>,
    /// Hyper-parameters.
    pub hyper_parameters: String,
    /// Fitted parameters with their standard errors, in words.
    pub parameters: Vec<String>,
    /// The logarithm of the likelihood, where it was maximised.
    pub log_likelihood: Option<f64>,
    /// How much each feature moves predictions, as a share of 1, greatest first.
    pub importances: Vec<(&'static str, f64)>,
    /// Its metrics; `None` when it was not evaluated.
    pub metrics: Option<Metrics>,
    /// The metrics of the baseline on the same customers.
    pub baseline: Option<Metrics>,
    /// Predicted probabilities and observed rates, bin by bin.
    pub calibration: Vec<Bin>,
    /// The metrics of segments.
    pub segments: Option<SegmentationMetrics>,
}

impl Candidate {
    /// A candidate of which nothing else is known yet.
    #[must_use]
    pub fn new(task: Task, method: &'static str, algorithm: &str, library: &'static str) -> Self {
        Self {
            task,
            method,
            algorithm: algorithm.to_owned(),
            library,
            serves: false,
            note: String::new(),
            cut_off: None,
            horizon_days: None,
            customers: 0,
            fitted: 0,
            held_out: 0,
            features: Vec::new(),
            hyper_parameters: String::new(),
            parameters: Vec::new(),
            log_likelihood: None,
            importances: Vec::new(),
            metrics: None,
            baseline: None,
            calibration: Vec::new(),
            segments: None,
        }
    }

    /// Records the number of fitted customers, with a note on how they were drawn if they are a
    /// sample.
    pub(crate) fn fitted_on(&mut self, rows: usize, customers: usize, drawn: &str) {
        self.fitted = rows;
        if rows < customers {
            self.add_note(&format!("fitted on {rows} of {customers} customers, {drawn}"));
        }
    }

    /// Makes it serve without a comparison.
    pub(crate) fn serves_because(&mut self, reason: &str) {
        self.serves = true;
        self.add_note(reason);
    }

    /// Adds a clause to the note.
    pub(crate) fn add_note(&mut self, clause: &str) {
        if !self.note.is_empty() && !clause.is_empty() {
            self.note.push_str("; ");
        }
        self.note.push_str(clause);
    }
}

/// The method that serves a task; empty when none does.
#[must_use]
pub fn serving_method(candidates: &[Candidate], task: Task) -> &'static str {
    let serving = candidates.iter().find(|candidate| candidate.task == task && candidate.serves);
    serving.map_or("", |candidate| candidate.method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_have_the_names_that_are_published() {
        let tasks = [Task::Segmentation, Task::Churn, Task::Clv, Task::PurchaseForecast];
        assert_eq!(tasks.map(Task::as_str), ["segmentation", "churn", "clv", "buying"]);
    }
}
