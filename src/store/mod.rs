//! What serves: the [`GoldStore`] contract and the errors every store speaks.
//!
//! A store keeps each table of a generation in an immutable physical table named by content, and
//! one pointer to the generation that is served. Publishing writes everything first and moves the
//! pointer last. Start reading at [`GoldStore`]; who may publish holds a [`Publisher`].

pub mod mongo;
pub mod sqlite;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::domain::diff::GenerationDiff;
use crate::domain::manifest::{Published, TableEntry, Totals};
use crate::domain::query::Query;
use crate::domain::rows::{Batch, Value};
use crate::domain::schema::Table;
use crate::domain::time::Timestamp;
use crate::error_chain::{causes, describe};
use crate::runs::{
    IdempotencyRecord, RefreshCommand, RunEnd, RunNotes, RunPage, RunQuery, RunSpec, RunTrigger,
    StartError, StartedRun,
};

/// The cause beneath a store's error.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be opened or reached.
    #[error("the serving store {location} cannot be used")]
    Unavailable {
        /// The store, for people.
        location: String,
        /// Its answer.
        source: Cause,
    },
    /// The store refuses us as we are: waiting changes nothing.
    #[error("the serving store {location} cannot be used")]
    Unusable {
        /// The store, for people.
        location: String,
        /// Its answer.
        source: Cause,
    },
    /// A setting of the store cannot be read.
    #[error("setting {setting}: {problem}")]
    Malformed {
        /// The setting.
        setting: &'static str,
        /// What is wrong, without its value.
        problem: String,
    },
    /// Another process publishes to the same store.
    #[error("another refresh is publishing to {0}; wait for it to end")]
    Locked(String),
    /// The right to publish went to another process, since this one was not heard of for too long.
    #[error("another refresh took over publishing to {0}; this one published nothing more")]
    LeaseLost(String),
    /// The run that was to begin does not wait any more: somebody cancelled it, or began it.
    #[error("run {0} does not wait any more")]
    NotEnqueued(u64),
    /// A run for this instant of the schedule has begun already, here or elsewhere.
    #[error("the scheduled run of {0} has begun already")]
    AlreadyRun(Timestamp),
    /// A name to publish under belongs to something else.
    #[error(
        "{names} in {location} belong to somebody else's collections or views; rename or drop them \
         (docs/OPERATIONS.md says how), then refresh again"
    )]
    NamesTaken {
        /// The store, for people.
        location: String,
        /// The names.
        names: String,
    },
    /// What is to be read or served was removed.
    #[error("{table} is not in {location} any more")]
    Removed {
        /// The physical table.
        table: String,
        /// The store, for people.
        location: String,
    },
    /// There is no such generation to go back to.
    #[error("{0}")]
    NoGeneration(String),
    /// What was written is not what the manifest says.
    #[error("{table} was not stored as its manifest says: {problem}")]
    Mismatch {
        /// The table.
        table: String,
        /// The difference.
        problem: String,
    },
    /// A stored value cannot be read as its declared type.
    #[error("{table}.{column} holds a value that is not of type {ty} in the row with key {key}")]
    Decode {
        /// The physical table.
        table: String,
        /// The column.
        column: String,
        /// The declared type.
        ty: &'static str,
        /// The row's key.
        key: String,
    },
    /// Anything else the store refused.
    #[error("{action} failed in {location}")]
    Failed {
        /// What was tried.
        action: String,
        /// The store, for people.
        location: String,
        /// Its answer.
        source: Cause,
    },
}

impl StoreError {
    /// Whether the same request may succeed later without anybody repairing what is stored.
    #[must_use]
    pub fn is_away(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. }
                | Self::Unusable { .. }
                | Self::Failed { .. }
                | Self::Removed { .. }
        )
    }

    /// Whether the same may succeed a little later: the store could not be asked.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// The result of a store operation.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Rows to write, block by block; an error ends the writing and undoes it.
pub type RowSource = Box<dyn Iterator<Item = std::result::Result<Batch, Cause>> + Send>;

/// An answer to a [`Query`].
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The fields' names, in order.
    pub fields: Vec<&'static str>,
    /// The rows, each with one value per field.
    pub rows: Vec<Vec<Value>>,
    /// How many rows the query matches beyond this page.
    pub total: u64,
}

/// What a stored table turned out to hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Audit {
    /// Number of rows.
    pub rows: u64,
    /// Column names in order.
    pub columns: Vec<String>,
    /// Rows that share their key with another or have none.
    pub rows_without_own_key: u64,
    /// Columns with values that are missing where they must not be or out of their range, with counts.
    pub wrong_values: Vec<(String, u64)>,
    /// The table's totals, where it has a tally.
    pub totals: Option<Totals>,
    /// Indexes that should be there and are not.
    pub missing_indexes: Vec<String>,
}

/// Hears of named points within publishing, for tests that end the process there.
pub type Reached<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// A serving store: generations of immutable tables behind one pointer.
#[async_trait]
pub trait GoldStore: RunLog + fmt::Debug {
    /// Kind and place, for people: never a secret.
    fn location(&self) -> String;

    /// Answers when the store does and can be read.
    async fn ping(&self) -> Result<()>;

    /// The generation served now; `None` before the first publish.
    async fn active(&self) -> Result<Option<Arc<Published>>>;

    /// Every generation kept, ascending.
    async fn generations(&self) -> Result<Vec<Published>>;

    /// Answers a query from one generation.
    async fn find(&self, published: &Published, query: &Query) -> Result<Page>;

    /// Looks whether every stable and older name shows the generation's tables. Returns what does
    /// not, as sentences.
    async fn audit_names(&self, published: &Published) -> Result<Vec<String>>;

    /// Looks over a whole stored table; `None` when it is not there.
    async fn audit(&self, table: &'static Table, entry: &TableEntry) -> Result<Option<Audit>>;

    /// Ends connections, at the end of the process.
    async fn close(&self) {}

    /// Takes the exclusive right to publish and starts the record of a run. The last holder's run
    /// has ended by then: if it did not say so, its record becomes interrupted.
    ///
    /// # Errors
    /// [`StoreError::Locked`] while another process holds it; [`StoreError::NotEnqueued`] and
    /// [`StoreError::AlreadyRun`] when the order has been carried out meanwhile.
    async fn publisher(&self, order: &RunSpec) -> Result<Box<dyn Publisher>>;
}

/// What a store remembers of runs. Every process on the store sees the same.
#[async_trait]
pub trait RunLog: Send + Sync {
    /// Runs, newest first.
    async fn runs(&self, query: RunQuery) -> Result<RunPage>;

    /// Puts a run in line behind the one that goes on, or finds the one that waits there: its
    /// number, and whether it is new. There is never more than one.
    ///
    /// # Errors
    /// [`StoreError::AlreadyRun`] when there is one for this instant of the schedule.
    async fn enqueue(&self, order: &RunSpec) -> Result<(u64, bool)>;

    /// Ends a run that is enqueued as cancelled; notes of one that goes on that it is to stop. Of
    /// one that has ended nothing changes.
    async fn request_cancel(&self, run: u64) -> Result<()>;

    /// Ends the records of runs whose process is gone, if nobody holds the right to publish: interrupted, or
    /// succeeded if they had switched. Which those were.
    async fn mark_interrupted(&self) -> Result<Vec<u64>>;

    /// Takes a key for what is asked for (its SHA-256), before it is carried out. `None` when it is the
    /// caller's now, else what was asked for under it within the last [`KEY_LIFE`].
    async fn claim_key(&self, key: &str, asked: &str) -> Result<Option<IdempotencyRecord>>;

    /// Keeps the run that came of what a claimed key was for; `None` gives the key back.
    async fn keep_key(&self, key: &str, run: Option<u64>) -> Result<()>;
}

/// How long it is remembered what was asked for under a key.
pub const KEY_LIFE: Duration = Duration::from_hours(24);

/// The exclusive right to publish: nobody can write to a store without it. Ends with
/// [`Self::end`], or by itself some time after its process did.
#[async_trait]
pub trait Publisher: Send + Sync + fmt::Debug {
    /// The number of the run.
    fn run(&self) -> u64;

    /// Writes into the run's record how far it is.
    async fn note(&self, notes: &RunNotes) -> Result<()>;

    /// Whether somebody asked for the run to stop, here or elsewhere.
    async fn cancel_requested(&self) -> Result<bool>;

    /// Learns from the store whether this process still has the right to publish, before something
    /// that cannot be undone.
    async fn confirm_held(&self) -> Result<()>;

    /// Forgets all runs but the newest `keep`, those that have not ended, and the last refresh that
    /// published.
    async fn forget_runs(&self, keep: u32) -> Result<()>;

    /// The generation served now, read afresh.
    async fn active(&self) -> Result<Option<Published>>;

    /// Whether a table is stored already, whole, under its physical name. Indexes that somebody
    /// dropped are built again.
    async fn has_table(&self, table: &'static Table, entry: &TableEntry) -> Result<bool>;

    /// Stores a table under its physical name with its indexes, or finds it there already, in which
    /// case it is not written again and the answer is `false`. The rows stored are counted and
    /// summed against the entry; a difference undoes the writing.
    async fn write_table(
        &self,
        table: &'static Table,
        entry: &TableEntry,
        rows: RowSource,
        reached: Reached<'_>,
    ) -> Result<bool>;

    /// Makes a generation, all of whose tables are stored, the one that is served: one commit,
    /// together with the run's record where the store can. Then every stable and older name shows
    /// its tables. Doing it again changes nothing.
    async fn activate(&self, published: &Published, reached: Reached<'_>) -> Result<()>;

    /// Points every stable and older name at the generation's tables again, if an earlier process
    /// ended before it had.
    async fn repair_names(&self, published: &Published) -> Result<()>;

    /// Forgets all generations but the newest `keep` and the active one, and drops every physical
    /// table that none of those uses. Returns how many tables it dropped.
    async fn sweep(&self, keep: usize) -> Result<usize>;

    /// Gives the right back and ends the run's record.
    async fn end(self: Box<Self>, end: RunEnd) -> Result<()>;
}

/// Starts runs for whoever asks.
#[async_trait]
pub trait RunControl: Send + Sync + fmt::Debug {
    /// Starts a refresh; while one goes on, joins it or has one more wait behind it.
    ///
    /// # Errors
    /// [`StartError`].
    async fn refresh(&self, wish: RefreshCommand) -> std::result::Result<StartedRun, StartError>;

    /// Serves an earlier generation again: the generation served before, and now.
    ///
    /// # Errors
    /// Those of [`rollback`].
    async fn rollback(&self, generation: u64) -> Result<(u64, u64)>;

    /// How two generations that are kept differ.
    ///
    /// # Errors
    /// [`StartError::NotThere`] when one is not kept, [`StartError::Failed`] when its tables cannot be read.
    async fn diff(&self, from: u64, to: u64) -> std::result::Result<GenerationDiff, StartError>;

    /// Asks a run to stop at the next point where nothing is half done, wherever it goes on.
    ///
    /// # Errors
    /// When the store cannot be asked.
    async fn cancel(&self, run: u64) -> Result<()>;

    /// Waits until a run has ended, wherever it goes on, or the time is over.
    async fn wait(&self, run: u64, at_most: Duration);

    /// Fires when the process is told to stop: who watches runs should not keep it waiting.
    fn stopping(&self) -> CancellationToken;
}

/// Names this process as the holder of a right to publish: `host:pid`.
#[must_use]
pub fn holder() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "localhost" } else { host.trim() };
    format!("{host}:{}", std::process::id())
}

/// A lock whose data stay usable even if a thread panicked while holding it: every holder leaves
/// them consistent at each step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Compares what is stored with what the manifest says.
fn check_stored(
    table: &Table,
    entry: &TableEntry,
    rows: u64,
    totals: Option<Totals>,
) -> Result<()> {
    let mismatch =
        |problem: String| Err(StoreError::Mismatch { table: table.name.to_owned(), problem });
    if rows != entry.rows {
        return mismatch(format!("{rows} rows instead of {}", entry.rows));
    }
    if let (Some(found), Some(expected)) = (totals, entry.totals)
        && !found.agrees_with(expected, Totals::HALF_CENT)
    {
        return mismatch(format!("totals {found:?} instead of {expected:?}"));
    }
    Ok(())
}

/// The entry of a query's table in a generation.
fn entry_of<'p>(published: &'p Published, table: &Table) -> Result<&'p TableEntry> {
    published.manifest.table(table.name).ok_or_else(|| StoreError::Mismatch {
        table: table.name.to_owned(),
        problem: format!("generation {} has no such table", published.manifest.generation),
    })
}

/// Serves an earlier generation again: the one asked for, or the newest before the active one.
///
/// # Errors
/// [`StoreError::NoGeneration`] when there is no such generation, [`StoreError::Locked`] while
/// another process publishes.
pub async fn rollback(
    store: &dyn GoldStore,
    trigger: RunTrigger,
    asked: Option<u64>,
) -> Result<RollbackOutcome> {
    let publisher = store.publisher(&RunSpec::rollback(trigger)).await?;
    let run = publisher.run();
    let went = go_back(store, publisher.as_ref(), asked).await;
    let end = went.as_ref().map_or_else(|error| failed(error), |_| RunEnd::Succeeded);
    end_run(publisher, end).await;
    went.map(|(from, to)| RollbackOutcome { run, from, to })
}

/// What [`rollback`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollbackOutcome {
    /// The number of its run.
    pub run: u64,
    /// The generation that was served.
    pub from: u64,
    /// The generation that is served now.
    pub to: u64,
}

/// The end of a run with this error.
#[must_use]
pub fn failed(error: &dyn std::error::Error) -> RunEnd {
    RunEnd::Failed { error: describe(error), causes: causes(error) }
}

/// Ends a run; a record that cannot be ended is logged.
pub async fn end_run(publisher: Box<dyn Publisher>, end: RunEnd) {
    if let Err(error) = publisher.end(end).await {
        tracing::warn!(error = describe(&error), "the end of the run could not be recorded");
    }
}

async fn go_back(
    store: &dyn GoldStore,
    publisher: &dyn Publisher,
    asked: Option<u64>,
) -> Result<(u64, u64)> {
    let Some(active) = publisher.active().await? else {
        return Err(StoreError::NoGeneration("nothing has been published yet".to_owned()));
    };
    let current = active.manifest.generation;
    let kept = store.generations().await?;
    let target = match asked {
        Some(number) => kept.iter().find(|kept| kept.manifest.generation == number),
        None => kept.iter().rev().find(|kept| kept.manifest.generation < current),
    };
    let Some(target) = target else {
        let numbers: Vec<String> = kept.iter().map(|g| g.manifest.generation.to_string()).collect();
        return Err(StoreError::NoGeneration(format!(
            "there is no generation {} to go back to; kept are {}, active is {current}",
            asked.map_or_else(|| format!("before {current}"), |number| number.to_string()),
            numbers.join(", "),
        )));
    };
    let before = Some(current);
    publisher.note(&RunNotes { before, ..RunNotes::default() }).await?;
    publisher.activate(target, &|_| {}).await?;
    Ok((current, target.manifest.generation))
}
