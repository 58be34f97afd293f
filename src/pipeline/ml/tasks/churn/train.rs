//! Learning churn: customers as they were known at the cut-off, and what they did afterwards.

use super::Model;
use crate::domain::time::{DAY_MICROS, Timestamp};
use crate::pipeline::ml::explain::{ReferenceCustomer, importances};
use crate::pipeline::ml::features::{COUNT, DAYS_SINCE_LAST, FREQUENCY, NAMES, TENURE};
use crate::pipeline::ml::history::History;
use crate::pipeline::ml::leakage::{Leak, leak};
use crate::pipeline::ml::matrix::select;
use crate::pipeline::ml::methods::bg_nbd::{self, Dropout};
use crate::pipeline::ml::methods::decision_stump::DecisionStump;
use crate::pipeline::ml::methods::{boosted, forest};
use crate::pipeline::ml::metrics::{calibration, probabilities};
use crate::pipeline::ml::report::{Candidate, Method, Metrics, Task};
use crate::pipeline::ml::sampling::{SeededSampler, Split};
use crate::pipeline::ml::selection::ModelSelection;
use crate::pipeline::ml::snapshot::CustomerSnapshot;
use crate::pipeline::ml::{TrainingOptions, report_text};

/// Standard errors by which more than frequency has to help before it is said to.
const SIGNIFICANCE_Z: f64 = 2.0;
/// The part of the error of frequency alone that less error has to be to be worth knowing.
const MIN_RELATIVE_GAIN: f64 = 0.1;

/// A model, and what it foretold of the customers held out.
type Judged = (Model, Vec<f64>);

/// What there is to learn from.
struct TrainingSet<'a> {
    rules: &'a TrainingOptions,
    facts: CustomerSnapshot<'a>,
    churned: Vec<bool>,
}

impl<'a> TrainingSet<'a> {
    fn new(history: &'a History, as_of: Timestamp, rules: &'a TrainingOptions) -> Self {
        let cut_off = Timestamp(as_of.0 - i64::from(rules.churn_horizon_days) * DAY_MICROS);
        let past = history.up_to(cut_off);
        let windows = history.after(&past, as_of);
        let churned = windows.iter().map(|window| window.purchases == 0).collect();
        Self { rules, facts: CustomerSnapshot::of(past), churned }
    }

    fn horizon_days(&self) -> f64 {
        self.rules.churn_horizon_days.into()
    }

    fn entry(&self, method: Method, algorithm: &str, library: &'static str) -> Candidate {
        let mut entry = Candidate::new(Task::Churn, method, algorithm, library);
        entry.cut_off = Some(self.facts.past.cut_off());
        entry.horizon_days = Some(self.rules.churn_horizon_days.into());
        entry.customers = self.facts.len();
        entry
    }

    /// The rule, as some rows teach it.
    fn rule(&self, rows: &[usize]) -> (Model, Candidate) {
        let (values, churned) = self.column(DAYS_SINCE_LAST, rows);
        let rule = DecisionStump::at_median(DAYS_SINCE_LAST, &values, &churned);
        self.told(rule, &format!("above its median ({:.0})", rule.threshold), rows)
    }

    /// The rule that parts best by a feature, as some rows teach it.
    fn parting_rule(&self, feature: usize, rows: &[usize]) -> (Model, Candidate) {
        let (values, churned) = self.column(feature, rows);
        let rule = DecisionStump::best_split(feature, &values, &churned);
        let side = if rule.is_above { "above" } else { "not above" };
        self.told(rule, &format!("{side} {:.1}, which parts best", rule.threshold), rows)
    }

    fn column(&self, feature: usize, rows: &[usize]) -> (Vec<f32>, Vec<bool>) {
        let values: Vec<f32> = self.facts.features.column(feature).collect();
        (select(&values, rows), select(&self.churned, rows))
    }

    fn told(&self, rule: DecisionStump, when: &str, rows: &[usize]) -> (Model, Candidate) {
        let name = NAMES[rule.feature];
        let algorithm = format!(
            "churned if {name} is {when}; each side with the rate seen there, smoothed by Laplace's rule"
        );
        let mut entry = self.entry(Method::Baseline, &algorithm, report_text::OURS);
        entry.features = vec![name];
        entry.fitted = rows.len();
        (Model::DecisionStump(rule), entry)
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
            return Err(report_text::too_few_by_the_cut_off(customers, least));
        }
        if self.rarer() == 0 {
            let who = if churned.contains(&true) { "everybody" } else { "nobody" };
            return Err(format!(
                "skipped: {who} stayed away for {} days after the cut-off, so there is no churn to learn and the baseline serves",
                rules.churn_horizon_days
            ));
        }
        let split = SeededSampler::new(rules.seed, "churn").hold_out(&facts.ids);
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
    fn judge(&self, model: Model, held: &[usize], entry: &mut Candidate) -> Judged {
        let horizon_days = self.horizon_days();
        let churned = select(&self.churned, held);
        let foretold = model.probabilities(&self.facts, held, horizon_days);
        let pairs = held.iter().zip(&foretold);
        let said: Vec<bool> =
            pairs.map(|(row, foretold)| model.says(&self.facts, *row, *foretold)).collect();
        entry.held_out = held.len();
        entry.figures = Some(Metrics::Churn(probabilities(&churned, &foretold, &said)));
        entry.importances =
            importances(held, self.rules.seed, |row| model.effects(&self.facts, row, horizon_days));
        entry.calibration = calibration(&churned, &foretold);
        (model, foretold)
    }

    /// Enters the methods that learn from what happened.
    fn enter_trees(&self, split: &Split, contest: &mut ModelSelection<Judged>) {
        let seed = self.rules.seed;
        let chance = SeededSampler::new(seed, "churn");
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
    fn enter_purchase_models(&self, split: &Split, contest: &mut ModelSelection<Judged>) {
        let chance = SeededSampler::new(self.rules.seed, "buying");
        let rows = select(&split.kept, &chance.sample(split.kept.len(), self.rules.max_fit_rows));
        let patterns = select(&self.facts.patterns, &rows);
        let typical = ReferenceCustomer::of(&patterns, &select(&self.facts.spends, &rows));
        for dropout in [Dropout::AfterRepeat, Dropout::AfterAny, Dropout::Never] {
            let algorithm =
                format!("{}; P(no purchase in the horizon)", report_text::name(dropout));
            let mut entry =
                self.entry(Method::of_buying(dropout), &algorithm, report_text::CLIMBED);
            entry.features = match dropout {
                Dropout::Never => vec![NAMES[FREQUENCY], NAMES[TENURE]],
                _ => vec![NAMES[DAYS_SINCE_LAST], NAMES[FREQUENCY], NAMES[TENURE]],
            };
            entry.fitted_on(rows.len(), split.kept.len(), "drawn by chance");
            let fit = bg_nbd::fit(dropout, &patterns).map(|fitted| {
                report_text::buying(&fitted, &mut entry);
                Model::PurchaseModel(fitted.model, typical)
            });
            contest.enter(entry, fit, |model, entry| self.judge(model, &split.held, entry));
        }
    }
}

/// Learns from the history and says how well.
///
/// Returns what serves and an entry per method that was tried, the one that serves first.
#[must_use]
pub fn train(
    history: &History,
    as_of: Timestamp,
    rules: &TrainingOptions,
) -> (Model, Vec<Candidate>) {
    let lesson = TrainingSet::new(history, as_of, rules);
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
    let seen = lesson.facts.features.select(&split.kept);
    if let Some(Leak { feature, sentence }) =
        leak(&NAMES, &seen, &select(&lesson.churned, &split.kept))
    {
        let baseline = entry.figures;
        let (rule, mut entry) = lesson.parting_rule(feature, &split.kept);
        let (rule, _) = lesson.judge(rule, &split.held, &mut entry);
        entry.baseline = baseline;
        entry.serves_because(&sentence);
        return (rule, vec![entry]);
    }
    let mut contest = ModelSelection::against(judged, entry);
    lesson.enter_trees(&split, &mut contest);
    lesson.enter_purchase_models(&split, &mut contest);
    let sentence = beyond_frequency(&contest, &select(&lesson.churned, &split.held));
    let ((model, foretold), mut entries) = contest.decide();
    entries[0].say(&sentence.unwrap_or_default());
    report_text::constant(&foretold, &mut entries[0]);
    (model, entries)
}

/// What is to be said when nothing that knows more foretells better than NBD, which knows how often
/// a customer bought in how long and nothing of when last: neither by more than twice the standard error of the difference on the
/// customers held out, nor by a part of its error that would count. Where that error is too
/// uncertain to tell, this is said instead.
#[allow(clippy::cast_precision_loss)]
fn beyond_frequency(contest: &ModelSelection<Judged>, labels: &[bool]) -> Option<String> {
    let of = |method: Method| {
        let (judged, _) = contest.judged().find(|(_, entry)| entry.method == method)?;
        Some(&judged.1)
    };
    let count = labels.len() as f64;
    let squared = |label: bool, p: f64| (f64::from(u8::from(label)) - p).powi(2);
    let frequency_only = of(Method::Nbd)?;
    let errors = labels.iter().zip(frequency_only).map(|(label, p)| squared(*label, *p));
    let least_that_counts = errors.sum::<f64>() / count * MIN_RELATIVE_GAIN;
    // By how much each is better than NBD, and twice the standard error of that.
    let others = [Method::Baseline, Method::Forest, Method::Boosted, Method::BgNbd, Method::MbgNbd];
    let gains: Vec<(f64, f64)> = others
        .into_iter()
        .filter_map(of)
        .map(|foretold| {
            let gains: Vec<f64> = labels
                .iter()
                .zip(frequency_only.iter().zip(foretold))
                .map(|(label, (nbd, other))| squared(*label, *nbd) - squared(*label, *other))
                .collect();
            let mean = gains.iter().sum::<f64>() / count;
            let variance = gains.iter().map(|gain| (gain - mean).powi(2)).sum::<f64>() / count;
            (mean, SIGNIFICANCE_Z * (variance / count).sqrt())
        })
        .collect();
    if gains.iter().any(|(gain, doubt)| gain > doubt) {
        return None;
    }
    Some(if gains.iter().all(|(gain, doubt)| gain + doubt <= least_that_counts) {
        "there is no dropout to learn: recency and everything else known of a customer foretell no better than how often they buy, so nothing beyond purchase frequency is there to learn".to_owned()
    } else {
        format!(
            "{count} customers held out are too few to tell whether anything beyond purchase frequency is there to learn"
        )
    })
}
