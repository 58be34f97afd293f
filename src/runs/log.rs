//! The contract of what a serving store records about runs. Every process on a store sees the same
//! runs.

use std::time::Duration;

use async_trait::async_trait;

use crate::runs::record::{RunPage, RunQuery};
use crate::runs::request::{IdempotencyRecord, RunSpec};

/// How long the run of an idempotency key is remembered.
pub const IDEMPOTENCY_KEY_TTL: Duration = Duration::from_hours(24);

/// The runs of a serving store: their records, the queue and the idempotency keys.
#[async_trait]
pub trait RunLog: Send + Sync {
    /// The store's error.
    type Error;

    /// Runs, newest first.
    async fn runs(&self, query: RunQuery) -> Result<RunPage, Self::Error>;

    /// Queues a run, or finds the one that is queued already: there is at most one. Returns its
    /// number and whether it is new.
    ///
    /// # Errors
    /// An error when there is a run for this instant of the schedule already.
    async fn enqueue(&self, spec: &RunSpec) -> Result<(u64, bool), Self::Error>;

    /// Cancels a queued run; marks a running one as to be stopped. Changes nothing on a run that
    /// has ended.
    async fn request_cancel(&self, run: u64) -> Result<(), Self::Error>;

    /// Ends the records of runs whose process is gone, unless a process holds the right to publish:
    /// succeeded if they had switched, else interrupted. Returns their numbers.
    async fn mark_interrupted(&self) -> Result<Vec<u64>, Self::Error>;

    /// Claims an idempotency key for a request, by its SHA-256, before a run is started. Returns
    /// `None` when the caller now holds the key, else what was stored under it within
    /// [`IDEMPOTENCY_KEY_TTL`].
    async fn claim_key(
        &self,
        key: &str,
        request_hash: &str,
    ) -> Result<Option<IdempotencyRecord>, Self::Error>;

    /// Stores the run that a claimed key started; `None` releases the claim.
    async fn complete_key(&self, key: &str, run: Option<u64>) -> Result<(), Self::Error>;
}
