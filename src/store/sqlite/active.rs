//! The generation that is served, cached: a counter in shared memory shows cheaply whether the
//! pointer may have moved.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::connection::{FileId, connect, file_id};
use super::sql;
use crate::domain::manifest::Published;
use crate::store::Cause;

/// How long a cached pointer is used without a check: at a hundred thousand requests a second the
/// check would be the bottleneck. A publish by another process is seen this much later at most.
const POINTER_TTL: Duration = Duration::from_millis(2);

/// The pointer as it was last read, and the connection that watches it.
#[derive(Debug)]
pub(super) struct PointerCache {
    /// The file `connection` is open on.
    file: FileId,
    connection: Connection,
    /// SQLite's counter of other connections' commits, when `active` was read.
    data_version: i64,
    active: Option<Arc<Published>>,
    /// When `active` was last checked; `None` after this process moved the pointer.
    checked_at: Option<Instant>,
}

impl PointerCache {
    pub(super) fn open(path: &Path) -> Result<Self, Cause> {
        let connection = connect(path, OpenFlags::empty())?;
        let mut cache = Self {
            file: file_id(path)?,
            connection,
            data_version: -1,
            active: None,
            checked_at: None,
        };
        cache.refresh()?;
        Ok(cache)
    }

    pub(super) fn file(&self) -> FileId {
        self.file
    }

    /// The active generation, from the file that the path leads to now.
    pub(super) fn active(&mut self, path: &Path) -> Result<Option<Arc<Published>>, Cause> {
        if self.checked_at.is_none_or(|checked_at| checked_at.elapsed() > POINTER_TTL) {
            if file_id(path)? != self.file {
                *self = Self::open(path)?;
            }
            self.refresh()?;
            self.checked_at = Some(Instant::now());
        }
        Ok(self.active.clone())
    }

    /// Makes the next read check the file.
    pub(super) fn invalidate(&mut self) {
        self.checked_at = None;
    }

    /// Reads the pointer again if any connection has committed since.
    fn refresh(&mut self) -> Result<(), Cause> {
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
