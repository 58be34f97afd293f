//! What training leaves behind, stored as `models.json`, and the scores that are made from it.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::history::{YEAR_DAYS, days_between};
use super::method::Scorer;
use super::purchase_forecast::{PurchaseForecast, PurchaseForecaster};
use super::report::Candidate;
use super::snapshot::CustomerSnapshot;
use super::tasks::churn::{self, Churn};
use super::tasks::clv::{self, Clv};
use super::tasks::segmentation::{self, Segmentation};
use super::trainer;
use crate::domain::time::Timestamp;

/// All models of a run: everything that scoring needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Artefact {
    /// The reference instant of the run that trained it.
    pub as_of: Timestamp,
    /// Length of the window that churn is predicted for, days.
    pub churn_horizon_days: u32,
    /// The model of segments.
    pub segmentation: Segmentation,
    /// The model of churn.
    pub churn: churn::Model,
    /// The model of lifetime value.
    pub clv: clv::Model,
    /// The models of the purchase forecast.
    #[serde(rename = "outlook")]
    pub forecaster: PurchaseForecaster,
}

impl Artefact {
    /// The method that churn probabilities come from.
    pub(crate) fn churn_method(&self) -> &'static str {
        self.churn.method()
    }

    /// The method that lifetime values come from.
    pub(crate) fn clv_method(&self) -> &'static str {
        self.clv.method()
    }
}

/// The predictions for one customer.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// The customer's id.
    pub id_client: i64,
    /// Days since the last purchase.
    pub recency: i64,
    /// Number of orders.
    pub frequency: i64,
    /// Net revenue to date, EUR; negative where more was refunded than sold.
    pub monetary: f64,
    /// Days since the first purchase.
    pub age: i64,
    /// Position of the segment in [`segmentation::NAMES`].
    pub segment: usize,
    /// Probability of no purchase in the horizon.
    pub churn_probability: f64,
    /// The features that moved the probability most.
    pub top_factors: Vec<&'static str>,
    /// The same in words.
    pub factors: Vec<String>,
    /// Predicted spend of 12 months, EUR, rounded to cents.
    pub predicted_clv_12m: f64,
    /// The purchase forecast.
    pub forecast: PurchaseForecast,
}

impl Score {
    /// The name of the segment.
    #[must_use]
    pub fn segment_name(&self) -> &'static str {
        segmentation::NAMES[self.segment]
    }
}

/// The models of one run, with what is published of them.
#[derive(Debug)]
pub struct Trained {
    /// The models.
    pub artefact: Artefact,
    /// A score per customer with a purchase, ascending by id.
    pub scores: Vec<Score>,
    /// The models and methods that were tried; of a task, the one that serves comes first.
    pub candidates: Vec<Candidate>,
}

/// Scores every customer. The same artefact and snapshot give the same scores.
#[must_use]
pub fn score(artefact: &Artefact, snapshot: &CustomerSnapshot<'_>) -> Vec<Score> {
    let now = snapshot.past.cut_off().0;
    let horizon_days = f64::from(artefact.churn_horizon_days);
    let rows: Vec<usize> = (0..snapshot.len()).collect();
    let churn = trainer::predict::<Churn>(&artefact.churn, snapshot, &rows, horizon_days);
    // Purchase models look 12 months ahead themselves; no shorter window is scaled.
    let values = trainer::predict::<Clv>(&artefact.clv, snapshot, &rows, YEAR_DAYS);
    rows.into_par_iter()
        .map(|row| {
            let purchases = snapshot.past.purchases(row);
            let (top_factors, factors) =
                churn::factors(&artefact.churn, snapshot, row, horizon_days);
            Score {
                id_client: snapshot.ids[row],
                recency: days_between(purchases.at[purchases.at.len() - 1], now),
                frequency: i64::try_from(purchases.orders()).unwrap_or(i64::MAX),
                monetary: purchases.net(),
                age: days_between(purchases.at[0], now),
                segment: artefact.segmentation.assign(snapshot.rfm(row)),
                churn_probability: churn[row],
                top_factors,
                factors,
                predicted_clv_12m: (values[row] * 100.0).round() / 100.0,
                forecast: artefact.forecaster.forecast(snapshot, row),
            }
        })
        .collect()
}
