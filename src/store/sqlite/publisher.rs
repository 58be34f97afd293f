//! Publishing: each table in one transaction, all views and the pointer in one more.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::audit::sum;
use super::pool::SqliteStore;
use super::{read, runs, sql, values};
use crate::domain::manifest::{Published, TableEntry, table_in_physical_name};
use crate::domain::schema::{Catalogue, Table, View};
use crate::failpoint::failpoint;
use crate::lock::Lock;
use crate::runs::{RunEnd, RunNotes, RunRecord, RunSpec};
use crate::store::verify::verify_stored;
use crate::store::{Cause, Publisher, Result, RowSource, RowsError, StoreError};

/// How often the lock is tried, and how long to wait in between: a process that marks interrupted
/// runs holds it for a moment.
const LOCK_ATTEMPTS: u32 = 10;
const LOCK_RETRY_DELAY: Duration = Duration::from_millis(30);

/// The right to publish: a lock on a file beside the database, which ends with its process.
#[derive(Debug)]
pub(super) struct SqlitePublisher {
    store: SqliteStore,
    run: i64,
    _lock: Lock,
}

impl SqlitePublisher {
    /// Takes the lock and starts the record of a run.
    pub(super) async fn take(store: &SqliteStore, order: RunSpec) -> Result<Self> {
        let mut attempts = 0;
        let lock = loop {
            match store.try_lock()? {
                Some(lock) => break lock,
                None if attempts < LOCK_ATTEMPTS => attempts += 1,
                None => return Err(StoreError::Locked(store.place())),
            }
            tokio::time::sleep(LOCK_RETRY_DELAY).await;
        };
        let run =
            store.run("starting a run", move |connection| runs::begin(connection, order)).await?;
        store.invalidate();
        Ok(Self { store: store.clone(), run, _lock: lock })
    }

    /// Changes the record of this run.
    async fn change(
        &self,
        action: &str,
        change: impl FnOnce(&mut RunRecord) + Send + 'static,
    ) -> Result<()> {
        let run = self.run;
        self.store
            .run(action, move |connection| {
                let transaction = begin(connection)?;
                runs::change(&transaction, run, change)?;
                Ok(transaction.commit()?)
            })
            .await
    }
}

#[async_trait]
impl Publisher for SqlitePublisher {
    fn run(&self) -> u64 {
        self.run.unsigned_abs()
    }

    async fn note(&self, notes: &RunNotes) -> Result<()> {
        let notes = notes.clone();
        self.change("recording a step", move |record| record.note(notes)).await
    }

    async fn cancel_requested(&self) -> Result<bool> {
        let run = self.run;
        self.store
            .run("reading a run", move |connection| {
                Ok(runs::find(connection, run)?.is_some_and(|record| record.cancel_requested))
            })
            .await
    }

    async fn confirm_held(&self) -> Result<()> {
        // The lock on the file is held as long as this value exists.
        Ok(())
    }

    async fn forget_runs(&self, keep: u32) -> Result<()> {
        let forget = move |connection: &mut Connection| {
            connection.execute(sql::DELETE_OLD_RUNS, params![keep])?;
            Ok(())
        };
        self.store.run("deleting old runs", forget).await
    }

    async fn active(&self) -> Result<Option<Published>> {
        self.store.invalidate();
        Ok(self.store.cached_active()?.map(|active| (*active).clone()))
    }

    async fn write_table(
        &self,
        table: &'static Table,
        entry: &TableEntry,
        rows: RowSource,
    ) -> Result<bool> {
        let entry = entry.clone();
        let table = entry.as_written(table);
        let action = format!("writing {}", table.name);
        self.store
            .run(&action, move |connection| {
                connection.execute_batch(sql::CACHE_WHILE_LOADING)?;
                let loaded = load(connection, table, &entry, rows);
                connection.execute_batch(sql::CACHE)?;
                loaded
            })
            .await
    }

    async fn has_table(&self, _table: &'static Table, entry: &TableEntry) -> Result<bool> {
        let physical = entry.physical_name().to_owned();
        self.store
            .run("looking for a table", move |connection| Ok(read::exists(connection, &physical)?))
            .await
    }

    async fn activate(&self, published: &Published) -> Result<()> {
        let published = published.clone();
        let legacy_views = self.store.catalogue().legacy_views;
        let run = self.run;
        self.store
            .run("switching to the generation", move |connection| {
                // The one commit that must survive a power cut; its sync covers those before it.
                connection.execute_batch("PRAGMA synchronous = full")?;
                let switched = switch(connection, &published, run, legacy_views);
                connection.execute_batch("PRAGMA synchronous = normal")?;
                switched
            })
            .await?;
        self.store.invalidate();
        failpoint!("committed");
        Ok(())
    }

    /// The switch commits the views with the pointer; only another program can change them later.
    async fn repair_names(&self, published: &Published) -> Result<()> {
        let published = published.clone();
        let legacy_views = self.store.catalogue().legacy_views;
        self.store
            .run("pointing the views at the generation", move |connection| {
                let transaction = begin(connection)?;
                create_views(&transaction, &published, legacy_views)?;
                Ok(transaction.commit()?)
            })
            .await
    }

    async fn sweep(&self, keep: usize) -> Result<usize> {
        let catalogue = self.store.catalogue();
        self.store
            .run("sweeping unused tables", move |connection| sweep(connection, keep, catalogue))
            .await
    }

    async fn end(self: Box<Self>, end: RunEnd) -> Result<()> {
        self.change("ending a run", move |record| record.end(&end)).await
    }
}

/// Begins a transaction that takes the write lock at once.
fn begin(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

/// Writes a table with its indexes and verifies it; `false` when it exists already.
fn load(
    connection: &mut Connection,
    table: &Table,
    entry: &TableEntry,
    rows: RowSource,
) -> std::result::Result<bool, Cause> {
    let physical = entry.physical_name();
    if read::exists(connection, physical)? {
        return Ok(false);
    }
    let transaction = begin(connection)?;
    transaction.execute_batch(&sql::create_table(table, physical))?;
    let mut insert = transaction.prepare(&sql::insert(table, physical))?;
    for batch in rows {
        let batch = batch.map_err(RowsError::into_cause)?;
        values::insert_batch(&mut insert, &batch)?;
    }
    drop(insert);
    transaction.execute_batch(&sql::create_indexes(table, physical))?;
    let stored: i64 = transaction.query_row(&sql::count_rows(physical), [], |row| row.get(0))?;
    let totals = table.tally.map(|tally| sum(&transaction, tally, physical)).transpose()?;
    verify_stored(table, entry, u64::try_from(stored)?, totals)?;
    transaction.commit()?;
    Ok(true)
}

/// The commit: the generation, the pointer, the views and the run's record.
fn switch(
    connection: &mut Connection,
    published: &Published,
    run: i64,
    legacy_views: &[&View],
) -> std::result::Result<(), Cause> {
    let json = serde_json::to_string(published)?;
    let generation = i64::try_from(published.manifest.generation)?;
    let transaction = begin(connection)?;
    transaction.execute(sql::STORE_GENERATION, params![generation, json])?;
    transaction.execute(sql::POINT_TO, params![generation])?;
    create_views(&transaction, published, legacy_views)?;
    runs::change(&transaction, run, |record| {
        record.generation = Some(published.manifest.generation);
    })?;
    Ok(transaction.commit()?)
}

/// Points every stable name and legacy view at a generation's tables.
fn create_views(
    transaction: &Transaction<'_>,
    published: &Published,
    legacy_views: &[&View],
) -> std::result::Result<(), Cause> {
    for (name, create) in sql::stable_views(&published.manifest, legacy_views) {
        transaction.execute_batch(&format!("DROP VIEW IF EXISTS \"{name}\"; {create}"))?;
    }
    Ok(())
}

/// Deletes old generations and the tables that no stored generation uses.
fn sweep(
    connection: &mut Connection,
    keep: usize,
    catalogue: &Catalogue,
) -> std::result::Result<usize, Cause> {
    let transaction = begin(connection)?;
    transaction.execute(sql::DELETE_GENERATIONS, params![i64::try_from(keep)?])?;
    let generations = read::generations(&transaction)?;
    let used: Vec<&str> = generations
        .iter()
        .flat_map(|published| &published.manifest.tables)
        .map(TableEntry::physical_name)
        .collect();
    let stored: Vec<String> = transaction
        .prepare(sql::TABLES)?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let is_unused = |name: &&String| {
        let table = table_in_physical_name(name);
        table.is_some_and(|table| catalogue.has_table(table)) && !used.contains(&name.as_str())
    };
    let unused: Vec<&String> = stored.iter().filter(is_unused).collect();
    for name in &unused {
        transaction.execute_batch(&format!("DROP TABLE \"{name}\""))?;
    }
    let dropped = unused.len();
    transaction.commit()?;
    // Keeps the write-ahead log small; an active reader only postpones it.
    connection.query_row("PRAGMA wal_checkpoint(truncate)", [], |_| Ok(()))?;
    Ok(dropped)
}
