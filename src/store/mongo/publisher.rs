//! Publishing: whole collections, names, the sweep, all with the right to, which is a [`lease`].
//!
//! A table is written to a collection of the holder's own and renamed when it is complete, so that
//! a physical name never shows half a table. The commit itself is in [`switch`].
//!
//! [`lease`]: super::lease
//! [`switch`]: super::switch

use std::future::IntoFuture as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use mongodb::Database;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document, RawArrayBuf, RawDocumentBuf, cstr, doc};
use mongodb::error::Error;
use tokio::sync::{Mutex, mpsc};
use tokio::task::AbortHandle;

use super::commands::{Fenced, brevity, carry_out, durable, millis, primary, raw_majority};
use super::connection::{Connection, Deployment, NAMESPACE_EXISTS, NAMESPACE_NOT_FOUND, code};
use super::documents::Batches;
use super::lease::{LeaseAttempt, beat, claim, give_back, renew, sign_of_life, start};
use super::queries::{self, NamedView};
use super::runs::{forget, write_notes};
use super::switch::Changes;
use super::{
    MongoStore, Shown, check_stored, holder, list_collections, list_manifests, list_names,
    read_manifest, read_totals, whole,
};
use crate::blocking::spawn_blocking;
use crate::domain::manifest::{Published, TableEntry, table_in_physical_name};
use crate::domain::schema::{Catalogue, Table};
use crate::runs::{RunEnd, RunNotes, RunSpec};
use crate::store::{
    Cause, GoldStore as _, Publisher, Reached, Result, RowSource, StoreError, failed,
};

/// Batches in flight at once.
const WRITERS: usize = 4;
/// Batches encoded ahead of them.
const ENCODED_AHEAD: usize = 2;
/// Names changed at once.
const NAMERS: usize = 8;
/// What older names begin with.
const OLDER_PREFIX: &str = "gold_";
/// What a collection is called while it is written, before the holder's token and physical name.
const STAGING: &str = "staging";

/// The right to publish to a MongoDB.
#[derive(Debug)]
pub struct MongoPublisher {
    store: MongoStore,
    connection: Connection,
    deployment: Deployment,
    /// Names that belonged to others when the lease was taken: nobody may lose them.
    foreign: Vec<String>,
    /// Grows with each holder.
    token: i64,
    /// The number of the run; 0 until its record is started.
    run: i64,
    /// Whether another holder is known to have taken over.
    is_lost: Arc<AtomicBool>,
    heartbeat: AbortHandle,
}

impl Drop for MongoPublisher {
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}

impl MongoPublisher {
    /// Takes the lease: at once when it is free, after it has run out when its holder gives no sign
    /// of life.
    pub async fn take(store: &MongoStore, order: &RunSpec) -> Result<Self> {
        let (connection, deployment) = store.inspected().await?;
        let lease = store.inner.options.lease;
        let holder = holder();
        let nonce = ObjectId::new();
        let claim = |silent| claim(&connection, lease, &holder, nonce, silent);
        // The last sign of life of whoever holds it, and when it was first seen.
        let mut first: Option<(DateTime, Instant)> = None;
        let token = loop {
            // By our own clock, whatever time the sign tells.
            let is_silent = |since: &Instant| since.elapsed() > lease;
            let silent = first.filter(|(_, since)| is_silent(since)).map(|(sign, _)| sign);
            match store.quick("taking the right to publish", || claim(silent)).await? {
                LeaseAttempt::Taken(token) => break token,
                LeaseAttempt::Held(sign) => match first {
                    Some((seen, _)) if seen != sign => {
                        return Err(StoreError::Locked(store.location()));
                    }
                    Some(_) => {}
                    None => {
                        first = Some((sign, Instant::now()));
                        let secs = lease.as_secs();
                        tracing::warn!(
                            "the last refresh did not end by itself or is still running; waiting \
                             for a sign of life, {secs} s at most"
                        );
                    }
                },
            }
            tokio::time::sleep(sign_of_life(lease) / 2).await;
        };
        let is_lost = Arc::new(AtomicBool::new(false));
        let beating = beat(connection.clone(), lease, token, Arc::clone(&is_lost));
        let heartbeat = store.inner.runtime.spawn(beating).abort_handle();
        let (store, foreign) = (store.clone(), Vec::new());
        let mut publisher =
            Self { store, connection, deployment, foreign, token, run: 0, is_lost, heartbeat };
        match publisher.begin(order, &holder).await {
            Ok(()) => Ok(publisher),
            Err(error) => {
                // Nobody should have to wait for it to run out.
                let _ = Box::new(publisher).end(failed(&error)).await;
                Err(error)
            }
        }
    }

    /// Raises the fence, starts the run's record, notes what is somebody else's.
    async fn begin(&mut self, order: &RunSpec, holder: &str) -> Result<()> {
        let (connection, token) = (&self.connection, self.token);
        let begin = || start(connection, token, order, holder);
        self.run = self.store.quick("starting a run", begin).await??;
        let names = self.names().await?;
        self.foreign = others(&names, self.store.inner.catalogue).map(str::to_owned).collect();
        Ok(())
    }

    fn still_held(&self) -> Result<()> {
        if self.is_lost.load(Ordering::Relaxed) {
            return Err(StoreError::LeaseLost(self.store.location()));
        }
        Ok(())
    }

    /// Runs a command on the primary, again while it fails in passing.
    async fn command(&self, action: &str, db: &Database, command: Document) -> Result<Document> {
        self.store.write(action, || primary(db, command.clone())).await
    }

    /// What names show now.
    async fn names(&self) -> Result<Vec<(String, Shown)>> {
        self.store.quick("listing collections", || list_names(&self.connection)).await
    }

    /// The number of the generation that is served.
    async fn active_number(&self) -> Result<Option<u64>> {
        let read = || self.connection.read_pointer();
        let pointer = self.store.quick("reading the active generation", read).await?;
        let generation = pointer.and_then(|pointer| whole(&pointer, "generation"));
        Ok(generation.and_then(|generation| u64::try_from(generation).ok()))
    }

    fn staging_name(&self, physical: &str) -> String {
        format!("{STAGING}_{}_{physical}", self.token)
    }

    async fn drop_collection(&self, name: &str) -> Result<()> {
        let action = format!("dropping {name}");
        let command = durable(doc! { "drop": name });
        let dropping = || async {
            // At every try: meanwhile another one may have taken over and use it.
            self.insist_on_lease().await?;
            match primary(&self.connection.db, command.clone()).await {
                Err(error) if code(&error) == Some(NAMESPACE_NOT_FOUND) => Ok(Document::new()),
                answer => answer,
            }
        };
        self.store.write(&action, dropping).await.map(drop)
    }

    /// Within a write: an error [`Fenced`] when another holder has taken over.
    async fn insist_on_lease(&self) -> std::result::Result<(), Error> {
        let is_held = renew(&self.connection, self.store.inner.options.lease, self.token).await?;
        if is_held { Ok(()) } else { Err(Error::custom(Fenced)) }
    }

    /// Makes an empty collection; inserting makes one by itself.
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
    async fn insert(
        &self,
        table: &Table,
        staging: &str,
        rows: RowSource,
        reached: Reached<'_>,
    ) -> Result<()> {
        let action = format!("writing {}", table.name);
        let undone = |source: Cause| StoreError::Failed {
            action: action.clone(),
            location: self.store.location(),
            source,
        };
        let batches = Batches::new(table, rows).map_err(undone)?;
        let (sender, receiver) = mpsc::channel(ENCODED_AHEAD);
        let encoding = spawn_blocking(move || {
            for batch in batches {
                // Nobody listens any more once a batch has been refused.
                if sender.blocking_send(batch).is_err() {
                    break;
                }
            }
        });
        let inserting = async {
            let receiver = Mutex::new(receiver);
            let writers = (0..WRITERS).map(|_| async {
                // The next batch is waited for by one writer at a time.
                while let Some(batch) = { receiver.lock().await.recv().await } {
                    self.still_held()?;
                    self.insert_batch(&action, staging, batch.map_err(undone)?).await?;
                    reached(&format!("inserting:{}", table.name));
                }
                Ok(())
            });
            futures::future::try_join_all(writers).await.map(drop)
            // The receiver goes here, which ends the encoding when a batch was refused.
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

    /// Counts and sums what a collection holds and compares it with the entry.
    async fn verify(&self, table: &Table, entry: &TableEntry, collection: &str) -> Result<()> {
        let action = format!("reading {} back", table.name);
        let command = doc! {
            "aggregate": collection,
            "pipeline": queries::totals(table.tally),
            "cursor": {},
            "readConcern": { "level": "majority" },
            "maxTimeMS": millis(self.store.inner.options.write),
        };
        let answer = self.command(&action, &self.connection.db, command).await?;
        let found = answer
            .get_document("cursor")
            .and_then(|cursor| cursor.get_array("firstBatch"))
            .ok()
            .and_then(|batch| batch.first()?.as_document());
        let (rows, totals) = read_totals(table, found);
        check_stored(table, entry, rows, totals)
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

    /// Gives a complete collection its physical name, in place of a damaged one if need be.
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
                // The answer to an earlier try was lost, not its effect; or somebody swept it.
                Err(error) if was_sent && code(&error) == Some(NAMESPACE_NOT_FOUND) => {
                    let there = list_collections(&self.connection, doc! { "name": physical });
                    if there.await?.is_empty() { Err(error) } else { Ok(()) }
                }
                answer => answer.map(drop),
            }
        };
        self.store.write(&format!("naming {physical}"), rename).await
    }

    /// The one commit: manifest, pointer and the run's record.
    async fn switch(&self, published: &Published, reached: Reached<'_>) -> Result<()> {
        let action = "switching to the generation";
        let changes =
            Changes::of(published, self.token, self.run, &self.connection).map_err(|source| {
                StoreError::Failed {
                    action: action.to_owned(),
                    location: self.store.location(),
                    source: source.into(),
                }
            })?;
        let is_replicated = self.deployment.is_replicated;
        let switch = || async {
            if is_replicated {
                changes.apply_together().await
            } else {
                changes.apply_in_turn(reached).await
            }
        };
        self.store.write(action, switch).await
    }

    /// Points every stable and older name at the generation's tables.
    async fn show(&self, published: &Published, reached: Reached<'_>) -> Result<()> {
        let names = self.names().await?;
        let views =
            queries::named_views(&published.manifest, self.store.inner.catalogue.legacy_views);
        self.refuse_taken_by_others(&names, &views)?;
        // A name of ours that the generation does not have would show a table that is swept.
        let catalogue = self.store.inner.catalogue;
        let is_ours = |name: &str, on: &str| {
            let is_name = catalogue.has_table(name) || name.starts_with(OLDER_PREFIX);
            is_name && is_of_ours(on, catalogue)
        };
        let stale: Vec<&str> = names
            .iter()
            .filter(|(name, _)| views.iter().all(|view| view.name != *name))
            .filter_map(|(name, shown)| match shown {
                Shown::View(view) if is_ours(name, &view.on) => Some(name.as_str()),
                _ => None,
            })
            .collect();
        let shown = |view: &NamedView| {
            names.iter().find(|(name, _)| *name == view.name).map(|(_, shown)| shown)
        };
        let changed = views.iter().filter_map(|view| match shown(view) {
            Some(Shown::View(current)) if current == view => None,
            Some(_) => Some((view, "collMod")),
            None => Some((view, "create")),
        });
        futures::stream::iter(changed)
            .map(Ok)
            .try_for_each_concurrent(NAMERS, async |(view, command)| {
                self.show_view(published, view, command).await?;
                reached(&format!("named:{}", view.name));
                Ok(())
            })
            .await?;
        for name in stale {
            self.drop_collection(name).await?;
        }
        Ok(())
    }

    async fn show_view(
        &self,
        published: &Published,
        view: &NamedView,
        command: &str,
    ) -> Result<()> {
        let make = |command: &str| {
            durable(doc! {
                command: &view.name, "viewOn": &view.on, "pipeline": &view.pipeline,
            })
        };
        let generation = i64::try_from(published.manifest.generation).ok();
        let show = || async {
            // At every try: meanwhile another one may have taken over and shows its own.
            self.insist_on_lease().await?;
            let pointer = self.connection.read_pointer().await?;
            if pointer.and_then(|pointer| whole(&pointer, "generation")) != generation {
                return Err(Error::custom(Fenced));
            }
            match primary(&self.connection.db, make(command)).await {
                // An earlier try made it and its answer was lost.
                Err(error) if code(&error) == Some(NAMESPACE_EXISTS) => {
                    primary(&self.connection.db, make("collMod")).await
                }
                answer => answer,
            }
        };
        self.store.write(&format!("pointing {} at the generation", view.name), show).await.map(drop)
    }

    /// Refuses names that belong to others: whoever made them would lose them.
    fn refuse_taken<'n>(
        &self,
        others: impl Iterator<Item = &'n str>,
        is_ours: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let taken: Vec<&str> = others.filter(|name| is_ours(name)).collect();
        if taken.is_empty() {
            return Ok(());
        }
        let location = self.store.location();
        Err(StoreError::NamesTaken { location, names: taken.join(", ") })
    }

    /// Refuses views whose names belong to others.
    fn refuse_taken_by_others(&self, names: &[(String, Shown)], views: &[NamedView]) -> Result<()> {
        let is_ours = |name: &str| views.iter().any(|view| view.name == name);
        self.refuse_taken(others(names, self.store.inner.catalogue), is_ours)
    }

    /// Refuses a generation whose tables are not all there.
    fn refuse_incomplete(&self, names: &[(String, Shown)], published: &Published) -> Result<()> {
        let is_there = |physical: &str| names.iter().any(|(name, _)| name == physical);
        match published.manifest.tables.iter().find(|entry| !is_there(entry.physical_name())) {
            None => Ok(()),
            Some(entry) => Err(StoreError::Removed {
                table: entry.physical_name().to_owned(),
                location: self.store.location(),
            }),
        }
    }

    /// Whether every older name of a table and its own are free or ours.
    fn refuse_taken_names_of(&self, table: &Table) -> Result<()> {
        let older = self.store.inner.catalogue.legacy_views;
        let is_ours = |name: &str| {
            table.name == name
                || older.iter().any(|view| view.table.name == table.name && view.name == name)
        };
        self.refuse_taken(self.foreign.iter().map(String::as_str), is_ours)
    }
}

/// Whether a name is one of our tables' physical names, or one under which it is written.
fn is_of_ours(name: &str, catalogue: &Catalogue) -> bool {
    let staged = name.strip_prefix(STAGING).and_then(|rest| rest.strip_prefix('_'));
    let staged = staged.and_then(|rest| rest.split_once('_'));
    let physical = match staged {
        Some((token, physical)) if token.bytes().all(|byte| byte.is_ascii_digit()) => physical,
        _ => name,
    };
    table_in_physical_name(physical).is_some_and(|table| catalogue.has_table(table))
}

/// The names of collections and views that are not of our making.
fn others<'n>(
    names: &'n [(String, Shown)],
    catalogue: &'static Catalogue,
) -> impl Iterator<Item = &'n str> {
    let is_other = |(name, shown): &&(String, Shown)| match shown {
        Shown::Collection => !is_of_ours(name, catalogue),
        Shown::View(view) => !is_of_ours(&view.on, catalogue),
    };
    names.iter().filter(is_other).map(|(name, _)| name.as_str())
}

#[async_trait]
impl Publisher for MongoPublisher {
    fn run(&self) -> u64 {
        self.run.unsigned_abs()
    }

    async fn note(&self, notes: &RunNotes) -> Result<()> {
        let change = doc! { "$set": write_notes(notes) };
        let ours = doc! { "_id": self.run };
        let note = || async {
            self.connection.runs().update_one(ours.clone(), change.clone()).await.map(drop)
        };
        self.store.quick("noting a step", note).await
    }

    async fn cancel_requested(&self) -> Result<bool> {
        let ours = doc! { "_id": self.run, "cancel_requested": true };
        let runs = self.connection.runs();
        let ask = runs.find_one(ours).max_time(self.connection.longest);
        Ok(self.store.asked("reading a run", ask.into_future()).await?.is_some())
    }

    /// Gives a sign of life and learns whether it still counts.
    async fn confirm_held(&self) -> Result<()> {
        self.store.quick("keeping the right to publish", || self.insist_on_lease()).await
    }

    async fn forget_runs(&self, keep: u32) -> Result<()> {
        let forget = || forget(&self.connection, keep);
        self.store.quick("forgetting runs", forget).await
    }

    async fn has_table(&self, table: &'static Table, entry: &TableEntry) -> Result<bool> {
        let physical = entry.physical_name();
        let list = || list_collections(&self.connection, doc! { "name": physical });
        if self.store.quick("listing collections", list).await?.is_empty() {
            return Ok(false);
        }
        // The server's quick count may be off after it crashed; then it is counted.
        let action = format!("counting {physical}");
        let count = async |command: Document| -> Result<Option<i64>> {
            let answer = self.command(&action, &self.connection.db, command).await?;
            Ok(whole(&answer, "n"))
        };
        let rows = i64::try_from(entry.rows).ok();
        let longest = millis(self.store.inner.options.write);
        let quick = doc! { "count": physical, "maxTimeMS": longest };
        let every = doc! { "_id": { "$exists": true } };
        let exact = doc! { "count": physical, "query": every, "maxTimeMS": longest };
        if count(quick).await? != rows && count(exact).await? != rows {
            return Ok(false);
        }
        // Those that are there are not built again.
        self.build_indexes(table, entry.rows, physical).await?;
        Ok(true)
    }

    async fn write_table(
        &self,
        table: &'static Table,
        entry: &TableEntry,
        rows: RowSource,
        reached: Reached<'_>,
    ) -> Result<bool> {
        self.still_held()?;
        self.refuse_taken_names_of(table)?;
        if self.has_table(table, entry).await? {
            return Ok(false);
        }
        let physical = entry.physical_name();
        let staging = self.staging_name(physical);
        let name = table.name;
        let written = async {
            // Of an earlier try that was given up: its rows would be in the way of ours.
            self.drop_collection(&staging).await?;
            if entry.rows == 0 {
                self.create_collection(&staging).await?;
            }
            self.insert(table, &staging, rows, reached).await?;
            reached(&format!("inserted:{name}"));
            self.build_indexes(table, entry.rows, &staging).await?;
            reached(&format!("indexed:{name}"));
            // One who took over has swept what was written so far.
            self.confirm_held().await?;
            self.verify(table, entry, &staging).await?;
            self.confirm_held().await?;
            self.rename(&staging, physical).await
        };
        if let Err(error) = written.await {
            // VacuumReport by the next run if it cannot be dropped now.
            if !matches!(error, StoreError::Unavailable { .. }) {
                let _ = self.drop_collection(&staging).await;
            }
            return Err(error);
        }
        reached(&format!("renamed:{name}"));
        Ok(true)
    }

    async fn activate(&self, published: &Published, reached: Reached<'_>) -> Result<()> {
        let views =
            queries::named_views(&published.manifest, self.store.inner.catalogue.legacy_views);
        let names = self.names().await?;
        self.refuse_taken_by_others(&names, &views)?;
        self.refuse_incomplete(&names, published)?;
        self.switch(published, reached).await?;
        self.store.look_again();
        reached("committed");
        self.show(published, reached).await
    }

    async fn active(&self) -> Result<Option<Published>> {
        let Some(active) = self.active_number().await? else { return Ok(None) };
        let number = i64::try_from(active).ok();
        let manifests = self.connection.manifests();
        let read = || async {
            manifests.find_one(doc! { "_id": number }).max_time(self.connection.longest).await
        };
        let manifest = self.store.quick("reading the active generation", read).await?;
        manifest.map(|manifest| read_manifest(manifest, &self.connection)).transpose()
    }

    async fn repair_names(&self, published: &Published) -> Result<()> {
        self.show(published, &|_| {}).await
    }

    async fn sweep(&self, keep: usize) -> Result<usize> {
        self.confirm_held().await?;
        let list = || list_manifests(&self.connection);
        let kept = self.store.quick("listing generations", list).await?;
        let kept: Vec<Published> = kept
            .into_iter()
            .map(|stored| read_manifest(stored, &self.connection))
            .collect::<Result<_>>()?;
        let active = self.active_number().await?;
        let (kept, forgotten): (Vec<_>, Vec<_>) =
            kept.iter().rev().enumerate().partition(|(age, published)| {
                *age < keep || Some(published.manifest.generation) == active
            });
        let forgotten: Vec<i64> = forgotten
            .iter()
            .filter_map(|(_, published)| i64::try_from(published.manifest.generation).ok())
            .collect();
        if !forgotten.is_empty() {
            let forget = || async {
                // A later holder may have gone back to one of them.
                let old = doc! { "_id": { "$in": &forgotten }, "fence": { "$lte": self.token } };
                self.connection.manifests().delete_many(old).await
            };
            self.store.quick("forgetting generations", forget).await?;
        }
        let used: Vec<&str> = kept
            .iter()
            .flat_map(|(_, published)| &published.manifest.tables)
            .map(TableEntry::physical_name)
            .collect();
        let names = self.names().await?;
        let unused: Vec<&str> = names
            .iter()
            .filter(|(_, shown)| *shown == Shown::Collection)
            .map(|(name, _)| name.as_str())
            .filter(|name| is_of_ours(name, self.store.inner.catalogue) && !used.contains(name))
            .collect();
        futures::stream::iter(&unused)
            .map(Ok)
            .try_for_each_concurrent(NAMERS, async |name| self.drop_collection(name).await)
            .await?;
        Ok(unused.len())
    }

    async fn end(self: Box<Self>, end: RunEnd) -> Result<()> {
        self.heartbeat.abort();
        let (error, causes) = end.error();
        let ended = doc! { "$set": {
            "state": end.state().as_str(), "ended_at": DateTime::now(), "error": error,
            "causes": causes,
        } };
        let (token, run) = (self.token, self.run);
        self.store
            .patiently(self.store.inner.options.selection, brevity(), "ending a run", || async {
                self.connection.runs().update_one(doc! { "_id": run }, ended.clone()).await?;
                give_back(&self.connection, token).await
            })
            .await
    }
}
