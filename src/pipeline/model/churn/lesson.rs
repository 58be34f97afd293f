//! Learning churn: customers as they were known at the cut-off, and what they did afterwards.

use super::Model;
use super::leak::leak;
use super::rule::Rule;
use crate::domain::time::{DAY_MICROS, Timestamp};
use crate::pipeline::model::buying::{self, Dropout};
use crate::pipeline::model::chance::{Chance, Split};
use crate::pipeline::model::contest::Contest;
use crate::pipeline::model::evaluation::{calibration, probabilities};
use crate::pipeline::model::explain::{Typical, importances};
use crate::pipeline::model::facts::Facts;
use crate::pipeline::model::features::{COUNT, DAYS_SINCE_LAST, FREQUENCY, NAMES, TENURE};
use crate::pipeline::model::history::History;
use crate::pipeline::model::matrix::select;
use crate::pipeline::model::report::{Entry, Figures, Method, Task};
use crate::pipeline::model::{Rules, boosted, describe, forest};

/// Standard errors by which more than frequency has to help before it is said to.
const BEYOND_DOUBT: f64 = 2.0;

/// A model, and what it foretold of the customers held out.
type Judged = (Model, Vec<f64>);

/// What there is to learn from.
struct Lesson<'a> {
    rules: &'a Rules,
    facts: Facts<'a>,
    churned: Vec<bool>,
}

impl<'a> Lesson<'a> {
    fn new(history: &'a History, as_of: Timestamp, rules: &'a Rules) -> Self {
        let cut_off = Timestamp(as_of.0 - i64::from(rules.churn_horizon_days) * DAY_MICROS);
        let past = history.up_to(cut_off);
        let windows = history.after(&past, as_of);
        let churned = windows.iter().map(|window| window.purchases == 0).collect();
        Self { rules, facts: Facts::of(past), churned }
    }

    fn horizon_days(&self) -> f64 {
        self.rules.churn_horizon_days.into()
    }

    fn entry(&self, method: Method, algorithm: &str, library: &'static str) -> Entry {
        let mut entry = Entry::new(Task::Churn, method, algorithm, library);
        entry.cut_off = Some(self.facts.past.cut_off());
        entry.horizon_days = Some(self.rules.churn_horizon_days.into());
        entry.customers = self.facts.len();
        entry
    }

    /// The rule, as some rows teach it.
    fn rule(&self, rows: &[usize]) -> (Model, Entry) {
        let silences: Vec<f32> = self.facts.features.column(DAYS_SINCE_LAST).collect();
        let rule = Rule::learn(&select(&silences, rows), &select(&self.churned, rows));
        let algorithm = format!(
            "churned if days_since_last is above its median ({:.0}); each side with the rate seen there",
            rule.median
        );
        let mut entry = self.entry(Method::Baseline, &algorithm, describe::OURS);
        entry.features = vec![NAMES[DAYS_SINCE_LAST]];
        entry.fitted = rows.len();
        (Model::Rule(rule), entry)
    }

    /// How many customers are of the rarer class.
    fn rarer(&self) -> usize {
        let cases = self.churned.iter().filter(|churned| **churned).count();
        cases.min(self.churned.len() - cases)
    }

    /// The rows to fit and those to judge, or why nothing can be learnt.
    fn split(&self) -> Result<Split, String> {
        let Self { rules, facts, churned } = self;
        let (customers, least) = (facts.len(), rules.min_customers);
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
        let split = Chance::new(rules.seed, "churn").hold_out(&facts.ids);
        let has_both = |rows: &[usize]| {
            rows.iter().any(|row| churned[*row]) && rows.iter().any(|row| !churned[*row])
        };
        if !has_both(&split.held) || !has_both(&split.kept) {
            return Err(format!(
                "skipped: only {} of {customers} customers are of the rarer class, too few for both a fit and a judgement, so the baseline serves",
                self.rarer()
            ));
        }
        Ok(split)
    }

    /// Puts into the entry how a model does on the customers held out.
    fn judge(&self, model: Model, held: &[usize], entry: &mut Entry) -> Judged {
        let horizon_days = self.horizon_days();
        let churned = select(&self.churned, held);
        let foretold = model.probabilities(&self.facts, held, horizon_days);
        let pairs = held.iter().zip(&foretold);
        let said: Vec<bool> =
            pairs.map(|(row, foretold)| model.says(&self.facts, *row, *foretold)).collect();
        entry.held_out = held.len();
        entry.figures = Some(Figures::Churn(probabilities(&churned, &foretold, &said)));
        entry.importances =
            importances(held, self.rules.seed, |row| model.effects(&self.facts, row, horizon_days));
        entry.calibration = calibration(&churned, &foretold);
        (model, foretold)
    }

    /// Enters the methods that learn from what happened.
    fn enter_trees(&self, split: &Split, contest: &mut Contest<Judged>) {
        let seed = self.rules.seed;
        let chance = Chance::new(seed, "churn");
        let rows = chance.stratified(&split.kept, &self.churned, self.rules.max_fit_rows);
        let matrix = self.facts.features.select(&rows);
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
            entry.fitted_on(rows.len(), split.kept.len(), "both classes in their shares");
            if let Ok(Model::Forest(trees) | Model::Boosted(trees)) = &fit {
                entry.hyper_parameters = match method {
                    Method::Forest => forest::hyper_parameters(COUNT),
                    _ => boosted::hyper_parameters(trees),
                };
            }
            contest.enter(entry, fit, |model, entry| self.judge(model, &split.held, entry));
        }
    }

    /// Enters the models of buying, which learn from patterns and see no label.
    fn enter_buying(&self, split: &Split, contest: &mut Contest<Judged>) {
        let chance = Chance::new(self.rules.seed, "buying");
        let rows = select(&split.kept, &chance.sample(split.kept.len(), self.rules.max_fit_rows));
        let patterns = select(&self.facts.patterns, &rows);
        let typical = Typical::of(&patterns, &select(&self.facts.spends, &rows));
        for dropout in [Dropout::AfterRepeat, Dropout::AfterAny, Dropout::Never] {
            let algorithm = describe::churn(dropout);
            let mut entry = self.entry(Method::of_buying(dropout), algorithm, describe::CLIMBED);
            entry.features = vec![NAMES[DAYS_SINCE_LAST], NAMES[FREQUENCY], NAMES[TENURE]];
            entry.fitted_on(rows.len(), split.kept.len(), "drawn by chance");
            let fit = buying::fit(dropout, &patterns).map(|fitted| {
                describe::buying(&fitted, &mut entry);
                Model::Buying(fitted.model, typical)
            });
            contest.enter(entry, fit, |model, entry| self.judge(model, &split.held, entry));
        }
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
            let all: Vec<usize> = (0..lesson.facts.len()).collect();
            let (rule, mut entry) = lesson.rule(&all);
            entry.serves_because(&why);
            return (rule, vec![entry]);
        }
    };
    let (rule, mut entry) = lesson.rule(&split.kept);
    let judged = lesson.judge(rule, &split.held, &mut entry);
    if let Some(why) = leak(&NAMES, &lesson.facts.features, &lesson.churned) {
        entry.serves_because(&why);
        return (judged.0, vec![entry]);
    }
    let mut contest = Contest::against(judged, entry);
    lesson.enter_trees(&split, &mut contest);
    lesson.enter_buying(&split, &mut contest);
    let sentence = beyond_frequency(&contest, &select(&lesson.churned, &split.held));
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
