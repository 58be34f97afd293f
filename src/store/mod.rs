//! The serving stores: the contracts [`GoldStore`] and [`Publisher`], which each store implements.
//!
//! A store holds each table of a generation in an immutable physical table named by content, and
//! one pointer to the generation that is served. Publishing writes everything first and moves the
//! pointer last. It knows neither settings nor the web framework.

mod error;
mod identity;
pub mod mongo;
pub mod rollback;
pub mod sqlite;
mod verify;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

pub use error::{Cause, Result, RowsError, StoreError};

use crate::domain::manifest::{Published, TableEntry, Totals};
use crate::domain::query::Query;
use crate::domain::rows::{Batch, Value};
use crate::domain::schema::Table;
use crate::error_chain::{causes, describe};
use crate::runs::{RunEnd, RunLog, RunNotes, RunSpec};

/// Rows to write, block by block; an error ends the writing and undoes it.
pub type RowSource = Box<dyn Iterator<Item = std::result::Result<Batch, RowsError>> + Send>;

/// An answer to a [`Query`].
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The fields' names, in order.
    pub fields: Vec<&'static str>,
    /// The rows, each with one value per field.
    pub rows: Vec<Vec<Value>>,
    /// The number of rows that match the query, on this page and beyond.
    pub total: u64,
}

/// What the audit of a stored table found.
#[derive(Debug, Clone, PartialEq)]
pub struct Audit {
    /// Number of rows.
    pub rows: u64,
    /// Column names in order.
    pub columns: Vec<String>,
    /// Rows whose key is missing or shared with another row.
    pub rows_without_own_key: u64,
    /// Columns with values that are missing, of another type or out of range, with their number.
    pub wrong_values: Vec<(String, u64)>,
    /// The table's totals, where it has a tally.
    pub totals: Option<Totals>,
    /// Declared indexes that do not exist.
    pub missing_indexes: Vec<String>,
}

/// A serving store: generations of immutable tables behind one pointer.
#[async_trait]
pub trait GoldStore: RunLog<Error = StoreError> + fmt::Debug {
    /// Kind and place, for people: never a secret.
    fn location(&self) -> String;

    /// An id that the store has for as long as it exists: created on first use, kept by backups. The lake
    /// that belongs to the store names it.
    async fn identity(&self) -> Result<String>;

    /// Succeeds when the store answers and can be read.
    async fn ping(&self) -> Result<()>;

    /// The generation served now; `None` before the first publish.
    async fn active(&self) -> Result<Option<Arc<Published>>>;

    /// Every stored generation, ascending.
    async fn generations(&self) -> Result<Vec<Published>>;

    /// Answers a query from one generation.
    async fn find(&self, published: &Published, query: &Query) -> Result<Page>;

    /// Audits whether every stable name and legacy view shows the generation's tables. Returns each
    /// difference as a sentence.
    async fn audit_names(&self, published: &Published) -> Result<Vec<String>>;

    /// Audits a whole stored table; `None` when it does not exist.
    async fn audit(&self, table: &'static Table, entry: &TableEntry) -> Result<Option<Audit>>;

    /// Closes connections, at the end of the process.
    async fn close(&self) {}

    /// Takes the exclusive right to publish and starts the record of a run. The last holder's run
    /// has ended by then: if its record does not say so, it becomes interrupted.
    ///
    /// # Errors
    /// [`StoreError::Locked`] while another process holds it; [`StoreError::NotEnqueued`] and
    /// [`StoreError::AlreadyRun`] when another process has carried out the order.
    async fn publisher(&self, order: &RunSpec) -> Result<Box<dyn Publisher>>;
}

/// The exclusive right to publish, without which nothing is written to a store. Ends with
/// [`Self::end`], or by itself some time after its process ended.
#[async_trait]
pub trait Publisher: Send + Sync + fmt::Debug {
    /// The number of the run.
    fn run(&self) -> u64;

    /// Records the run's progress.
    async fn note(&self, notes: &RunNotes) -> Result<()>;

    /// Whether the run's cancellation was requested, in this process or another.
    async fn cancel_requested(&self) -> Result<bool>;

    /// Checks with the store that this process still has the right to publish, before something
    /// that cannot be undone.
    async fn confirm_held(&self) -> Result<()>;

    /// Deletes the records of all runs but the newest `keep`, those that have not ended, and the
    /// last refresh that published.
    async fn forget_runs(&self, keep: u32) -> Result<()>;

    /// The generation served now, read afresh.
    async fn active(&self) -> Result<Option<Published>>;

    /// Whether a table is stored, whole, under its physical name. Missing indexes are built.
    async fn has_table(&self, table: &'static Table, entry: &TableEntry) -> Result<bool>;

    /// Stores a table under its physical name with its indexes; returns `false` when it is stored
    /// already. The stored rows are counted and summed against the entry; a difference undoes the
    /// writing.
    async fn write_table(
        &self,
        table: &'static Table,
        entry: &TableEntry,
        rows: RowSource,
    ) -> Result<bool>;

    /// Makes a generation, all of whose tables are stored, the one that is served: one commit,
    /// together with the run's record where the store supports it. Then points every stable name
    /// and legacy view at its tables. Idempotent.
    async fn activate(&self, published: &Published) -> Result<()>;

    /// Points every stable name and legacy view at the generation's tables, where an earlier
    /// process ended before it had.
    async fn repair_names(&self, published: &Published) -> Result<()>;

    /// Deletes all generations but the newest `keep` and the active one, and drops every physical
    /// table that none of those uses. Returns how many tables it dropped.
    async fn sweep(&self, keep: usize) -> Result<usize>;

    /// Gives up the right and ends the run's record.
    async fn end(self: Box<Self>, end: RunEnd) -> Result<()>;
}

/// Names this process in leases and records of runs: `host:pid`.
#[must_use]
pub fn owner() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "localhost" } else { host.trim() };
    format!("{host}:{}", std::process::id())
}

/// The end of a run with this error.
#[must_use]
pub fn failed(error: &dyn std::error::Error) -> RunEnd {
    RunEnd::Failed { error: describe(error), causes: causes(error) }
}

/// Ends a run; logs it when the record cannot be ended.
pub async fn end_run(publisher: Box<dyn Publisher>, end: RunEnd) {
    if let Err(error) = publisher.end(end).await {
        tracing::warn!(error = describe(&error), "the end of the run could not be recorded");
    }
}
