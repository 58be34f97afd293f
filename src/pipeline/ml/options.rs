//! How models are trained.

use serde::Serialize;

/// The training settings. Their serde names are part of a run's fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TrainingOptions {
    /// Seed of every random choice.
    pub seed: u64,
    /// Least number of customers a model is trained on.
    pub min_customers: usize,
    /// A customer without a purchase for this many days counts as churned.
    pub churn_horizon_days: u32,
    /// Most customers a model is fitted on; of more, a sample is taken.
    pub max_fit_rows: usize,
}
