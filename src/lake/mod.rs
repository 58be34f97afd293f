//! The lake: four layers of immutable objects at one templated location.
//!
//! Owns where things lie ([`Layer`], [`keys`]), reading, writing and listing them, and the lock
//! that keeps two refreshes of one lake apart. Knows Parquet ([`parquet`]) but not what is in it.

pub mod keys;
pub mod parquet;

use std::fs::TryLockError;
use std::io::ErrorKind;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::domain::digest::sha256_hex;
use crate::domain::manifest::TableFile;
use crate::lock::Lock;
use crate::telemetry::spawn_blocking;

/// One of the four layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// CSV files as the shop exports them; never written by a run.
    Sources,
    /// The same bytes under content-addressed names.
    Bronze,
    /// Typed rows and rejects.
    Silver,
    /// What is served.
    Gold,
}

impl Layer {
    const ALL: [Self; 4] = [Self::Sources, Self::Bronze, Self::Silver, Self::Gold];

    /// What `{layer}` in the location stands for.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Sources => "sources",
            Self::Bronze => "bronze",
            Self::Silver => "silver",
            Self::Gold => "gold",
        }
    }
}

/// Why the lake could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The location is not one this build can open.
    #[error("LAKE_URL {url}: {problem}")]
    Location {
        /// The template as given.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A directory cannot be used.
    #[error("{path} cannot be used")]
    Directory {
        /// The directory.
        path: String,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// Another process refreshes the same lake.
    #[error("another refresh is running on {0}; wait for it to end")]
    Locked(String),
    /// An object cannot be read, written, listed or deleted.
    #[error("cannot {action} {path}")]
    Object {
        /// The verb.
        action: &'static str,
        /// Where.
        path: String,
        /// The store's answer.
        source: object_store::Error,
    },
    /// An object is not what its manifest says.
    #[error("{path} is damaged: {problem}")]
    Damaged {
        /// Where.
        path: String,
        /// How it differs.
        problem: String,
    },
}

impl LakeError {
    /// Whether the same may succeed a little later: the way to the storage broke, not what is there.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        let first: &(dyn std::error::Error + 'static) = self;
        std::iter::successors(Some(first), |error| error.source())
            .filter_map(|error| error.downcast_ref::<std::io::Error>())
            .any(|error| PASSING.contains(&error.kind()))
    }
}

/// What the operating system says when the way to a storage, a network drive for one, is broken.
const PASSING: [ErrorKind; 11] = [
    ErrorKind::BrokenPipe,
    ErrorKind::ConnectionAborted,
    ErrorKind::ConnectionRefused,
    ErrorKind::ConnectionReset,
    ErrorKind::HostUnreachable,
    ErrorKind::Interrupted,
    ErrorKind::NetworkDown,
    ErrorKind::NetworkUnreachable,
    ErrorKind::ResourceBusy,
    ErrorKind::StaleNetworkFileHandle,
    ErrorKind::TimedOut,
];

/// The result of a lake operation.
pub type Result<T> = std::result::Result<T, LakeError>;

/// A layer's objects, and where they lie for people.
#[derive(Debug, Clone)]
struct LayerStore {
    store: Arc<dyn ObjectStore>,
    root: PathBuf,
    shown: String,
}

/// The four layers of one deployment.
#[derive(Debug, Clone)]
pub struct Lake {
    layers: [LayerStore; 4],
}

impl Lake {
    /// Opens the layers of a location template such as `./data/{layer}`, creating directories.
    ///
    /// # Errors
    /// [`LakeError::Location`] for a template without `{layer}` or of a kind this build does not
    /// know, [`LakeError::Directory`] for a directory that cannot be used.
    pub fn open(template: &str) -> Result<Self> {
        let refuse = |problem: &str| LakeError::Location {
            url: template.to_owned(),
            problem: problem.to_owned(),
        };
        let path = match template.split_once("://") {
            Some(("file", path)) => path,
            Some(_) => return Err(refuse("only local paths and file:// are understood")),
            None => template,
        };
        if !path.contains("{layer}") {
            return Err(refuse("it must contain {layer}, as ./data/{layer} does"));
        }
        let open = |layer: Layer| {
            let shown = path.replace("{layer}", layer.word());
            open_directory(&shown)
                .map_err(|source| LakeError::Directory { path: shown.clone(), source })
        };
        let [a, b, c, d] = Layer::ALL.map(open);
        Ok(Self { layers: [a?, b?, c?, d?] })
    }

    fn layer(&self, layer: Layer) -> &LayerStore {
        &self.layers[layer as usize]
    }

    /// Where a layer lies, for people.
    #[must_use]
    pub fn place(&self, layer: Layer) -> String {
        self.layer(layer).shown.trim_end_matches('/').to_owned()
    }

    /// Where an object lies, for people.
    #[must_use]
    pub fn locate(&self, layer: Layer, path: &str) -> String {
        format!("{}/{path}", self.place(layer))
    }

    fn failed(
        &self,
        action: &'static str,
        layer: Layer,
        path: &str,
    ) -> impl FnOnce(object_store::Error) -> LakeError {
        let path = self.locate(layer, path);
        move |source| LakeError::Object { action, path, source }
    }

    /// Refuses when another process holds this lake; otherwise holds it until dropped or until the
    /// process ends, however it ends.
    ///
    /// # Errors
    /// [`LakeError::Locked`], [`LakeError::Directory`].
    pub fn lock(&self) -> Result<Lock> {
        let gold = self.layer(Layer::Gold);
        Lock::take(&gold.root.join(".refresh.lock")).map_err(|error| match error {
            TryLockError::WouldBlock => LakeError::Locked(gold.shown.clone()),
            TryLockError::Error(source) => {
                LakeError::Directory { path: gold.shown.clone(), source }
            }
        })
    }

    /// Names of the files directly in a layer (not in its folders), in byte order. What is no file,
    /// or has a name that is not UTF-8, is somebody else's.
    ///
    /// # Errors
    /// [`LakeError::Directory`].
    pub fn names(&self, layer: Layer) -> Result<Vec<String>> {
        let LayerStore { root, shown, .. } = self.layer(layer);
        // The object store's own listing fails as a whole on a name it cannot express.
        let listed = || -> std::io::Result<Vec<String>> {
            let mut names = Vec::new();
            for entry in std::fs::read_dir(root)? {
                let entry = entry?;
                let is_file = std::fs::metadata(entry.path()).is_ok_and(|meta| meta.is_file());
                names.extend(entry.file_name().into_string().ok().filter(|_| is_file));
            }
            Ok(names)
        };
        let mut names =
            listed().map_err(|source| LakeError::Directory { path: shown.clone(), source })?;
        names.sort();
        Ok(names)
    }

    /// Names of the folders directly in a layer, in byte order.
    ///
    /// # Errors
    /// [`LakeError::Object`].
    pub async fn folders(&self, layer: Layer) -> Result<Vec<String>> {
        let listed = self
            .layer(layer)
            .store
            .list_with_delimiter(None)
            .await
            .map_err(self.failed("list", layer, ""))?;
        let mut names: Vec<String> = listed
            .common_prefixes
            .iter()
            .filter_map(|prefix| prefix.filename().map(str::to_owned))
            .collect();
        names.sort();
        Ok(names)
    }

    /// Paths of all objects in a folder of a layer, in byte order.
    ///
    /// # Errors
    /// [`LakeError::Object`].
    pub async fn list(&self, layer: Layer, folder: &str) -> Result<Vec<String>> {
        let listed = self.layer(layer).store.list(Some(&object_path(folder)));
        let listed = listed.map_ok(|object| object.location.to_string());
        let mut paths: Vec<String> =
            listed.try_collect().await.map_err(self.failed("list", layer, folder))?;
        paths.sort();
        Ok(paths)
    }

    /// The whole object; `None` when there is none.
    ///
    /// # Errors
    /// [`LakeError::Object`].
    pub async fn get(&self, layer: Layer, path: &str) -> Result<Option<Bytes>> {
        let found = self.layer(layer).store.get(&object_path(path)).await;
        match found {
            Ok(object) => {
                let bytes = object.bytes().await.map_err(self.failed("read", layer, path))?;
                Ok(Some(bytes))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("read", layer, path)(error)),
        }
    }

    /// Whether an object of this size is there.
    ///
    /// # Errors
    /// [`LakeError::Object`].
    pub async fn has(&self, layer: Layer, path: &str, size_bytes: u64) -> Result<bool> {
        match self.layer(layer).store.head(&object_path(path)).await {
            Ok(meta) => Ok(meta.size == size_bytes),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.failed("look at", layer, path)(error)),
        }
    }

    /// Size in bytes and when it was last written, in microseconds since 1970; `None` when there is no
    /// such object.
    ///
    /// # Errors
    /// [`LakeError::Object`].
    pub async fn stamp(&self, layer: Layer, path: &str) -> Result<Option<(u64, i64)>> {
        match self.layer(layer).store.head(&object_path(path)).await {
            Ok(meta) => Ok(Some((meta.size, meta.last_modified.timestamp_micros()))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("look at", layer, path)(error)),
        }
    }

    /// Writes a whole object: it is there complete and durable, or not at all.
    ///
    /// # Errors
    /// [`LakeError::Object`].
    pub async fn put(&self, layer: Layer, path: &str, bytes: Bytes) -> Result<()> {
        self.layer(layer)
            .store
            .put(&object_path(path), bytes.into())
            .await
            .map_err(self.failed("write", layer, path))?;
        Ok(())
    }

    /// Writes a file of a gold manifest, and says what the manifest has to know of it.
    ///
    /// # Errors
    /// [`LakeError::Object`].
    pub async fn put_file(&self, path: String, bytes: Bytes) -> Result<TableFile> {
        let hashed = bytes.clone();
        let sha256 = spawn_blocking(move || sha256_hex(&hashed)).await;
        let file = TableFile { path, size_bytes: bytes.len() as u64, sha256 };
        self.put(Layer::Gold, &file.path, bytes).await?;
        Ok(file)
    }

    /// Reads a file of a gold manifest, as it was written.
    ///
    /// # Errors
    /// [`LakeError::Damaged`] when it is missing or not what was written, [`LakeError::Object`].
    pub async fn get_file(&self, file: &TableFile) -> Result<Bytes> {
        let damaged = |problem: &str| LakeError::Damaged {
            path: self.locate(Layer::Gold, &file.path),
            problem: problem.to_owned(),
        };
        let bytes = self.get(Layer::Gold, &file.path).await?;
        let bytes = bytes.ok_or_else(|| damaged("it is missing"))?;
        let hashed = bytes.clone();
        if spawn_blocking(move || sha256_hex(&hashed)).await != file.sha256 {
            return Err(damaged("its SHA-256 is not the one in its manifest"));
        }
        Ok(bytes)
    }

    /// Deletes everything in a folder of a layer.
    ///
    /// # Errors
    /// [`LakeError::Object`].
    pub async fn delete_folder(&self, layer: Layer, folder: &str) -> Result<()> {
        let LayerStore { store, root, .. } = self.layer(layer);
        let prefix = object_path(folder);
        let paths = store.list(Some(&prefix)).map_ok(|object| object.location).boxed();
        store
            .delete_stream(paths)
            .try_collect::<Vec<_>>()
            .await
            .map_err(self.failed("delete", layer, folder))?;
        // Empty directories and half-written files are invisible to the object store.
        match std::fs::remove_dir_all(root.join(folder)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(LakeError::Directory { path: self.locate(layer, folder), source: error })
            }
            _ => Ok(()),
        }
    }

    /// Deletes files that a killed process left half-written anywhere in a layer, if `is_ours` says
    /// of the name they were to have that a run writes such. Only for the holder of the [`Lock`].
    ///
    /// # Errors
    /// [`LakeError::Directory`].
    pub fn sweep_half_written(&self, layer: Layer, is_ours: fn(&str) -> bool) -> Result<()> {
        let LayerStore { root, shown, .. } = self.layer(layer);
        remove_staged(root, is_ours)
            .map_err(|source| LakeError::Directory { path: shown.clone(), source })
    }
}

/// A path as it is: the object store's other constructor would escape what file names may hold.
fn object_path(path: &str) -> Path {
    Path::parse(path).unwrap_or_else(|_| Path::from(path))
}

fn open_directory(shown: &str) -> std::io::Result<LayerStore> {
    std::fs::create_dir_all(shown)?;
    // Listing now tells an unreadable directory from an empty one.
    std::fs::read_dir(shown)?;
    let root = FilePath::new(shown).canonicalize()?;
    let store =
        LocalFileSystem::new_with_prefix(&root).map_err(std::io::Error::other)?.with_fsync(true);
    Ok(LayerStore { store: Arc::new(store), root, shown: shown.to_owned() })
}

/// Removes files named as the local object store stages them: `name#1`.
fn remove_staged(folder: &FilePath, is_ours: fn(&str) -> bool) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_staged(&entry.path(), is_ours)?;
        }
        let name = entry.file_name();
        let is_staged = name
            .to_str()
            .and_then(|name| name.rsplit_once('#'))
            .is_some_and(|(name, attempt)| is_ours(name) && attempt.parse::<u32>().is_ok());
        if is_staged {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
