//! Churn: the probability that a customer makes no purchase in the horizon.
//!
//! Learnt at `as_of - horizon` on what happened since, judged on customers held out of the fit,
//! compared with a rule, and refused when a feature tells the label or nothing beats the rule.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::buying::{Buying, Dropout, Pattern};
use super::chance::Chance;
use super::contest::Contest;
use super::evaluation::{Probabilities, auc, calibration, probabilities};
use super::features::{COUNT, DAYS_SINCE_LAST, FREQUENCY, NAMES, TENURE, features, in_words};
use super::history::History;
use super::matrix::{Matrix, select};
use super::report::{Entry, Figures, Method, Task};
use super::trees::Trees;
use super::{HELD_OUT, Rules, boosted, buying, describe, explain, forest};
use crate::domain::time::{DAY_MICROS, Timestamp};

/// A single feature that ranks the label better than this knows it: the contract's.
const LEAK_AUC: f64 = 0.98;
/// Factors told of a customer.
const FACTORS: usize = 3;
/// A factor that moves the probability by less is not told.
const LEAST_EFFECT: f64 = 0.005;
/// Least probability of a high risk, and of a medium one: the contract's.
const HIGH: f64 = 0.7;
const MEDIUM: f64 = 0.4;
/// Standard errors by which more than frequency has to help before it is said to.
const BEYOND_DOUBT: f64 = 2.0;

/// The risk level of a probability.
#[must_use]
pub fn risk_level(probability: f64) -> &'static str {
    match probability {
        p if p >= HIGH => "High",
        p if p >= MEDIUM => "Medium",
        _ => "Low",
    }
}

/// What serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Model {
    /// A random forest.
    Forest(Trees),
    /// Gradient-boosted trees.
    Boosted(Trees),
    /// A model of buying, and the median customer, whom it compares others with.
    Buying(Buying, Typical),
    /// The rule.
    Rule(Rule),
}

/// The median customer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Typical {
    repeats: u32,
    age: f64,
}

/// "Churned if recency is above its median": a probability for each side, as it was seen there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Days since the last purchase above which a customer counts as churned.
    median: f32,
    /// Churn rate up to the median.
    below: f64,
    /// Churn rate above it.
    above: f64,
}

impl Rule {
    /// Rates by Laplace's rule of succession, so that few customers make no certainty and none
    /// make one half; a side without a customer has the rate of all.
    fn learn(days_since_last: &[f32], churned: &[bool]) -> Self {
        let mut sorted = days_since_last.to_vec();
        sorted.sort_unstable_by(f32::total_cmp);
        let median = match sorted.len() {
            0 => 0.0,
            n if n % 2 == 1 => sorted[n / 2],
            n => f32::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
        };
        let rate = |is_above: bool| {
            let pairs = || days_since_last.iter().zip(churned);
            let is_seen = pairs().any(|(days, _)| (*days > median) == is_above);
            let (mut customers, mut gone) = (0.0, 0.0);
            for (_, churned) in
                pairs().filter(|(days, _)| !is_seen || (**days > median) == is_above)
            {
                customers += 1.0;
                gone += f64::from(u8::from(*churned));
            }
            (gone + 1.0) / (customers + 2.0)
        };
        Self { median, below: rate(false), above: rate(true) }
    }

    fn probability(self, days_since_last: f32) -> f64 {
        if days_since_last > self.median { self.above } else { self.below }
    }
}

/// What a model is asked about: features, and patterns of the same customers.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Features, a row per customer.
    pub features: &'a Matrix,
    /// Patterns of buying, one per customer.
    pub patterns: &'a [Pattern],
    /// Length of the window foretold, days.
    pub horizon_days: f64,
}

impl Model {
    /// How it works.
    #[must_use]
    pub fn method(&self) -> Method {
        match self {
            Self::Forest(_) => Method::Forest,
            Self::Boosted(_) => Method::Boosted,
            Self::Buying(model, _) => describe::method(model.dropout),
            Self::Rule(_) => Method::Baseline,
        }
    }

    fn probability(&self, asked: &Asked<'_>, row: usize) -> f64 {
        match self {
            Self::Forest(trees) | Self::Boosted(trees) => trees.predict(asked.features.row(row)),
            Self::Buying(model, _) => model.p_silent(asked.patterns[row], asked.horizon_days),
            Self::Rule(rule) => rule.probability(asked.features.row(row)[DAYS_SINCE_LAST]),
        }
    }

    /// The probability for every customer.
    #[must_use]
    pub fn probabilities(&self, asked: &Asked<'_>) -> Vec<f64> {
        let rows = asked.features.rows();
        (0..rows).into_par_iter().map(|row| self.probability(asked, row)).collect()
    }

    /// By how much each feature moved a customer's probability: what would change without it.
    fn effects(&self, asked: &Asked<'_>, row: usize) -> Vec<(usize, f64)> {
        match self {
            Self::Forest(trees) | Self::Boosted(trees) => {
                explain::effects(trees, asked.features.row(row))
            }
            Self::Buying(model, typical) => {
                let own = asked.patterns[row];
                let with = |repeats: u32, silence: f64, age: f64| {
                    let recency = if repeats == 0 { 0.0 } else { (age - silence).max(0.0) };
                    model.p_silent(Pattern { repeats, recency, age }, asked.horizon_days)
                };
                let (repeats, silence, age) = (own.repeats, own.age - own.recency, own.age);
                let here = model.p_silent(own, asked.horizon_days);
                vec![
                    // As though they had bought today.
                    (DAYS_SINCE_LAST, here - with(repeats, 0.0, age)),
                    (FREQUENCY, here - with(typical.repeats, silence, age)),
                    (TENURE, here - with(repeats, silence, typical.age.max(silence))),
                ]
            }
            Self::Rule(rule) => {
                let here = rule.probability(asked.features.row(row)[DAYS_SINCE_LAST]);
                vec![(DAYS_SINCE_LAST, here - f64::midpoint(rule.below, rule.above))]
            }
        }
    }

    /// The features that moved a customer's probability most, by name and in words.
    #[must_use]
    pub fn factors(&self, asked: &Asked<'_>, row: usize) -> (Vec<&'static str>, Vec<String>) {
        let mut effects = self.effects(asked, row);
        effects.retain(|(_, effect)| effect.abs() >= LEAST_EFFECT);
        effects.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0)));
        effects.truncate(FACTORS);
        let values = asked.features.row(row);
        let told = |(feature, effect): &(usize, f64)| {
            let verb = if *effect > 0.0 { "raises" } else { "lowers" };
            format!(
                "{} {verb} it by {:.0} points",
                in_words(*feature, values[*feature]),
                effect.abs() * 100.0
            )
        };
        (
            effects.iter().map(|(feature, _)| NAMES[*feature]).collect(),
            effects.iter().map(told).collect(),
        )
    }
}

/// The feature that tells the label on its own, if there is one: its name and how well it ranks.
///
/// A feature that does is computed from the future, or is the label: the older recipe took "more
/// than 60 days since the last purchase" for churn and gave the model that very column.
#[must_use]
pub fn leak(
    names: &[&'static str],
    features: &Matrix,
    labels: &[bool],
) -> Option<(&'static str, f64)> {
    names.iter().enumerate().find_map(|(index, name)| {
        let values: Vec<f64> = features.column(index).map(f64::from).collect();
        let ranks = auc(labels, &values)?;
        let ranks = ranks.max(1.0 - ranks);
        (ranks > LEAK_AUC).then_some((*name, ranks))
    })
}

/// A model, and what it foretold of the customers held out.
type Judged = (Model, Vec<f64>);

/// What there is to learn from: customers as they were known at the cut-off, and what they did.
struct Lesson<'a> {
    rules: &'a Rules,
    cut_off: Timestamp,
    ids: Vec<i64>,
    features: Matrix,
    patterns: Vec<Pattern>,
    churned: Vec<bool>,
}

/// The rows of a lesson that fits see, and those that judge.
struct Split {
    kept: Vec<usize>,
    held: Vec<usize>,
}

impl<'a> Lesson<'a> {
    fn new(history: &History, as_of: Timestamp, rules: &'a Rules) -> Self {
        let cut_off = Timestamp(as_of.0 - i64::from(rules.churn_horizon_days) * DAY_MICROS);
        let past = history.up_to(cut_off);
        let windows = history.after(&past, as_of);
        Self {
            rules,
            cut_off,
            ids: past.ids().collect(),
            features: features(&past),
            patterns: Pattern::of_all(&past),
            churned: windows.iter().map(|window| window.purchases == 0).collect(),
        }
    }

    fn entry(&self, method: Method, algorithm: &str, library: &'static str) -> Entry {
        let mut entry = Entry::new(Task::Churn, method, algorithm, library);
        entry.cut_off = Some(self.cut_off);
        entry.horizon_days = Some(self.rules.churn_horizon_days.into());
        entry.customers = self.ids.len();
        entry
    }

    /// The rule, as some rows teach it.
    fn rule(&self, rows: &[usize]) -> (Rule, Entry) {
        let silences: Vec<f32> = self.features.column(DAYS_SINCE_LAST).collect();
        let rule = Rule::learn(&select(&silences, rows), &select(&self.churned, rows));
        let algorithm = format!(
            "churned if days_since_last is above its median ({:.0}); each side with the rate seen there",
            rule.median
        );
        let mut entry = self.entry(Method::Baseline, &algorithm, describe::OURS);
        entry.features = vec![NAMES[DAYS_SINCE_LAST]];
        entry.fitted = rows.len();
        (rule, entry)
    }

    /// How many customers are of the rarer class.
    fn rarer(&self) -> usize {
        let cases = self.churned.iter().filter(|churned| **churned).count();
        cases.min(self.churned.len() - cases)
    }

    /// The rows to fit and those to judge, or why nothing can be learnt.
    fn split(&self) -> Result<Split, String> {
        let Self { rules, ids, churned, .. } = self;
        let (customers, least) = (ids.len(), rules.min_customers);
        if customers < least {
            return Err(format!(
                "skipped: {customers} customers had bought by the cut-off and fewer than {least} are too few to learn from, so the baseline serves"
            ));
        }
        if self.rarer() == 0 {
            let who = if churned[0] { "everybody" } else { "nobody" };
            return Err(format!(
                "skipped: {who} stayed away for {} days after the cut-off, so there is no churn to learn and the baseline serves",
                rules.churn_horizon_days
            ));
        }
        let chance = Chance::new(rules.seed, "churn");
        let (held, kept): (Vec<usize>, Vec<usize>) =
            (0..customers).partition(|row| chance.of_customer(ids[*row]) < HELD_OUT);
        let has_both = |rows: &[usize]| {
            rows.iter().any(|row| churned[*row]) && rows.iter().any(|row| !churned[*row])
        };
        if !has_both(&held) || !has_both(&kept) {
            return Err(format!(
                "skipped: only {} of {customers} customers are of the rarer class, too few for both a fit and a judgement, so the baseline serves",
                self.rarer()
            ));
        }
        if let Some((feature, ranks)) = leak(&NAMES, &self.features, churned) {
            return Err(format!(
                "stopped by the leak check: the feature {feature} alone tells the label (AUC {ranks:.3} > {LEAK_AUC}), as only a feature that knows the future does; the baseline serves"
            ));
        }
        Ok(Split { kept, held })
    }

    /// Enters the methods that learn from what happened.
    fn enter_trees(&self, split: &Split, contest: &mut Contest<Judged>, judge: &Judge<'_>) {
        let seed = self.rules.seed;
        let chance = Chance::new(seed, "churn");
        let rows = chance.stratified(&split.kept, &self.churned, self.rules.max_fit_rows);
        let matrix = self.features.select(&rows);
        let labels: Vec<f32> = rows.iter().map(|row| f32::from(self.churned[*row])).collect();
        for method in [Method::Forest, Method::Boosted] {
            let (algorithm, library, fit) = if method == Method::Forest {
                let fit = forest::fit(&matrix, &labels, seed).map(Model::Forest);
                ("random forest; probabilities are the means of its leaves", forest::LIBRARY, fit)
            } else {
                let target = boosted::Target::Probability;
                let fit = boosted::fit(&matrix, &labels, target, seed).map(Model::Boosted);
                ("gradient-boosted trees on histograms, logistic loss", boosted::LIBRARY, fit)
            };
            let mut entry = self.entry(method, algorithm, library);
            entry.features = NAMES.to_vec();
            entry.fitted = rows.len();
            if rows.len() < split.kept.len() {
                entry.say(&format!(
                    "fitted on {} of {} customers, both classes in their shares",
                    rows.len(),
                    split.kept.len()
                ));
            }
            if let Ok(Model::Forest(trees) | Model::Boosted(trees)) = &fit {
                entry.hyper_parameters = match method {
                    Method::Forest => forest::hyper_parameters(COUNT),
                    _ => boosted::hyper_parameters(trees),
                };
            }
            contest.enter(entry, fit, |model, entry| judge.judge(model, entry));
        }
    }

    /// Enters the models of buying. They see no label, so all customers of the past teach them.
    fn enter_buying(&self, contest: &mut Contest<Judged>, judge: &Judge<'_>) {
        let chance = Chance::new(self.rules.seed, "buying");
        let sample = chance.sample(self.patterns.len(), self.rules.max_fit_rows);
        let patterns = select(&self.patterns, &sample);
        for dropout in [Dropout::AfterRepeat, Dropout::AfterAny, Dropout::Never] {
            let (algorithm, library) = describe::churn(dropout);
            let mut entry = self.entry(describe::method(dropout), algorithm, library);
            entry.features = vec![NAMES[DAYS_SINCE_LAST], NAMES[FREQUENCY], NAMES[TENURE]];
            entry.fitted = patterns.len();
            let fit = buying::fit(dropout, &patterns).map(|fitted| {
                describe::buying(&fitted, &mut entry);
                Model::Buying(fitted.model, typical(&patterns))
            });
            contest.enter(entry, fit, |model, entry| judge.judge(model, entry));
        }
    }
}

/// The customers that no fit saw, and what they did.
struct Judge<'a> {
    asked: Asked<'a>,
    churned: &'a [bool],
    seed: u64,
}

impl Judge<'_> {
    /// Puts into the entry how a model does.
    fn judge(&self, model: Model, entry: &mut Entry) -> Judged {
        let foretold = model.probabilities(&self.asked);
        let mut figures = probabilities(self.churned, &foretold);
        if let Model::Rule(rule) = &model {
            // The rule says yes above the median, whatever the rate it saw there.
            let silences = self.asked.features.column(DAYS_SINCE_LAST);
            let says: Vec<f64> =
                silences.map(|days| f64::from(u8::from(days > rule.median))).collect();
            let hard = probabilities(self.churned, &says);
            figures = Probabilities {
                accuracy: hard.accuracy,
                precision: hard.precision,
                recall: hard.recall,
                f1_score: hard.f1_score,
                ..figures
            };
        }
        entry.held_out = self.churned.len();
        entry.figures = Some(Figures::Churn(figures));
        entry.importances = explain::importances(self.churned.len(), self.seed, |row| {
            model.effects(&self.asked, row)
        });
        entry.calibration = calibration(self.churned, &foretold);
        (model, foretold)
    }
}

/// Learns from the history and says how well.
///
/// Returns what serves and an entry per method that was tried, the one that serves first.
#[must_use]
pub fn train(history: &History, as_of: Timestamp, rules: &Rules) -> (Model, Vec<Entry>) {
    let lesson = Lesson::new(history, as_of, rules);
    let split = match lesson.split() {
        Ok(split) => split,
        Err(why) => {
            let all: Vec<usize> = (0..lesson.ids.len()).collect();
            let (rule, mut entry) = lesson.rule(&all);
            entry.serves = true;
            entry.say(&why);
            return (Model::Rule(rule), vec![entry]);
        }
    };
    let features = lesson.features.select(&split.held);
    let patterns = select(&lesson.patterns, &split.held);
    let churned = select(&lesson.churned, &split.held);
    let horizon_days = rules.churn_horizon_days.into();
    let asked = Asked { features: &features, patterns: &patterns, horizon_days };
    let judge = Judge { asked, churned: &churned, seed: rules.seed };

    let (rule, mut entry) = lesson.rule(&split.kept);
    let judged = judge.judge(Model::Rule(rule), &mut entry);
    let mut contest = Contest::against(judged, entry);
    lesson.enter_trees(&split, &mut contest, &judge);
    lesson.enter_buying(&mut contest, &judge);
    let sentence = beyond_frequency(&contest, &churned);
    let ((model, _), mut entries) = contest.decide();
    entries[0].say(sentence.unwrap_or_default());
    (model, entries)
}

/// What is to be said when nothing that knows more than frequency foretells better than NBD, which
/// knows frequency only: by less than twice the standard error of the difference on the customers
/// held out.
#[allow(clippy::cast_precision_loss)]
fn beyond_frequency(contest: &Contest<Judged>, labels: &[bool]) -> Option<&'static str> {
    let of = |method: Method| {
        let (judged, _) = contest.fitted().find(|(_, entry)| entry.method == method)?;
        Some(&judged.1)
    };
    let squared = |label: bool, p: f64| (f64::from(u8::from(label)) - p).powi(2);
    let frequency_only = of(Method::Nbd)?;
    let helps = [Method::Forest, Method::Boosted, Method::BgNbd, Method::MbgNbd]
        .into_iter()
        .filter_map(of)
        .any(|foretold| {
            let gains: Vec<f64> = labels
                .iter()
                .zip(frequency_only.iter().zip(foretold))
                .map(|(label, (nbd, other))| squared(*label, *nbd) - squared(*label, *other))
                .collect();
            let count = gains.len() as f64;
            let mean = gains.iter().sum::<f64>() / count;
            let variance = gains.iter().map(|gain| (gain - mean).powi(2)).sum::<f64>() / count;
            mean > BEYOND_DOUBT * (variance / count).sqrt()
        });
    (!helps).then_some(
        "there is no dropout to learn: recency and everything else known of a customer foretell no better than how often they buy, so nothing beyond purchase frequency is there to learn",
    )
}

fn typical(patterns: &[Pattern]) -> Typical {
    let median = |value: &dyn Fn(&Pattern) -> f64| {
        let mut values: Vec<f64> = patterns.iter().map(value).collect();
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(0.0)
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let repeats = median(&|pattern| f64::from(pattern.repeats)) as u32;
    Typical { repeats, age: median(&|pattern| pattern.age) }
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

    #[test]
    fn the_rule_tells_the_rates_it_saw_on_each_side_of_the_median() {
        let rule = Rule::learn(&[1.0, 2.0, 3.0, 4.0], &[false, false, true, false]);
        assert!((rule.probability(2.5) - 1.0 / 4.0).abs() < 1e-12);
        assert!((rule.probability(3.0) - 2.0 / 4.0).abs() < 1e-12);
        assert!((Rule::learn(&[], &[]).probability(5.0) - 0.5).abs() < 1e-12);
        let unseen = Rule::learn(&[9.0, 9.0], &[true, true]);
        assert!((unseen.probability(20.0) - 3.0 / 4.0).abs() < 1e-12);
    }

    #[test]
    fn the_older_recipe_is_caught_by_the_name_of_its_feature() {
        // Label: more than 60 days since the last purchase; feature: days since the last purchase.
        let chance = Chance::new(42, "older recipe");
        let mut values = Vec::new();
        let mut labels = Vec::new();
        for id in 0..500 {
            let days = (chance.of_customer(id) * 300.0).floor();
            #[allow(clippy::cast_possible_truncation)]
            values.extend([(chance.of_customer(-id) * 9.0) as f32, days as f32]);
            labels.push(days > 60.0);
        }
        let features = Matrix { values, width: 2 };
        let (name, ranks) = leak(&["frequency", "days_since_last"], &features, &labels).unwrap();
        assert_eq!(name, "days_since_last");
        assert!((ranks - 1.0).abs() < 1e-12);
        // What the leak does: a forest that is given the column knows everything.
        let labels_f32: Vec<f32> = labels.iter().map(|label| f32::from(*label)).collect();
        let trees = forest::fit(&features, &labels_f32, 42).unwrap();
        assert!(auc(&labels, &trees.predict_all(&features)).unwrap() > 0.999);
        // Without it, nothing is left to know.
        let honest = Matrix { values: features.column(0).collect(), width: 1 };
        assert_eq!(leak(&["frequency"], &honest, &labels), None);
    }

    #[test]
    fn every_feature_has_words() {
        let words: Vec<String> = (0..COUNT).map(|feature| in_words(feature, 3.0)).collect();
        assert!(words.iter().all(|text| text.contains('3')), "{words:?}");
    }
}
