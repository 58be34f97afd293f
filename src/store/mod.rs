//! What serves: the [`GoldStore`] contract and the errors every store speaks.
//!
//! A store keeps each table of a generation in an immutable physical table named by content, and
//! one pointer to the generation that is served. Publishing writes everything first and moves the
//! pointer last. Start reading at [`GoldStore`].

pub mod sqlite;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::manifest::{Published, TableEntry, Totals};
use crate::domain::query::Query;
use crate::domain::rows::{Batch, Value};
use crate::domain::schema::Table;

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
    /// Another process publishes to the same store.
    #[error("another refresh is publishing to {0}; wait for it to end")]
    Locked(String),
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
}

/// An exclusive right to publish that ends when dropped.
pub trait Lease: Send + Sync + fmt::Debug {}

/// A serving store: generations of immutable tables behind one pointer.
#[async_trait]
pub trait GoldStore: Send + Sync + fmt::Debug {
    /// Kind and place, for people: never a secret.
    fn location(&self) -> String;

    /// Answers when the store does.
    async fn ping(&self) -> Result<()>;

    /// The exclusive right to publish.
    async fn lease(&self) -> Result<Box<dyn Lease>>;

    /// The generation served now; `None` before the first publish.
    async fn active(&self) -> Result<Option<Arc<Published>>>;

    /// Every generation kept, ascending.
    async fn generations(&self) -> Result<Vec<Published>>;

    /// Stores a table under its physical name with its indexes, or finds it there already, in which
    /// case it is not written again and the answer is `false`. The rows stored are counted and
    /// summed against the entry; a difference undoes the writing.
    async fn write_table(
        &self,
        table: &'static Table,
        entry: &TableEntry,
        rows: RowSource,
    ) -> Result<bool>;

    /// Whether a table is stored already under its physical name.
    async fn has_table(&self, entry: &TableEntry) -> Result<bool>;

    /// Makes a generation, all of whose tables are stored, the one that is served, under all
    /// stable names at once.
    async fn activate(&self, published: &Published) -> Result<()>;

    /// Forgets all generations but the newest `keep` and the active one, and drops every physical
    /// table that none of those uses. Returns how many tables it dropped.
    async fn sweep(&self, keep: usize) -> Result<usize>;

    /// Answers a query from one generation.
    async fn find(&self, published: &Published, query: &Query) -> Result<Page>;

    /// Looks whether every stable and older name shows the generation's tables. Returns what does
    /// not, as sentences.
    async fn audit_names(&self, published: &Published) -> Result<Vec<String>>;

    /// Looks over a whole stored table; `None` when it is not there.
    async fn audit(&self, table: &'static Table, entry: &TableEntry) -> Result<Option<Audit>>;
}

/// Serves an earlier generation again: the one asked for, or the newest before the active one.
///
/// # Errors
/// [`StoreError::NoGeneration`] when there is no such generation, [`StoreError::Locked`] while
/// another process publishes.
pub async fn rollback(store: &dyn GoldStore, asked: Option<u64>) -> Result<(u64, u64)> {
    let _lease = store.lease().await?;
    let Some(active) = store.active().await? else {
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
    store.activate(target).await?;
    Ok((current, target.manifest.generation))
}
