//! The embedded store: one SQLite file in WAL mode, readers never wait for a publish.
//!
//! Physical tables are written in one transaction each, all stable names (views) and the pointer
//! switch in one more. Statement texts are in [`sql`], values in [`values`], records of runs in [`runs`].

mod runs;
mod sql;
mod values;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rusqlite::config::DbConfig;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params,
};

use super::{
    Audit, Cause, GoldStore, Page, Publisher, Reached, Result, RowSource, StoreError, check_stored,
    entry_of, lock,
};
use crate::blocking::spawn_blocking;
use crate::domain::manifest::{Published, TableEntry, Totals, table_in_physical_name};
use crate::domain::query::Query;
use crate::domain::schema::{Catalogue, Table, Tally, View};
use crate::lock::Lock;
use crate::runs::{RunEnd, RunNotes, RunRecord, RunSpec};

/// How long a statement waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// For this long the pointer is not looked at again: at a hundred thousand requests a second the look
/// would be what they wait for. A publish by another process is seen this much later at most.
const GLANCE: Duration = Duration::from_millis(2);
/// How often the right to publish is looked for again, and after what time.
const LOOKS: u32 = 10;
const BETWEEN_LOOKS: Duration = Duration::from_millis(30);
/// Idle reading connections kept open.
const IDLE_CONNECTIONS: usize = 16;

/// Gold in one SQLite file.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// What is served under which names.
    catalogue: &'static Catalogue,
    /// Idle reading connections and the file they are open on.
    idle: Mutex<(FileId, Vec<Connection>)>,
    watch: Mutex<Watch>,
}

/// Which file a path leads to: it stays the same while the file is written and changes when
/// another one takes its place. Always equal where the system does not tell.
type FileId = (u64, u64);

fn file_id(path: &Path) -> std::io::Result<FileId> {
    let meta = std::fs::metadata(path)?;
    #[cfg(unix)]
    let id =
        (std::os::unix::fs::MetadataExt::dev(&meta), std::os::unix::fs::MetadataExt::ino(&meta));
    #[cfg(not(unix))]
    let id = (u64::from(meta.is_file()), 0);
    Ok(id)
}

/// Tells cheaply whether the pointer may have moved.
#[derive(Debug)]
struct Watch {
    /// The file `connection` is open on.
    file: FileId,
    connection: Connection,
    /// SQLite's counter of other connections' commits, when `active` was read.
    data_version: i64,
    active: Option<Arc<Published>>,
    /// When `active` was last known to be so; `None` after this process moved the pointer.
    looked_at: Option<Instant>,
}

/// The right to publish: a lock on a file beside the database, which ends with its process.
#[derive(Debug)]
struct SqlitePublisher {
    store: SqliteStore,
    run: i64,
    _lock: Lock,
}

impl SqliteStore {
    /// Opens the file, creating it with its bookkeeping tables when missing. It will serve what
    /// the catalogue lists.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when the file cannot be created or is not a SQLite database.
    pub fn open(path: &Path, catalogue: &'static Catalogue) -> Result<Self> {
        let opened = || -> std::result::Result<Watch, Cause> {
            if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                std::fs::create_dir_all(parent)?;
            }
            let connection = connect(path, OpenFlags::SQLITE_OPEN_CREATE)?;
            connection.pragma_update(None, "journal_mode", "wal")?;
            connection.execute_batch(sql::BOOKKEEPING)?;
            Watch::over(path)
        };
        let watch = opened()
            .map_err(|source| StoreError::Unusable { location: location_of(path), source })?;
        let inner = Inner {
            path: path.to_owned(),
            catalogue,
            idle: Mutex::new((watch.file, Vec::new())),
            watch: Mutex::new(watch),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Runs work that may take long on a blocking thread, with a connection of its own.
    async fn run<T, F>(&self, action: &str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> std::result::Result<T, Cause> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let answer = spawn_blocking(move || {
            let (file, mut connection) = inner.connection()?;
            let answer = work(&mut connection)?;
            inner.give_back(file, connection);
            Ok(answer)
        })
        .await;
        answer.map_err(|source: Cause| self.failed(action, source))
    }

    /// The lock that is the right to publish; `None` while somebody has it.
    fn try_lock(&self) -> Result<Option<Lock>> {
        let mut path = self.inner.path.clone().into_os_string();
        path.push(".lock");
        match Lock::take(Path::new(&path)) {
            Ok(lock) => Ok(Some(lock)),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(source)) => {
                let source = source.into();
                Err(StoreError::Unavailable { location: self.location(), source })
            }
        }
    }

    /// Makes the next look at the pointer a fresh one.
    fn look_again(&self) {
        lock(&self.inner.watch).looked_at = None;
    }

    fn failed(&self, action: &str, source: Cause) -> StoreError {
        match source.downcast::<StoreError>() {
            Ok(known) => *known,
            Err(source) if is_busy(&source) => {
                StoreError::Unavailable { location: self.location(), source }
            }
            Err(source) => {
                StoreError::Failed { action: action.to_owned(), location: self.location(), source }
            }
        }
    }
}

impl Inner {
    /// A connection on the file that the path leads to now.
    fn connection(&self) -> std::result::Result<(FileId, Connection), Cause> {
        let file = file_id(&self.path)?;
        let idle = {
            let mut idle = lock(&self.idle);
            if idle.0 != file {
                *idle = (file, Vec::new());
            }
            idle.1.pop()
        };
        let connection = match idle {
            Some(connection) => connection,
            None => connect(&self.path, OpenFlags::empty())?,
        };
        Ok((file, connection))
    }

    fn give_back(&self, file: FileId, connection: Connection) {
        let mut idle = lock(&self.idle);
        if idle.0 == file && idle.1.len() < IDLE_CONNECTIONS {
            idle.1.push(connection);
        }
    }

    /// The active generation, from the file that the path leads to now.
    fn active(&self) -> std::result::Result<Option<Arc<Published>>, Cause> {
        let mut watch = lock(&self.watch);
        if watch.looked_at.is_none_or(|looked_at| looked_at.elapsed() > GLANCE) {
            if file_id(&self.path)? != watch.file {
                *watch = Watch::over(&self.path)?;
            }
            watch.refresh()?;
            watch.looked_at = Some(Instant::now());
        }
        Ok(watch.active.clone())
    }
}

impl Watch {
    fn over(path: &Path) -> std::result::Result<Self, Cause> {
        let connection = connect(path, OpenFlags::empty())?;
        let mut watch = Self {
            file: file_id(path)?,
            connection,
            data_version: -1,
            active: None,
            looked_at: None,
        };
        watch.refresh()?;
        Ok(watch)
    }

    /// Reads the pointer again if anyone has committed since.
    fn refresh(&mut self) -> std::result::Result<(), Cause> {
        let data_version = self
            .connection
            .prepare_cached("PRAGMA data_version")?
            .query_row([], |row| row.get(0))?;
        if data_version == self.data_version {
            return Ok(());
        }
        let current = self
            .connection
            .prepare_cached(sql::ACTIVE)?
            .query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))
            .optional()?;
        self.active = match current {
            None => None,
            Some((generation, json)) => {
                let known = self
                    .active
                    .take()
                    .filter(|active| i64::try_from(active.manifest.generation) == Ok(generation));
                match known {
                    Some(known) => Some(known),
                    None => Some(Arc::new(serde_json::from_str(&json)?)),
                }
            }
        };
        self.data_version = data_version;
        Ok(())
    }
}

/// Whether another program was using the file for longer than we wait.
fn is_busy(cause: &Cause) -> bool {
    let code = cause.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code);
    matches!(code, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn location_of(path: &Path) -> String {
    format!("sqlite {}", path.display())
}

fn connect(path: &Path, also: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | also;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // A quoted name that is no column is an error, not a text that happens to look like one.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    // Readers map the file; a commit reaches the disk once, when the pointer moves.
    connection.execute_batch(
        "PRAGMA synchronous = normal; PRAGMA mmap_size = 1073741824; PRAGMA temp_store = memory; \
         PRAGMA cache_size = -32768;",
    )?;
    connection.set_prepared_statement_cache_capacity(64);
    values::add_search_function(&connection)?;
    Ok(connection)
}

#[async_trait]
impl GoldStore for SqliteStore {
    fn location(&self) -> String {
        location_of(&self.inner.path)
    }

    async fn ping(&self) -> Result<()> {
        self.run("a ping", |connection| {
            Ok(connection.query_row("SELECT count(*) FROM goldsmith_active", [], |_| Ok(()))?)
        })
        .await
    }

    /// Answers in microseconds without leaving the thread: now and then it looks at a counter in
    /// shared memory, and reads the file only after a commit.
    async fn active(&self) -> Result<Option<Arc<Published>>> {
        self.inner.active().map_err(|source| self.failed("reading the active generation", source))
    }

    async fn generations(&self) -> Result<Vec<Published>> {
        self.run("listing generations", |connection| stored_generations(connection)).await
    }

    async fn find(&self, published: &Published, query: &Query) -> Result<Page> {
        let table = query.view.table;
        let entry = entry_of(published, table)?.clone();
        let query = query.clone();
        self.run(&format!("reading {}", table.name), move |connection| {
            let physical = entry.physical_name();
            let columns = query.view.columns();
            let select = sql::select(&query, physical);
            let bound = values::bind(&query);
            let rows = {
                let mut statement = connection.prepare_cached(&select.rows)?;
                let mut found = statement.query(rusqlite::params_from_iter(&bound))?;
                let mut rows = Vec::new();
                while let Some(row) = found.next()? {
                    rows.push(values::read_row(row, &columns, query.view.table, physical)?);
                }
                rows
            };
            let total = if query.is_unfiltered() {
                entry.rows
            } else {
                let mut statement = connection.prepare_cached(&select.count)?;
                let total: i64 =
                    statement.query_row(rusqlite::params_from_iter(&bound), |row| row.get(0))?;
                u64::try_from(total)?
            };
            Ok(Page { fields: columns.into_iter().map(|(field, _)| field).collect(), rows, total })
        })
        .await
    }

    async fn publisher(&self, order: &RunSpec) -> Result<Box<dyn Publisher>> {
        let mut looks = 0;
        let lock = loop {
            match self.try_lock()? {
                Some(lock) => break lock,
                // Who only looks whether runs are gone has it for moments.
                None if looks < LOOKS => looks += 1,
                None => return Err(StoreError::Locked(self.location())),
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        };
        let order = *order;
        let run =
            self.run("starting a run", move |connection| runs::begin(connection, order)).await?;
        self.look_again();
        Ok(Box::new(SqlitePublisher { store: self.clone(), run, _lock: lock }))
    }

    async fn audit_names(&self, published: &Published) -> Result<Vec<String>> {
        let expected = sql::stable_views(&published.manifest, self.inner.catalogue.legacy_views);
        self.run("looking over the stable names", move |connection| {
            let mut wrong = Vec::new();
            for (name, statement) in expected {
                let stored: Option<String> =
                    connection.query_row(sql::VIEW, [&name], |row| row.get(0)).optional()?;
                match stored {
                    None => wrong.push(format!("{name} is missing")),
                    Some(stored) if stored != statement => {
                        wrong.push(format!("{name} shows something else"));
                    }
                    Some(_) => {}
                }
            }
            Ok(wrong)
        })
        .await
    }

    async fn audit(&self, table: &'static Table, entry: &TableEntry) -> Result<Option<Audit>> {
        let physical = entry.physical_name().to_owned();
        self.run(&format!("looking over {}", table.name), move |connection| {
            if !exists(connection, &physical)? {
                return Ok(None);
            }
            let columns: Vec<String> = connection
                .prepare("SELECT name FROM pragma_table_info(?1) ORDER BY cid")?
                .query_map([&physical], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            // What is not there is told by the columns; only the rest can be asked about.
            let has = |name: &str| columns.iter().any(|column| column == name);
            let count = |statement: &str| -> std::result::Result<u64, Cause> {
                let rows: i64 = connection.query_row(statement, [], |row| row.get(0))?;
                Ok(u64::try_from(rows)?)
            };
            let rows = count(&sql::count_rows(&physical))?;
            let tally = table.tally.filter(|tally| tally.columns().all(has));
            let totals = tally.map(|tally| sum(connection, tally, &physical)).transpose()?;
            let own = if table.key.iter().copied().all(has) {
                count(&sql::count_distinct_keys(table, &physical))?
            } else {
                0
            };
            let mut wrong_values = Vec::new();
            for column in table.columns.iter().filter(|column| has(column.name)) {
                let wrong = count(&sql::count_wrong(column, &physical))?;
                if wrong > 0 {
                    wrong_values.push((column.name.to_owned(), wrong));
                }
            }
            let rows_without_own_key = rows.saturating_sub(own);
            Ok(Some(Audit {
                rows,
                columns,
                rows_without_own_key,
                wrong_values,
                totals,
                missing_indexes: Vec::new(),
            }))
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
        self.change("noting a step", move |record| record.note(notes)).await
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
        // The lock on the file is held as long as this is there.
        Ok(())
    }

    async fn forget_runs(&self, keep: u32) -> Result<()> {
        let forget = move |connection: &mut Connection| {
            connection.execute(sql::FORGET_RUNS, params![keep])?;
            Ok(())
        };
        self.store.run("forgetting runs", forget).await
    }

    async fn active(&self) -> Result<Option<Published>> {
        self.store.look_again();
        Ok(self.store.active().await?.map(|active| (*active).clone()))
    }

    async fn write_table(
        &self,
        table: &'static Table,
        entry: &TableEntry,
        rows: RowSource,
        _reached: Reached<'_>,
    ) -> Result<bool> {
        let entry = entry.clone();
        self.store
            .run(&format!("writing {}", table.name), move |connection| {
                let physical = entry.physical_name();
                if exists(connection, physical)? {
                    return Ok(false);
                }
                let transaction =
                    connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                transaction.execute_batch(&sql::create_table(table, physical))?;
                {
                    let mut insert = transaction.prepare(&sql::insert(table, physical))?;
                    for batch in rows {
                        values::insert_batch(&mut insert, &batch?)?;
                    }
                }
                transaction.execute_batch(&sql::create_indexes(table, physical))?;
                let stored: i64 =
                    transaction.query_row(&sql::count_rows(physical), [], |row| row.get(0))?;
                let totals =
                    table.tally.map(|tally| sum(&transaction, tally, physical)).transpose()?;
                check_stored(table, &entry, u64::try_from(stored)?, totals)?;
                transaction.commit()?;
                Ok(true)
            })
            .await
    }

    async fn has_table(&self, _table: &'static Table, entry: &TableEntry) -> Result<bool> {
        let physical = entry.physical_name().to_owned();
        self.store
            .run("looking for a table", move |connection| Ok(exists(connection, &physical)?))
            .await
    }

    async fn activate(&self, published: &Published, reached: Reached<'_>) -> Result<()> {
        let published = published.clone();
        let legacy_views = self.store.inner.catalogue.legacy_views;
        let run = self.run;
        self.store
            .run("switching to the generation", move |connection| {
                let json = serde_json::to_string(&published)?;
                let generation = i64::try_from(published.manifest.generation)?;
                // The one commit that must survive a power cut; those before it are covered by its sync.
                connection.execute_batch("PRAGMA synchronous = full")?;
                let switched = (|| -> std::result::Result<(), Cause> {
                    let transaction =
                        connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                    transaction.execute(sql::KEEP_GENERATION, params![generation, json])?;
                    transaction.execute(sql::POINT_TO, params![generation])?;
                    show(&transaction, &published, legacy_views)?;
                    runs::change(&transaction, run, |record| {
                        record.generation = Some(published.manifest.generation);
                    })?;
                    Ok(transaction.commit()?)
                })();
                connection.execute_batch("PRAGMA synchronous = normal")?;
                switched
            })
            .await?;
        self.store.look_again();
        reached("committed");
        Ok(())
    }

    /// The switch carries the names with it; only another program can have changed them since.
    async fn repair_names(&self, published: &Published) -> Result<()> {
        let published = published.clone();
        let legacy_views = self.store.inner.catalogue.legacy_views;
        self.store
            .run("pointing names at the generation", move |connection| {
                let transaction =
                    connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                show(&transaction, &published, legacy_views)?;
                Ok(transaction.commit()?)
            })
            .await
    }

    async fn sweep(&self, keep: usize) -> Result<usize> {
        let catalogue = self.store.inner.catalogue;
        self.store
            .run("sweeping", move |connection| {
                let transaction =
                    connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                transaction.execute(sql::FORGET_GENERATIONS, params![i64::try_from(keep)?])?;
                let kept = stored_generations(&transaction)?;
                let used: Vec<&str> = kept
                    .iter()
                    .flat_map(|published| &published.manifest.tables)
                    .map(TableEntry::physical_name)
                    .collect();
                let stored: Vec<String> = transaction
                    .prepare(sql::TABLES)?
                    .query_map([], |row| row.get(0))?
                    .collect::<rusqlite::Result<_>>()?;
                let unused: Vec<&String> = stored
                    .iter()
                    .filter(|name| {
                        let table = table_in_physical_name(name);
                        table.is_some_and(|table| catalogue.has_table(table))
                            && !used.contains(&name.as_str())
                    })
                    .collect();
                for name in &unused {
                    transaction.execute_batch(&format!("DROP TABLE \"{name}\""))?;
                }
                let dropped = unused.len();
                transaction.commit()?;
                // Keeps the write-ahead log small; a reader in the way only postpones it.
                connection.query_row("PRAGMA wal_checkpoint(truncate)", [], |_| Ok(()))?;
                Ok(dropped)
            })
            .await
    }

    async fn end(self: Box<Self>, end: RunEnd) -> Result<()> {
        self.change("ending a run", move |record| record.end(&end)).await
    }
}

impl SqlitePublisher {
    /// Changes the record of our run.
    async fn change(
        &self,
        action: &str,
        change: impl FnOnce(&mut RunRecord) + Send + 'static,
    ) -> Result<()> {
        let run = self.run;
        self.store
            .run(action, move |connection| {
                let transaction =
                    connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                runs::change(&transaction, run, change)?;
                Ok(transaction.commit()?)
            })
            .await
    }
}

/// Points every stable and older name at a generation's tables.
fn show(
    transaction: &Transaction<'_>,
    published: &Published,
    legacy_views: &[&View],
) -> std::result::Result<(), Cause> {
    for (name, create) in sql::stable_views(&published.manifest, legacy_views) {
        transaction.execute_batch(&format!("DROP VIEW IF EXISTS \"{name}\"; {create}"))?;
    }
    Ok(())
}

/// Every generation kept, ascending.
fn stored_generations(connection: &Connection) -> std::result::Result<Vec<Published>, Cause> {
    let mut statement = connection.prepare(sql::GENERATIONS)?;
    let texts = statement.query_map([], |row| row.get::<_, String>(0))?;
    texts.map(|text| Ok(serde_json::from_str(&text?)?)).collect()
}

fn exists(connection: &Connection, physical: &str) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)",
        [physical],
        |row| row.get(0),
    )
}

fn sum(connection: &Connection, tally: Tally, physical: &str) -> rusqlite::Result<Totals> {
    connection.query_row(&sql::totals(tally, physical), [], |row| {
        Ok(Totals { revenue: row.get(0)?, purchases: row.get(1)? })
    })
}
