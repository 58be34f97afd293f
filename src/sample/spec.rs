//! What a sample is asked to be, and why one cannot be generated.

/// The size and seed of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spec {
    /// Number of customers, with or without purchases.
    pub customers: u32,
    /// Number of purchases.
    pub purchases: u32,
    /// Seed of all random draws.
    pub seed: u64,
    /// Share of invalid rows, `[0, 0.5]`; they are added to the valid rows.
    pub dirty: f64,
}

/// Why a sample cannot be generated.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// No shop has such numbers.
    #[error("{0}")]
    Impossible(String),
    /// A row cannot be written as CSV.
    #[error("the sample cannot be written as CSV")]
    Csv(#[from] csv::Error),
    /// The true parameters cannot be written as JSON.
    #[error("the true parameters cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// A row of a CSV file.
pub(super) type Row = Vec<String>;
