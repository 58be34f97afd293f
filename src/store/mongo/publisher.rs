//! The publisher: the lease it holds, the record of its run, and the commands that its steps share.
//!
//! Its steps are in the files beside: `load` writes a table, `switch` commits, `views` points names
//! at the generation, `sweep` drops unused tables.

use std::future::IntoFuture as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use mongodb::Database;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document, doc};
use mongodb::error::Error;
use tokio::task::AbortHandle;

use super::client::MongoStore;
use super::commands::{durable, primary};
use super::connection::{Connection, Deployment, POINTER};
use super::decode::{read_manifest, whole};
use super::errors::{Fenced, NAMESPACE_NOT_FOUND, code};
use super::lease::{LeaseAttempt, claim, heartbeat, heartbeat_interval, release, renew};
use super::names::{Namespace, foreign, list_names};
use super::run_document::write_notes;
use super::runs::{begin, end_abandoned};
use crate::domain::manifest::Published;
use crate::retry;
use crate::runs::{RunEnd, RunNotes, RunSpec};
use crate::store::{Result, StoreError, failed, owner};

/// The right to publish to a MongoDB.
#[derive(Debug)]
pub(super) struct MongoPublisher {
    pub store: MongoStore,
    pub connection: Connection,
    pub deployment: Deployment,
    /// Names that were foreign when the lease was taken: they are never overwritten.
    pub foreign: Vec<String>,
    /// Grows with each holder.
    pub token: i64,
    /// The number of the run; 0 until its record is started.
    pub run: i64,
    /// Whether another process is known to have taken the lease.
    is_lost: Arc<AtomicBool>,
    heartbeat: AbortHandle,
}

impl Drop for MongoPublisher {
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}

impl MongoPublisher {
    /// Takes the lease: at once when it is free, after it has expired when its holder sends no
    /// heartbeat.
    pub async fn take(store: &MongoStore, order: &RunSpec) -> Result<Self> {
        let (connection, deployment) = store.inspected().await?;
        let lease = store.inner.options.lease;
        let owner = owner();
        let token = wait_for_lease(store, &connection, &owner).await?;
        let is_lost = Arc::new(AtomicBool::new(false));
        let heartbeats = heartbeat(connection.clone(), lease, token, Arc::clone(&is_lost));
        let heartbeat = store.inner.runtime.spawn(heartbeats).abort_handle();
        let (store, foreign) = (store.clone(), Vec::new());
        let mut publisher =
            Self { store, connection, deployment, foreign, token, run: 0, is_lost, heartbeat };
        match publisher.begin(order, &owner).await {
            Ok(()) => Ok(publisher),
            Err(error) => {
                // Released, so that the next process need not wait for it to expire.
                let _ = publisher.end_run(failed(&error)).await;
                Err(error)
            }
        }
    }

    /// Raises the fence, starts the run's record, notes which names are foreign.
    async fn begin(&mut self, order: &RunSpec, owner: &str) -> Result<()> {
        let (connection, token) = (&self.connection, self.token);
        let begin = || start(connection, token, order, owner);
        self.run = self.store.short_command("starting a run", begin).await??;
        let names = self.names().await?;
        self.foreign = foreign(&names, self.store.inner.catalogue).map(str::to_owned).collect();
        Ok(())
    }

    /// An error if another process is known to have taken the lease; asks nothing.
    pub fn still_held(&self) -> Result<()> {
        if self.is_lost.load(Ordering::Relaxed) {
            return Err(StoreError::LeaseLost(self.store.place()));
        }
        Ok(())
    }

    /// Renews the lease and learns whether it is still held.
    pub async fn confirm_lease(&self) -> Result<()> {
        self.store.short_command("renewing the lease", || self.insist_on_lease()).await
    }

    /// Within a write: an error [`Fenced`] when another process has taken the lease.
    pub async fn insist_on_lease(&self) -> std::result::Result<(), Error> {
        let is_held = renew(&self.connection, self.store.inner.options.lease, self.token).await?;
        if is_held { Ok(()) } else { Err(Error::custom(Fenced)) }
    }

    /// Runs a command on the primary, retried while it fails transiently.
    pub async fn command(
        &self,
        action: &str,
        db: &Database,
        command: Document,
    ) -> Result<Document> {
        self.store.write(action, || primary(db, command.clone())).await
    }

    pub async fn names(&self) -> Result<Vec<(String, Namespace)>> {
        self.store.short_command("listing collections", || list_names(&self.connection)).await
    }

    pub async fn drop_collection(&self, name: &str) -> Result<()> {
        let action = format!("dropping {name}");
        let command = durable(doc! { "drop": name });
        let dropping = || async {
            // At every attempt: meanwhile another process may have taken over and use it.
            self.insist_on_lease().await?;
            match primary(&self.connection.db, command.clone()).await {
                Err(error) if code(&error) == Some(NAMESPACE_NOT_FOUND) => Ok(Document::new()),
                answer => answer,
            }
        };
        self.store.write(&action, dropping).await.map(drop)
    }

    /// The number of the served generation.
    pub async fn active_number(&self) -> Result<Option<u64>> {
        let read = || self.connection.read_pointer();
        let pointer = self.store.short_command("reading the active generation", read).await?;
        let generation = pointer.and_then(|pointer| whole(&pointer, "generation"));
        Ok(generation.and_then(|generation| u64::try_from(generation).ok()))
    }

    /// The served generation, read afresh.
    pub async fn active_generation(&self) -> Result<Option<Published>> {
        let Some(active) = self.active_number().await? else { return Ok(None) };
        let number = i64::try_from(active).ok();
        let manifests = self.connection.manifests();
        let read = || async {
            manifests.find_one(doc! { "_id": number }).max_time(self.connection.max_time).await
        };
        let manifest = self.store.short_command("reading the active generation", read).await?;
        manifest.map(|manifest| read_manifest(manifest, &self.connection)).transpose()
    }

    pub async fn record_notes(&self, notes: &RunNotes) -> Result<()> {
        let own = doc! { "_id": self.run };
        let note = || async {
            let change = doc! { "$set": write_notes(notes)? };
            self.connection.runs().update_one(own.clone(), change).await.map(drop)
        };
        self.store.short_command("recording a step", note).await
    }

    pub async fn is_cancel_requested(&self) -> Result<bool> {
        let own = doc! { "_id": self.run, "is_cancel_asked": true };
        let runs = self.connection.runs();
        let find = runs.find_one(own).max_time(self.connection.max_time);
        Ok(self.store.driver_read("reading a run", find.into_future()).await?.is_some())
    }

    /// Ends the run's record and releases the lease.
    pub async fn end_run(self, end: RunEnd) -> Result<()> {
        self.heartbeat.abort();
        let (error, causes) = end.error();
        let ended = doc! { "$set": {
            "state": end.state().as_str(), "ended_at": DateTime::now(), "error": error,
            "causes": causes,
        } };
        let (token, run) = (self.token, self.run);
        let limit = self.store.inner.options.server_selection_timeout;
        self.store
            .with_retries(limit, retry::MONGODB_LAST_COMMAND, "ending a run", || async {
                self.connection.runs().update_one(doc! { "_id": run }, ended.clone()).await?;
                release(&self.connection, token).await
            })
            .await
    }
}

/// Waits until the lease is free or expires without a heartbeat. Returns its token.
async fn wait_for_lease(store: &MongoStore, connection: &Connection, owner: &str) -> Result<i64> {
    let lease = store.inner.options.lease;
    let nonce = ObjectId::new();
    let claim = |unrenewed| claim(connection, lease, owner, nonce, unrenewed);
    // The holder's expiry, and when it was first seen.
    let mut first: Option<(DateTime, Instant)> = None;
    loop {
        // By this process's clock, whatever the server's says.
        let is_overdue = |since: &Instant| since.elapsed() > lease;
        let unrenewed = first.filter(|(_, since)| is_overdue(since)).map(|(expiry, _)| expiry);
        match store.short_command("taking the lease", || claim(unrenewed)).await? {
            LeaseAttempt::Taken(token) => return Ok(token),
            LeaseAttempt::Held(expiry) => match first {
                Some((seen, _)) if seen != expiry => {
                    return Err(StoreError::Locked(store.place()));
                }
                Some(_) => {}
                None => {
                    first = Some((expiry, Instant::now()));
                    let secs = lease.as_secs();
                    tracing::warn!(
                        "the last refresh is still running or was killed; waiting up to {secs} s \
                         for its heartbeat"
                    );
                }
            },
        }
        tokio::time::sleep(heartbeat_interval(lease) / 2).await;
    }
}

/// Raises the fence and starts the run's record. Returns its number, or why it does not start.
async fn start(
    connection: &Connection,
    token: i64,
    order: &RunSpec,
    owner: &str,
) -> std::result::Result<Result<i64>, Error> {
    connection
        .pointer()
        .update_one(doc! { "_id": POINTER }, doc! { "$max": { "fence": token } })
        .upsert(true)
        .await?;
    let pointer = connection.read_pointer().await?;
    if let Some(newest) = pointer.and_then(|pointer| whole(&pointer, "newest")) {
        // Left by a process that ended before its switch: they were never served.
        let never_served = doc! { "_id": { "$gt": newest }, "fence": { "$lt": token } };
        connection.manifests().delete_many(never_served).await?;
    }
    end_abandoned(connection, doc! { "token": { "$ne": token } }).await?;
    begin(connection, token, order, owner).await
}
