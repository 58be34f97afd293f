//! What a run says of its models: one entry per model that serves and per method that was tried.

use crate::domain::time::Timestamp;
use crate::pipeline::ml::methods::bg_nbd::Dropout;
use crate::pipeline::ml::metrics::{Bin, ClassificationMetrics, RegressionMetrics};

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Telling customers apart.
    Segmentation,
    /// Who will not buy again soon.
    Churn,
    /// What a customer will spend in 12 months.
    Clv,
    /// Whether customers are alive, and how much they will buy.
    PurchaseModel,
}

impl Task {
    /// The word for it in columns and URLs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Segmentation => "segmentation",
            Self::Churn => "churn",
            Self::Clv => "clv",
            Self::PurchaseModel => "buying",
        }
    }

    /// Whether several methods are tried for it, of which the best one serves.
    #[must_use]
    pub fn has_contest(self) -> bool {
        matches!(self, Self::Churn | Self::Clv)
    }
}

/// A way to do a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// K-Means.
    KMeans,
    /// Random forest.
    Forest,
    /// Gradient-boosted trees.
    Boosted,
    /// Whether somebody buys, times how much if they do.
    TwoStage,
    /// BG/NBD, for amounts with Gamma-Gamma.
    BgNbd,
    /// MBG/NBD, for amounts with Gamma-Gamma.
    MbgNbd,
    /// NBD: buying without an end, told by frequency alone.
    Nbd,
    /// The simple rule that any model has to beat.
    Baseline,
}

impl Method {
    /// The one that goes by a kind of dropout.
    #[must_use]
    pub fn of_buying(dropout: Dropout) -> Self {
        match dropout {
            Dropout::Never => Self::Nbd,
            Dropout::AfterRepeat => Self::BgNbd,
            Dropout::AfterAny => Self::MbgNbd,
        }
    }

    /// The word for it in columns and URLs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KMeans => "kmeans",
            Self::Forest => "random_forest",
            Self::Boosted => "boosted_trees",
            Self::TwoStage => "two_stage",
            Self::BgNbd => "bg_nbd",
            Self::MbgNbd => "mbg_nbd",
            Self::Nbd => "nbd",
            Self::Baseline => "baseline",
        }
    }
}

/// How well something did, on customers it had not seen.
#[derive(Debug, Clone, PartialEq)]
pub enum Metrics {
    /// Of probabilities.
    Churn(ClassificationMetrics),
    /// Of amounts.
    Clv(RegressionMetrics),
}

/// How well customers are told apart.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentationMetrics {
    /// Mean silhouette.
    pub silhouette: Option<f64>,
    /// Sum of squared distances to the centres, standardised.
    pub inertia: Option<f64>,
    /// Agreement with the last published run: the adjusted Rand index over common customers.
    pub adjusted_rand_index: Option<f64>,
    /// Segments and their sizes.
    pub sizes: Vec<(String, u64)>,
}

/// What is said of one model or method.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// What it is for.
    pub task: Task,
    /// How it does it.
    pub method: Method,
    /// What that is, in words.
    pub algorithm: String,
    /// What fits it.
    pub library: &'static str,
    /// Whether this is what documents of the task come from.
    pub serves: bool,
    /// What a reader has to know, in sentences; empty when there is nothing.
    pub note: String,
    /// Where the past ended that it learnt from.
    pub cut_off: Option<Timestamp>,
    /// Length of the window after it, days.
    pub horizon_days: Option<i64>,
    /// Customers known at the cut-off.
    pub customers: usize,
    /// Customers it was fitted on.
    pub fitted: usize,
    /// Customers it was judged on.
    pub held_out: usize,
    /// What it was told of each.
    pub features: Vec<&'static str>,
    /// Hyper-parameters.
    pub hyper_parameters: String,
    /// Fitted parameters with their standard errors, in words.
    pub parameters: Vec<String>,
    /// The logarithm of the likelihood, where it was maximised.
    pub log_likelihood: Option<f64>,
    /// How much each feature moves predictions, as a share of 1, greatest first.
    pub importances: Vec<(&'static str, f64)>,
    /// How it did; `None` when it was not judged.
    pub figures: Option<Metrics>,
    /// How the baseline did on the same customers.
    pub baseline: Option<Metrics>,
    /// What was foretold and what happened, bin by bin.
    pub calibration: Vec<Bin>,
    /// How customers are told apart.
    pub segments: Option<SegmentationMetrics>,
}

impl Candidate {
    /// An entry of which nothing is known yet.
    #[must_use]
    pub fn new(task: Task, method: Method, algorithm: &str, library: &'static str) -> Self {
        Self {
            task,
            method,
            algorithm: algorithm.to_owned(),
            library,
            serves: false,
            note: String::new(),
            cut_off: None,
            horizon_days: None,
            customers: 0,
            fitted: 0,
            held_out: 0,
            features: Vec::new(),
            hyper_parameters: String::new(),
            parameters: Vec::new(),
            log_likelihood: None,
            importances: Vec::new(),
            figures: None,
            baseline: None,
            calibration: Vec::new(),
            segments: None,
        }
    }

    /// Notes what it was fitted on, and says so where that is a sample of what there was.
    pub fn fitted_on(&mut self, rows: usize, of: usize, chosen: &str) {
        self.fitted = rows;
        if rows < of {
            self.say(&format!("fitted on {rows} of {of} customers, {chosen}"));
        }
    }

    /// It serves, without a contest.
    pub fn serves_because(&mut self, why: &str) {
        self.serves = true;
        self.say(why);
    }

    /// Adds a sentence to the note.
    pub fn say(&mut self, sentence: &str) {
        if !self.note.is_empty() && !sentence.is_empty() {
            self.note.push_str("; ");
        }
        self.note.push_str(sentence);
    }
}
