//! The production store: immutable collections in one database, the pointer to the generation that
//! is served in another.
//!
//! Reading is here; [`publisher`] writes, as [`writes`] says, with a [`lease`], and commits by a
//! [`switch`]. Documents are made and read in [`documents`] and [`runs`], everything asked of the
//! server in [`queries`], the way to it is [`connection`].

mod commands;
mod connection;
mod documents;
mod lease;
mod publisher;
mod queries;
mod runs;
mod switch;

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use mongodb::bson::{self, Document, RawDocumentBuf, Timestamp as ClusterInstant, doc};
use mongodb::error::Error;
use mongodb::options::ReadConcern;
use mongodb::{ClientSession, Collection};
use tokio::runtime::{self, Handle, RuntimeFlavor};
use tokio::sync::{Mutex as AsyncMutex, OnceCell};

pub use connection::{MongoOptions, ReadFrom};

use super::{
    Audit, GoldStore, Page, Publisher, Result, StoreError, check_stored, entry_of, holder, lock,
};
use crate::domain::manifest::{Published, TableEntry, Totals};
use crate::domain::query::Query;
use crate::domain::schema::{Catalogue, Purchases, Table};
use crate::error_chain::describe;
use crate::runs::RunSpec;
use connection::{Connection, Deployment, in_words, is_lasting, is_unreachable};
use queries::NamedView;

/// For this long the pointer is not looked at again, so that a look is not what requests wait for.
/// A publish by another process is seen this much later at most.
const GLANCE: Duration = Duration::from_millis(10);
/// For this long after a look that failed, requests are refused at once instead of waiting.
const SULK: Duration = Duration::from_millis(500);
/// What the server is given beyond its own limit to say that it ran out of time.
const GRACE: Duration = Duration::from_secs(1);
/// The `_id` of the pointer.
const POINTER: &str = "active";

/// Gold in MongoDB.
#[derive(Debug, Clone)]
pub struct MongoStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: MongoOptions,
    location: String,
    /// What is served under which names.
    catalogue: &'static Catalogue,
    /// Where the client of threads without a runtime of their own lives.
    runtime: Handle,
    /// The client of each runtime.
    connections: Mutex<HashMap<runtime::Id, Connection>>,
    deployment: OnceCell<Deployment>,
    /// What was last seen of the pointer.
    seen: Mutex<Seen>,
    /// Held by the one request that looks.
    looking: AsyncMutex<()>,
}

/// What was last seen of the pointer.
#[derive(Debug, Default)]
struct Seen {
    active: Option<Arc<Published>>,
    /// The pointer as it was, which changes whenever the generation does.
    pointer: Option<Document>,
    /// The deployment's time of that look: what is read later is at least as new.
    at: Option<ClusterInstant>,
    /// When it was looked at; `None` after this process moved the pointer.
    looked_at: Option<Instant>,
    /// When a look last failed and why, until one succeeds.
    failed: Option<(Instant, String)>,
    /// Grows when this process moves the pointer: a look that began before saw the old one.
    moves: u64,
}

impl MongoStore {
    /// A store that connects when first used. It serves what the catalogue lists.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when the connection string is.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn open(options: MongoOptions, catalogue: &'static Catalogue) -> Result<Self> {
        let location = connection::location_of(&options).map_err(|problem| {
            StoreError::Malformed { setting: "mongodb.uri (MONGODB_URI)", problem }
        })?;
        let inner = Inner {
            options,
            location,
            catalogue,
            runtime: Handle::current(),
            connections: Mutex::default(),
            deployment: OnceCell::new(),
            seen: Mutex::default(),
            looking: AsyncMutex::new(()),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The client of this thread's runtime. A server's worker has a runtime of its own, and an answer
    /// that had to come through another thread would cost it as much again as the server takes. A
    /// client's connections are watched from the runtime it was made on.
    async fn connection(&self) -> Result<Connection> {
        let here = Handle::current();
        let is_own = here.runtime_flavor() == RuntimeFlavor::CurrentThread;
        let runtime = if is_own { here } else { self.inner.runtime.clone() };
        let connections = || lock(&self.inner.connections);
        let known = connections().get(&runtime.id()).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let options = self.inner.options.clone();
        let opened = runtime.spawn(async move { Connection::open(&options).await });
        let opened = match opened.await {
            Ok(opened) => opened.map_err(|error| self.failed("connecting", &error))?,
            Err(stopped) => {
                let source = stopped.into();
                return Err(StoreError::Unavailable { location: self.location(), source });
            }
        };
        // Another task may have made one meanwhile; one stays.
        Ok(connections().entry(runtime.id()).or_insert(opened).clone())
    }

    /// The client, and what its server can do.
    async fn inspected(&self) -> Result<(Connection, Deployment)> {
        let connection = self.connection().await?;
        let inspect = || self.read("connecting", connection.inspect(&self.inner.location));
        let deployment = self.inner.deployment.get_or_try_init(inspect).await?;
        Ok((connection, *deployment))
    }

    /// An error of the driver as one of ours.
    fn failed(&self, action: &str, error: &Error) -> StoreError {
        tracing::debug!(action, %error, "the store refused");
        let location = self.location();
        let source = in_words(error).into();
        if is_lasting(error) {
            StoreError::Unusable { location, source }
        } else if is_unreachable(error) {
            StoreError::Unavailable { location, source }
        } else {
            StoreError::Failed { action: action.to_owned(), location, source }
        }
    }

    /// Waits for a read no longer than it may take: a server that hangs does not answer at all.
    async fn read<T>(&self, action: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.within(self.inner.options.query + self.inner.options.selection, action, work).await
    }

    async fn within<T>(
        &self,
        longest: Duration,
        action: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        match tokio::time::timeout(longest + GRACE, work).await {
            Ok(answer) => answer,
            Err(_) => Err(StoreError::Unavailable {
                location: self.location(),
                source: format!("{action} took longer than {} s", longest.as_secs_f64()).into(),
            }),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.inner.seen)
    }

    /// Makes the next look at the pointer a fresh one.
    fn look_again(&self) {
        let mut seen = self.seen();
        seen.looked_at = None;
        seen.moves += 1;
    }

    /// Why the last look failed, if it did less than `ago` before now.
    fn failed_within(&self, ago: Duration) -> Option<StoreError> {
        let seen = self.seen();
        let (_, problem) = seen.failed.as_ref().filter(|(when, _)| when.elapsed() < ago)?;
        let source = problem.clone().into();
        Some(StoreError::Unavailable { location: self.location(), source })
    }

    /// Waits for the turn to look; while looks fail, nobody waits for another's.
    async fn turn_to_look(&self) -> Result<tokio::sync::MutexGuard<'_, ()>> {
        match (self.inner.looking.try_lock(), self.failed_within(Duration::MAX)) {
            (Ok(turn), _) => Ok(turn),
            (Err(_), Some(error)) => Err(error),
            (Err(_), None) => Ok(self.inner.looking.lock().await),
        }
    }

    /// What the last look found, if it is recent enough to be relied upon.
    fn recently_seen(&self) -> Option<Result<Option<Arc<Published>>>> {
        if let Some(error) = self.failed_within(SULK) {
            return Some(Err(error));
        }
        let seen = self.seen();
        let is_recent = seen.looked_at.is_some_and(|looked_at| looked_at.elapsed() <= GLANCE);
        is_recent.then(|| Ok(seen.active.clone()))
    }

    /// Looks at the pointer, and at the manifest if it moved.
    async fn look(&self) -> Result<Option<Arc<Published>>> {
        let action = "reading the active generation";
        let moves = self.seen().moves;
        let longest = self.inner.options.selection;
        let looked = self
            .within(longest, action, async {
                let (connection, _) = &self.inspected().await?;
                let failed = |error: Error| self.failed(action, &error);
                // Never older than the last look, whichever member answers this one.
                let mut session = self.session(connection, action).await?;
                let pointer = connection
                    .served
                    .collection::<Document>(POINTER)
                    .find_one(doc! { "_id": POINTER })
                    .max_time(longest)
                    .session(&mut session)
                    .await
                    .map_err(failed)?;
                let generation = pointer.as_ref().and_then(|p| whole(p, "generation"));
                if generation.is_none()
                    && let Some(pointer) = &pointer
                    && pointer.contains_key("generation")
                {
                    return Err(StoreError::Decode {
                        table: format!("{}.{POINTER}", connection.ops.name()),
                        column: "generation".to_owned(),
                        ty: "integer",
                        key: POINTER.to_owned(),
                    });
                }
                let known = {
                    let seen = self.seen();
                    let is_same =
                        seen.pointer.as_ref().map(switch_of) == pointer.as_ref().map(switch_of);
                    seen.active.clone().filter(|_| is_same)
                };
                let active = match (generation, known) {
                    (None, _) => None,
                    (Some(_), Some(known)) => Some(known),
                    (Some(generation), None) => {
                        let manifest = connection
                            .served
                            .collection::<Document>(connection.manifests().name())
                            .find_one(doc! { "_id": generation })
                            .max_time(self.inner.options.query)
                            .session(&mut session)
                            .await
                            .map_err(failed)?;
                        // VacuumReport between the two reads, or removed by somebody.
                        let manifest = manifest.ok_or_else(|| StoreError::Removed {
                            table: format!("the manifest of generation {generation}"),
                            location: self.location(),
                        })?;
                        Some(Arc::new(read_manifest(manifest, connection)?))
                    }
                };
                Ok((active, pointer, session.operation_time()))
            })
            .await;
        let mut seen = self.seen();
        match looked {
            Ok((active, pointer, at)) => {
                if seen.failed.take().is_some() {
                    tracing::info!(store = self.location(), "the serving store answers again");
                }
                // Reads need not be newer than the look that first saw this generation.
                if pointer.as_ref().map(switch_of) != seen.pointer.as_ref().map(switch_of) {
                    seen.at = at.or(seen.at);
                }
                seen.active.clone_from(&active);
                seen.pointer = pointer;
                seen.looked_at = (moves == seen.moves).then(Instant::now);
                Ok(active)
            }
            Err(error) => {
                let problem = error_words(&error);
                if seen.failed.is_none() {
                    tracing::info!(store = self.location(), problem, "the serving store fails");
                }
                seen.looked_at = None;
                // What does not pass is found out anew each time.
                seen.failed = error.is_away().then(|| (Instant::now(), problem));
                Err(error)
            }
        }
    }

    /// A session whose reads are at least as new as the last look at the pointer, whichever member
    /// answers them: the tables of the generation seen are there.
    async fn session(&self, connection: &Connection, action: &str) -> Result<ClientSession> {
        let session = connection.client.start_session().await;
        let mut session = session.map_err(|error| self.failed(action, &error))?;
        if let Some(at) = self.seen().at {
            session.advance_operation_time(at);
        }
        Ok(session)
    }

    /// The rows of a page. Tables never change, so what is read needs no majority.
    async fn rows(
        &self,
        collection: &Collection<RawDocumentBuf>,
        query: &Query,
        session: &mut ClientSession,
    ) -> std::result::Result<Vec<RawDocumentBuf>, Error> {
        let mut find = collection
            .find(queries::filter(query))
            .limit(i64::from(query.limit))
            .batch_size(query.limit)
            .read_concern(ReadConcern::local())
            .max_time(self.inner.options.query);
        if query.offset > 0 {
            find = find.skip(query.offset);
        }
        if let Some(projection) = queries::projection(query) {
            find = find.projection(projection);
        }
        if let Some(sort) = queries::sort(query).filter(|_| !query.is_by_key()) {
            find = find.sort(sort).allow_disk_use(true);
        }
        let mut found = find.session(&mut *session).await?;
        let rows: Vec<_> = found.stream(session).try_collect().await?;
        Ok(rows)
    }

    async fn aggregate(
        &self,
        connection: &Connection,
        physical: &str,
        pipeline: Vec<Document>,
        action: &str,
    ) -> Result<Option<Document>> {
        let failed = |error: Error| self.failed(action, &error);
        self.within(self.inner.options.write, action, async {
            let mut session = self.session(connection, action).await?;
            let mut found = connection
                .db
                .collection::<Document>(physical)
                .aggregate(pipeline)
                .read_concern(ReadConcern::local())
                .allow_disk_use(true)
                .max_time(self.inner.options.write)
                .session(&mut session)
                .await
                .map_err(failed)?;
            let first = found.stream(&mut session).next().await.transpose().map_err(failed)?;
            Ok(first)
        })
        .await
    }

    async fn exists(&self, connection: &Connection, physical: &str) -> Result<bool> {
        let list = || list_collections(connection, doc! { "name": physical });
        Ok(!self.quick("listing collections", list).await?.is_empty())
    }

    /// Waits for a read of the driver's.
    async fn asked<T>(
        &self,
        action: &str,
        work: impl Future<Output = std::result::Result<T, Error>>,
    ) -> Result<T> {
        self.read(action, async { work.await.map_err(|error| self.failed(action, &error)) }).await
    }
}

/// Every collection and view that the filter lets pass.
async fn list_collections(
    connection: &Connection,
    filter: Document,
) -> std::result::Result<Vec<Document>, Error> {
    let longest = commands::millis(connection.longest);
    let command = doc! { "listCollections": 1, "filter": filter, "maxTimeMS": longest };
    connection.db.run_cursor_command(command).await?.try_collect().await
}

/// What names show now: each name with what it is.
async fn list_names(connection: &Connection) -> std::result::Result<Vec<(String, Shown)>, Error> {
    let listed = list_collections(connection, doc! {}).await?;
    Ok(listed.iter().filter_map(read_shown).collect())
}

/// The manifests of the generations kept, ascending. One that is newer than any switch was left
/// by a holder that ended in between.
async fn list_manifests(connection: &Connection) -> std::result::Result<Vec<Document>, Error> {
    let pointer = connection.read_pointer().await?;
    let newest = pointer.and_then(|pointer| whole(&pointer, "newest")).unwrap_or(0);
    let manifests = connection.manifests();
    let switched = manifests.find(doc! { "_id": { "$lte": newest } }).sort(doc! { "_id": 1 });
    switched.max_time(connection.longest).await?.try_collect().await
}

/// What a name in the database is.
#[derive(Debug, Clone, PartialEq)]
enum Shown {
    Collection,
    View(NamedView),
}

fn read_shown(listed: &Document) -> Option<(String, Shown)> {
    let name = listed.get_str("name").ok()?.to_owned();
    if listed.get_str("type").unwrap_or_default() != "view" {
        return Some((name, Shown::Collection));
    }
    let options = listed.get_document("options").ok()?;
    let stages = options.get_array("pipeline").ok()?.iter();
    let view = NamedView {
        name: name.clone(),
        on: options.get_str("viewOn").ok()?.to_owned(),
        pipeline: stages.filter_map(|stage| stage.as_document().cloned()).collect(),
    };
    Some((name, Shown::View(view)))
}

/// What a pointer says that changes with each switch, the fence aside.
fn switch_of(pointer: &Document) -> (Option<&bson::Bson>, Option<&bson::Bson>) {
    (pointer.get("generation"), pointer.get("published_at"))
}

fn read_manifest(mut stored: Document, connection: &Connection) -> Result<Published> {
    let id = stored.get("_id").map(ToString::to_string).unwrap_or_default();
    let published = stored.remove("published").unwrap_or(bson::Bson::Null);
    bson::deserialize_from_bson(published).map_err(|error| {
        tracing::debug!(%error, "a manifest does not decode");
        StoreError::Decode {
            table: format!("{}.manifests", connection.ops.name()),
            column: "published".to_owned(),
            ty: "manifest",
            key: id,
        }
    })
}

/// A count or an identifier, whichever width the server gave it.
fn whole(document: &Document, key: &str) -> Option<i64> {
    match document.get(key)? {
        bson::Bson::Int32(v) => Some(i64::from(*v)),
        bson::Bson::Int64(v) => Some(*v),
        // Sums of integers that overflowed their width; none of ours are that large.
        _ => None,
    }
}

fn number(document: &Document, key: &str) -> Option<f64> {
    match document.get(key)? {
        bson::Bson::Double(v) => Some(*v),
        bson::Bson::Int32(v) => Some(f64::from(*v)),
        _ => None,
    }
}

/// The rows and totals that [`queries::totals`] found; an empty collection has no document.
fn read_totals(table: &Table, found: Option<&Document>) -> (u64, Option<Totals>) {
    let count = |key: &str| found.and_then(|found| whole(found, key)).unwrap_or(0);
    let rows = count("rows");
    let totals = table.tally.map(|tally| Totals {
        revenue: found.and_then(|found| number(found, "revenue")).unwrap_or(0.0),
        purchases: match tally.purchases {
            Purchases::Rows => Some(rows),
            Purchases::Column(_) => Some(count("purchases")),
            Purchases::Unknown => None,
        },
    });
    (u64::try_from(rows).unwrap_or(0), totals)
}

fn error_words(error: &StoreError) -> String {
    match error {
        StoreError::Unavailable { source, .. } | StoreError::Unusable { source, .. } => {
            source.to_string()
        }
        other => describe(other),
    }
}

#[async_trait]
impl GoldStore for MongoStore {
    fn location(&self) -> String {
        self.inner.location.clone()
    }

    async fn ping(&self) -> Result<()> {
        let _one = self.turn_to_look().await?;
        // It may have failed while this one waited.
        if let Some(error) = self.failed_within(SULK) {
            return Err(error);
        }
        self.look().await.map(drop)
    }

    async fn active(&self) -> Result<Option<Arc<Published>>> {
        if let Some(seen) = self.recently_seen() {
            return seen;
        }
        // One request looks; those that waited for it see what it saw.
        let _one = self.turn_to_look().await?;
        if let Some(seen) = self.recently_seen() {
            return seen;
        }
        self.look().await
    }

    async fn generations(&self) -> Result<Vec<Published>> {
        let (connection, _) = &self.inspected().await?;
        let list = || list_manifests(connection);
        let stored = self.quick("listing generations", list).await?;
        stored.into_iter().map(|stored| read_manifest(stored, connection)).collect()
    }

    async fn find(&self, published: &Published, query: &Query) -> Result<Page> {
        let table = query.view.table;
        let entry = entry_of(published, table)?;
        let physical = entry.physical_name();
        let action = format!("reading {}", table.name);
        let (connection, _) = &self.inspected().await?;
        let columns = query.view.columns();
        self.read(&action, async {
            let failed = |error: Error| self.failed(&action, &error);
            let collection = connection.db.collection::<RawDocumentBuf>(physical);
            let mut session = self.session(connection, &action).await?;
            let stored = if query.offset < entry.rows {
                self.rows(&collection, query, &mut session).await.map_err(failed)?
            } else {
                Vec::new()
            };
            let total = if query.is_unfiltered() {
                entry.rows
            } else if let Some(total) = query.total_from(stored.len()) {
                total
            } else {
                collection
                    .count_documents(queries::filter(query))
                    .read_concern(ReadConcern::local())
                    .max_time(self.inner.options.query)
                    .session(&mut session)
                    .await
                    .map_err(failed)?
            };
            // A collection that is not there reads as an empty one.
            let left = entry.rows.saturating_sub(query.offset).min(u64::from(query.limit));
            let is_short = query.is_unfiltered() && (stored.len() as u64) < left;
            if is_short || (total == 0 && entry.rows > 0) {
                let any = collection.find_one(doc! {}).sort(doc! { "_id": 1 });
                let any = any.read_concern(ReadConcern::local());
                let any = any.max_time(self.inner.options.query).session(&mut session);
                if any.await.map_err(failed)?.is_none() {
                    let table = physical.to_owned();
                    return Err(StoreError::Removed { table, location: self.location() });
                }
            }
            if is_short {
                let problem = format!("fewer than {} rows are there", entry.rows);
                return Err(StoreError::Mismatch { table: physical.to_owned(), problem });
            }
            let rows: Result<Vec<_>> = stored
                .iter()
                .map(|document| documents::read_row(document, &columns, physical))
                .collect();
            let fields = columns.iter().map(|(field, _)| *field).collect();
            Ok(Page { fields, rows: rows?, total })
        })
        .await
    }

    async fn close(&self) {
        let mut connections = std::mem::take(&mut *lock(&self.inner.connections));
        // The clients of serving threads ended with their runtimes: asking them for anything panics.
        let Some(connection) = connections.remove(&self.inner.runtime.id()) else { return };
        // Only the server's memory of idle sessions is at stake; it forgets them by itself.
        let closed = connection.client.shutdown().immediate(true);
        let _ = tokio::time::timeout(GRACE, closed).await;
    }

    async fn audit_names(&self, published: &Published) -> Result<Vec<String>> {
        let (connection, _) = &self.inspected().await?;
        let names = self.quick("listing collections", || list_names(connection)).await?;
        let expected = queries::named_views(&published.manifest, self.inner.catalogue.legacy_views);
        let wrong = expected.into_iter().filter_map(|view| {
            let shown = names.iter().find(|(name, _)| *name == view.name).map(|(_, shown)| shown);
            match shown {
                None => Some(format!("{} is missing", view.name)),
                Some(Shown::Collection) => {
                    Some(format!("{} is a collection of somebody else's", view.name))
                }
                Some(Shown::View(shown)) => {
                    (*shown != view).then(|| format!("{} shows something else", view.name))
                }
            }
        });
        Ok(wrong.collect())
    }

    async fn audit(&self, table: &'static Table, entry: &TableEntry) -> Result<Option<Audit>> {
        let action = format!("looking over {}", table.name);
        let physical = entry.physical_name();
        let (connection, _) = &self.inspected().await?;
        if !self.exists(connection, physical).await? {
            return Ok(None);
        }
        let ask = |pipeline| self.aggregate(connection, physical, pipeline, &action);
        let found = ask(queries::audit(table)).await?.unwrap_or_default();
        let (rows, totals) = read_totals(table, ask(queries::totals(table.tally)).await?.as_ref());
        let columns: Vec<String> = match ask(queries::other_keys(table)).await? {
            None => table.columns.iter().map(|column| column.name.to_owned()).collect(),
            Some(other) => {
                let keys = other.get_array("keys").map(Vec::as_slice).unwrap_or_default();
                let names = keys.iter().filter_map(|key| key.as_str());
                names.filter(|name| *name != "_id").map(str::to_owned).collect()
            }
        };
        let count = |key: &str| u64::try_from(whole(&found, key).unwrap_or(0)).unwrap_or(0);
        let indexes = async {
            let stored = connection.db.collection::<Document>(physical);
            stored.list_index_names().max_time(connection.longest).await
        };
        let indexes = self.asked(&action, indexes).await?;
        let missing_indexes = queries::indexes(table, entry.rows)
            .iter()
            .filter_map(|index| index.get_str("name").ok())
            .filter(|name| !indexes.iter().any(|index| index == name))
            .map(str::to_owned)
            .collect();
        let wrong_values = table
            .columns
            .iter()
            .enumerate()
            .map(|(place, column)| (column.name.to_owned(), count(&format!("c{place}"))))
            .filter(|(_, wrong)| *wrong > 0)
            .collect();
        Ok(Some(Audit {
            rows,
            columns,
            rows_without_own_key: count("unowned"),
            wrong_values,
            totals,
            missing_indexes,
        }))
    }

    async fn publisher(&self, order: &RunSpec) -> Result<Box<dyn Publisher>> {
        let publisher = publisher::MongoPublisher::take(self, order).await?;
        self.look_again();
        Ok(Box::new(publisher))
    }
}
