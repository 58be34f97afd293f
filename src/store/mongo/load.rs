//! Writing a table: to a staging collection, which is renamed when it is complete and verified, so
//! that a physical name never holds half a table.

use std::sync::atomic::{AtomicBool, Ordering};

use mongodb::bson::{Document, RawArrayBuf, RawDocumentBuf, cstr, doc};
use tokio::sync::{Mutex, mpsc};

use super::commands::{carry_out, durable, millis, primary, raw_majority};
use super::decode::{read_totals, whole};
use super::documents::Batches;
use super::errors::{NAMESPACE_EXISTS, NAMESPACE_NOT_FOUND, code};
use super::names::{list_collections, staging_name};
use super::publisher::MongoPublisher;
use super::queries;
use crate::blocking::spawn_blocking;
use crate::domain::manifest::TableEntry;
use crate::domain::schema::Table;
use crate::failpoint::failpoint;
use crate::store::verify::verify_stored;
use crate::store::{Cause, Result, RowSource, RowsError, StoreError};

/// Batches in flight at once.
const WRITERS: usize = 4;
/// Batches encoded ahead of them.
const ENCODED_AHEAD: usize = 2;

impl MongoPublisher {
    /// Stores a table with its indexes; `false` when it is stored already.
    pub async fn load(&self, table: &Table, entry: &TableEntry, rows: RowSource) -> Result<bool> {
        self.still_held()?;
        self.refuse_taken_names_of(table)?;
        if self.is_complete(table, entry).await? {
            return Ok(false);
        }
        let physical = entry.physical_name();
        let staging = staging_name(self.token, physical);
        let name = table.name;
        let written = async {
            // Left by an earlier attempt: its rows would collide with these.
            self.drop_collection(&staging).await?;
            if entry.rows == 0 {
                self.create_collection(&staging).await?;
            }
            self.insert(table, &staging, rows).await?;
            failpoint!("inserted:{name}");
            tracing::debug!(table = name, "inserted the rows");
            self.build_indexes(table, entry.rows, &staging).await?;
            failpoint!("indexed:{name}");
            tracing::debug!(table = name, "built the indexes");
            // A process that took the lease has swept what was written so far.
            self.confirm_lease().await?;
            self.verify(table, entry, &staging).await?;
            self.confirm_lease().await?;
            self.rename(&staging, physical).await
        };
        if let Err(error) = written.await {
            // Swept by the next run if it cannot be dropped now.
            if !error.is_transient() {
                let _ = self.drop_collection(&staging).await;
            }
            return Err(error);
        }
        failpoint!("renamed:{name}");
        Ok(true)
    }

    /// Whether a table is stored whole; builds the indexes that are missing.
    pub async fn is_complete(&self, table: &Table, entry: &TableEntry) -> Result<bool> {
        let physical = entry.physical_name();
        let list = || list_collections(&self.connection, doc! { "name": physical });
        if self.store.short_command("listing collections", list).await?.is_empty() {
            return Ok(false);
        }
        let action = format!("counting {physical}");
        let count = async |command: Document| -> Result<Option<i64>> {
            let answer = self.command(&action, &self.connection.db, command).await?;
            Ok(whole(&answer, "n"))
        };
        let rows = i64::try_from(entry.rows).ok();
        let limit = millis(self.store.inner.options.write_timeout);
        // The server's fast count may be off after a crash; then the documents are counted.
        let fast = doc! { "count": physical, "maxTimeMS": limit };
        let every = doc! { "_id": { "$exists": true } };
        let exact = doc! { "count": physical, "query": every, "maxTimeMS": limit };
        if count(fast).await? != rows && count(exact).await? != rows {
            return Ok(false);
        }
        // Indexes that exist are not built again.
        self.build_indexes(table, entry.rows, physical).await?;
        Ok(true)
    }

    /// Creates an empty collection; inserting creates one implicitly.
    async fn create_collection(&self, name: &str) -> Result<()> {
        let command = durable(doc! { "create": name });
        let creating = || async {
            match primary(&self.connection.db, command.clone()).await {
                Err(error) if code(&error) == Some(NAMESPACE_EXISTS) => Ok(Document::new()),
                answer => answer,
            }
        };
        self.store.write(&format!("creating {name}"), creating).await.map(drop)
    }

    /// Inserts every row into a collection, several batches at a time.
    async fn insert(&self, table: &Table, staging: &str, rows: RowSource) -> Result<()> {
        let action = format!("writing {}", table.name);
        let failed = |source: Cause| StoreError::Failed {
            action: action.clone(),
            location: self.store.place(),
            source,
        };
        let batches = Batches::new(table, rows).map_err(failed)?;
        let (sender, receiver) = mpsc::channel(ENCODED_AHEAD);
        let encoding = spawn_blocking(move || {
            for batch in batches {
                // The receiver is gone once a batch was rejected.
                if sender.blocking_send(batch).is_err() {
                    break;
                }
            }
        });
        let inserting = async {
            let receiver = Mutex::new(receiver);
            let writers = (0..WRITERS).map(|_| async {
                // One writer at a time waits for the next batch.
                while let Some(batch) = { receiver.lock().await.recv().await } {
                    self.still_held()?;
                    let batch = batch.map_err(|error: RowsError| error.into_store_error(failed))?;
                    self.insert_batch(&action, staging, batch).await?;
                    failpoint!("inserting:{}", table.name);
                }
                Ok(())
            });
            futures::future::try_join_all(writers).await.map(drop)
            // The receiver is dropped here, which ends the encoding when a batch was rejected.
        };
        let ((), inserted) = futures::join!(encoding, inserting);
        inserted
    }

    async fn insert_batch(
        &self,
        action: &str,
        staging: &str,
        documents: RawArrayBuf,
    ) -> Result<()> {
        let mut command = RawDocumentBuf::new();
        command.append(cstr!("insert"), staging);
        command.append(cstr!("ordered"), false);
        command.append(cstr!("writeConcern"), raw_majority());
        command.append(cstr!("documents"), documents);
        let is_repeated = AtomicBool::new(false);
        let insert = || async {
            let was_sent = is_repeated.swap(true, Ordering::Relaxed);
            carry_out(self.connection.db.run_raw_command(command.clone()), was_sent).await
        };
        self.store.write(action, insert).await.map(drop)
    }

    /// Counts and sums the rows of a collection and compares them with the entry.
    async fn verify(&self, table: &Table, entry: &TableEntry, collection: &str) -> Result<()> {
        let action = format!("verifying {}", table.name);
        let command = doc! {
            "aggregate": collection,
            "pipeline": queries::totals(table.tally),
            "cursor": {},
            "readConcern": { "level": "majority" },
            "maxTimeMS": millis(self.store.inner.options.write_timeout),
        };
        let answer = self.command(&action, &self.connection.db, command).await?;
        let found = answer
            .get_document("cursor")
            .and_then(|cursor| cursor.get_array("firstBatch"))
            .ok()
            .and_then(|batch| batch.first()?.as_document());
        let (rows, totals) = read_totals(table, found);
        verify_stored(table, entry, rows, totals)
    }

    async fn build_indexes(&self, table: &Table, rows: u64, collection: &str) -> Result<()> {
        let indexes = queries::indexes(table, rows);
        if indexes.is_empty() {
            return Ok(());
        }
        let mut command = doc! { "createIndexes": collection, "indexes": indexes };
        if self.deployment.is_replicated {
            // By default the build would wait for every member, also for one that is down.
            command.insert("commitQuorum", "majority");
        }
        let action = format!("indexing {}", table.name);
        self.command(&action, &self.connection.db, durable(command)).await.map(drop)
    }

    /// Gives a complete collection its physical name, replacing a damaged one of that name.
    async fn rename(&self, staging: &str, physical: &str) -> Result<()> {
        let db = self.connection.db.name();
        let command = durable(doc! {
            "renameCollection": format!("{db}.{staging}"),
            "to": format!("{db}.{physical}"),
            "dropTarget": true,
        });
        let admin = self.connection.client.database("admin");
        let is_repeated = AtomicBool::new(false);
        let rename = || async {
            let was_sent = is_repeated.swap(true, Ordering::Relaxed);
            match primary(&admin, command.clone()).await {
                // An earlier attempt succeeded and its answer was lost; or it was swept.
                Err(error) if was_sent && code(&error) == Some(NAMESPACE_NOT_FOUND) => {
                    let existing = list_collections(&self.connection, doc! { "name": physical });
                    if existing.await?.is_empty() { Err(error) } else { Ok(()) }
                }
                answer => answer.map(drop),
            }
        };
        self.store.write(&format!("renaming {physical}"), rename).await
    }
}
