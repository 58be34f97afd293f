//! What can go wrong between bytes and gold, each as one sentence that names what and where.

use polars::error::PolarsError;

/// Why the pipeline stopped.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// A source file cannot be used at all.
    #[error("{file}: {problem}")]
    BadSource {
        /// The file's name in the sources layer.
        file: String,
        /// What is wrong with it, naming the column or line.
        problem: String,
    },
    /// The bytes of a source file cannot be had.
    #[error("cannot read {file}")]
    Unreadable {
        /// The file's name in the sources layer.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// The quality gate is closed.
    #[error("quality gate: {0}; nothing was published (--force publishes it all the same)")]
    Gate(String),
    /// Nothing to compute figures from.
    #[error("no valid purchase is left: {0}; nothing was published")]
    NoPurchases(String),
    /// The run was asked for an instant before every purchase.
    #[error("no purchase happened up to {as_of}; the first one is of {first}")]
    BeforeHistory {
        /// The instant asked for.
        as_of: String,
        /// The earliest purchase.
        first: String,
    },
    /// The figures contradict each other.
    #[error("the proof failed: {0}; nothing was published")]
    Proof(String),
    /// Sums would not fit the exact arithmetic they are computed in.
    #[error(
        "{rows} purchases of up to {max} EUR are more than exact sums can hold; lower quality.max_amount"
    )]
    Overflow {
        /// Number of purchases.
        rows: usize,
        /// Greatest amount, EUR.
        max: f64,
    },
    /// The frame engine refused.
    #[error("the frame engine failed")]
    Frame(#[from] PolarsError),
}

/// The result of a pipeline step.
pub type Result<T> = std::result::Result<T, PipelineError>;
