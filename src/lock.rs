//! An exclusive hold on a file, for keeping two processes out of each other's way.
//!
//! The operating system ends it with the process, also after `kill -9`, so nothing goes stale.

use std::fs::{File, TryLockError};
use std::path::Path;

/// An exclusive hold that ends with the process at the latest.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the hold named by a file, which is created when missing.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`] when someone else has it.
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
