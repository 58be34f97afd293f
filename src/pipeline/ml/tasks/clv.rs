//! Lifetime value: what a customer will spend in the next 12 months, EUR.
//!
//! Learnt before a holdout window on what was spent in it, scaled to 12 months; judged on
//! customers held out of the fit, compared with "last period's spend again".

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::domain::text::counted;
use crate::domain::time::{DAY_MICROS, Timestamp};
use crate::pipeline::ml::explain::ReferenceCustomer;
use crate::pipeline::ml::features::{AVG_BASKET, DAYS_SINCE_LAST, FREQUENCY, NAMES, TENURE};
use crate::pipeline::ml::history::{History, Past, days_between};
use crate::pipeline::ml::matrix::{Matrix, select};
use crate::pipeline::ml::methods::bg_nbd::{self, Dropout, PurchaseModel};
use crate::pipeline::ml::methods::boosted;
use crate::pipeline::ml::methods::gamma_gamma::{self, SpendModel};
use crate::pipeline::ml::methods::trees::Trees;
use crate::pipeline::ml::metrics::amounts;
use crate::pipeline::ml::report::{Candidate, Method, Metrics, Task};
use crate::pipeline::ml::sampling::{SeededSampler, Split};
use crate::pipeline::ml::selection::ModelSelection;
use crate::pipeline::ml::snapshot::CustomerSnapshot;
use crate::pipeline::ml::{TrainingOptions, explain, report_text};

/// What "12 months" means, days.
pub const YEAR_DAYS: f64 = 365.0;
/// The holdout window where the history is at least twice as long: the contract's.
const WINDOW_DAYS: i64 = 365;
/// Else it is this part of the history: the last third.
const WINDOW_PART: i64 = 3;

/// A shorter history teaches nothing about 12 months: its last third would be less than a month.
pub const LEAST_HISTORY_DAYS: i64 = 90;

/// The segment of a lifetime value: the contract's thresholds.
#[must_use]
pub fn segment(value: f64) -> &'static str {
    match value {
        v if v < 100.0 => "Low",
        v if v < 500.0 => "Medium",
        v if v < 1_000.0 => "High",
        _ => "Premium",
    }
}

/// What serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Model {
    /// Gradient-boosted trees of the spend.
    Boosted(Trees),
    /// Whether somebody buys, times how much if they do.
    TwoStage {
        /// The probability of a purchase.
        buys: Trees,
        /// The spend of those who buy, EUR.
        spends: Trees,
    },
    /// Transactions to expect, times what one is worth, and whom customers are compared with.
    PurchaseModel(PurchaseModel, SpendModel, ReferenceCustomer),
    /// The spend of the last so many days again.
    LastPeriod(i64),
}

impl Model {
    /// How it works.
    #[must_use]
    pub fn method(&self) -> Method {
        match self {
            Self::Boosted(_) => Method::Boosted,
            Self::TwoStage { .. } => Method::TwoStage,
            Self::PurchaseModel(model, _, _) => Method::of_buying(model.dropout),
            Self::LastPeriod(_) => Method::Baseline,
        }
    }

    /// The spend of these customers in 12 months, EUR, at least 0. `ahead_days` is the length of
    /// time that models of buying look ahead, before scaling to 12 months.
    #[must_use]
    pub fn values(
        &self,
        facts: &CustomerSnapshot<'_>,
        rows: &[usize],
        ahead_days: f64,
    ) -> Vec<f64> {
        // What is no number stays none, for the contest to see; and nothing is no negative amount.
        let floor = |value: f64| if value <= 0.0 { 0.0 } else { value };
        rows.par_iter().map(|row| floor(self.value(facts, *row, ahead_days))).collect()
    }

    fn value(&self, facts: &CustomerSnapshot<'_>, row: usize, ahead_days: f64) -> f64 {
        match self {
            Self::Boosted(trees) => trees.predict(facts.features.row(row)),
            Self::TwoStage { buys, spends } => {
                let row = facts.features.row(row);
                buys.predict(row) * spends.predict(row).max(0.0)
            }
            Self::PurchaseModel(buying, spending, _) => {
                let transactions = buying.expected(facts.patterns[row], ahead_days);
                transactions * spending.expected(facts.spends[row]) * YEAR_DAYS / ahead_days
            }
            Self::LastPeriod(days) => last_period(&facts.past, row, *days),
        }
    }

    /// By how much each feature moved a customer's value, EUR: what would change without it.
    fn effects(
        &self,
        facts: &CustomerSnapshot<'_>,
        row: usize,
        ahead_days: f64,
    ) -> Vec<(usize, f64)> {
        match self {
            Self::Boosted(trees) => explain::effects(trees, facts.features.row(row)),
            Self::TwoStage { buys, spends } => {
                product_effects(buys, spends, facts.features.row(row))
            }
            Self::PurchaseModel(buying, spending, typical) => {
                let (pattern, spend) = (facts.patterns[row], facts.spends[row]);
                let scale = YEAR_DAYS / ahead_days;
                let times = |pattern| buying.expected(pattern, ahead_days) * scale;
                let (often, worth) = (times(pattern), spending.expected(spend));
                let mut effects: Vec<(usize, f64)> = typical
                    .instead(pattern)
                    .into_iter()
                    .map(|(feature, other)| (feature, (often - times(other)) * worth))
                    .collect();
                let usual = spending.expected(typical.spending_as_usual(spend));
                effects.push((AVG_BASKET, often * (worth - usual)));
                effects
            }
            Self::LastPeriod(_) => Vec::new(),
        }
    }
}

/// Spend of the last `days` before the cut-off, scaled to 12 months, EUR.
#[allow(clippy::cast_precision_loss)]
fn last_period(past: &Past<'_>, row: usize, days: i64) -> f64 {
    let from = past.cut_off().0 - days * DAY_MICROS;
    let purchases = past.purchases(row);
    let first = purchases.at.partition_point(|at| *at <= from);
    purchases.amounts[first..].iter().sum::<f64>() * YEAR_DAYS / days as f64
}

/// What training found.
#[derive(Debug)]
pub struct Trained {
    /// What serves.
    pub model: Model,
    /// An entry per method that was tried, the one that serves first.
    pub entries: Vec<Candidate>,
}

/// The holdout window: a year where there are two, else the last third of the history; at least a
/// day.
#[must_use]
pub fn window_days(history_days: i64) -> i64 {
    if history_days >= 2 * WINDOW_DAYS { WINDOW_DAYS } else { (history_days / WINDOW_PART).max(1) }
}

/// A model, and what it foretold of the customers held out.
type Judged = (Model, Vec<f64>);

/// What there is to learn from: customers as they were known at the cut-off, and what they spent.
struct TrainingSet<'a> {
    rules: &'a TrainingOptions,
    history_days: i64,
    window_days: i64,
    facts: CustomerSnapshot<'a>,
    /// Spend of the window, scaled to 12 months, EUR.
    came: Vec<f64>,
}

impl<'a> TrainingSet<'a> {
    #[allow(clippy::cast_precision_loss)]
    fn new(history: &'a History, as_of: Timestamp, rules: &'a TrainingOptions) -> Self {
        let first = history.first().unwrap_or(as_of);
        let history_days = days_between(first.0, as_of.0);
        let window_days = window_days(history_days);
        let past = history.up_to(Timestamp(as_of.0 - window_days * DAY_MICROS));
        let scale = YEAR_DAYS / window_days as f64;
        let windows = history.after(&past, as_of);
        let came = windows.iter().map(|window| window.spend * scale).collect();
        Self { rules, history_days, window_days, facts: CustomerSnapshot::of(past), came }
    }

    #[allow(clippy::cast_precision_loss)]
    fn ahead_days(&self) -> f64 {
        self.window_days as f64
    }

    fn entry(&self, method: Method, algorithm: &str, library: &'static str) -> Candidate {
        let mut entry = Candidate::new(Task::Clv, method, algorithm, library);
        entry.cut_off = Some(self.facts.past.cut_off());
        entry.horizon_days = Some(self.window_days);
        entry.customers = self.facts.len();
        entry
    }

    /// Last period's spend again. Of a history so short that nothing can be learnt, more than all
    /// of it: a day is not multiplied by 365.
    fn baseline(&self) -> (Model, Candidate) {
        let period_days = self.period_days();
        let algorithm =
            format!("last period's spend again: the last {period_days} days, scaled to 12 months");
        let mut entry = self.entry(Method::Baseline, &algorithm, report_text::OURS);
        entry.features = vec!["last_period"];
        (Model::LastPeriod(period_days), entry)
    }

    fn is_too_young(&self) -> bool {
        self.history_days < LEAST_HISTORY_DAYS
    }

    fn period_days(&self) -> i64 {
        if self.is_too_young() { LEAST_HISTORY_DAYS } else { self.window_days }
    }

    /// The rows to fit and those to judge, or why nothing can be learnt.
    fn split(&self) -> Result<Split, String> {
        if self.is_too_young() {
            return Err(format!(
                "skipped: a history of {} is too short to learn 12 months from, and fewer than {LEAST_HISTORY_DAYS} days are taken for so many, so the baseline serves",
                counted(self.history_days, "day")
            ));
        }
        let (customers, least) = (self.facts.len(), self.rules.min_customers);
        if customers < least {
            return Err(report_text::too_few_by_the_cut_off(customers, least));
        }
        if self.came.iter().all(|spend| *spend <= 0.0) {
            return Err(format!(
                "skipped: nobody who had bought by the cut-off bought in the {} days after it, so there is nothing to learn and the baseline serves",
                self.window_days
            ));
        }
        let split = SeededSampler::new(self.rules.seed, "clv").hold_out(&self.facts.ids);
        if split.held.is_empty() || split.kept.is_empty() {
            return Err(format!(
                "skipped: {customers} customers are too few for both a fit and a judgement, so the baseline serves"
            ));
        }
        Ok(split)
    }

    /// Says what a window shorter than a year means.
    fn say_of_window(&self, entry: &mut Candidate) {
        let period_days = self.period_days();
        if period_days < WINDOW_DAYS {
            entry.say(&format!(
                "a window of {period_days} days is scaled to 12 months, as the history is too short for a year: seasons outside it are not known"
            ));
        }
        if period_days < WINDOW_DAYS && matches!(entry.method, Method::BgNbd | Method::MbgNbd) {
            entry.say("the model was judged by that window, and looks 12 months ahead itself for what is served");
        }
    }

    /// Puts into the entry how a model does on the customers held out.
    fn judge(&self, model: Model, held: &[usize], entry: &mut Candidate) -> Judged {
        let ahead_days = self.ahead_days();
        let foretold = model.values(&self.facts, held, ahead_days);
        entry.held_out = held.len();
        entry.figures = Some(Metrics::Clv(amounts(&select(&self.came, held), &foretold)));
        entry.importances = explain::importances(held, self.rules.seed, |row| {
            model.effects(&self.facts, row, ahead_days)
        });
        (model, foretold)
    }

    /// Enters the methods that learn from what was spent.
    fn enter_trees(&self, split: &Split, contest: &mut ModelSelection<Judged>) {
        let seed = self.rules.seed;
        let bought: Vec<bool> = self.came.iter().map(|spend| *spend > 0.0).collect();
        let chance = SeededSampler::new(seed, "clv");
        let rows = chance.stratified(&split.kept, &bought, self.rules.max_fit_rows);
        let matrix = self.facts.features.select(&rows);
        #[allow(clippy::cast_possible_truncation)]
        let spend: Vec<f32> = rows.iter().map(|row| self.came[*row] as f32).collect();
        for method in [Method::Boosted, Method::TwoStage] {
            let (algorithm, fit) = if method == Method::Boosted {
                let fit = boosted::fit(&matrix, &spend, boosted::Target::Mean, seed);
                let algorithm = "gradient-boosted trees on histograms, squared error";
                (algorithm, fit.map(Model::Boosted))
            } else {
                let algorithm =
                    "gradient-boosted trees: P(buys in the window) × spend of those who buy";
                (algorithm, fit_two_stages(&matrix, &spend, seed))
            };
            let mut entry = self.entry(method, algorithm, boosted::LIBRARY);
            entry.features = NAMES.to_vec();
            entry.fitted_on(rows.len(), split.kept.len(), "buyers of the window in their share");
            entry.hyper_parameters = match &fit {
                Ok(Model::Boosted(trees)) => boosted::hyper_parameters(trees),
                Ok(Model::TwoStage { buys, spends }) => format!(
                    "buys: {}; spends: {}",
                    boosted::hyper_parameters(buys),
                    boosted::hyper_parameters(spends)
                ),
                _ => String::new(),
            };
            contest.enter(entry, fit, |model, entry| self.judge(model, &split.held, entry));
        }
    }

    /// Enters the models of buying, which learn from patterns and see nothing of the window.
    fn enter_purchase_models(&self, split: &Split, contest: &mut ModelSelection<Judged>) {
        let chance = SeededSampler::new(self.rules.seed, "buying");
        let rows = select(&split.kept, &chance.sample(split.kept.len(), self.rules.max_fit_rows));
        let patterns = select(&self.facts.patterns, &rows);
        let spends = select(&self.facts.spends, &rows);
        let typical = ReferenceCustomer::of(&patterns, &spends);
        let worth = gamma_gamma::fit(&spends);
        for dropout in [Dropout::AfterRepeat, Dropout::AfterAny] {
            let algorithm = format!(
                "{} transactions × {} spend",
                report_text::name(dropout),
                report_text::GAMMA_GAMMA
            );
            let mut entry =
                self.entry(Method::of_buying(dropout), &algorithm, report_text::CLIMBED);
            entry.features =
                [DAYS_SINCE_LAST, FREQUENCY, TENURE, AVG_BASKET].map(|own| NAMES[own]).to_vec();
            entry.fitted_on(rows.len(), split.kept.len(), "drawn by chance");
            let fit = bg_nbd::fit(dropout, &patterns).and_then(|buys| {
                let worth =
                    worth.clone().map_err(|why| format!("{}: {why}", report_text::GAMMA_GAMMA))?;
                report_text::buying(&buys, &mut entry);
                report_text::spending(&worth, &mut entry);
                Ok(Model::PurchaseModel(buys.model, worth.model, typical))
            });
            contest.enter(entry, fit, |model, entry| self.judge(model, &split.held, entry));
        }
    }
}

/// Learns from the history and says how well.
#[must_use]
pub fn train(history: &History, as_of: Timestamp, rules: &TrainingOptions) -> Trained {
    let lesson = TrainingSet::new(history, as_of, rules);
    let split = match lesson.split() {
        Ok(split) => split,
        Err(why) => {
            let (last_period, mut entry) = lesson.baseline();
            entry.serves_because(&why);
            lesson.say_of_window(&mut entry);
            return Trained { model: last_period, entries: vec![entry] };
        }
    };
    let (last_period, mut entry) = lesson.baseline();
    let judged = lesson.judge(last_period, &split.held, &mut entry);
    let mut contest = ModelSelection::against(judged, entry);
    lesson.enter_trees(&split, &mut contest);
    lesson.enter_purchase_models(&split, &mut contest);
    let ((model, foretold), mut entries) = contest.decide();
    report_text::constant(&foretold, &mut entries[0]);
    lesson.say_of_window(&mut entries[0]);
    Trained { model, entries }
}

/// By how much each feature moved the product of two predictions: what changes when it is taken
/// away from both.
fn product_effects(buys: &Trees, spends: &Trees, row: &[f32]) -> Vec<(usize, f64)> {
    let (buy, spend) = (buys.predict(row), spends.predict(row));
    let pairs = explain::effects(buys, row).into_iter().zip(explain::effects(spends, row));
    pairs
        .map(|((feature, of_buy), (_, of_spend))| {
            (feature, buy * spend - (buy - of_buy) * (spend - of_spend))
        })
        .collect()
}

fn fit_two_stages(rows: &Matrix, spend: &[f32], seed: u64) -> Result<Model, String> {
    let labels: Vec<f32> = spend.iter().map(|spend| f32::from(*spend > 0.0)).collect();
    let buyers: Vec<usize> = (0..spend.len()).filter(|row| spend[*row] > 0.0).collect();
    if buyers.is_empty() || buyers.len() == spend.len() {
        let who = if buyers.is_empty() { "nobody" } else { "everybody" };
        return Err(format!("{who} bought in the window, so there is no first stage to learn"));
    }
    let buys = boosted::fit(rows, &labels, boosted::Target::Probability, seed)?;
    let spends =
        boosted::fit(&rows.select(&buyers), &select(spend, &buyers), boosted::Target::Mean, seed)?;
    Ok(Model::TwoStage { buys, spends })
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
