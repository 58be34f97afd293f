//! Models: segments, churn, lifetime value. Trained on a past, judged on what they have not seen.
//!
//! [`train`] walks [`history`] → [`features`] → [`segmentation`], [`churn`], [`clv`]; methods of a
//! task meet in a [`contest`], and what wins is kept as an [`Artefact`] from which [`score`] makes
//! predictions, again and again the same. Start reading at [`churn`].

pub mod boosted;
pub mod buying;
pub mod chance;
pub mod churn;
pub mod clv;
pub mod contest;
pub mod describe;
pub mod evaluation;
pub mod explain;
pub mod features;
pub mod forest;
pub mod frames;
pub mod history;
pub mod likelihood;
pub mod matrix;
pub mod report;
pub mod segmentation;
pub mod spending;
pub mod trees;

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::domain::time::Timestamp;
use buying::{Buying, Dropout, Pattern};
use chance::Chance;
use history::{History, Past, days_between};
use matrix::select;
use report::{Entry, Method, SegmentFigures, Task};
use segmentation::{PROSPECT, Rfm, Segmentation};
use spending::{Spend, Spending};

/// Share of customers that no fit sees.
pub const HELD_OUT: f64 = 0.3;

/// How models are trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rules {
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
    /// Length of the window that lifetime value was learnt on, days.
    pub clv_window_days: i64,
    /// How customers are told apart.
    pub segmentation: Segmentation,
    /// What foretells churn.
    pub churn: churn::Model,
    /// What foretells lifetime value.
    pub clv: clv::Model,
    /// Whether customers are alive, and how much they will buy (MBG/NBD).
    pub buying: Option<Buying>,
    /// What their transactions are worth (Gamma-Gamma).
    pub spending: Option<Spending>,
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
    /// Position of the segment in [`segmentation::NAMES`].
    pub segment: usize,
    /// Probability of no purchase in the horizon.
    pub churn_probability: f64,
    /// The features that moved it most.
    pub top_factors: Vec<&'static str>,
    /// The same in words.
    pub factors: Vec<String>,
    /// Spend to expect in 12 months, EUR, in cents.
    pub predicted_clv_12m: f64,
    /// Probability of not having stopped for good.
    pub p_alive: Option<f64>,
    /// Days with a purchase to expect in 12 months.
    pub expected_purchases_12m: Option<f64>,
    /// What they will be worth, EUR.
    pub expected_spend_12m: Option<f64>,
}

/// Models of one run.
#[derive(Debug)]
pub struct Trained {
    /// What scores.
    pub artefact: Artefact,
    /// Every customer with a purchase, ascending.
    pub scores: Vec<Score>,
    /// What is said of the models; what serves comes first within its task.
    pub entries: Vec<Entry>,
}

/// Segments of the last published run, by customer; without prospects.
pub type LastSegments = BTreeMap<i64, String>;

/// Trains all models on the purchases up to `as_of` and scores every customer.
#[must_use]
pub fn train(history: &History, as_of: Timestamp, rules: &Rules, last: &LastSegments) -> Trained {
    let past = history.up_to(as_of);
    let (segmentation, of_segmentation) = train_segmentation(&past, rules, last);
    let (churn, of_churn) = churn::train(history, as_of, rules);
    let clv = clv::train(history, as_of, rules);
    let learnt_from = Chance::new(rules.seed, "buying").sample(past.len(), rules.max_fit_rows);
    let is_enough = past.len() >= rules.min_customers;
    let buying = is_enough.then(|| {
        buying::fit(Dropout::AfterAny, &select(&Pattern::of_all(&past), &learnt_from)).ok()
    });
    let spending =
        is_enough.then(|| spending::fit(&select(&Spend::of_all(&past), &learnt_from)).ok());
    let artefact = Artefact {
        as_of,
        churn_horizon_days: rules.churn_horizon_days,
        clv_window_days: clv.window_days,
        segmentation,
        churn,
        clv: clv.model,
        buying: buying.flatten().map(|fitted| fitted.model),
        spending: spending.flatten().map(|fitted| fitted.model),
    };
    let scores = score(&artefact, &past);
    let entries = std::iter::once(of_segmentation).chain(of_churn).chain(clv.entries).collect();
    Trained { artefact, scores, entries }
}

/// Scores every customer of a past. The same artefact and past give the same scores.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn score(artefact: &Artefact, past: &Past<'_>) -> Vec<Score> {
    let now = past.cut_off().0;
    let asked = clv::Asked::of(past, artefact.clv_window_days);
    let churn_asked = churn::Asked {
        features: &asked.features,
        patterns: &asked.patterns,
        horizon_days: f64::from(artefact.churn_horizon_days),
    };
    let churned = artefact.churn.probabilities(&churn_asked);
    // Models of buying are asked for the 12 months themselves, not for the window scaled.
    let values = artefact.clv.values(&asked, clv::YEAR_DAYS);
    let ids: Vec<i64> = past.ids().collect();
    (0..past.len())
        .into_par_iter()
        .map(|position| {
            let purchases = past.purchases(position);
            let rfm = rfm(past, position);
            let (pattern, spend) = (asked.patterns[position], asked.spends[position]);
            let (top_factors, factors) = artefact.churn.factors(&churn_asked, position);
            let expected = artefact.buying.map(|buying| buying.expected(pattern, clv::YEAR_DAYS));
            let worth = artefact.spending.map(|spending| spending.expected(spend));
            Score {
                id_client: ids[position],
                recency: days_between(purchases.at[purchases.at.len() - 1], now),
                frequency: i64::try_from(purchases.at.len()).unwrap_or(i64::MAX),
                monetary: rfm.monetary,
                age: days_between(purchases.at[0], now),
                segment: artefact.segmentation.assign(rfm),
                churn_probability: churned[position],
                top_factors,
                factors,
                predicted_clv_12m: (values[position] * 100.0).round() / 100.0,
                p_alive: artefact.buying.map(|buying| buying.p_alive(pattern)),
                expected_purchases_12m: expected,
                expected_spend_12m: expected.zip(worth).map(|(times, worth)| times * worth),
            }
        })
        .collect()
}

#[allow(clippy::cast_precision_loss)]
fn rfm(past: &Past<'_>, position: usize) -> Rfm {
    let purchases = past.purchases(position);
    let last = purchases.at[purchases.at.len() - 1];
    Rfm {
        recency: days_between(last, past.cut_off().0) as f64,
        frequency: purchases.at.len() as f64,
        monetary: purchases.amounts.iter().sum(),
    }
}

fn train_segmentation(
    past: &Past<'_>,
    rules: &Rules,
    last: &LastSegments,
) -> (Segmentation, Entry) {
    let customers: Vec<Rfm> =
        (0..past.len()).into_par_iter().map(|position| rfm(past, position)).collect();
    let fit = if customers.len() < rules.min_customers {
        Err(format!(
            "{} customers, and fewer than {} are too few",
            customers.len(),
            rules.min_customers
        ))
    } else {
        segmentation::fit(&customers, rules.seed)
    };
    let (fitted, mut entry) = match fit {
        Ok(fitted) => {
            let algorithm =
                "K-Means on standardised ln(1 + frequency), ln(1 + monetary) and recency";
            let mut entry =
                Entry::new(Task::Segmentation, Method::KMeans, algorithm, segmentation::LIBRARY);
            entry.hyper_parameters = segmentation::hyper_parameters();
            entry.say(&fitted.note);
            (fitted, entry)
        }
        Err(why) => {
            let algorithm = "quarters of the customers by z(frequency) + z(monetary) - z(recency)";
            let mut entry =
                Entry::new(Task::Segmentation, Method::Baseline, algorithm, describe::OURS);
            entry.say(&format!("skipped: {why}, so the baseline serves"));
            (segmentation::quarters(&customers, rules.seed), entry)
        }
    };
    entry.serves = true;
    entry.customers = customers.len();
    entry.fitted = customers.len();
    entry.features = vec!["recency", "frequency", "monetary"];
    let name = |own: usize| segmentation::NAMES[own];
    let pairs: Vec<(&str, &str)> = past
        .ids()
        .zip(&fitted.assigned)
        .filter_map(|(id, own)| Some((last.get(&id)?.as_str(), name(*own))))
        .collect();
    let sizes = (0..segmentation::NAMES.len()).map(|own| {
        let members = fitted.assigned.iter().filter(|assigned| **assigned == own).count();
        (name(own).to_owned(), members as u64)
    });
    entry.segments = Some(SegmentFigures {
        silhouette: fitted.silhouette,
        inertia: fitted.inertia,
        adjusted_rand_index: evaluation::adjusted_rand_index(&pairs),
        sizes: sizes.collect(),
    });
    (fitted.model, entry)
}

/// The name of a customer's segment; of somebody without a purchase `Prospect`.
#[must_use]
pub fn segment_name(score: Option<&Score>) -> &'static str {
    score.map_or(PROSPECT, |score| segmentation::NAMES[score.segment])
}
