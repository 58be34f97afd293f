//! Models: segments, churn, lifetime value. Trained on a past, judged on what they have not seen.
//!
//! [`train`] walks [`history`] → [`facts`] → [`segmentation`], [`churn`], [`clv`], [`outlook`];
//! methods of a task meet in a [`contest`], and what wins is kept as an [`Artefact`] from which [`score`] makes
//! predictions, again and again the same. Start reading at [`churn`].

pub mod explain;
pub mod features;
pub mod frames;
pub mod history;
pub mod leakage;
pub mod matrix;
pub mod methods;
pub mod metrics;
pub mod purchase_forecast;
pub mod report;
pub mod report_text;
pub mod sampling;
pub mod selection;
pub mod snapshot;
pub mod tasks;

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::domain::text::counted;
use crate::domain::time::Timestamp;
use history::{History, days_between};
use purchase_forecast::{Expected, PurchaseForecast};
use report::{Candidate, Method, SegmentationMetrics, Task};
use snapshot::CustomerSnapshot;
use tasks::segmentation::{PROSPECT, Rfm, Segmentation};

/// How models are trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TrainingOptions {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// Fewer customers are too few to learn from.
    pub min_customers: usize,
    /// No purchase in so many days means churned.
    pub churn_horizon_days: u32,
    /// Most customers a model is fitted on; more are sampled.
    pub max_fit_rows: usize,
}

/// All that scoring needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Artefact {
    /// The reference instant of the run that trained it.
    pub as_of: Timestamp,
    /// Length of the window that churn foretells, days.
    pub churn_horizon_days: u32,
    /// How customers are told apart.
    pub segmentation: Segmentation,
    /// What foretells churn.
    pub churn: tasks::churn::Model,
    /// What foretells lifetime value.
    pub clv: tasks::clv::Model,
    /// Whether customers are alive, and how much they will buy.
    pub outlook: PurchaseForecast,
}

/// What models say of one customer.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// The customer.
    pub id_client: i64,
    /// Days since the last purchase.
    pub recency: i64,
    /// Number of purchases.
    pub frequency: i64,
    /// Spend to date, EUR.
    pub monetary: f64,
    /// Days since the first purchase.
    pub age: i64,
    /// Position of the segment in [`tasks::segmentation::NAMES`].
    pub segment: usize,
    /// Probability of no purchase in the horizon.
    pub churn_probability: f64,
    /// The features that moved it most.
    pub top_factors: Vec<&'static str>,
    /// The same in words.
    pub factors: Vec<String>,
    /// Spend to expect in 12 months, EUR, in cents.
    pub predicted_clv_12m: f64,
    /// Whether they are alive, and how much they will buy.
    pub expected: Expected,
}

/// Models of one run.
#[derive(Debug)]
pub struct Trained {
    /// What scores.
    pub artefact: Artefact,
    /// Every customer with a purchase, ascending.
    pub scores: Vec<Score>,
    /// What is said of the models; what serves comes first within its task.
    pub entries: Vec<Candidate>,
}

/// Segments of the last published run, by customer; [`PROSPECT`] for who had not bought.
pub type LastSegments = BTreeMap<i64, String>;

/// Trains all models on the purchases up to `as_of` and scores every customer.
#[must_use]
pub fn train(
    history: &History,
    as_of: Timestamp,
    rules: &TrainingOptions,
    last: &LastSegments,
) -> Trained {
    let facts = CustomerSnapshot::of(history.up_to(as_of));
    let (segmentation, of_segmentation) = train_segmentation(&facts, rules, last);
    let (churn, of_churn) = tasks::churn::train(history, as_of, rules);
    let clv = tasks::clv::train(history, as_of, rules);
    let (outlook, of_outlook) = purchase_forecast::train(&facts, rules);
    let artefact = Artefact {
        as_of,
        churn_horizon_days: rules.churn_horizon_days,
        segmentation,
        churn,
        clv: clv.model,
        outlook,
    };
    let scores = score(&artefact, &facts);
    let mut entries = vec![of_segmentation];
    entries.extend(of_churn.into_iter().chain(clv.entries).chain([of_outlook]));
    Trained { artefact, scores, entries }
}

/// Scores every customer. The same artefact and facts give the same scores.
#[must_use]
pub fn score(artefact: &Artefact, facts: &CustomerSnapshot<'_>) -> Vec<Score> {
    let Artefact { segmentation, churn, clv, outlook, .. } = artefact;
    let now = facts.past.cut_off().0;
    let horizon_days = f64::from(artefact.churn_horizon_days);
    let rows: Vec<usize> = (0..facts.len()).collect();
    let churned = churn.probabilities(facts, &rows, horizon_days);
    // Models of buying are asked for the 12 months themselves, not for the window scaled.
    let values = clv.values(facts, &rows, tasks::clv::YEAR_DAYS);
    rows.into_par_iter()
        .map(|row| {
            let purchases = facts.past.purchases(row);
            let (top_factors, factors) = churn.factors(facts, row, horizon_days);
            Score {
                id_client: facts.ids[row],
                recency: days_between(purchases.at[purchases.at.len() - 1], now),
                frequency: i64::try_from(purchases.at.len()).unwrap_or(i64::MAX),
                monetary: purchases.spend(),
                age: days_between(purchases.at[0], now),
                segment: segmentation.assign(facts.rfm(row)),
                churn_probability: churned[row],
                top_factors,
                factors,
                predicted_clv_12m: (values[row] * 100.0).round() / 100.0,
                expected: outlook.of(facts, row),
            }
        })
        .collect()
}

fn train_segmentation(
    facts: &CustomerSnapshot<'_>,
    rules: &TrainingOptions,
    last: &LastSegments,
) -> (Segmentation, Candidate) {
    let customers: Vec<Rfm> = (0..facts.len()).into_par_iter().map(|row| facts.rfm(row)).collect();
    let fit = if customers.len() < rules.min_customers {
        Err(format!(
            "{}, and fewer than {} are too few",
            counted(customers.len(), "customer"),
            rules.min_customers
        ))
    } else {
        tasks::segmentation::fit(&customers, rules.seed)
    };
    let (fitted, mut entry) = match fit {
        Ok(fitted) => {
            let algorithm =
                "K-Means on standardised ln(1 + frequency), ln(1 + monetary) and recency";
            let mut entry = Candidate::new(
                Task::Segmentation,
                Method::KMeans,
                algorithm,
                tasks::segmentation::LIBRARY,
            );
            entry.hyper_parameters = tasks::segmentation::hyper_parameters();
            fitted.notes.iter().for_each(|note| entry.say(note));
            (fitted, entry)
        }
        Err(why) => {
            let algorithm = "quarters of the customers by z(frequency) + z(monetary) - z(recency)";
            let mut entry =
                Candidate::new(Task::Segmentation, Method::Baseline, algorithm, report_text::OURS);
            entry.say(&format!("skipped: {why}, so the baseline serves"));
            (tasks::segmentation::quarters(&customers, rules.seed), entry)
        }
    };
    entry.serves = true;
    entry.customers = customers.len();
    entry.fitted = customers.len();
    entry.features = vec!["recency", "frequency", "monetary"];
    let name = |own: usize| tasks::segmentation::NAMES[own];
    // Who had not bought was in no segment that models made.
    let pairs: Vec<(&str, &str)> = facts
        .ids
        .iter()
        .zip(&fitted.assigned)
        .filter_map(|(id, own)| Some((last.get(id)?.as_str(), name(*own))))
        .filter(|(before, _)| *before != PROSPECT)
        .collect();
    let sizes = (0..tasks::segmentation::NAMES.len()).map(|own| {
        let members = fitted.assigned.iter().filter(|assigned| **assigned == own).count();
        (name(own).to_owned(), members as u64)
    });
    entry.segments = Some(SegmentationMetrics {
        silhouette: fitted.silhouette,
        inertia: fitted.inertia,
        adjusted_rand_index: metrics::adjusted_rand_index(&pairs),
        sizes: sizes.collect(),
    });
    (fitted.model, entry)
}

/// The name of a customer's segment; of somebody without a purchase `Prospect`.
#[must_use]
pub fn segment_name(score: Option<&Score>) -> &'static str {
    score.map_or(PROSPECT, |score| tasks::segmentation::NAMES[score.segment])
}
