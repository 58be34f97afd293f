//! Why a refresh did not publish, and which of its failures are transient.

use crate::domain::files::UnreadFile;
use crate::domain::time::{Day, Timestamp};
use crate::lake::LakeError;
use crate::pipeline::PipelineError;
use crate::runs::Step;
use crate::store::StoreError;

/// Source files with what is wrong with each.
#[derive(Debug)]
pub struct FileProblems(pub Vec<UnreadFile>);

impl FileProblems {
    /// The files with a sentence each, on one line after `prefix`; nothing without files.
    fn after(&self, prefix: &str) -> String {
        let sentences: Vec<String> =
            self.0.iter().map(|file| format!("{}: {}", file.name, file.sentence())).collect();
        if sentences.is_empty() { String::new() } else { prefix.to_owned() + &sentences.join("; ") }
    }

    /// What the operator can paste into the settings file.
    fn mappings(&self) -> String {
        self.0.iter().filter_map(UnreadFile::mapping).collect::<Vec<_>>().join("\n\n")
    }
}

/// Why a refresh did not publish.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// No source file holds the rows of a required data set.
    #[error("there is no file with {noun} in {place}{}", unknown.after(": "))]
    NoSources {
        /// What is missing.
        noun: &'static str,
        /// The sources layer.
        place: String,
        /// The files that are nothing known.
        unknown: FileProblems,
    },
    /// Source files cannot be read.
    #[error("{}", .0.after(""))]
    BadSources(FileProblems),
    /// Source files are nothing known, and `sources.unknown` stops the run.
    #[error("there are source files that are nothing known (sources.unknown = \"stop\"){}", .0.after(": "))]
    UnknownSources(FileProblems),
    /// Files hold the sales of several systems, which may be the same sales.
    #[error(
        "the source files hold sales of several systems: {listed}; they may be the same sales, so say whose count, for example sources.sales = {first:?}, or move the others away"
    )]
    SalesOfSeveral {
        /// The profiles, each with a file.
        listed: String,
        /// One of the profiles.
        first: String,
    },
    /// The day asked for is not over yet.
    #[error("{as_of} lies in the future: the last day to refresh as of is {today}")]
    Future {
        /// The instant asked for.
        as_of: Timestamp,
        /// The present day.
        today: Day,
    },
    /// The generation to start from is not in the lake.
    #[error("there is no generation{} in the lake to start from", .0.map(|n| format!(" {n}")).unwrap_or_default())]
    NoInputs(Option<u64>),
    /// The generation to start from was written before manifests listed silver files.
    #[error("the manifest of generation {0} lists no silver files: start from its bronze instead")]
    NoSilver(u64),
    /// A source file's name cannot be part of an object path.
    #[error("the name of {0} holds a control character; rename it")]
    BadFileName(String),
    /// A source file disappeared while it was being read.
    #[error("{0} disappeared while it was being read")]
    Vanished(String),
    /// Silver does not pass the quality gate.
    #[error("{source}; the rejected rows are in {rejects}")]
    Gate {
        /// Why.
        source: PipelineError,
        /// Where the rejected rows lie until the next run.
        rejects: String,
    },
    /// The lake failed.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The pipeline failed.
    #[error(transparent)]
    Pipeline(PipelineError),
    /// The serving store failed.
    #[error(transparent)]
    Store(StoreError),
    /// The run was asked to stop.
    #[error("the run was cancelled")]
    Cancelled,
    /// A step exceeded the time limit.
    #[error("the step {step} did not end within {limit_secs} s (refresh.step_secs){last_failure}")]
    StepTimeout {
        /// The step.
        step: Step,
        /// The limit, seconds.
        limit_secs: u64,
        /// Its last transient failure, if there was one.
        last_failure: String,
    },
    /// A generation has a table that this version does not know.
    #[error(
        "generation {generation} contains the table {table}, which this version does not know; \
         use the version that built it"
    )]
    UnknownTable {
        /// The generation.
        generation: u64,
        /// The table.
        table: String,
    },
    /// A manifest or a quality report cannot be read or written as JSON.
    #[error("{path} cannot be read or written as JSON")]
    Json {
        /// Where it lies.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
}

impl RefreshError {
    /// Lines for the settings file that would map the files that this is about; empty where there are
    /// none.
    #[must_use]
    pub fn mappings(&self) -> String {
        match self {
            Self::NoSources { unknown: files, .. }
            | Self::BadSources(files)
            | Self::UnknownSources(files) => files.mappings(),
            _ => String::new(),
        }
    }

    /// Whether a retry may succeed without anyone repairing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Lake(error) => error.is_transient(),
            Self::Store(error) => error.is_transient(),
            _ => false,
        }
    }
}

impl From<StoreError> for RefreshError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Cancelled => Self::Cancelled,
            error => Self::Store(error),
        }
    }
}

impl From<PipelineError> for RefreshError {
    /// A failure of the lake while the pipeline was reading from it stays the lake's.
    fn from(error: PipelineError) -> Self {
        match error {
            PipelineError::Unreadable { file, source } => match source.downcast() {
                Ok(error) => Self::Lake(error),
                Err(source) => Self::Pipeline(PipelineError::Unreadable { file, source }),
            },
            other => Self::Pipeline(other),
        }
    }
}

impl From<polars::error::PolarsError> for RefreshError {
    fn from(error: polars::error::PolarsError) -> Self {
        Self::Pipeline(error.into())
    }
}

/// The result of a part of a refresh.
pub(crate) type Result<T> = std::result::Result<T, RefreshError>;
