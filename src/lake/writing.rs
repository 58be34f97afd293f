//! Writing objects in parts while they are produced: a few parts are in flight and in memory at a time, and
//! the object is there complete or not at all.

use std::error::Error;
use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::error::{LakeError, Result};
use super::layer::Layer;
use super::objects::{Lake, object_path};
use super::reading::{IN_FLIGHT, PART};
use super::refusal::has_code;
use crate::blocking::spawn_blocking;
use crate::domain::files::TableFile;

impl Lake {
    /// Writes what `produce` writes, on a blocking thread, as one object. Returns its entry in a manifest.
    ///
    /// # Errors
    /// [`LakeError::Produce`] with the error of `produce`, unless that is the [`LakeError`] of an object it
    /// read; [`LakeError::Object`].
    pub async fn write<E>(
        &self,
        layer: Layer,
        path: &str,
        produce: impl FnOnce(&mut PartWriter) -> std::result::Result<(), E> + Send + 'static,
    ) -> Result<TableFile>
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let (sender, mut parts) = mpsc::channel(1);
        let made = spawn_blocking(move || {
            let mut writer = PartWriter::new(sender);
            produce(&mut writer).map_err(Into::into)?;
            Ok(writer.finish()?)
        });
        let stored = async {
            let stored = self.store_parts(layer, path, &mut parts).await;
            // The writer's next write fails.
            parts.close();
            stored
        };
        let (made, stored) = futures::join!(made, stored);
        let upload = stored?;
        let (size_bytes, sha256) = match made {
            Ok(made) => made,
            Err(error) => {
                upload.abort().await;
                return Err(self.produce_error(layer, path, error));
            }
        };
        if let Err(error) = upload.finish().await {
            // If the response of the last step was lost, repeating it finds no upload.
            if !has_code(&error, "NoSuchUpload") {
                return Err(self.failed("write", layer, path)(error));
            }
            if self.digest(layer, path).await? != Some((size_bytes, sha256.clone())) {
                return Err(LakeError::Interrupted(self.locate(layer, path)));
            }
        }
        Ok(TableFile { path: path.to_owned(), size_bytes, sha256 })
    }

    /// Uploads the parts of an object as they are produced. Only [`Upload::finish`] makes the object.
    async fn store_parts(
        &self,
        layer: Layer,
        path: &str,
        parts: &mut mpsc::Receiver<Bytes>,
    ) -> Result<Upload> {
        let store = &self.layer(layer).store;
        let location = object_path(path);
        let first = parts.recv().await.unwrap_or_default();
        let Some(second) = parts.recv().await else {
            return Ok(Upload::Whole { store: Arc::clone(store), location, bytes: first });
        };
        let upload = store.put_multipart(&location).await;
        let upload = upload.map_err(self.failed("write", layer, path))?;
        let mut upload = PendingUpload { upload: Some(upload) };
        let mut in_flight: JoinSet<object_store::Result<()>> = JoinSet::new();
        let mut next = Some(first);
        let mut after = Some(second);
        while let Some(part) = next.take() {
            if let Some(upload) = &mut upload.upload {
                in_flight.spawn(upload.put_part(part.into()));
            }
            while in_flight.len() >= IN_FLIGHT {
                self.await_part(layer, path, &mut in_flight).await?;
            }
            next = match after.take() {
                Some(part) => Some(part),
                None => parts.recv().await,
            };
        }
        while !in_flight.is_empty() {
            self.await_part(layer, path, &mut in_flight).await?;
        }
        Ok(Upload::Parts(upload))
    }

    async fn await_part(
        &self,
        layer: Layer,
        path: &str,
        in_flight: &mut JoinSet<object_store::Result<()>>,
    ) -> Result<()> {
        match in_flight.join_next().await {
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(error))) => Err(self.failed("write", layer, path)(error)),
            Some(Err(error)) => {
                let error = object_store::Error::JoinError { source: error };
                Err(self.failed("write", layer, path)(error))
            }
        }
    }

    /// The error of a producer: the lake's own, if that is the cause.
    fn produce_error(
        &self,
        layer: Layer,
        path: &str,
        error: Box<dyn Error + Send + Sync>,
    ) -> LakeError {
        let path = self.locate(layer, path);
        match error.downcast::<io::Error>() {
            Ok(error) => error
                .downcast::<LakeError>()
                .unwrap_or_else(|error| LakeError::Produce { path, source: error.into() }),
            Err(source) => LakeError::Produce { path, source },
        }
    }
}

/// An object whose parts are all uploaded.
enum Upload {
    Whole { store: Arc<dyn ObjectStore>, location: Path, bytes: Bytes },
    Parts(PendingUpload),
}

impl Upload {
    async fn finish(self) -> object_store::Result<()> {
        match self {
            Self::Whole { store, location, bytes } => {
                store.put(&location, bytes.into()).await?;
            }
            Self::Parts(mut pending) => {
                if let Some(upload) = &mut pending.upload {
                    upload.complete().await?;
                }
                pending.upload = None;
            }
        }
        Ok(())
    }

    async fn abort(self) {
        if let Self::Parts(mut pending) = self
            && let Some(mut upload) = pending.upload.take()
        {
            // If it fails, the next run removes the upload.
            let _ = upload.abort().await;
        }
    }
}

/// A multipart upload that is aborted when it is dropped.
struct PendingUpload {
    upload: Option<Box<dyn MultipartUpload>>,
}

impl Drop for PendingUpload {
    fn drop(&mut self) {
        if let (Some(mut upload), Ok(runtime)) =
            (self.upload.take(), tokio::runtime::Handle::try_current())
        {
            runtime.spawn(async move {
                let _ = upload.abort().await;
            });
        }
    }
}

/// Passes an object on in parts while it is produced.
#[derive(Debug)]
pub struct PartWriter {
    parts: mpsc::Sender<Bytes>,
    part: Vec<u8>,
    hasher: Sha256,
    size_bytes: u64,
}

impl PartWriter {
    fn new(parts: mpsc::Sender<Bytes>) -> Self {
        Self { parts, part: Vec::new(), hasher: Sha256::new(), size_bytes: 0 }
    }

    fn pass_on(&mut self) -> io::Result<()> {
        let part = Bytes::from(std::mem::take(&mut self.part));
        self.hasher.update(&part);
        self.size_bytes += part.len() as u64;
        self.parts.blocking_send(part).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Length in bytes and SHA-256 of the object.
    fn finish(mut self) -> io::Result<(u64, String)> {
        if !self.part.is_empty() {
            self.pass_on()?;
        }
        Ok((self.size_bytes, hex::encode(self.hasher.finalize())))
    }
}

impl Write for PartWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PART - self.part.len());
        self.part.extend_from_slice(&bytes[..taken]);
        if self.part.len() == PART {
            self.pass_on()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
