//! A layer in a directory: creating and listing it, its lock, and the incomplete files of a killed
//! process. Reading and writing go through object_store.

use std::fs::TryLockError;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use object_store::local::LocalFileSystem;

use super::error::{LakeError, Result};
use crate::lock::Lock;

/// A layer's directory.
#[derive(Debug, Clone)]
pub(super) struct Directory {
    root: PathBuf,
    /// The path as the settings have it.
    path: String,
}

impl Directory {
    /// Opens a directory, which is created when missing.
    pub(super) fn open(path: &str) -> Result<(Self, LocalFileSystem)> {
        let open = || -> std::io::Result<_> {
            std::fs::create_dir_all(path)?;
            // Fails for an unreadable directory, which would look empty later.
            std::fs::read_dir(path)?;
            let root = Path::new(path).canonicalize()?;
            let store = LocalFileSystem::new_with_prefix(&root).map_err(std::io::Error::other)?;
            let directory = Self { root, path: path.to_owned() };
            Ok((directory, store.with_fsync(true)))
        };
        open().map_err(|source| LakeError::Directory { path: path.to_owned(), source })
    }

    fn failed(&self, source: std::io::Error) -> LakeError {
        LakeError::Directory { path: self.path.clone(), source }
    }

    pub(super) fn file(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Locks the directory until the lock is dropped or the process ends, however it ends.
    ///
    /// # Errors
    /// [`LakeError::Locked`] when another process has it.
    pub(super) fn lock(&self) -> Result<Lock> {
        Lock::take(&self.root.join(".refresh.lock")).map_err(|error| match error {
            TryLockError::WouldBlock => LakeError::Locked(self.path.clone()),
            TryLockError::Error(source) => self.failed(source),
        })
    }

    /// Names of the files and of the folders directly in it, without what is neither or has a name that is
    /// not UTF-8. (object_store's own listing fails as a whole on a name it cannot express.)
    pub(super) fn list_level(&self) -> Result<(Vec<String>, Vec<String>)> {
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

    /// What lies directly in it and cannot be read as a file, with the reason.
    pub(super) fn list_unreadable(&self) -> Result<Vec<(String, &'static str)>> {
        let listed = || -> std::io::Result<_> {
            let mut unreadable = Vec::new();
            for entry in std::fs::read_dir(&self.root)? {
                let entry = entry?;
                let name = entry.file_name();
                let shown = name.to_string_lossy().into_owned();
                let problem = match std::fs::metadata(entry.path()) {
                    Err(_) => "it is a link to nothing",
                    Ok(meta) if meta.is_dir() => continue,
                    Ok(meta) if !meta.is_file() => "it is no regular file",
                    Ok(_) if name.to_str().is_none() => "its name is not UTF-8; rename it",
                    Ok(_) => continue,
                };
                unreadable.push((shown, problem));
            }
            unreadable.sort();
            Ok(unreadable)
        };
        listed().map_err(|source| self.failed(source))
    }

    /// Removes a folder with what object_store does not list: empty directories and incomplete files.
    pub(super) fn remove_folder(&self, folder: &str) -> Result<()> {
        match std::fs::remove_dir_all(self.root.join(folder)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(self.failed(error)),
            _ => Ok(()),
        }
    }

    /// Deletes incomplete files whose final path is is managed; counts them only
    /// when `is_dry`. Returns how many there are.
    pub(super) fn remove_incomplete(
        &self,
        is_managed: impl Fn(&str) -> bool,
        is_dry: bool,
    ) -> Result<usize> {
        let remove = || -> std::io::Result<usize> {
            let mut staged = Vec::new();
            find_staged(&self.root, &mut staged)?;
            staged.retain(|path| {
                let path = path.strip_prefix(&self.root).ok().and_then(Path::to_str);
                let path = path.and_then(|path| path.rsplit_once('#'));
                path.is_some_and(|(path, attempt)| {
                    is_managed(path) && attempt.parse::<u32>().is_ok()
                })
            });
            for path in staged.iter().filter(|_| !is_dry) {
                std::fs::remove_file(path)?;
            }
            Ok(staged.len())
        };
        remove().map_err(|source| self.failed(source))
    }
}

/// Files named as object_store stages them: `name#1`.
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
