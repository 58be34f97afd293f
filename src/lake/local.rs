//! What only a directory needs: making and listing it, the lock on it, and the files that a killed
//! process left half-written in it.

use std::fs::TryLockError;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use object_store::local::LocalFileSystem;

use super::{LakeError, Result};
use crate::lock::Lock;

/// A layer's directory.
#[derive(Debug, Clone)]
pub struct Directory {
    root: PathBuf,
    shown: String,
}

impl Directory {
    /// Opens a directory, creating it.
    ///
    /// # Errors
    /// [`LakeError::Directory`].
    pub fn open(shown: &str) -> Result<(Self, LocalFileSystem)> {
        let open = || -> std::io::Result<_> {
            std::fs::create_dir_all(shown)?;
            // Listing now tells an unreadable directory from an empty one.
            std::fs::read_dir(shown)?;
            let root = Path::new(shown).canonicalize()?;
            let store = LocalFileSystem::new_with_prefix(&root).map_err(std::io::Error::other)?;
            let directory = Self { root, shown: shown.to_owned() };
            Ok((directory, store.with_fsync(true)))
        };
        open().map_err(|source| LakeError::Directory { path: shown.to_owned(), source })
    }

    fn failed(&self, source: std::io::Error) -> LakeError {
        LakeError::Directory { path: self.shown.clone(), source }
    }

    /// Where a file of it lies.
    #[must_use]
    pub fn file(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Refuses when another process holds this directory; otherwise holds it until dropped or until the
    /// process ends, however it ends.
    ///
    /// # Errors
    /// [`LakeError::Locked`], [`LakeError::Directory`].
    pub fn lock(&self) -> Result<Lock> {
        Lock::take(&self.root.join(".refresh.lock")).map_err(|error| match error {
            TryLockError::WouldBlock => LakeError::Locked(self.shown.clone()),
            TryLockError::Error(source) => self.failed(source),
        })
    }

    /// Names of the files and of the folders directly in it. What is neither, or has a name that is
    /// not UTF-8, is somebody else's. (The object store's own listing fails as a whole on a name it
    /// cannot express.)
    ///
    /// # Errors
    /// [`LakeError::Directory`].
    pub fn level(&self) -> Result<(Vec<String>, Vec<String>)> {
        let listed = || -> std::io::Result<_> {
            let (mut names, mut folders) = (Vec::new(), Vec::new());
            for entry in std::fs::read_dir(&self.root)? {
                let entry = entry?;
                let (Ok(name), Ok(meta)) =
                    (entry.file_name().into_string(), std::fs::metadata(entry.path()))
                else {
                    continue;
                };
                if meta.is_file() {
                    names.push(name);
                } else if meta.is_dir() {
                    folders.push(name);
                }
            }
            Ok((names, folders))
        };
        listed().map_err(|source| self.failed(source))
    }

    /// Removes a folder with what the object store does not see of it: empty directories and files half-written.
    ///
    /// # Errors
    /// [`LakeError::Directory`].
    pub fn remove_folder(&self, folder: &str) -> Result<()> {
        match std::fs::remove_dir_all(self.root.join(folder)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(self.failed(error)),
            _ => Ok(()),
        }
    }

    /// Deletes files that were left half-written, if `is_ours` says of the path they were to have that
    /// a run writes such, unless it `is_dry`. Returns how many there are.
    ///
    /// # Errors
    /// [`LakeError::Directory`].
    pub fn sweep_half_written(
        &self,
        is_ours: impl Fn(&str) -> bool,
        is_dry: bool,
    ) -> Result<usize> {
        let sweep = || -> std::io::Result<usize> {
            let mut staged = Vec::new();
            find_staged(&self.root, &mut staged)?;
            staged.retain(|path| {
                let path = path.strip_prefix(&self.root).ok().and_then(Path::to_str);
                let path = path.and_then(|path| path.rsplit_once('#'));
                path.is_some_and(|(path, attempt)| is_ours(path) && attempt.parse::<u32>().is_ok())
            });
            for path in staged.iter().filter(|_| !is_dry) {
                std::fs::remove_file(path)?;
            }
            Ok(staged.len())
        };
        sweep().map_err(|source| self.failed(source))
    }
}

/// Files named as the local object store stages them: `name#1`.
fn find_staged(folder: &Path, staged: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            find_staged(&entry.path(), staged)?;
        } else if entry.file_name().to_str().is_some_and(|name| name.contains('#')) {
            staged.push(entry.path());
        }
    }
    Ok(())
}
