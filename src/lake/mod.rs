//! The lake: four layers of immutable objects, each in a directory or a bucket of an S3 store.
//!
//! Owns where things lie ([`Layer`], [`location`], [`keys`]), reading ([`reading`]) and writing
//! ([`writing`]) them in parts, and what keeps two refreshes of one lake apart. Knows Parquet
//! ([`parquet`]) but not what is in it. What only a directory or only S3 needs is in [`local`] and [`s3`].

pub mod error;
pub mod http;
pub mod keys;
pub mod local;
pub mod location;
pub mod parquet;
pub mod reading;
pub mod s3;
pub mod writing;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};

pub use error::{LakeError, Result};
use local::Directory;
use location::{Location, Template};
use s3::{Bucket, S3};

use crate::lock::Lock;

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
    /// All of them, in the order data take.
    pub const ALL: [Self; 4] = [Self::Sources, Self::Bronze, Self::Silver, Self::Gold];
    /// Those that runs write to.
    pub const WRITTEN: [Self; 3] = [Self::Bronze, Self::Silver, Self::Gold];

    /// What `{layer}` in the location stands for.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sources => "sources",
            Self::Bronze => "bronze",
            Self::Silver => "silver",
            Self::Gold => "gold",
        }
    }
}

/// A layer's objects, and where they lie for people.
#[derive(Clone)]
struct LayerStore {
    store: Arc<dyn ObjectStore>,
    place: Place,
    shown: String,
}

impl fmt::Debug for LayerStore {
    // A client would show its access key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// What a layer is besides a store of objects.
#[derive(Clone)]
enum Place {
    Directory(Directory),
    Bucket(Bucket),
    Memory,
}

/// What keeps other processes out of a lake, where the lake itself can.
#[derive(Debug)]
pub struct LakeLock {
    _lock: Option<Lock>,
}

/// What is known of an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Path within the layer.
    pub path: String,
    /// Length in bytes.
    pub size_bytes: u64,
    /// When it was last written, in microseconds since 1970.
    pub written_at: i64,
}

/// The four layers of one deployment.
#[derive(Debug, Clone)]
pub struct Lake {
    layers: [LayerStore; 4],
}

impl Lake {
    /// Opens the layers at their locations: directories are created, of an S3 store nothing is asked
    /// before [`Self::prepare`].
    ///
    /// # Errors
    /// [`LakeError::Location`] for a location of a kind this build does not know,
    /// [`LakeError::Directory`] for a directory that cannot be used.
    pub fn open(templates: &[Template; 4], s3: Option<&Arc<S3>>) -> Result<Self> {
        let places = Location::of_layers(templates)?;
        let open = |layer: Layer| {
            let place = &places[layer as usize];
            let shown = place.shown();
            match (place, s3) {
                (Location::Directory(path), _) => {
                    let (directory, store) = Directory::open(path)?;
                    let place = Place::Directory(directory);
                    Ok(LayerStore { store: Arc::new(store), place, shown })
                }
                (Location::Bucket { bucket, prefix }, Some(s3)) => {
                    let bucket = s3.bucket(bucket, prefix)?;
                    let store: Arc<dyn ObjectStore> = if prefix.is_empty() {
                        bucket.store()
                    } else {
                        Arc::new(PrefixStore::new(bucket.store(), prefix.as_str()))
                    };
                    Ok(LayerStore { store, place: Place::Bucket(bucket), shown })
                }
                (Location::Bucket { .. }, None) => {
                    let Template { setting, url } = templates[layer as usize].clone();
                    let problem = "nobody says how S3 is reached".to_owned();
                    Err(LakeError::Location { setting, url, problem })
                }
            }
        };
        let [a, b, c, d] = Layer::ALL.map(open);
        Ok(Self { layers: [a?, b?, c?, d?] })
    }

    /// Opens layers of this machine at a template such as `./data/{layer}`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn in_directory(template: &str) -> Result<Self> {
        let template = Template { setting: "lake.url", url: template.to_owned() };
        Self::open(&std::array::from_fn(|_| template.clone()), None)
    }

    /// Layers that are gone with this value; for tests and embedding.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            layers: Layer::ALL.map(|layer| LayerStore {
                store: Arc::new(InMemory::new()),
                place: Place::Memory,
                shown: format!("memory://{}", layer.as_str()),
            }),
        }
    }

    fn layer(&self, layer: Layer) -> &LayerStore {
        &self.layers[layer as usize]
    }

    /// Where a layer lies, for people.
    #[must_use]
    pub fn place(&self, layer: Layer) -> String {
        self.layer(layer).shown.clone()
    }

    /// Where an object lies, for people.
    #[must_use]
    pub fn locate(&self, layer: Layer, path: &str) -> String {
        format!("{}/{path}", self.layer(layer).shown)
    }

    fn failed(
        &self,
        action: &'static str,
        layer: Layer,
        path: &str,
    ) -> impl FnOnce(object_store::Error) -> LakeError {
        let path = if path.is_empty() { self.place(layer) } else { self.locate(layer, path) };
        move |source| LakeError::Object { action, path, source }
    }

    /// Whether an error says that there is no such object; that there is no such bucket is an error
    /// of its own.
    fn is_missing(error: &object_store::Error) -> bool {
        matches!(error, object_store::Error::NotFound { .. }) && !s3::says(error, "NoSuchBucket")
    }

    /// Looks for the buckets, creates those that are missing where that is wanted, and finds out
    /// whether the store of gold honours conditional writes.
    ///
    /// # Errors
    /// [`LakeError::NoBucket`], [`LakeError::Object`].
    pub async fn prepare(&self) -> Result<()> {
        for LayerStore { place, shown, .. } in &self.layers {
            if let Place::Bucket(bucket) = place {
                bucket.prepare(shown).await?;
            }
        }
        if let Place::Bucket(bucket) = &self.layer(Layer::Gold).place {
            bucket.probe().await?;
        }
        Ok(())
    }

    /// Refuses when another process holds this lake; otherwise holds it until dropped or until the
    /// process ends, however it ends. A lake all in buckets holds nobody off: there it is the serving
    /// store's lease that does.
    ///
    /// # Errors
    /// [`LakeError::Locked`], [`LakeError::Directory`].
    pub fn lock(&self) -> Result<LakeLock> {
        let directory =
            Layer::WRITTEN.into_iter().rev().find_map(|layer| match &self.layer(layer).place {
                Place::Directory(directory) => Some(directory),
                Place::Bucket(_) | Place::Memory => None,
            });
        Ok(LakeLock { _lock: directory.map(Directory::lock).transpose()? })
    }

    /// Names of the files directly in a layer (not in its folders), in byte order.
    ///
    /// # Errors
    /// [`LakeError::Directory`], [`LakeError::Object`].
    pub async fn names(&self, layer: Layer) -> Result<Vec<String>> {
        Ok(self.level(layer).await?.0)
    }

    /// Names of the folders directly in a layer, in byte order.
    ///
    /// # Errors
    /// [`LakeError::Directory`], [`LakeError::Object`].
    pub async fn folders(&self, layer: Layer) -> Result<Vec<String>> {
        Ok(self.level(layer).await?.1)
    }

    /// What lies directly in a layer: files and folders.
    async fn level(&self, layer: Layer) -> Result<(Vec<String>, Vec<String>)> {
        let LayerStore { store, place, .. } = self.layer(layer);
        let (mut names, mut folders) = match place {
            Place::Directory(directory) => directory.level()?,
            Place::Bucket(bucket) => bucket.level().await?,
            Place::Memory => {
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
        if let Place::Bucket(bucket) = &self.layer(layer).place {
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

    /// The whole object; `None` when there is none. For small ones: others are read in parts.
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
            Err(error) if Self::is_missing(&error) => Ok(None),
            Err(error) => Err(self.failed("read", layer, path)(error)),
        }
    }

    /// What is known of an object without reading it; `None` when there is none.
    ///
    /// # Errors
    /// [`LakeError::Object`].
    pub async fn stamp(&self, layer: Layer, path: &str) -> Result<Option<ObjectMeta>> {
        match self.layer(layer).store.head(&object_path(path)).await {
            Ok(meta) => Ok(Some(ObjectMeta {
                path: path.to_owned(),
                size_bytes: meta.size,
                written_at: meta.last_modified.timestamp_micros(),
            })),
            Err(error) if Self::is_missing(&error) => Ok(None),
            Err(error) => Err(self.failed("look at", layer, path)(error)),
        }
    }

    /// Writes a whole small object: it is there complete and durable, or not at all.
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

    /// Writes an object that is to be written once, a manifest. Where the store honours it, as
    /// [`Self::prepare`] has found out, one that
    /// another run has written is left as it is and refused; elsewhere the caller's right to publish
    /// is all that keeps runs apart.
    ///
    /// # Errors
    /// [`LakeError::Taken`], [`LakeError::Object`].
    pub async fn commit(&self, layer: Layer, path: &str, bytes: Bytes) -> Result<()> {
        let LayerStore { store, place, .. } = self.layer(layer);
        let is_guarded = match place {
            // Who has its lock is alone.
            Place::Directory(_) => false,
            Place::Bucket(bucket) => bucket.honours_conditions(),
            Place::Memory => true,
        };
        if !is_guarded {
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
                    // Ours, if the answer to an earlier try was lost.
                    Some(found) if found == bytes => Ok(()),
                    Some(_) => Err(LakeError::Taken(place)),
                    // Somebody else's, or an earlier try of ours, is still under way.
                    None => Err(LakeError::Disturbed(place)),
                }
            }
            Err(error) => Err(self.failed("write", layer, path)(error)),
        }
    }

    /// Deletes an object; one that is gone already is as good.
    ///
    /// # Errors
    /// [`LakeError::Object`].
    pub async fn delete(&self, layer: Layer, path: &str) -> Result<()> {
        match self.layer(layer).store.delete(&object_path(path)).await {
            Err(error) if !Self::is_missing(&error) => {
                Err(self.failed("delete", layer, path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Deletes everything in a folder of a layer.
    ///
    /// # Errors
    /// [`LakeError::Object`], [`LakeError::Directory`].
    pub async fn delete_folder(&self, layer: Layer, folder: &str) -> Result<()> {
        let LayerStore { store, place, .. } = self.layer(layer);
        let objects = self.list(layer, folder).await?;
        // What is no path of ours is somebody else's.
        let paths = objects.iter().filter_map(|object| Path::parse(&object.path).ok().map(Ok));
        let paths = futures::stream::iter(paths.collect::<Vec<_>>()).boxed();
        store
            .delete_stream(paths)
            .try_collect::<Vec<_>>()
            .await
            .map_err(self.failed("delete", layer, folder))?;
        if let Place::Directory(directory) = place {
            directory.remove_folder(folder)?;
        }
        Ok(())
    }

    /// Removes what a killed process left half-written anywhere in a layer, if `is_ours` says of the
    /// path it was to have that we write such, unless it `is_dry`. Returns how much there is. Only for
    /// who holds the lake. Nothing of ours is left half-written in sources in a bucket.
    ///
    /// # Errors
    /// [`LakeError::Directory`], [`LakeError::Object`].
    pub async fn sweep_half_written(
        &self,
        layer: Layer,
        is_ours: fn(&str) -> bool,
        is_dry: bool,
    ) -> Result<usize> {
        match &self.layer(layer).place {
            Place::Bucket(_) if layer == Layer::Sources => Ok(0),
            Place::Directory(directory) => directory.sweep_half_written(is_ours, is_dry),
            Place::Bucket(bucket) => bucket.sweep_unfinished(is_ours, is_dry).await,
            Place::Memory => Ok(0),
        }
    }
}

/// A path as it is: the object store's other constructor would escape what file names may hold.
fn object_path(path: &str) -> Path {
    Path::parse(path).unwrap_or_else(|_| Path::from(path))
}
