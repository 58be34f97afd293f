//! Churn: the probability that a customer makes no purchase in the horizon.
//!
//! Learns `horizon` days before `as_of` which customers have bought since, and evaluates on
//! customers that no fit has seen. Training itself is in [`trainer`](crate::pipeline::ml::trainer).

use crate::domain::text::counted;
use crate::domain::time::Timestamp;
use crate::pipeline::ml::features::{DAYS_SINCE_LAST, NAMES};
use crate::pipeline::ml::history::History;
use crate::pipeline::ml::leakage::{Leak, find_leak};
use crate::pipeline::ml::matrix::select;
use crate::pipeline::ml::method::Scorer;
use crate::pipeline::ml::methods::bg_nbd::{Dropout, NBD};
use crate::pipeline::ml::methods::boosted::{BoostedMethod, BoostedTrees, Target};
use crate::pipeline::ml::methods::decision_stump::DecisionStump;
use crate::pipeline::ml::methods::forest::{ForestMethod, RandomForest};
use crate::pipeline::ml::methods::purchase_churn::{PurchaseChurn, PurchaseChurnMethod};
use crate::pipeline::ml::metrics::{calibration, classification_metrics};
use crate::pipeline::ml::options::TrainingOptions;
use crate::pipeline::ml::report::{Candidate, Metrics, Task};
use crate::pipeline::ml::report_text;
use crate::pipeline::ml::sampling::Split;
use crate::pipeline::ml::snapshot::CustomerSnapshot;
use crate::pipeline::ml::trainer::{Baseline, SupervisedTask, Trainer, task_models};
use crate::pipeline::ml::training_set::LabelledCustomers;

/// Most factors that are shown of a customer.
const MAX_FACTORS: usize = 3;
/// Factors that move the probability by less are not shown.
const MIN_EFFECT: f64 = 0.005;
/// Least probability of a high risk, and of a medium one, from the contract.
const HIGH_RISK: f64 = 0.7;
const MEDIUM_RISK: f64 = 0.4;
/// Standard errors by which a method has to beat purchase frequency alone.
const SIGNIFICANCE_Z: f64 = 2.0;
/// Part of the error of purchase frequency alone that an improvement must reach to matter.
const MIN_RELATIVE_GAIN: f64 = 0.1;

task_models! {
    /// The models that can serve churn, and the methods that fit them, in the order they are tried.
    pub enum Model of Churn {
        /// A random forest.
        Forest(RandomForest) by [ForestMethod],
        /// Gradient-boosted trees.
        Boosted(BoostedTrees) by [BoostedMethod { target: Target::Probability }],
        /// A model of purchase frequency.
        #[serde(rename = "Buying")]
        Purchases(PurchaseChurn) by [
            PurchaseChurnMethod { dropout: Dropout::AfterRepeat },
            PurchaseChurnMethod { dropout: Dropout::AfterAny },
            PurchaseChurnMethod { dropout: Dropout::Never },
        ],
        /// The baseline.
        #[serde(rename = "Rule")]
        DecisionStump(DecisionStump) by [],
    }
}

/// The risk level of a probability.
#[must_use]
pub fn risk_level(probability: f64) -> &'static str {
    match probability {
        p if p >= HIGH_RISK => "High",
        p if p >= MEDIUM_RISK => "Medium",
        _ => "Low",
    }
}

/// The features that moved a customer's probability most, by name and in words.
pub(crate) fn factors(
    model: &Model,
    snapshot: &CustomerSnapshot<'_>,
    row: usize,
    horizon_days: f64,
) -> (Vec<&'static str>, Vec<String>) {
    let mut effects = model.effects(snapshot, row, horizon_days);
    effects.retain(|(_, effect)| effect.abs() >= MIN_EFFECT);
    effects.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0)));
    effects.truncate(MAX_FACTORS);
    let describe = |(feature, effect): &(usize, f64)| {
        let verb = if *effect > 0.0 { "raises" } else { "lowers" };
        let points = counted(format!("{:.0}", effect.abs() * 100.0), "point");
        format!("{} {verb} it by {points}", model.describe_value(snapshot, row, *feature))
    };
    (
        effects.iter().map(|(feature, _)| NAMES[*feature]).collect(),
        effects.iter().map(describe).collect(),
    )
}

/// The task of predicting churn.
pub(crate) struct Churn;

impl SupervisedTask for Churn {
    type Model = Model;

    const STRATIFIED_BY: &'static str = "both classes in their shares";

    fn label<'a>(
        history: &'a History,
        as_of: Timestamp,
        options: &'a TrainingOptions,
    ) -> LabelledCustomers<'a> {
        let horizon_days = options.churn_horizon_days.into();
        LabelledCustomers::new(Task::Churn, history, as_of, options, horizon_days, |window| {
            let is_churned = window.purchases == 0;
            (f64::from(u8::from(is_churned)), is_churned)
        })
    }

    fn check_labels(customers: &LabelledCustomers<'_>) -> Result<(), String> {
        let options = customers.options;
        if customers.len() < options.min_customers {
            let (count, least) = (customers.len(), options.min_customers);
            return Err(report_text::too_few_by_the_cut_off(count, least));
        }
        if smaller_class(&customers.positive) == 0 {
            let quantity = if customers.positive.contains(&true) {
                "no customer came back: every"
            } else {
                "no"
            };
            return Err(format!(
                "skipped: {quantity} customer stayed away for {} days after the cut-off, so there is no churn to learn and the baseline serves",
                options.churn_horizon_days
            ));
        }
        Ok(())
    }

    fn check_split(customers: &LabelledCustomers<'_>, split: &Split) -> Result<(), String> {
        let churned = &customers.positive;
        let has_both = |rows: &[usize]| {
            rows.iter().any(|row| churned[*row]) && rows.iter().any(|row| !churned[*row])
        };
        if has_both(&split.test) && has_both(&split.train) {
            return Ok(());
        }
        Err(format!(
            "skipped: only {} of {} customers are of the rarer class, too few for both a fit and a judgement, so the baseline serves",
            smaller_class(churned),
            customers.len()
        ))
    }

    /// Churned if the days since the last purchase are above their median.
    fn baselines(customers: &LabelledCustomers<'_>, rows: &[usize]) -> Vec<Baseline<Model>> {
        let (values, churned) = column(customers, DAYS_SINCE_LAST, rows);
        let stump = DecisionStump::at_median(DAYS_SINCE_LAST, &values, &churned);
        vec![stump_baseline(stump, &format!("above its median ({:.0})", stump.threshold), rows)]
    }

    /// Where a feature determines the label: the best split on that feature.
    fn replacement(
        customers: &LabelledCustomers<'_>,
        split: &Split,
    ) -> Option<(Baseline<Model>, String)> {
        let rows = &split.train;
        let features = customers.snapshot.features.select(rows);
        let Leak { feature, note } =
            find_leak(&NAMES, &features, &select(&customers.positive, rows))?;
        let (values, churned) = column(customers, feature, rows);
        let stump = DecisionStump::best_split(feature, &values, &churned);
        let side = if stump.is_above { "above" } else { "not above" };
        let when = format!("{side} {:.1}, which parts best", stump.threshold);
        Some((stump_baseline(stump, &when, rows), note))
    }

    fn try_methods(trainer: &mut Trainer<'_, Self>) {
        Model::try_all(trainer);
    }

    fn evaluate(
        customers: &LabelledCustomers<'_>,
        model: &Model,
        rows: &[usize],
        predicted: &[f64],
        candidate: &mut Candidate,
    ) {
        let churned = select(&customers.positive, rows);
        let pairs = rows.iter().zip(predicted);
        let classified: Vec<bool> =
            pairs.map(|(row, p)| model.classify(&customers.snapshot, *row, *p)).collect();
        let metrics = classification_metrics(&churned, predicted, &classified);
        candidate.metrics = Some(Metrics::Churn(metrics));
        candidate.calibration = calibration(&churned, predicted);
    }

    fn compare(trainer: &Trainer<'_, Self>) -> Option<String> {
        let churned = select(&trainer.customers.positive, &trainer.split.test);
        let mut nbd = None;
        let mut others = Vec::new();
        for ((_, predicted), candidate) in trainer.selection.evaluated() {
            if candidate.method == NBD {
                nbd = Some(predicted.as_slice());
            } else {
                others.push(predicted.as_slice());
            }
        }
        compare_with_frequency(&churned, nbd?, &others)
    }
}

fn smaller_class(churned: &[bool]) -> usize {
    let positive = churned.iter().filter(|churned| **churned).count();
    positive.min(churned.len() - positive)
}

/// A feature's values of some rows, and whether these customers churned.
fn column(
    customers: &LabelledCustomers<'_>,
    feature: usize,
    rows: &[usize],
) -> (Vec<f32>, Vec<bool>) {
    let values: Vec<f32> = customers.snapshot.features.column(feature).collect();
    (select(&values, rows), select(&customers.positive, rows))
}

fn stump_baseline(stump: DecisionStump, when: &str, rows: &[usize]) -> Baseline<Model> {
    let name = NAMES[stump.feature];
    let algorithm = format!(
        "churned if {name} is {when}; each side with the rate seen there, smoothed by Laplace's rule"
    );
    let features = vec![name];
    Baseline { model: Model::DecisionStump(stump), algorithm, features, fitted: rows.len() }
}

/// A note when no other method beats NBD, which knows how often a customer bought in how long a
/// time but not when last: neither by more than twice the standard error of the difference on the test
/// customers, nor by a part of its error that would matter. Where that standard error is too large
/// to tell, the note says so instead.
#[allow(clippy::cast_precision_loss)]
fn compare_with_frequency(labels: &[bool], nbd: &[f64], others: &[&[f64]]) -> Option<String> {
    let count = labels.len() as f64;
    let squared = |label: bool, p: f64| (f64::from(u8::from(label)) - p).powi(2);
    let errors = labels.iter().zip(nbd).map(|(label, p)| squared(*label, *p));
    let least_gain_that_matters = errors.sum::<f64>() / count * MIN_RELATIVE_GAIN;
    // By how much each method is better than NBD, and twice the standard error of that.
    let gains: Vec<(f64, f64)> = others
        .iter()
        .map(|predicted| {
            let gains: Vec<f64> = labels
                .iter()
                .zip(nbd.iter().zip(*predicted))
                .map(|(label, (nbd, other))| squared(*label, *nbd) - squared(*label, *other))
                .collect();
            let mean = gains.iter().sum::<f64>() / count;
            let variance = gains.iter().map(|gain| (gain - mean).powi(2)).sum::<f64>() / count;
            (mean, SIGNIFICANCE_Z * (variance / count).sqrt())
        })
        .collect();
    if gains.iter().any(|(gain, uncertainty)| gain > uncertainty) {
        return None;
    }
    let none_matters =
        gains.iter().all(|(gain, uncertainty)| gain + uncertainty <= least_gain_that_matters);
    Some(if none_matters {
        "there is no dropout to learn: recency and everything else known of a customer predict no better than how often they buy, so nothing beyond purchase frequency is there to learn".to_owned()
    } else {
        format!(
            "{count} customers held out are too few to tell whether anything beyond purchase frequency is there to learn"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn risk_levels_begin_at_their_thresholds() {
        assert_eq!(
            [0.0, 0.399, 0.4, 0.699, 0.7, 1.0].map(risk_level),
            ["Low", "Low", "Medium", "Medium", "High", "High"]
        );
    }
}
