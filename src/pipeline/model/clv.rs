//! Lifetime value: what a customer will spend in the next 12 months, EUR.
//!
//! Learnt before a holdout window on what was spent in it, scaled to 12 months; judged on
//! customers held out of the fit, compared with "last period's spend again".

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::buying::{self, Buying, Dropout, Pattern};
use super::chance::Chance;
use super::contest::Contest;
use super::evaluation::amounts;
use super::features::{DAYS_SINCE_LAST, FREQUENCY, NAMES, SPEND, TENURE, features};
use super::history::{History, Past};
use super::matrix::{Matrix, select};
use super::report::{Entry, Figures, Method, Task};
use super::spending::{self, Spend, Spending};
use super::trees::Trees;
use super::{HELD_OUT, Rules, boosted, describe, explain};
use crate::domain::time::{DAY_MICROS, Timestamp};

/// What "12 months" means, days.
pub const YEAR_DAYS: f64 = 365.0;
/// The holdout window where the history is at least twice as long: the contract's.
const WINDOW_DAYS: i64 = 365;
/// Else it is this part of the history: the last third.
const WINDOW_PART: i64 = 3;

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
    /// Transactions to expect, times what one is worth.
    Buying(Buying, Spending),
    /// Last period's spend again.
    LastPeriod,
}

/// What a model is asked about; one entry per customer each.
#[derive(Debug)]
pub struct Asked {
    /// Features.
    pub features: Matrix,
    /// Patterns of buying.
    pub patterns: Vec<Pattern>,
    /// Transactions and what they were worth.
    pub spends: Vec<Spend>,
    /// Spend of the last period, scaled to 12 months, EUR.
    pub last_period: Vec<f64>,
}

impl Asked {
    /// Everything about the customers of a past; `window_days` is the length of the last period.
    #[must_use]
    pub fn of(past: &Past<'_>, window_days: i64) -> Self {
        Self {
            features: features(past),
            patterns: Pattern::of_all(past),
            spends: Spend::of_all(past),
            last_period: last_period(past, window_days),
        }
    }

    fn select(&self, rows: &[usize]) -> Self {
        Self {
            features: self.features.select(rows),
            patterns: select(&self.patterns, rows),
            spends: select(&self.spends, rows),
            last_period: select(&self.last_period, rows),
        }
    }
}

/// Spend of the last `window_days` before the cut-off, scaled to 12 months.
#[allow(clippy::cast_precision_loss)]
fn last_period(past: &Past<'_>, window_days: i64) -> Vec<f64> {
    let from = past.cut_off().0 - window_days * DAY_MICROS;
    (0..past.len())
        .into_par_iter()
        .map(|position| {
            let purchases = past.purchases(position);
            let first = purchases.at.partition_point(|at| *at <= from);
            purchases.amounts[first..].iter().sum::<f64>() * YEAR_DAYS / window_days as f64
        })
        .collect()
}

impl Model {
    /// How it works.
    #[must_use]
    pub fn method(&self) -> Method {
        match self {
            Self::Boosted(_) => Method::Boosted,
            Self::TwoStage { .. } => Method::TwoStage,
            Self::Buying(model, _) => describe::method(model.dropout),
            Self::LastPeriod => Method::Baseline,
        }
    }

    /// The spend of a customer in 12 months, EUR, at least 0. `window_days` is the length of time
    /// that models of buying look ahead, before scaling to 12 months.
    fn value(&self, asked: &Asked, row: usize, window_days: f64) -> f64 {
        let value = match self {
            Self::Boosted(trees) => trees.predict(asked.features.row(row)),
            Self::TwoStage { buys, spends } => {
                let row = asked.features.row(row);
                buys.predict(row) * spends.predict(row).max(0.0)
            }
            Self::Buying(model, worth) => {
                let transactions = model.expected(asked.patterns[row], window_days);
                transactions * worth.expected(asked.spends[row]) * YEAR_DAYS / window_days
            }
            Self::LastPeriod => asked.last_period[row],
        };
        value.max(0.0)
    }

    /// The same for every customer.
    #[must_use]
    pub fn values(&self, asked: &Asked, window_days: f64) -> Vec<f64> {
        let rows = asked.features.rows();
        (0..rows).into_par_iter().map(|row| self.value(asked, row, window_days)).collect()
    }
}

/// What training found.
#[derive(Debug)]
pub struct Trained {
    /// What serves.
    pub model: Model,
    /// Length of the holdout window, and of the baseline's last period, days.
    pub window_days: i64,
    /// An entry per method that was tried, the one that serves first.
    pub entries: Vec<Entry>,
}

/// The holdout window: a year where there are two, else the last third of the history; at least a
/// day.
#[must_use]
pub fn window_days(history_days: i64) -> i64 {
    if history_days >= 2 * WINDOW_DAYS { WINDOW_DAYS } else { (history_days / WINDOW_PART).max(1) }
}

/// What there is to learn from: customers as they were known at the cut-off, and what they spent.
struct Lesson<'a> {
    rules: &'a Rules,
    cut_off: Timestamp,
    window_days: i64,
    ids: Vec<i64>,
    asked: Asked,
    /// Spend of the window, scaled to 12 months, EUR.
    came: Vec<f64>,
}

impl<'a> Lesson<'a> {
    #[allow(clippy::cast_precision_loss)]
    fn new(history: &History, as_of: Timestamp, rules: &'a Rules) -> Self {
        let first = history.first().unwrap_or(as_of);
        let window_days = window_days((as_of.0 - first.0).div_euclid(DAY_MICROS));
        let cut_off = Timestamp(as_of.0 - window_days * DAY_MICROS);
        let past = history.up_to(cut_off);
        let scale = YEAR_DAYS / window_days as f64;
        let windows = history.after(&past, as_of);
        Self {
            rules,
            cut_off,
            window_days,
            ids: past.ids().collect(),
            asked: Asked::of(&past, window_days),
            came: windows.iter().map(|window| window.spend * scale).collect(),
        }
    }

    fn entry(&self, method: Method, algorithm: &str, library: &'static str) -> Entry {
        let mut entry = Entry::new(Task::Clv, method, algorithm, library);
        entry.cut_off = Some(self.cut_off);
        entry.horizon_days = Some(self.window_days);
        entry.customers = self.ids.len();
        entry
    }

    fn baseline(&self) -> Entry {
        let algorithm = format!(
            "last period's spend again: the last {} days, scaled to 12 months",
            self.window_days
        );
        let mut entry = self.entry(Method::Baseline, &algorithm, describe::OURS);
        entry.features = vec!["last_period"];
        entry
    }

    /// Enters the methods that learn from what was spent.
    fn enter_trees(&self, kept: &[usize], contest: &mut Contest<Model>, judge: &Judge<'_>) {
        let seed = self.rules.seed;
        let bought: Vec<bool> = self.came.iter().map(|spend| *spend > 0.0).collect();
        let chance = Chance::new(seed, "clv");
        let rows = chance.stratified(kept, &bought, self.rules.max_fit_rows);
        let matrix = self.asked.features.select(&rows);
        #[allow(clippy::cast_possible_truncation)]
        let spend: Vec<f32> = rows.iter().map(|row| self.came[*row] as f32).collect();
        let told = |method: Method, algorithm: &str| {
            let mut entry = self.entry(method, algorithm, boosted::LIBRARY);
            entry.features = NAMES.to_vec();
            entry.fitted = rows.len();
            if rows.len() < kept.len() {
                entry.say(&format!(
                    "fitted on {} of {} customers, buyers of the window in their share",
                    rows.len(),
                    kept.len()
                ));
            }
            entry
        };

        let mut entry =
            told(Method::Boosted, "gradient-boosted trees on histograms, squared error");
        let fit = boosted::fit(&matrix, &spend, boosted::Target::Mean, seed);
        if let Ok(trees) = &fit {
            let features = &judge.asked.features;
            entry.importances = explain::importances(features.rows(), seed, |row| {
                explain::effects(trees, features.row(row))
            });
            entry.hyper_parameters = boosted::hyper_parameters(trees);
        }
        contest.enter(entry, fit.map(Model::Boosted), |model, entry| judge.judge(model, entry));

        let algorithm = "gradient-boosted trees: P(buys in the window) × spend of those who buy";
        let mut entry = told(Method::TwoStage, algorithm);
        let fit = fit_two_stages(&matrix, &spend, seed);
        if let Ok(Model::TwoStage { buys, spends }) = &fit {
            let features = &judge.asked.features;
            entry.importances = explain::importances(features.rows(), seed, |row| {
                product_effects(buys, spends, features.row(row))
            });
            entry.hyper_parameters = format!(
                "buys: {}; spends: {}",
                boosted::hyper_parameters(buys),
                boosted::hyper_parameters(spends)
            );
        }
        contest.enter(entry, fit, |model, entry| judge.judge(model, entry));
    }

    /// Enters the models of buying. They see no label, so all customers of the past teach them.
    fn enter_buying(&self, contest: &mut Contest<Model>, judge: &Judge<'_>) {
        let chance = Chance::new(self.rules.seed, "buying");
        let sample = chance.sample(self.ids.len(), self.rules.max_fit_rows);
        let patterns = select(&self.asked.patterns, &sample);
        let worth = spending::fit(&select(&self.asked.spends, &sample));
        for dropout in [Dropout::AfterRepeat, Dropout::AfterAny] {
            let algorithm = match dropout {
                Dropout::AfterRepeat => "BG/NBD transactions × Gamma-Gamma spend",
                _ => "MBG/NBD transactions × Gamma-Gamma spend",
            };
            let mut entry = self.entry(describe::method(dropout), algorithm, describe::CLIMBED);
            entry.features =
                vec![NAMES[DAYS_SINCE_LAST], NAMES[FREQUENCY], NAMES[TENURE], NAMES[SPEND]];
            entry.fitted = sample.len();
            let fit = buying::fit(dropout, &patterns).and_then(|buys| {
                let worth = worth.clone()?;
                describe::buying(&buys, &mut entry);
                entry.parameters.extend(describe::spending(&worth));
                Ok(Model::Buying(buys.model, worth.model))
            });
            contest.enter(entry, fit, |model, entry| judge.judge(model, entry));
        }
    }
}

/// The customers that no fit saw, and what they spent.
struct Judge<'a> {
    asked: Asked,
    came: &'a [f64],
    window_days: f64,
}

impl Judge<'_> {
    /// Puts into the entry how a model does.
    fn judge(&self, model: Model, entry: &mut Entry) -> Model {
        entry.held_out = self.came.len();
        if !self.came.is_empty() {
            let foretold = model.values(&self.asked, self.window_days);
            entry.figures = Some(Figures::Clv(amounts(self.came, &foretold)));
        }
        model
    }
}

/// Learns from the history and says how well.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn train(history: &History, as_of: Timestamp, rules: &Rules) -> Trained {
    let lesson = Lesson::new(history, as_of, rules);
    let Lesson { ids, window_days, .. } = &lesson;
    let window_days = *window_days;
    let mut entry = lesson.baseline();
    if ids.len() < rules.min_customers {
        entry.serves = true;
        entry.say(&format!(
            "skipped: {} customers had bought by the cut-off and fewer than {} are too few to learn from, so the baseline serves",
            ids.len(),
            rules.min_customers
        ));
        return Trained { model: Model::LastPeriod, window_days, entries: vec![entry] };
    }
    let chance = Chance::new(rules.seed, "clv");
    let (held, kept): (Vec<usize>, Vec<usize>) =
        (0..ids.len()).partition(|row| chance.of_customer(ids[*row]) < HELD_OUT);
    let came = select(&lesson.came, &held);
    let judge =
        Judge { asked: lesson.asked.select(&held), came: &came, window_days: window_days as f64 };
    let last_period = judge.judge(Model::LastPeriod, &mut entry);
    let mut contest = Contest::against(last_period, entry);
    lesson.enter_trees(&kept, &mut contest, &judge);
    lesson.enter_buying(&mut contest, &judge);
    let (model, entries) = contest.decide();
    Trained { model, window_days, entries }
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
