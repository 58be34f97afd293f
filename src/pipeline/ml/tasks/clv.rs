//! Lifetime value: what a customer will spend in the next 12 months, EUR.
//!
//! Learns before a window what was spent in the window, scaled to 12 months, and evaluates on
//! customers that no fit has seen. The baseline is the better of two: the spend of the last period
//! again, and the mean of what came back. Training itself is in
//! [`trainer`](crate::pipeline::ml::trainer).

use crate::domain::text::counted;
use crate::domain::time::Timestamp;
use crate::pipeline::ml::history::{History, MIN_HISTORY_DAYS, YEAR_DAYS};
use crate::pipeline::ml::matrix::select;
use crate::pipeline::ml::methods::bg_nbd::{BG_NBD, Dropout, MBG_NBD};
use crate::pipeline::ml::methods::boosted::{BoostedMethod, BoostedTrees, Target};
use crate::pipeline::ml::methods::last_period;
use crate::pipeline::ml::methods::mean_return::MeanReturn;
use crate::pipeline::ml::methods::purchase_value::{PurchaseValue, PurchaseValueMethod};
use crate::pipeline::ml::methods::two_stage::{self, TwoStageMethod};
use crate::pipeline::ml::metrics::regression_metrics;
use crate::pipeline::ml::options::TrainingOptions;
use crate::pipeline::ml::report::{Candidate, Metrics, Task};
use crate::pipeline::ml::report_text;
use crate::pipeline::ml::sampling::Split;
use crate::pipeline::ml::trainer::{Baseline, SupervisedTask, Trainer, task_models};
use crate::pipeline::ml::training_set::LabelledCustomers;

/// Length of the window where the history is at least twice as long, from the contract.
const WINDOW_DAYS: i64 = 365;
/// Else the window is this part of the history: the last third.
const WINDOW_PART: i64 = 3;

task_models! {
    /// The models that can serve lifetime value, and the methods that fit them, in the order they
    /// are tried.
    pub enum Model of Clv {
        /// Gradient-boosted trees of the spend.
        Boosted(BoostedTrees) by [BoostedMethod { target: Target::Mean }],
        /// The probability of a purchase, times the spend of customers who buy.
        TwoStage(two_stage::TwoStage) by [TwoStageMethod],
        /// Expected transactions times their mean amount.
        #[serde(rename = "Buying")]
        Purchases(PurchaseValue) by [
            PurchaseValueMethod { dropout: Dropout::AfterRepeat },
            PurchaseValueMethod { dropout: Dropout::AfterAny },
        ],
        /// The baseline that repeats past spend.
        LastPeriod(last_period::LastPeriod) by [],
        /// The baseline that knows what came back.
        MeanReturn(MeanReturn) by [],
    }
}

/// The segment of a lifetime value, by the contract's thresholds.
pub(crate) fn segment(value: f64) -> &'static str {
    match value {
        v if v < 100.0 => "Low",
        v if v < 500.0 => "Medium",
        v if v < 1_000.0 => "High",
        _ => "Premium",
    }
}

/// The window: a year where there are two, else the last third of the history; at least a day.
fn window_days(history_days: i64) -> i64 {
    if history_days >= 2 * WINDOW_DAYS { WINDOW_DAYS } else { (history_days / WINDOW_PART).max(1) }
}

fn is_too_short(history_days: i64) -> bool {
    history_days < MIN_HISTORY_DAYS
}

/// Length of the period that the baseline repeats. Of a history too short to learn from, more than
/// all of it, so that the spend of a day is not multiplied by 365.
fn period_days(customers: &LabelledCustomers<'_>) -> i64 {
    if is_too_short(customers.history_days) { MIN_HISTORY_DAYS } else { customers.window_days }
}

/// Why 0 is predicted where no customer came back.
fn no_returns(customers: &LabelledCustomers<'_>) -> String {
    let seen = match customers.len() {
        0 => "no customer bought on a second day".to_owned(),
        _ => format!(
            "no customer who had bought by the cut-off bought in the {} days after it",
            customers.window_days
        ),
    };
    format!(
        "skipped: no customer came back: {seen}, so nothing is predicted from past spend and the mean of what came back, 0, serves"
    )
}

/// The task of predicting lifetime value.
pub(crate) struct Clv;

impl SupervisedTask for Clv {
    type Model = Model;

    const STRATIFIED_BY: &'static str = "buyers of the window in their share";

    #[allow(clippy::cast_precision_loss)]
    fn label<'a>(
        history: &'a History,
        as_of: Timestamp,
        options: &'a TrainingOptions,
    ) -> LabelledCustomers<'a> {
        let days = window_days(history.days_until(as_of));
        let scale = YEAR_DAYS / days as f64;
        LabelledCustomers::new(Task::Clv, history, as_of, options, days, |window| {
            let spend = window.spend * scale;
            (spend, spend > 0.0)
        })
    }

    fn check_labels(customers: &LabelledCustomers<'_>) -> Result<(), String> {
        if !customers.has_returns {
            return Err(no_returns(customers));
        }
        if is_too_short(customers.history_days) {
            return Err(format!(
                "skipped: a history of {} is too short to learn 12 months from, and fewer than {MIN_HISTORY_DAYS} days are taken for so many, so the baseline serves",
                counted(customers.history_days, "day")
            ));
        }
        let (count, least) = (customers.len(), customers.options.min_customers);
        if count < least {
            return Err(report_text::too_few_by_the_cut_off(count, least));
        }
        if !customers.positive.contains(&true) {
            return Err(format!(
                "skipped: nothing came back: what customers bought in the {} days after the cut-off was refunded, so there is nothing to learn and the baseline serves",
                customers.window_days
            ));
        }
        Ok(())
    }

    fn check_split(customers: &LabelledCustomers<'_>, split: &Split) -> Result<(), String> {
        if split.test.is_empty() || split.train.is_empty() {
            return Err(format!(
                "skipped: {} customers are too few for both a fit and a judgement, so the baseline serves",
                customers.len()
            ));
        }
        Ok(())
    }

    /// Where no customer came back no prediction is made up from past spend, and a history too short to
    /// learn from has no window to take a mean of.
    fn baselines(customers: &LabelledCustomers<'_>, rows: &[usize]) -> Vec<Baseline<Model>> {
        let days = period_days(customers);
        let last_period = Baseline {
            model: Model::LastPeriod(last_period::LastPeriod(days)),
            algorithm: format!(
                "last period's spend again: the last {days} days, scaled to 12 months"
            ),
            features: vec!["last_period"],
            fitted: 0,
        };
        let mean = MeanReturn::of(&select(&customers.targets, rows));
        let mean_return = Baseline {
            model: Model::MeanReturn(mean),
            algorithm:
                "the mean of what came back in the window, scaled to 12 months, for everybody"
                    .to_owned(),
            features: Vec::new(),
            fitted: rows.len(),
        };
        match (customers.has_returns, is_too_short(customers.history_days)) {
            (false, _) => vec![mean_return],
            (true, true) => vec![last_period],
            (true, false) => vec![last_period, mean_return],
        }
    }

    fn try_methods(trainer: &mut Trainer<'_, Self>) {
        Model::try_all(trainer);
    }

    /// At least 0, and never -0. What is not a number stays so, for the selection to notice.
    fn bound(prediction: f64) -> f64 {
        if prediction <= 0.0 { 0.0 } else { prediction }
    }

    fn evaluate(
        customers: &LabelledCustomers<'_>,
        _: &Model,
        rows: &[usize],
        predicted: &[f64],
        candidate: &mut Candidate,
    ) {
        let metrics = regression_metrics(&select(&customers.targets, rows), predicted);
        candidate.metrics = Some(Metrics::Clv(metrics));
    }

    /// Notes what a window shorter than a year means.
    fn add_caveats(customers: &LabelledCustomers<'_>, candidate: &mut Candidate) {
        let days = period_days(customers);
        if days >= WINDOW_DAYS || !customers.has_returns {
            return;
        }
        candidate.add_note(&format!(
            "a window of {days} days is scaled to 12 months, as the history is too short for a year: seasons outside it are not known"
        ));
        if matches!(candidate.method, BG_NBD | MBG_NBD) {
            candidate.add_note("the model was judged by that window, and looks 12 months ahead itself for what is served");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_begin_at_their_thresholds() {
        let found = [0.0, 99.99, 100.0, 499.99, 500.0, 999.99, 1_000.0].map(segment);
        assert_eq!(found, ["Low", "Low", "Medium", "Medium", "High", "High", "Premium"]);
    }

    #[test]
    fn the_window_is_a_year_where_there_are_two_else_a_third() {
        assert_eq!([0, 13, 729, 730, 2_000].map(window_days), [1, 4, 243, 365, 365]);
    }
}
