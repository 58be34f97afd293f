//! What a task has to learn from: customers at a cut-off with labels, and the part that fits see.

use std::sync::OnceLock;

use super::explain::ReferenceCustomer;
use super::history::{History, Window};
use super::matrix::{Matrix, select};
use super::methods::bg_nbd::Pattern;
use super::methods::gamma_gamma::{self, Spend, SpendFit};
use super::options::TrainingOptions;
use super::report::{Candidate, Task};
use super::sampling::{SeededSampler, Split};
use super::snapshot::CustomerSnapshot;
use crate::domain::time::{DAY_MICROS, Timestamp};

/// Customers as they were known at the cut-off, and what they did in the window after it.
pub(crate) struct LabelledCustomers<'a> {
    pub task: Task,
    pub options: &'a TrainingOptions,
    pub snapshot: CustomerSnapshot<'a>,
    /// What is to be predicted, per customer: 1 or 0, or an amount.
    pub targets: Vec<f64>,
    /// The class of each customer, whose proportions samples keep.
    pub positive: Vec<bool>,
    /// Days from the cut-off to the end of the window.
    pub window_days: i64,
    /// Days from the first purchase to the end of the window.
    pub history_days: i64,
    /// Whether any customer is known to have come back: a customer of the cut-off in the window, or,
    /// where there was none yet, a customer on a second day.
    pub has_returns: bool,
}

impl<'a> LabelledCustomers<'a> {
    /// Labels the customers known `window_days` before `as_of`. `label` gives the target of a
    /// customer's window and whether the customer is in the positive class.
    pub fn new(
        task: Task,
        history: &'a History,
        as_of: Timestamp,
        options: &'a TrainingOptions,
        window_days: i64,
        label: impl Fn(Window) -> (f64, bool),
    ) -> Self {
        let past = history.up_to(Timestamp(as_of.0 - window_days * DAY_MICROS));
        let windows = history.after(&past, as_of);
        let has_returns = if windows.is_empty() {
            history.up_to(as_of).has_repeats()
        } else {
            windows.iter().any(|window| window.purchases > 0)
        };
        let (targets, positive) = windows.into_iter().map(label).unzip();
        let snapshot = CustomerSnapshot::of(past);
        let history_days = history.days_until(as_of);
        Self { task, options, snapshot, targets, positive, window_days, history_days, has_returns }
    }

    pub fn len(&self) -> usize {
        self.snapshot.len()
    }

    /// How far ahead predictions look when they are compared with the window, days.
    #[allow(clippy::cast_precision_loss)]
    pub fn days_ahead(&self) -> f64 {
        self.window_days as f64
    }

    /// A candidate for this task, not fitted and not evaluated yet.
    pub fn candidate(
        &self,
        method: &'static str,
        algorithm: &str,
        library: &'static str,
    ) -> Candidate {
        let mut candidate = Candidate::new(self.task, method, algorithm, library);
        candidate.cut_off = Some(self.snapshot.past.cut_off());
        candidate.horizon_days = Some(self.window_days);
        candidate.customers = self.len();
        candidate
    }

    /// The part of a split that fits see, sampled where it is larger than the options allow.
    pub fn training_set(&self, split: &Split) -> TrainingSet {
        let (seed, limit) = (self.options.seed, self.options.max_fit_rows);
        let sampler = SeededSampler::new(seed, self.task.as_str());
        let rows = sampler.stratified(&split.train, &self.positive, limit);
        #[allow(clippy::cast_possible_truncation)] // what trees are fitted on
        let labels = rows.iter().map(|row| self.targets[*row] as f32).collect();
        let features = self.snapshot.features.select(&rows);

        let sampler = SeededSampler::new(seed, "buying");
        let rows = select(&split.train, &sampler.sample(split.train.len(), limit));
        let patterns = select(&self.snapshot.patterns, &rows);
        let spends = select(&self.snapshot.spends, &rows);
        let reference = ReferenceCustomer::of(&patterns, &spends);
        TrainingSet {
            seed,
            customers: split.train.len(),
            features,
            labels,
            patterns,
            spends,
            reference,
            spend_fit: OnceLock::new(),
        }
    }
}

/// What a method learns from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// Features and labels.
    Features,
    /// Transactions, without any label.
    Transactions,
}

/// The training customers, as methods see them.
pub(crate) struct TrainingSet {
    pub seed: u64,
    /// How many customers there are to train on, before sampling.
    pub customers: usize,
    /// A row per customer of a sample that keeps the proportions of the classes.
    pub features: Matrix,
    /// What is to be predicted, one entry per row of `features`.
    pub labels: Vec<f32>,
    /// The purchase patterns of a random sample.
    pub patterns: Vec<Pattern>,
    /// The transactions of the same customers.
    pub spends: Vec<Spend>,
    /// The median of the same customers.
    pub reference: ReferenceCustomer,
    spend_fit: OnceLock<Result<SpendFit, String>>,
}

impl TrainingSet {
    /// How many customers a method is fitted on.
    pub fn rows(&self, input: Input) -> usize {
        match input {
            Input::Features => self.labels.len(),
            Input::Transactions => self.patterns.len(),
        }
    }

    /// Gamma-Gamma fitted on the spends: once, for all methods that need it.
    pub fn spend_fit(&self) -> Result<&SpendFit, &String> {
        self.spend_fit.get_or_init(|| gamma_gamma::fit(&self.spends)).as_ref()
    }
}
