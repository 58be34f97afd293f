//! PurchaseForecast: whether customers are alive, how often they will buy in 12 months and for how much.
//!
//! Always MBG/NBD and Gamma-Gamma, fitted on all that is known at `as_of`. How well the two foretell
//! is judged among the methods of churn and lifetime value, at their cut-offs.

use serde::{Deserialize, Serialize};

use super::features::{AVG_BASKET, DAYS_SINCE_LAST, FREQUENCY, NAMES, TENURE};
use super::matrix::select;
use super::report::{Candidate, Method, Task};
use super::{TrainingOptions, report_text};
use crate::domain::text::counted;
use crate::pipeline::ml::methods::bg_nbd::{self, Dropout, PurchaseModel};
use crate::pipeline::ml::methods::gamma_gamma::{self, SpendModel};
use crate::pipeline::ml::sampling::SeededSampler;
use crate::pipeline::ml::snapshot::CustomerSnapshot;
use crate::pipeline::ml::tasks::clv::{LEAST_HISTORY_DAYS, YEAR_DAYS};

const NULL: &str = "p_alive, expected_purchases_12m and expected_spend_12m are null";

/// What foretells it; `None` for what could not be fitted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct PurchaseForecast {
    buying: Option<PurchaseModel>,
    spending: Option<SpendModel>,
}

/// What there is to expect of a customer; `None` where nothing foretells it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// Probability of not having stopped for good.
    pub p_alive: Option<f64>,
    /// Days with a purchase to expect in 12 months.
    pub purchases_12m: Option<f64>,
    /// What they will be worth, EUR.
    pub spend_12m: Option<f64>,
}

impl PurchaseForecast {
    /// What there is to expect of a customer.
    #[must_use]
    pub fn of(&self, facts: &CustomerSnapshot<'_>, row: usize) -> Expected {
        let pattern = facts.patterns[row];
        let purchases_12m = self.buying.map(|buying| buying.expected(pattern, YEAR_DAYS));
        let worth = self.spending.map(|spending| spending.expected(facts.spends[row]));
        Expected {
            p_alive: self.buying.map(|buying| buying.p_alive(pattern)),
            purchases_12m,
            spend_12m: purchases_12m.zip(worth).map(|(times, worth)| times * worth),
        }
    }
}

/// Fits both models, and says how that went.
#[must_use]
pub fn train(
    facts: &CustomerSnapshot<'_>,
    rules: &TrainingOptions,
) -> (PurchaseForecast, Candidate) {
    let algorithm =
        "MBG/NBD: p_alive and expected_purchases_12m; × Gamma-Gamma: expected_spend_12m";
    let mut entry =
        Candidate::new(Task::PurchaseModel, Method::MbgNbd, algorithm, report_text::CLIMBED);
    entry.customers = facts.len();
    entry.features =
        [DAYS_SINCE_LAST, FREQUENCY, TENURE, AVG_BASKET].map(|own| NAMES[own]).to_vec();
    let history_days = facts.history_days();
    let why = if facts.len() < rules.min_customers {
        let customers = counted(facts.len(), "customer");
        Some(format!(
            "{customers}, and fewer than {} are too few to learn from",
            rules.min_customers
        ))
    } else if history_days < LEAST_HISTORY_DAYS {
        let days = counted(history_days, "day");
        Some(format!("a history of {days} is too short to learn 12 months from"))
    } else {
        None
    };
    if let Some(why) = why {
        entry.say(&format!("skipped: {why}; {NULL}"));
        return (PurchaseForecast::default(), entry);
    }
    let rows = SeededSampler::new(rules.seed, "buying").sample(facts.len(), rules.max_fit_rows);
    entry.fitted_on(rows.len(), facts.len(), "drawn by chance");
    let buying = match bg_nbd::fit(Dropout::AfterAny, &select(&facts.patterns, &rows)) {
        Ok(fitted) => {
            report_text::buying(&fitted, &mut entry);
            Some(fitted.model)
        }
        Err(why) => {
            entry.say(&format!("MBG/NBD could not be fitted: {why}; {NULL}"));
            entry.fitted = 0;
            None
        }
    };
    let spending = match gamma_gamma::fit(&select(&facts.spends, &rows)) {
        Ok(fitted) => {
            report_text::spending(&fitted, &mut entry);
            Some(fitted.model)
        }
        Err(why) => {
            entry.say(&format!(
                "Gamma-Gamma could not be fitted: {why}; expected_spend_12m is null"
            ));
            None
        }
    };
    entry.serves = buying.is_some();
    (PurchaseForecast { buying, spending }, entry)
}
