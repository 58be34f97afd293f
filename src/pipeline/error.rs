//! What can go wrong between source bytes and gold.

use polars::error::PolarsError;

/// Why the pipeline stopped.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// A source file is unusable.
    #[error("{file}: {problem}")]
    BadSource {
        /// The file's name in the sources layer.
        file: String,
        /// What is wrong with it, with the column or line.
        problem: String,
    },
    /// The bytes of a source file cannot be read.
    #[error("cannot read {file}")]
    Unreadable {
        /// The file's name in the sources layer.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// Two identifiers have one number.
    #[error(
        "the identifiers {:?} and {:?} have the same number {number}; set sources.id_salt to any text",
        texts.0,
        texts.1
    )]
    SameNumber {
        /// The identifiers.
        texts: (String, String),
        /// Their number.
        number: i64,
    },
    /// The quality gate is closed.
    #[error("quality gate: {0}; nothing was published (--force publishes it anyway)")]
    Gate(String),
    /// There is nothing to compute gold from.
    #[error("no valid purchase is left: {0}; nothing was published")]
    NoPurchases(String),
    /// The reference instant lies before every purchase.
    #[error("there is no purchase up to {as_of}; the first one is of {first}")]
    BeforeHistory {
        /// The reference instant.
        as_of: String,
        /// The earliest purchase.
        first: String,
    },
    /// The tables contradict each other.
    #[error("the proof failed: {0}; nothing was published")]
    Proof(String),
    /// Sums would not fit the exact arithmetic they are computed in.
    #[error(
        "the amounts of {rows} purchases of up to {max} EUR cannot be summed exactly; lower quality.max_amount"
    )]
    Overflow {
        /// Number of purchases.
        rows: usize,
        /// Greatest amount, EUR.
        max: f64,
    },
    /// The catalogue lists a table that nothing builds.
    #[error("the table {table} has no builder; add one to pipeline::gold::registry")]
    NoBuilder {
        /// The table.
        table: &'static str,
    },
    /// The catalogue does not list a table that is built, or it is built twice.
    #[error("the table {table} is built but the catalogue does not list it exactly once")]
    UnlistedTable {
        /// The table.
        table: &'static str,
    },
    /// The query engine reported an error.
    #[error("the query engine failed")]
    Frame(#[from] PolarsError),
}

/// The result of a pipeline step.
pub type Result<T> = std::result::Result<T, PipelineError>;
