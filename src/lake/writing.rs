//! Writing objects in parts while they are being made: several on their way at once, few in memory,
//! the object there complete or not at all.

use std::error::Error;
use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::reading::{IN_FLIGHT, PART};
use super::{Lake, LakeError, Layer, Result, object_path, s3};
use crate::blocking::spawn_blocking;
use crate::domain::manifest::TableFile;

impl Lake {
    /// Writes what `produce` writes, on a thread that may block, as one object. Says what a manifest
    /// has to know of it.
    ///
    /// # Errors
    /// [`LakeError::Produce`] with what `produce` says, unless that is a [`LakeError`] of something it
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
            // Whoever still writes learns that it is in vain.
            parts.close();
            stored
        };
        let (made, stored) = futures::join!(made, stored);
        let mut upload = stored?;
        let (size_bytes, sha256) = match made {
            Ok(made) => made,
            Err(error) => {
                upload.give_up().await;
                return Err(self.not_made(layer, path, error));
            }
        };
        if let Err(error) = upload.finish().await {
            // If the answer was lost, asking for the last step again finds no upload any more.
            if !s3::says(&error, "NoSuchUpload") {
                return Err(self.failed("write", layer, path)(error));
            }
            if self.digest(layer, path).await? != Some((size_bytes, sha256.clone())) {
                return Err(LakeError::Disturbed(self.locate(layer, path)));
            }
        }
        Ok(TableFile { path: path.to_owned(), size_bytes, sha256 })
    }

    /// Stores the parts of an object as they come, all but the last step.
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
        let begun = store.put_multipart(&location).await;
        let mut upload = Begun { upload: Some(begun.map_err(self.failed("write", layer, path))?) };
        let mut on_their_way: JoinSet<object_store::Result<()>> = JoinSet::new();
        let mut next = Some(first);
        let mut after = Some(second);
        while let Some(part) = next.take() {
            if let Some(upload) = &mut upload.upload {
                on_their_way.spawn(upload.put_part(part.into()));
            }
            while on_their_way.len() >= IN_FLIGHT {
                self.landed(layer, path, &mut on_their_way).await?;
            }
            next = match after.take() {
                Some(part) => Some(part),
                None => parts.recv().await,
            };
        }
        while !on_their_way.is_empty() {
            self.landed(layer, path, &mut on_their_way).await?;
        }
        Ok(Upload::Parts(upload))
    }

    /// Waits for one part.
    async fn landed(
        &self,
        layer: Layer,
        path: &str,
        on_their_way: &mut JoinSet<object_store::Result<()>>,
    ) -> Result<()> {
        match on_their_way.join_next().await {
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(error))) => Err(self.failed("write", layer, path)(error)),
            Some(Err(error)) => {
                let error = object_store::Error::JoinError { source: error };
                Err(self.failed("write", layer, path)(error))
            }
        }
    }

    /// What became of making an object: the lake's own error, if that was it.
    fn not_made(&self, layer: Layer, path: &str, error: Box<dyn Error + Send + Sync>) -> LakeError {
        let path = self.locate(layer, path);
        match error.downcast::<io::Error>() {
            Ok(error) => error
                .downcast::<LakeError>()
                .unwrap_or_else(|error| LakeError::Produce { path, source: error.into() }),
            Err(source) => LakeError::Produce { path, source },
        }
    }
}

/// All parts are stored; the object is there with the last step.
enum Upload {
    Whole { store: Arc<dyn ObjectStore>, location: Path, bytes: Bytes },
    Parts(Begun),
}

impl Upload {
    async fn finish(self) -> object_store::Result<()> {
        match self {
            Self::Whole { store, location, bytes } => {
                store.put(&location, bytes.into()).await?;
            }
            Self::Parts(mut begun) => {
                if let Some(upload) = &mut begun.upload {
                    upload.complete().await?;
                }
                begun.upload = None;
            }
        }
        Ok(())
    }

    async fn give_up(&mut self) {
        if let Self::Parts(Begun { upload: Some(upload) }) = self {
            // What is left over is found by the next run.
            let _ = upload.abort().await;
        }
        if let Self::Parts(begun) = self {
            begun.upload = None;
        }
    }
}

/// An upload in parts that is given up when it is dropped.
struct Begun {
    upload: Option<Box<dyn MultipartUpload>>,
}

impl Drop for Begun {
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

/// Takes an object as it is being made and passes it on in parts.
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

    /// Length in bytes and SHA-256 of it all.
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
