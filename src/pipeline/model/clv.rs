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

/// Learns from the history and says how well.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn train(history: &History, as_of: Timestamp, rules: &Rules) -> Trained {
    let first = history.first().unwrap_or(as_of);
    let window_days = window_days((as_of.0 - first.0).div_euclid(DAY_MICROS));
    let cut_off = Timestamp(as_of.0 - window_days * DAY_MICROS);
    let past = history.up_to(cut_off);
    let ids: Vec<i64> = past.ids().collect();
    let scale = YEAR_DAYS / window_days as f64;
    let came: Vec<f64> =
        history.after(&past, as_of).iter().map(|window| window.spend * scale).collect();

    let entry = |method: Method, algorithm: &str, library: &'static str| {
        let mut entry = Entry::new(Task::Clv, method, algorithm, library);
        entry.cut_off = Some(cut_off);
        entry.horizon_days = Some(window_days);
        entry.customers = ids.len();
        entry
    };
    let baseline = || {
        let algorithm =
            format!("last period's spend again: the last {window_days} days, scaled to 12 months");
        let mut entry = entry(Method::Baseline, &algorithm, describe::OURS);
        entry.features = vec!["last_period"];
        entry
    };
    if ids.len() < rules.min_customers {
        let mut entry = baseline();
        entry.serves = true;
        entry.say(&format!(
            "skipped: {} customers had bought by the cut-off and fewer than {} are too few to learn from, so the baseline serves",
            ids.len(),
            rules.min_customers
        ));
        return Trained { model: Model::LastPeriod, window_days, entries: vec![entry] };
    }

    let asked = Asked::of(&past, window_days);
    let chance = Chance::new(rules.seed, "clv");
    let (held, kept): (Vec<usize>, Vec<usize>) =
        (0..ids.len()).partition(|row| chance.of_customer(ids[*row]) < HELD_OUT);
    let bought: Vec<bool> = came.iter().map(|spend| *spend > 0.0).collect();
    let fitted_on = chance.stratified(&kept, &bought, rules.max_fit_rows);
    let held_out = asked.select(&held);
    let held_came = select(&came, &held);
    let window = window_days as f64;
    let judge = |model: Model, entry: &mut Entry| {
        entry.held_out = held.len();
        if !held.is_empty() {
            let foretold = model.values(&held_out, window);
            entry.figures = Some(Figures::Clv(amounts(&held_came, &foretold)));
        }
        model
    };

    let mut of_baseline = baseline();
    let last_period = judge(Model::LastPeriod, &mut of_baseline);
    let mut contest = Contest::against(last_period, of_baseline);
    let sampled = if fitted_on.len() < kept.len() {
        format!(
            "fitted on {} of {} customers, buyers of the window in their share",
            fitted_on.len(),
            kept.len()
        )
    } else {
        String::new()
    };
    let rows = asked.features.select(&fitted_on);
    #[allow(clippy::cast_possible_truncation)]
    let spend: Vec<f32> = fitted_on.iter().map(|row| came[*row] as f32).collect();

    let mut one_stage = entry(
        Method::Boosted,
        "gradient-boosted trees on histograms, squared error",
        boosted::LIBRARY,
    );
    one_stage.features = NAMES.to_vec();
    one_stage.fitted = fitted_on.len();
    one_stage.say(&sampled);
    let fit = boosted::fit(&rows, &spend, boosted::Target::Mean, rules.seed);
    if let Ok(trees) = &fit {
        one_stage.importances = explain::importances(trees, &held_out.features, rules.seed);
        one_stage.hyper_parameters = boosted::hyper_parameters(trees);
    }
    contest.enter(one_stage, fit.map(Model::Boosted), judge);

    let mut two_stage = entry(
        Method::TwoStage,
        "gradient-boosted trees: P(buys in the window) × spend of those who buy",
        boosted::LIBRARY,
    );
    two_stage.features = NAMES.to_vec();
    two_stage.fitted = fitted_on.len();
    two_stage.say(&sampled);
    let fit = fit_two_stages(&rows, &spend, rules.seed);
    if let Ok(Model::TwoStage { buys, spends }) = &fit {
        two_stage.hyper_parameters = format!(
            "buys: {}; spends: {}",
            boosted::hyper_parameters(buys),
            boosted::hyper_parameters(spends)
        );
    }
    contest.enter(two_stage, fit, judge);

    let sample = Chance::new(rules.seed, "buying").sample(ids.len(), rules.max_fit_rows);
    let patterns = select(&asked.patterns, &sample);
    let worth = spending::fit(&select(&asked.spends, &sample));
    for dropout in [Dropout::AfterRepeat, Dropout::AfterAny] {
        let algorithm = match dropout {
            Dropout::AfterRepeat => "BG/NBD transactions × Gamma-Gamma spend",
            _ => "MBG/NBD transactions × Gamma-Gamma spend",
        };
        let mut entry = entry(describe::method(dropout), algorithm, describe::CLIMBED);
        entry.features =
            vec![NAMES[DAYS_SINCE_LAST], NAMES[FREQUENCY], NAMES[TENURE], NAMES[SPEND]];
        entry.fitted = sample.len();
        let fit = buying::fit(dropout, &patterns).and_then(|buys| {
            let worth = worth.clone()?;
            describe::buying(&buys, &mut entry);
            let named = [("p", worth.model.p), ("q", worth.model.q), ("gamma", worth.model.gamma)];
            entry.parameters.extend(describe::parameters(&named, &worth.maximum));
            Ok(Model::Buying(buys.model, worth.model))
        });
        contest.enter(entry, fit, judge);
    }
    let (model, entries) = contest.decide();
    Trained { model, window_days, entries }
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
