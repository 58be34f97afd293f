//! Publishing: the lease, whole collections, the switch, the names, the sweep.
//!
//! A table is written to a collection of the holder's own and renamed when it is complete, so that
//! a physical name never shows half a table. The lease's token grows with each holder and stands in
//! the pointer as a fence: whoever has been overtaken cannot switch any more.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use backon::{ExponentialBuilder, Retryable};
use futures::{StreamExt, TryStreamExt};
use mongodb::Database;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{self, Bson, DateTime, Document, RawArrayBuf, RawDocumentBuf, cstr, doc};
use mongodb::error::Error;
use mongodb::options::{ReadPreference, ReturnDocument, SelectionCriteria};
use tokio::sync::{Mutex, mpsc};
use tokio::task::AbortHandle;

use super::connection::{
    Connection, DUPLICATE_KEY, Deployment, NAMESPACE_EXISTS, NAMESPACE_NOT_FOUND, code, is_passing,
    is_passing_code,
};
use super::documents::{Batches, instant_from_bson, instant_to_bson};
use super::queries::{self, NamedView};
use super::{
    MongoStore, POINTER, Shown, check_stored, holder, list_collections, list_manifests, list_names,
    read_manifest, read_totals, whole,
};
use crate::domain::manifest::{Published, TableEntry, table_in_physical_name};
use crate::domain::run::{RunKind, RunRecord, RunState};
use crate::domain::schema::{Catalogue, Table};
use crate::domain::time::Timestamp;
use crate::store::{Cause, GoldStore as _, Publisher, Reached, Result, RowSource, StoreError};
use crate::telemetry::{sentence, spawn_blocking};

/// A sign of life that failed is given again after this part of the usual time.
const SOON: u32 = 8;
/// The `_id` of the right to publish.
const LEASE: &str = "publish";
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

/// How a commit is marked of which nothing is known.
const COMMIT_UNKNOWN: &str = "UnknownTransactionCommitResult";
/// How often such a commit is asked for again, and after what time.
const COMMITS: usize = 20;
const BETWEEN_COMMITS: Duration = Duration::from_millis(250);
/// How long a write that fails in passing is tried again: longer than an election or a restart.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits between tries: 0.1 s, doubling up to 2.5 s, and up to as much again at random.
fn patience() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_millis(2_500))
        .without_max_times()
        .with_jitter()
}

/// The same for what is only said in parting: a server that is away has been waited for before.
fn brevity() -> ExponentialBuilder {
    patience().with_max_times(2)
}

/// The right to publish to a MongoDB.
#[derive(Debug)]
pub struct MongoPublisher {
    store: MongoStore,
    connection: Connection,
    deployment: Deployment,
    /// Names that belonged to others when the lease was taken: nobody may lose them.
    foreign: Vec<String>,
    /// Grows with each holder; the number of the run as well.
    token: i64,
    /// Whether another holder is known to have taken over.
    is_lost: Arc<AtomicBool>,
    heartbeat: AbortHandle,
}

impl Drop for MongoPublisher {
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}

/// That the lease was lost, found out within a write.
#[derive(Debug)]
struct Overtaken;

impl MongoPublisher {
    /// Takes the lease: at once when it is free, after it has run out when its holder gives no sign
    /// of life.
    pub async fn take(store: &MongoStore, kind: RunKind) -> Result<Self> {
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
                Claim::Taken(token) => break token,
                Claim::Held(sign) => match first {
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
            Self { store, connection, deployment, foreign, token, is_lost, heartbeat };
        match publisher.begin(kind, &holder).await {
            Ok(()) => Ok(publisher),
            Err(error) => {
                // Nobody should have to wait for it to run out.
                let _ = Box::new(publisher).end(Some(sentence(&error))).await;
                Err(error)
            }
        }
    }

    /// Raises the fence, starts the run's record, notes what is somebody else's.
    async fn begin(&mut self, kind: RunKind, holder: &str) -> Result<()> {
        let (connection, token) = (&self.connection, self.token);
        let begin = || start(connection, token, kind, holder);
        self.store.quick("starting a run", begin).await?;
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

    /// Gives a sign of life and learns whether it still counts, before something that cannot be
    /// undone.
    async fn confirm_held(&self) -> Result<()> {
        let lease = self.store.inner.options.lease;
        let renew = || renew(&self.connection, lease, self.token);
        if !self.store.quick("keeping the right to publish", renew).await? {
            self.is_lost.store(true, Ordering::Relaxed);
        }
        self.still_held()
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
        let pointers = self.connection.pointer();
        let find = || async { pointers.find_one(doc! { "_id": POINTER }).await };
        let pointer = self.store.quick("reading the active generation", find).await?;
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

    /// Within a write: an error [`Overtaken`] when another holder has taken over.
    async fn insist_on_lease(&self) -> std::result::Result<(), Error> {
        let is_held = renew(&self.connection, self.store.inner.options.lease, self.token).await?;
        if is_held { Ok(()) } else { Err(Error::custom(Overtaken)) }
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
            let answer = self
                .connection
                .db
                .run_raw_command(command.clone())
                .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
                .await?;
            match refusal(&answer, was_sent) {
                None => Ok(()),
                Some(refusal) => Err(Error::custom(refusal)),
            }
        };
        self.store.write(action, insert).await
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
        let changes = Changes::of(published, self.token, &self.connection).map_err(|source| {
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
            queries::named_views(&published.manifest, self.store.inner.catalogue.older_views);
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
            let pointer = self.connection.pointer().find_one(doc! { "_id": POINTER }).await?;
            if pointer.and_then(|pointer| whole(&pointer, "generation")) != generation {
                return Err(Error::custom(Overtaken));
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
        let older = self.store.inner.catalogue.older_views;
        let is_ours = |name: &str| {
            table.name == name
                || older.iter().any(|view| view.table.name == table.name && view.name == name)
        };
        self.refuse_taken(self.foreign.iter().map(String::as_str), is_ours)
    }
}

impl MongoStore {
    /// Waits for a write, and tries it again while it fails in passing. Every write here may be
    /// done twice: its second time finds what the first has left.
    async fn write<T, W>(&self, action: &str, work: impl FnMut() -> W) -> Result<T>
    where
        W: Future<Output = std::result::Result<T, Error>>,
    {
        self.patiently(self.inner.options.write, patience(), action, work).await
    }

    /// The same for what takes no longer than a read: the lease, the pointer, lists.
    pub(super) async fn quick<T, W>(&self, action: &str, work: impl FnMut() -> W) -> Result<T>
    where
        W: Future<Output = std::result::Result<T, Error>>,
    {
        let options = &self.inner.options;
        self.patiently(options.query + options.selection, patience(), action, work).await
    }

    async fn patiently<T, W>(
        &self,
        longest: Duration,
        patience: ExponentialBuilder,
        action: &str,
        mut work: impl FnMut() -> W,
    ) -> Result<T>
    where
        W: Future<Output = std::result::Result<T, Error>>,
    {
        let started = Instant::now();
        let attempt = || {
            let work = work();
            async {
                let ended = tokio::time::timeout(longest, work).await;
                ended.unwrap_or_else(|_| {
                    let waited = format!("no answer within {} s", longest.as_secs());
                    Err(Error::custom(Refusal { problem: waited, is_passing: true }))
                })
            }
        };
        let tried = attempt
            .retry(patience)
            .when(|error| {
                let is_passing = is_passing(error)
                    || error.get_custom::<Refusal>().is_some_and(|refusal| refusal.is_passing);
                is_passing && started.elapsed() < PATIENCE
            })
            .notify(|error, wait| {
                let problem = super::in_words(error);
                tracing::warn!(action, problem, wait_secs = wait.as_secs_f64(), "trying again");
            })
            .await;
        tried.map_err(|error| match error.get_custom::<Refusal>() {
            Some(refusal) => StoreError::Failed {
                action: action.to_owned(),
                location: self.location(),
                source: refusal.problem.clone().into(),
            },
            None if error.get_custom::<Overtaken>().is_some() => {
                StoreError::LeaseLost(self.location())
            }
            None => self.failed(action, &error),
        })
    }
}

/// A command that changes something, durably.
fn durable(mut command: Document) -> Document {
    command.insert("writeConcern", majority());
    command
}

fn majority() -> Document {
    doc! { "w": "majority", "j": true }
}

fn raw_majority() -> RawDocumentBuf {
    let mut concern = RawDocumentBuf::new();
    concern.append(cstr!("w"), "majority");
    concern.append(cstr!("j"), true);
    concern
}

async fn primary(db: &Database, command: Document) -> std::result::Result<Document, Error> {
    let answer = db
        .run_command(command)
        .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
        .await?;
    match refusal(&answer, false) {
        None => Ok(answer),
        Some(refusal) => Err(Error::custom(refusal)),
    }
}

/// A refusal within an answer that is otherwise good.
#[derive(Debug)]
struct Refusal {
    problem: String,
    is_passing: bool,
}

/// What an answer to a write refuses, if anything. A key that is there already is no refusal when
/// the batch may have been written by an earlier try; the count afterwards tells.
fn refusal(answer: &Document, was_sent: bool) -> Option<Refusal> {
    let told = |refused: &Document| Refusal {
        problem: refused.get_str("errmsg").unwrap_or("refused without a reason").to_owned(),
        is_passing: whole(refused, "code")
            .is_some_and(|code| i32::try_from(code).is_ok_and(is_passing_code)),
    };
    let errors = answer.get_array("writeErrors").map(Vec::as_slice).unwrap_or_default();
    let refused = errors
        .iter()
        .filter_map(Bson::as_document)
        .find(|refused| !(was_sent && whole(refused, "code") == Some(i64::from(DUPLICATE_KEY))));
    refused.or_else(|| answer.get_document("writeConcernError").ok()).map(told)
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

/// What came of asking for the lease.
enum Claim {
    Taken(i64),
    /// Somebody has it; the sign of life changes while they are there.
    Held(DateTime),
}

/// How often a holder gives a sign of life.
fn sign_of_life(lease: Duration) -> Duration {
    lease / 3
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Takes the lease if it has run out by the server's time, or if its last sign of life still is the
/// one that has been `silent` for too long. The token is greater than any there ever was, also where
/// somebody removed the lease.
async fn claim(
    connection: &Connection,
    lease: Duration,
    holder: &str,
    nonce: ObjectId,
    silent: Option<DateTime>,
) -> std::result::Result<Claim, Error> {
    let leases = connection.leases();
    let ours = doc! { "_id": LEASE, "nonce": nonce };
    if let Some(ours) = leases.find_one(ours).await? {
        // An earlier try took it and its answer was lost.
        return Ok(Claim::Taken(whole(&ours, "token").unwrap_or(0)));
    }
    let free = doc! { "_id": LEASE, "token": 0_i64, "expires_at": DateTime::from_millis(0) };
    match leases.insert_one(free).await {
        Err(error) if code(&error) != Some(DUPLICATE_KEY) => return Err(error),
        _ => {}
    }
    let pointer = connection.pointer().find_one(doc! { "_id": POINTER }).await?;
    let fence = pointer.and_then(|pointer| whole(&pointer, "fence")).unwrap_or(0);
    let last = connection.runs().find_one(doc! {}).sort(doc! { "_id": -1 }).await?;
    let last = last.and_then(|last| whole(&last, "_id")).unwrap_or(0);
    let mut free = doc! { "_id": LEASE, "$expr": { "$lte": ["$expires_at", "$$NOW"] } };
    if let Some(silent) = silent {
        free = doc! { "_id": LEASE, "$or": [free, { "expires_at": silent }] };
    }
    let taken = leases
        .find_one_and_update(
            free,
            vec![doc! { "$set": {
                "token": { "$add": [{ "$max": ["$token", fence.max(last)] }, 1_i64] },
                "holder": { "$literal": holder },
                "nonce": nonce,
                "expires_at": { "$add": ["$$NOW", millis(lease)] },
            } }],
        )
        .return_document(ReturnDocument::After)
        .await?;
    if let Some(taken) = taken {
        return Ok(Claim::Taken(whole(&taken, "token").unwrap_or(0)));
    }
    let held = leases.find_one(doc! { "_id": LEASE }).await?;
    let sign = held.and_then(|held| held.get_datetime("expires_at").ok().copied());
    Ok(Claim::Held(sign.unwrap_or(DateTime::from_millis(0))))
}

/// Raises the fence and starts the run's record.
async fn start(
    connection: &Connection,
    token: i64,
    kind: RunKind,
    holder: &str,
) -> std::result::Result<(), Error> {
    connection
        .pointer()
        .update_one(doc! { "_id": POINTER }, doc! { "$max": { "fence": token } })
        .upsert(true)
        .await?;
    let pointer = connection.pointer().find_one(doc! { "_id": POINTER }).await?;
    if let Some(newest) = pointer.and_then(|pointer| whole(&pointer, "newest")) {
        // Left by a holder that ended before its switch: they were never served.
        let never_served = doc! { "_id": { "$gt": newest }, "fence": { "$lt": token } };
        connection.manifests().delete_many(never_served).await?;
    }
    connection
        .runs()
        .update_many(
            doc! { "_id": { "$lt": token }, "state": RunState::Running.word() },
            doc! { "$set": { "state": RunState::Interrupted.word() } },
        )
        .await?;
    let record = RunRecord::starting(u64::try_from(token).unwrap_or(0), kind, holder.to_owned());
    let filter = doc! { "_id": token };
    connection.runs().replace_one(filter, write_run(&record)).upsert(true).await?;
    Ok(())
}

/// Gives signs of life until it is stopped or overtaken.
async fn beat(connection: Connection, lease: Duration, token: i64, is_lost: Arc<AtomicBool>) {
    let mut pause = sign_of_life(lease);
    loop {
        tokio::time::sleep(pause).await;
        let renewed = renew(&connection, lease, token);
        pause = match tokio::time::timeout(sign_of_life(lease), renewed).await {
            Ok(Ok(true)) => sign_of_life(lease),
            Ok(Ok(false)) => {
                is_lost.store(true, Ordering::Relaxed);
                return;
            }
            // A sign that failed is given again soon; if it comes too late the fences decide.
            Ok(Err(_)) | Err(_) => sign_of_life(lease) / SOON,
        };
    }
}

/// Gives a sign of life. Whether the lease is still ours.
async fn renew(
    connection: &Connection,
    lease: Duration,
    token: i64,
) -> std::result::Result<bool, Error> {
    let later = vec![doc! { "$set": { "expires_at": { "$add": ["$$NOW", millis(lease)] } } }];
    // One that was given back is nobody's, also not its last holder's.
    let given_back = DateTime::from_millis(0);
    let held = doc! { "_id": LEASE, "token": token, "expires_at": { "$gt": given_back } };
    Ok(connection.leases().update_one(held, later).await?.matched_count > 0)
}

/// What a switch changes.
struct Changes {
    connection: Connection,
    token: i64,
    generation: i64,
    manifest: Document,
    pointer: Document,
    run: Document,
}

impl Changes {
    fn of(
        published: &Published,
        token: i64,
        connection: &Connection,
    ) -> std::result::Result<Self, bson::error::Error> {
        let generation = i64::try_from(published.manifest.generation).unwrap_or(i64::MAX);
        let as_of = instant_to_bson(published.manifest.as_of);
        let published_at = instant_to_bson(published.published_at);
        Ok(Self {
            connection: connection.clone(),
            token,
            generation,
            manifest: doc! {
                "_id": generation,
                "fence": token,
                "as_of": as_of,
                "published_at": published_at,
                "published": bson::serialize_to_bson(published)?,
            },
            pointer: doc! { "$set": {
                "generation": generation, "as_of": as_of, "published_at": published_at,
                "switched_at": DateTime::now(),
            }, "$max": { "newest": generation } },
            run: doc! { "$set": {
                "generation": generation, "state": RunState::Succeeded.word(),
            } },
        })
    }

    /// Makes the changes in one transaction.
    ///
    /// # Errors
    /// A custom [`Overtaken`] where a fence is higher than ours.
    async fn apply_together(&self) -> std::result::Result<(), Error> {
        let mut session = self.connection.client.start_session().await?;
        session.start_transaction().await?;
        let (older, fenced, own) = self.filters();
        let manifests = self.connection.manifests();
        let keep = manifests.replace_one(older, &self.manifest).upsert(true);
        keep.session(&mut session).await.map_err(overtaken_by_key)?;
        let pointers = self.connection.pointer();
        let point = pointers.update_one(fenced, self.pointer.clone());
        if point.session(&mut session).await?.matched_count == 0 {
            // Dropping the session aborts the transaction.
            return Err(Error::custom(Overtaken));
        }
        let runs = self.connection.runs();
        runs.update_one(own, self.run.clone()).session(&mut session).await?;
        // Asked again in the same session: a new one would meet this transaction, still open.
        let mut tries = 0;
        loop {
            match session.commit_transaction().await {
                Err(error) if error.contains_label(COMMIT_UNKNOWN) && tries < COMMITS => tries += 1,
                committed => return committed,
            }
            tokio::time::sleep(BETWEEN_COMMITS).await;
        }
    }

    /// Makes the changes one after the other where there are no transactions. Each is fenced by
    /// itself; a manifest whose switch did not follow is not listed.
    ///
    /// # Errors
    /// A custom [`Overtaken`] where a fence is higher than ours.
    async fn apply_in_turn(&self, reached: Reached<'_>) -> std::result::Result<(), Error> {
        let (older, fenced, own) = self.filters();
        let pointers = self.connection.pointer();
        let pointer = pointers.find_one(fenced.clone()).await?;
        pointer.ok_or_else(|| Error::custom(Overtaken))?;
        let manifests = self.connection.manifests();
        let keep = manifests.replace_one(older, &self.manifest).upsert(true);
        keep.await.map_err(overtaken_by_key)?;
        reached("kept");
        if pointers.update_one(fenced, self.pointer.clone()).await?.matched_count == 0 {
            return Err(Error::custom(Overtaken));
        }
        self.connection.runs().update_one(own, self.run.clone()).await.map(drop)
    }

    /// Our manifest or an earlier holder's of the same number, the pointer while the fence is ours,
    /// our run.
    fn filters(&self) -> (Document, Document, Document) {
        (
            doc! { "_id": self.generation, "fence": { "$lte": self.token } },
            doc! { "_id": POINTER, "fence": self.token },
            doc! { "_id": self.token },
        )
    }
}

/// A later holder's manifest is not replaced, and a second one of its number cannot be inserted.
fn overtaken_by_key(error: Error) -> Error {
    if code(&error) == Some(DUPLICATE_KEY) { Error::custom(Overtaken) } else { error }
}

fn write_run(record: &RunRecord) -> Document {
    let kind = match record.kind {
        RunKind::Refresh => "refresh",
        RunKind::Rollback => "rollback",
    };
    doc! {
        "_id": i64::try_from(record.run).unwrap_or(i64::MAX),
        "kind": kind,
        "state": record.state.word(),
        "holder": &record.holder,
        "started_at": instant_to_bson(record.started_at),
        "ended_at": record.ended_at.map(instant_to_bson),
        "generation": record.generation.and_then(|generation| i64::try_from(generation).ok()),
        "error": record.error.clone(),
    }
}

/// A stored record of a run.
pub fn read_run(stored: &Document, connection: &Connection) -> Result<RunRecord> {
    let undecodable = |column: &str, ty: &'static str| StoreError::Decode {
        table: format!("{}.runs", connection.ops.name()),
        column: column.to_owned(),
        ty,
        key: stored.get("_id").map(ToString::to_string).unwrap_or_default(),
    };
    let positive = |key: &str| whole(stored, key).and_then(|value| u64::try_from(value).ok());
    let text = |key: &str| stored.get_str(key).ok().map(str::to_owned);
    let instant = |key: &str| -> Option<Timestamp> {
        stored.get_datetime(key).ok().map(|date| instant_from_bson(*date))
    };
    let kind = match stored.get_str("kind") {
        Ok("refresh") => RunKind::Refresh,
        Ok("rollback") => RunKind::Rollback,
        _ => return Err(undecodable("kind", "text")),
    };
    let states = [RunState::Running, RunState::Succeeded, RunState::Failed, RunState::Interrupted];
    let stored_state = stored.get_str("state").unwrap_or_default();
    let state = states.into_iter().find(|state| state.word() == stored_state);
    Ok(RunRecord {
        run: positive("_id").ok_or_else(|| undecodable("_id", "integer"))?,
        kind,
        state: state.ok_or_else(|| undecodable("state", "text"))?,
        holder: text("holder").ok_or_else(|| undecodable("holder", "text"))?,
        started_at: instant("started_at").ok_or_else(|| undecodable("started_at", "timestamp"))?,
        ended_at: instant("ended_at"),
        generation: positive("generation"),
        error: text("error"),
    })
}

#[async_trait]
impl Publisher for MongoPublisher {
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
            // Swept by the next run if it cannot be dropped now.
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
            queries::named_views(&published.manifest, self.store.inner.catalogue.older_views);
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
        let longest = self.store.inner.options.query;
        let list = || list_manifests(&self.connection, longest);
        let kept = self.store.quick("listing generations", list).await?;
        let number = i64::try_from(active).ok();
        let manifest = kept.into_iter().find(|kept| whole(kept, "_id") == number);
        manifest.map(|manifest| read_manifest(manifest, &self.connection)).transpose()
    }

    async fn repair_names(&self, published: &Published) -> Result<()> {
        self.show(published, &|_| {}).await
    }

    async fn sweep(&self, keep: usize) -> Result<usize> {
        self.confirm_held().await?;
        let longest = self.store.inner.options.query;
        let list = || list_manifests(&self.connection, longest);
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

    async fn end(self: Box<Self>, error: Option<String>) -> Result<()> {
        self.heartbeat.abort();
        let state = if error.is_some() { RunState::Failed } else { RunState::Succeeded };
        let ended = doc! { "$set": {
            "state": state.word(), "ended_at": DateTime::now(), "error": error,
        } };
        let token = self.token;
        self.store
            .patiently(self.store.inner.options.selection, brevity(), "ending a run", || async {
                self.connection.runs().update_one(doc! { "_id": token }, ended.clone()).await?;
                let free = doc! { "$set": { "expires_at": DateTime::from_millis(0) } };
                let ours = doc! { "_id": LEASE, "token": token };
                self.connection.leases().update_one(ours, free).await
            })
            .await
            .map(drop)
    }
}
