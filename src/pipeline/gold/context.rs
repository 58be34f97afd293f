//! What builders of gold tables read: the inputs of a run and what several tables share.

use polars::prelude::DataFrame;

use crate::domain::time::Timestamp;
use crate::pipeline::ml::{LastSegments, Trained, TrainingOptions};

/// What tables are built from before models are trained. A new frame that several tables need goes
/// here.
#[derive(Debug)]
pub struct Base {
    /// Every line up to `as_of`, with the columns of [`super::lines`].
    pub fact: DataFrame,
    /// The reference instant.
    pub as_of: Timestamp,
    /// The id_client of every valid customer, in silver's order.
    pub(super) customer_ids: DataFrame,
    /// `customer_metrics`.
    pub(super) metrics: DataFrame,
    /// `customer_features`.
    pub(super) features: DataFrame,
    /// `customer_scores`.
    pub(super) scores: DataFrame,
}

/// What tables are built from once models are trained.
pub(super) struct Modelled<'a> {
    pub(super) base: &'a Base,
    pub(super) trained: &'a Trained,
    pub(super) options: &'a TrainingOptions,
    /// The segments of the last published run.
    pub(super) last_segments: &'a LastSegments,
    /// Start of the run that trained the models.
    pub(super) trained_at: Timestamp,
    /// `customer_segments`.
    pub(super) segments: DataFrame,
    /// `churn_predictions`.
    pub(super) churn: DataFrame,
    /// Predictions of every customer with a purchase, for `customers`.
    pub(super) by_customer: DataFrame,
}
