//! The store's handle: idle connections, the pointer cache, and blocking work on a thread of its
//! own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::active::PointerCache;
use super::connection::{FileId, connect, file_id, switch_to_wal};
use super::sql;
use crate::blocking::spawn_blocking;
use crate::domain::manifest::Published;
use crate::domain::schema::Catalogue;
use crate::lock::Lock;
use crate::store::{Cause, Result, StoreError};

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
    /// The tables and views that are served.
    catalogue: &'static Catalogue,
    /// Idle reading connections and the file they are open on.
    idle: Mutex<(FileId, Vec<Connection>)>,
    pointer: Mutex<PointerCache>,
}

impl SqliteStore {
    /// Opens the file, creating it with its bookkeeping tables when missing.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when the file cannot be created or is not a SQLite database,
    /// [`StoreError::Unavailable`] while another process does not release it.
    pub fn open(path: &Path, catalogue: &'static Catalogue) -> Result<Self> {
        let opened = || -> std::result::Result<PointerCache, Cause> {
            if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                std::fs::create_dir_all(parent)?;
            }
            let connection = connect(path, OpenFlags::SQLITE_OPEN_CREATE)?;
            switch_to_wal(&connection)?;
            connection.execute_batch(sql::BOOKKEEPING)?;
            PointerCache::open(path)
        };
        let pointer = opened().map_err(|source| {
            let location = location_of(path);
            if is_busy(&source) {
                StoreError::Unavailable { location, source }
            } else {
                StoreError::Unusable { location, source }
            }
        })?;
        let inner = Inner {
            path: path.to_owned(),
            catalogue,
            idle: Mutex::new((pointer.file(), Vec::new())),
            pointer: Mutex::new(pointer),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub(super) fn place(&self) -> String {
        location_of(&self.inner.path)
    }

    pub(super) fn catalogue(&self) -> &'static Catalogue {
        self.inner.catalogue
    }

    /// Runs work that may take long on a blocking thread, with a connection of its own.
    pub(super) async fn run<T, F>(&self, action: &str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> std::result::Result<T, Cause> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let answer = spawn_blocking(move || {
            let (file, mut connection) = inner.connection()?;
            let answer = work(&mut connection)?;
            inner.release(file, connection);
            Ok(answer)
        })
        .await;
        answer.map_err(|source: Cause| self.failed(action, source))
    }

    /// The cached pointer; cheap enough to be read without leaving the thread.
    pub(super) fn cached_active(&self) -> Result<Option<Arc<Published>>> {
        let active = self.inner.pointer.lock().active(&self.inner.path);
        active.map_err(|source| self.failed("reading the active generation", source))
    }

    /// Makes the next read of the pointer check the file.
    pub(super) fn invalidate(&self) {
        self.inner.pointer.lock().invalidate();
    }

    /// Takes the lock that is the right to publish; `None` while another process has it.
    pub(super) fn try_lock(&self) -> Result<Option<Lock>> {
        let mut path = self.inner.path.clone().into_os_string();
        path.push(".lock");
        match Lock::take(Path::new(&path)) {
            Ok(lock) => Ok(Some(lock)),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(source)) => {
                let source = source.into();
                Err(StoreError::Unavailable { location: self.place(), source })
            }
        }
    }

    fn failed(&self, action: &str, source: Cause) -> StoreError {
        match source.downcast::<StoreError>() {
            Ok(known) => *known,
            Err(source) if is_busy(&source) => {
                StoreError::Unavailable { location: self.place(), source }
            }
            Err(source) => {
                StoreError::Failed { action: action.to_owned(), location: self.place(), source }
            }
        }
    }
}

impl Inner {
    /// A connection on the file that the path leads to now.
    fn connection(&self) -> std::result::Result<(FileId, Connection), Cause> {
        let file = file_id(&self.path)?;
        let idle = {
            let mut idle = self.idle.lock();
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

    fn release(&self, file: FileId, connection: Connection) {
        let mut idle = self.idle.lock();
        if idle.0 == file && idle.1.len() < IDLE_CONNECTIONS {
            idle.1.push(connection);
        }
    }
}

/// Whether another program held the file's lock for longer than the busy timeout.
fn is_busy(cause: &Cause) -> bool {
    let code = cause.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code);
    matches!(code, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn location_of(path: &Path) -> String {
    format!("sqlite {}", path.display())
}
