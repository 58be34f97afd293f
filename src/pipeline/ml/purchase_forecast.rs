//! The purchase forecast: whether customers are active, how often they will buy in 12 months and
//! for how much.
//!
//! Always by MBG/NBD and Gamma-Gamma, fitted on everything known at `as_of`. Both are evaluated
//! among the methods of churn and lifetime value, at their cut-offs.

use serde::{Deserialize, Serialize};

use super::features::{AVG_BASKET, DAYS_SINCE_LAST, FREQUENCY, NAMES, TENURE};
use super::history::{MIN_HISTORY_DAYS, YEAR_DAYS};
use super::matrix::select;
use super::methods::bg_nbd::{self, Dropout, PurchaseModel};
use super::methods::gamma_gamma::{self, SpendModel};
use super::options::TrainingOptions;
use super::report::{BASELINE, Candidate, Task};
use super::report_text;
use super::sampling::SeededSampler;
use super::snapshot::CustomerSnapshot;
use crate::domain::text::counted;

/// What is missing where there is no forecast, for a note.
const ALL_NULL: &str = "p_alive, expected_purchases_12m and expected_spend_12m are null";

/// The models that forecast; `None` for one that could not be fitted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct PurchaseForecaster {
    #[serde(rename = "buying")]
    purchases: Option<PurchaseModel>,
    #[serde(rename = "spending")]
    spend: Option<SpendModel>,
    /// No customer came back: 0 is expected of everybody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    has_no_returns: bool,
}

/// The forecast for one customer; `None` where a model is missing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PurchaseForecast {
    /// Probability of not having dropped out.
    pub p_alive: Option<f64>,
    /// Expected days with a purchase in 12 months.
    pub purchases_12m: Option<f64>,
    /// Expected spend in 12 months, EUR.
    pub spend_12m: Option<f64>,
}

impl PurchaseForecaster {
    pub(crate) fn forecast(&self, snapshot: &CustomerSnapshot<'_>, row: usize) -> PurchaseForecast {
        if self.has_no_returns {
            let (purchases_12m, spend_12m) = (Some(0.0), Some(0.0));
            return PurchaseForecast { p_alive: None, purchases_12m, spend_12m };
        }
        let pattern = snapshot.patterns[row];
        let purchases_12m =
            self.purchases.map(|model| model.expected_transactions(pattern, YEAR_DAYS));
        let amount = self.spend.map(|model| model.expected_amount(snapshot.spends[row]));
        PurchaseForecast {
            p_alive: self.purchases.map(|model| model.p_alive(pattern)),
            purchases_12m,
            spend_12m: purchases_12m.zip(amount).map(|(purchases, amount)| purchases * amount),
        }
    }
}

/// Fits both models.
pub(crate) fn train(
    snapshot: &CustomerSnapshot<'_>,
    options: &TrainingOptions,
) -> (PurchaseForecaster, Candidate) {
    let algorithm =
        "MBG/NBD: p_alive and expected_purchases_12m; × Gamma-Gamma: expected_spend_12m";
    let mut candidate = Candidate::new(
        Task::PurchaseForecast,
        bg_nbd::MBG_NBD,
        algorithm,
        report_text::LIKELIHOOD_LIBRARY,
    );
    candidate.customers = snapshot.len();
    candidate.features =
        [DAYS_SINCE_LAST, FREQUENCY, TENURE, AVG_BASKET].map(|feature| NAMES[feature]).to_vec();
    if snapshot.len() > 0 && !snapshot.past.has_repeats() {
        return no_returns(candidate);
    }
    if let Err(reason) = check(snapshot, options) {
        candidate.add_note(&format!("skipped: {reason}; {ALL_NULL}"));
        return (PurchaseForecaster::default(), candidate);
    }
    let sampler = SeededSampler::new(options.seed, "buying");
    let rows = sampler.sample(snapshot.len(), options.max_fit_rows);
    candidate.fitted_on(rows.len(), snapshot.len(), report_text::RANDOM_SAMPLE);
    let purchases = match bg_nbd::fit(Dropout::AfterAny, &select(&snapshot.patterns, &rows)) {
        Ok(fit) => {
            report_text::report_purchases(&fit, &mut candidate);
            Some(fit.model)
        }
        Err(reason) => {
            candidate.add_note(&format!("MBG/NBD could not be fitted: {reason}; {ALL_NULL}"));
            candidate.fitted = 0;
            None
        }
    };
    let spend = match gamma_gamma::fit(&select(&snapshot.spends, &rows)) {
        Ok(fit) => {
            report_text::report_spend(&fit, &mut candidate);
            Some(fit.model)
        }
        Err(reason) => {
            candidate.add_note(&format!(
                "Gamma-Gamma could not be fitted: {reason}; expected_spend_12m is null"
            ));
            None
        }
    };
    candidate.serves = purchases.is_some();
    (PurchaseForecaster { purchases, spend, has_no_returns: false }, candidate)
}

/// The forecast of a shop where no customer bought on a second day.
fn no_returns(mut candidate: Candidate) -> (PurchaseForecaster, Candidate) {
    candidate.method = BASELINE;
    candidate.library = report_text::GOLDSMITH;
    "the mean of what came back, for everybody".clone_into(&mut candidate.algorithm);
    candidate.features = Vec::new();
    candidate.serves = true;
    candidate.add_note(
        "skipped: no customer came back: no customer bought on a second day, so the mean of what came back, 0, serves as expected_purchases_12m and expected_spend_12m; p_alive is null",
    );
    (PurchaseForecaster { has_no_returns: true, ..PurchaseForecaster::default() }, candidate)
}

/// Why these customers are not learnt from.
fn check(snapshot: &CustomerSnapshot<'_>, options: &TrainingOptions) -> Result<(), String> {
    if snapshot.len() < options.min_customers {
        let customers = counted(snapshot.len(), "customer");
        let least = options.min_customers;
        return Err(format!("{customers}, and fewer than {least} are too few to learn from"));
    }
    let history_days = snapshot.history_days();
    if history_days < MIN_HISTORY_DAYS {
        let days = counted(history_days, "day");
        return Err(format!("a history of {days} is too short to learn 12 months from"));
    }
    Ok(())
}
