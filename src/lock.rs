//! An exclusive lock on a file, between processes.
//!
//! The operating system releases it with the process, also after `kill -9`, so it never goes stale.

use std::fs::{File, TryLockError};
use std::path::Path;

/// An exclusive lock, released when it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Locks a file, which is created when missing.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`] while another holder has it.
    pub fn take(path: &Path) -> Result<Self, TryLockError> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(TryLockError::Error)?;
        file.try_lock()?;
        Ok(Self { _file: file })
    }
}
