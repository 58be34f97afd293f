//! One connection to the file: its pragmas, and which file a path leads to.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{sql, values};

/// How long a statement waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Device and inode of a file: the same while the file is written, another one when a new file
/// takes its place.
pub(super) type FileId = (u64, u64);

pub(super) fn file_id(path: &Path) -> std::io::Result<FileId> {
    let meta = std::fs::metadata(path)?;
    Ok((meta.dev(), meta.ino()))
}

/// Opens a connection, with these flags besides the usual ones.
pub(super) fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | flags;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // A quoted name that is not a column is an error, not a text literal.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    // Readers map the file. A commit reaches the disk once, when the pointer moves.
    connection.execute_batch(
        "PRAGMA synchronous = normal; PRAGMA mmap_size = 1073741824; PRAGMA temp_store = memory;",
    )?;
    connection.execute_batch(sql::CACHE)?;
    connection.set_prepared_statement_cache_capacity(64);
    values::add_search_function(&connection)?;
    Ok(connection)
}

/// Sets the file to WAL mode, once in its life.
///
/// SQLite calls no busy handler for this change, so that of several processes that create the file
/// together all but one are refused at once. They try again for as long as a statement waits.
pub(super) fn switch_to_wal(connection: &Connection) -> rusqlite::Result<()> {
    let start = Instant::now();
    loop {
        match connection.pragma_update(None, "journal_mode", "wal") {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && start.elapsed() < BUSY_TIMEOUT =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            switched => return switched,
        }
    }
}
