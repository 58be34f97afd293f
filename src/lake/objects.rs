//! The layers of a lake as stores of objects: opening, listing, and whole small objects. Large objects are
//! read and written in parts, in `reading` and `writing`.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};

use super::error::{LakeError, Result};
use super::layer::{Layer, ObjectMeta};
use super::local::Directory;
use super::location::{Location, Template};
use super::s3::{Bucket, S3};
use crate::lock::Lock;

/// The objects of a layer.
#[derive(Clone)]
pub(super) struct LayerStore {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) backend: Backend,
    /// The location as the settings have it.
    location: String,
}

impl fmt::Debug for LayerStore {
    // A client would show its access key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.location)
    }
}

/// What keeps the objects of a layer.
#[derive(Clone)]
pub(super) enum Backend {
    Directory(Directory),
    Bucket(Bucket),
    Memory,
}

/// The lock of a lake, where the lake has one.
#[derive(Debug)]
pub struct LakeLock {
    _lock: Option<Lock>,
}

/// The four layers of one deployment.
#[derive(Debug, Clone)]
pub struct Lake {
    layers: [LayerStore; 4],
}

impl Lake {
    /// Opens the layers at their locations. Creates directories; does not connect to an S3 store.
    ///
    /// # Errors
    /// [`LakeError::Location`] for an unknown kind of location, [`LakeError::Directory`] for a directory
    /// that cannot be used.
    pub fn open(templates: &[Template; 4], s3: Option<&Arc<S3>>) -> Result<Self> {
        let locations = Location::of_layers(templates)?;
        let open = |layer: Layer| {
            let location = locations[layer as usize].describe();
            match (&locations[layer as usize], s3) {
                (Location::Directory(path), _) => {
                    let (directory, store) = Directory::open(path)?;
                    let backend = Backend::Directory(directory);
                    Ok(LayerStore { store: Arc::new(store), backend, location })
                }
                (Location::Bucket { bucket, prefix }, Some(s3)) => {
                    let bucket = Bucket::open(s3, bucket, prefix)?;
                    let store: Arc<dyn ObjectStore> = if prefix.is_empty() {
                        bucket.store()
                    } else {
                        Arc::new(PrefixStore::new(bucket.store(), prefix.as_str()))
                    };
                    Ok(LayerStore { store, backend: Backend::Bucket(bucket), location })
                }
                (Location::Bucket { .. }, None) => {
                    let Template { setting, url } = templates[layer as usize].clone();
                    let problem = "the options of the S3 store are missing".to_owned();
                    Err(LakeError::Location { setting, url, problem })
                }
            }
        };
        let [a, b, c, d] = Layer::ALL.map(open);
        Ok(Self { layers: [a?, b?, c?, d?] })
    }

    /// Opens layers in directories, at a template such as `./data/{layer}`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn in_directory(template: &str) -> Result<Self> {
        let template = Template { setting: "lake.url", url: template.to_owned() };
        Self::open(&std::array::from_fn(|_| template.clone()), None)
    }

    /// Layers in memory, for tests and embedding.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            layers: Layer::ALL.map(|layer| LayerStore {
                store: Arc::new(InMemory::new()),
                backend: Backend::Memory,
                location: format!("memory://{}", layer.as_str()),
            }),
        }
    }

    pub(super) fn layer(&self, layer: Layer) -> &LayerStore {
        &self.layers[layer as usize]
    }

    /// Where a layer lies, for messages.
    #[must_use]
    pub fn place(&self, layer: Layer) -> String {
        self.layer(layer).location.clone()
    }

    /// Where an object lies, for messages.
    #[must_use]
    pub fn locate(&self, layer: Layer, path: &str) -> String {
        format!("{}/{path}", self.layer(layer).location)
    }

    pub(super) fn failed(
        &self,
        action: &'static str,
        layer: Layer,
        path: &str,
    ) -> impl FnOnce(object_store::Error) -> LakeError {
        let path = if path.is_empty() { self.place(layer) } else { self.locate(layer, path) };
        move |source| LakeError::Object { action, path, source }
    }

    /// Checks that the buckets exist, creates missing ones where the settings allow it, and probes whether
    /// the store of gold honours conditional writes.
    ///
    /// # Errors
    /// [`LakeError::NoBucket`], [`LakeError::Object`].
    pub async fn prepare(&self) -> Result<()> {
        for LayerStore { backend, location, .. } in &self.layers {
            if let Backend::Bucket(bucket) = backend {
                bucket.prepare(location).await?;
            }
        }
        if let Backend::Bucket(bucket) = &self.layer(Layer::Gold).backend {
            bucket.probe().await?;
        }
        Ok(())
    }

    /// Locks the lake until the lock is dropped or the process ends, however it ends. A lake that is all in
    /// buckets has no lock: there the serving store's lease alone keeps runs apart.
    ///
    /// # Errors
    /// [`LakeError::Locked`] when another process has it, [`LakeError::Directory`].
    pub fn lock(&self) -> Result<LakeLock> {
        let directory =
            Layer::WRITTEN.into_iter().rev().find_map(|layer| match &self.layer(layer).backend {
                Backend::Directory(directory) => Some(directory),
                Backend::Bucket(_) | Backend::Memory => None,
            });
        Ok(LakeLock { _lock: directory.map(Directory::lock).transpose()? })
    }

    /// Names of the files directly in a layer (not in its folders), in byte order.
    ///
    /// # Errors
    /// [`LakeError::Directory`], [`LakeError::Object`].
    pub async fn names(&self, layer: Layer) -> Result<Vec<String>> {
        Ok(self.list_level(layer).await?.0)
    }

    /// Names of the folders directly in a layer, in byte order.
    ///
    /// # Errors
    /// [`LakeError::Directory`], [`LakeError::Object`].
    pub async fn folders(&self, layer: Layer) -> Result<Vec<String>> {
        Ok(self.list_level(layer).await?.1)
    }

    /// What lies directly in a layer and cannot be read as a file, with the reason; of a bucket, nothing.
    ///
    /// # Errors
    /// [`LakeError::Directory`].
    pub fn unreadable(&self, layer: Layer) -> Result<Vec<(String, &'static str)>> {
        match &self.layer(layer).backend {
            Backend::Directory(directory) => directory.list_unreadable(),
            Backend::Bucket(_) | Backend::Memory => Ok(Vec::new()),
        }
    }

    /// The files and the folders directly in a layer.
    async fn list_level(&self, layer: Layer) -> Result<(Vec<String>, Vec<String>)> {
        let LayerStore { store, backend, .. } = self.layer(layer);
        let (mut names, mut folders) = match backend {
            Backend::Directory(directory) => directory.list_level()?,
            Backend::Bucket(bucket) => bucket.list_level().await?,
            Backend::Memory => {
                let listed = store.list_with_delimiter(None).await;
                let listed = listed.map_err(self.failed("list", layer, ""))?;
                let name = |path: &Path| path.filename().map(str::to_owned);
                (
                    listed.objects.iter().filter_map(|object| name(&object.location)).collect(),
                    listed.common_prefixes.iter().filter_map(name).collect(),
                )
            }
        };
        names.sort();
        folders.sort();
        Ok((names, folders))
    }

    /// All objects in a folder of a layer, by path in byte order.
    ///
    /// # Errors
    /// [`LakeError::Object`].
    pub async fn list(&self, layer: Layer, folder: &str) -> Result<Vec<ObjectMeta>> {
        if let Backend::Bucket(bucket) = &self.layer(layer).backend {
            let mut objects = bucket.list(folder).await?;
            objects.sort_by(|a, b| a.path.cmp(&b.path));
            return Ok(objects);
        }
        let listed = self.layer(layer).store.list(Some(&object_path(folder)));
        let listed = listed.map_ok(|object| ObjectMeta {
            path: object.location.to_string(),
            size_bytes: object.size,
            written_at: object.last_modified.timestamp_micros(),
        });
        let mut objects: Vec<ObjectMeta> =
            listed.try_collect().await.map_err(self.failed("list", layer, folder))?;
        objects.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(objects)
    }

    /// A whole small object; `None` when there is none.
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

    /// The metadata of an object; `None` when there is none.
    ///
    /// # Errors
    /// [`LakeError::Object`].
    pub async fn head(&self, layer: Layer, path: &str) -> Result<Option<ObjectMeta>> {
        match self.layer(layer).store.head(&object_path(path)).await {
            Ok(meta) => Ok(Some(ObjectMeta {
                path: path.to_owned(),
                size_bytes: meta.size,
                written_at: meta.last_modified.timestamp_micros(),
            })),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("look up", layer, path)(error)),
        }
    }

    /// Writes a whole small object: complete and durable, or not at all.
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

    /// Writes an object that is written only once, such as a manifest. Where the backend honours conditional
    /// writes, an object that another run has written is left alone; elsewhere only the caller's lock or
    /// lease keeps runs apart.
    ///
    /// # Errors
    /// [`LakeError::AlreadyCommitted`], [`LakeError::Interrupted`], [`LakeError::Object`].
    pub async fn commit(&self, layer: Layer, path: &str, bytes: Bytes) -> Result<()> {
        let LayerStore { store, backend, .. } = self.layer(layer);
        let is_conditional = match backend {
            // The caller holds the directory's lock.
            Backend::Directory(_) => false,
            Backend::Bucket(bucket) => bucket.has_conditional_writes(),
            Backend::Memory => true,
        };
        if !is_conditional {
            return self.put(layer, path, bytes).await;
        }
        let created =
            store.put_opts(&object_path(path), bytes.clone().into(), PutMode::Create.into()).await;
        match created {
            Ok(_) => Ok(()),
            Err(
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. },
            ) => {
                let place = self.locate(layer, path);
                match self.get(layer, path).await? {
                    // Written by an earlier attempt whose response was lost.
                    Some(found) if found == bytes => Ok(()),
                    Some(_) => Err(LakeError::AlreadyCommitted(place)),
                    // Another write, perhaps an earlier attempt, is still in progress.
                    None => Err(LakeError::Interrupted(place)),
                }
            }
            Err(error) => Err(self.failed("write", layer, path)(error)),
        }
    }

    /// Deletes an object, if there is one.
    ///
    /// # Errors
    /// [`LakeError::Object`].
    pub async fn delete(&self, layer: Layer, path: &str) -> Result<()> {
        match self.layer(layer).store.delete(&object_path(path)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("delete", layer, path)(error)),
        }
    }

    /// Deletes everything in a folder of a layer.
    ///
    /// # Errors
    /// [`LakeError::Object`], [`LakeError::Directory`].
    pub async fn delete_folder(&self, layer: Layer, folder: &str) -> Result<()> {
        let LayerStore { store, backend, .. } = self.layer(layer);
        let objects = self.list(layer, folder).await?;
        // A run never writes a key that is not a path.
        let paths = objects.iter().filter_map(|object| Path::parse(&object.path).ok().map(Ok));
        let paths = futures::stream::iter(paths.collect::<Vec<_>>()).boxed();
        store
            .delete_stream(paths)
            .try_collect::<Vec<_>>()
            .await
            .map_err(self.failed("delete", layer, folder))?;
        if let Backend::Directory(directory) = backend {
            directory.remove_folder(folder)?;
        }
        Ok(())
    }

    /// Removes the incomplete files and uploads of killed processes whose final path `is_managed`, or only
    /// counts them when `is_dry`. Returns how many there are. The caller holds the lake's lock or the lease.
    /// In a bucket, sources are left alone: other programs upload there.
    ///
    /// # Errors
    /// [`LakeError::Directory`], [`LakeError::Object`].
    pub async fn remove_incomplete(
        &self,
        layer: Layer,
        is_managed: fn(&str) -> bool,
        is_dry: bool,
    ) -> Result<usize> {
        match &self.layer(layer).backend {
            Backend::Bucket(_) if layer == Layer::Sources => Ok(0),
            Backend::Directory(directory) => directory.remove_incomplete(is_managed, is_dry),
            Backend::Bucket(bucket) => bucket.abort_uploads(is_managed, is_dry).await,
            Backend::Memory => Ok(0),
        }
    }
}

/// A path as it is: the other constructor of object_store would escape what file names may hold.
pub(super) fn object_path(path: &str) -> Path {
    Path::parse(path).unwrap_or_else(|_| Path::from(path))
}
