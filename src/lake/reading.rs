//! Reading objects in parts: a few parts are in flight and in memory at a time, and the whole is compared
//! with the SHA-256 in its manifest.

use std::fs::File;
use std::io::{self, BufRead, Read, Seek as _, Write};

use bytes::{Buf as _, Bytes};
use futures::stream::{self, BoxStream, StreamExt};
use object_store::{GetOptions, GetRange, ObjectStore as _, ObjectStoreExt as _};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::error::{LakeError, Result};
use super::layer::Layer;
use super::objects::{Backend, Lake, object_path};
use crate::blocking::spawn_blocking;
use crate::domain::files::TableFile;

/// Bytes of a part.
pub const PART: usize = 8 << 20;
/// The same as an object's length.
const PART_BYTES: u64 = PART as u64;
/// Parts of one object that are in flight at a time.
pub(super) const IN_FLIGHT: usize = 4;

/// A verified object that can be read at any position.
#[derive(Debug)]
pub enum Fetched {
    /// A small object.
    Memory(Bytes),
    /// The object itself, or a copy that is deleted when this is dropped.
    File(File),
}

impl Lake {
    /// The parts of an object, in order; `None` when there is none.
    async fn parts(
        &self,
        layer: Layer,
        path: &str,
    ) -> Result<Option<BoxStream<'static, Result<Bytes>>>> {
        let store = &self.layer(layer).store;
        let location = object_path(path);
        let found = match store.get(&location).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(self.failed("read", layer, path)(error)),
        };
        let size = found.meta.size;
        if size <= PART_BYTES {
            let bytes = found.bytes().await.map_err(self.failed("read", layer, path))?;
            return Ok(Some(stream::iter([Ok(bytes)]).boxed()));
        }
        // All parts must be of the object that was found.
        let if_match = found.meta.e_tag.clone();
        drop(found);
        let (lake, path) = (self.clone(), path.to_owned());
        let starts = (0..size).step_by(PART);
        let parts = stream::iter(starts).map(move |start| {
            let (lake, path, place) = (lake.clone(), path.clone(), lake.locate(layer, &path));
            let options = GetOptions {
                range: Some(GetRange::Bounded(start..size.min(start + PART_BYTES))),
                if_match: if_match.clone(),
                ..GetOptions::default()
            };
            // In a task of its own: a part does not wait until the one before is consumed.
            let part = tokio::spawn(async move { lake.part(layer, &path, options).await });
            let part = AbortOnDropHandle::new(part);
            async move { part.await.unwrap_or_else(|_| Err(LakeError::Changed(place))) }
        });
        Ok(Some(parts.buffered(IN_FLIGHT).boxed()))
    }

    async fn part(&self, layer: Layer, path: &str, options: GetOptions) -> Result<Bytes> {
        let part = match self.layer(layer).store.get_opts(&object_path(path), options).await {
            Ok(part) => part.bytes().await,
            Err(error) => Err(error),
        };
        part.map_err(|error| match error {
            object_store::Error::Precondition { .. } | object_store::Error::NotFound { .. } => {
                LakeError::Changed(self.locate(layer, path))
            }
            error => self.failed("read", layer, path)(error),
        })
    }

    /// A reader of an object for a blocking thread. With the SHA-256 that the object must have, the end of
    /// another object is an error. The first read starts the first request.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn reader(&self, layer: Layer, path: &str, sha256: Option<&str>) -> Reader {
        Reader {
            lake: self.clone(),
            layer,
            path: path.to_owned(),
            expected: sha256.map(str::to_owned),
            runtime: Handle::current(),
            parts: None,
            current: Bytes::new(),
            digest: None,
        }
    }

    /// Copies a whole object, on a blocking thread, to the writer that `open` opens there: a temporary file,
    /// or something that cannot fail. Returns the writer, and the length and SHA-256 of the object.
    async fn copy<W: Write + Send + 'static>(
        &self,
        layer: Layer,
        path: &str,
        sha256: Option<&str>,
        open: impl FnOnce() -> io::Result<W> + Send + 'static,
    ) -> Result<(W, (u64, String))> {
        let mut reader = self.reader(layer, path, sha256);
        let place = self.locate(layer, path);
        spawn_blocking(move || {
            let spool_error = |source| LakeError::Spool {
                path: place.clone(),
                directory: std::env::temp_dir().display().to_string(),
                source,
            };
            let mut to = open().map_err(spool_error)?;
            loop {
                let part = reader.fill_buf().map_err(|error| into_lake_error(error, &place))?;
                if part.is_empty() {
                    return Ok((to, reader.digest()));
                }
                to.write_all(part).map_err(spool_error)?;
                let length = part.len();
                reader.consume(length);
            }
        })
        .await
    }

    /// Length in bytes and SHA-256 of an object; `None` when there is none.
    ///
    /// # Errors
    /// [`LakeError::Object`], [`LakeError::Changed`].
    pub async fn digest(&self, layer: Layer, path: &str) -> Result<Option<(u64, String)>> {
        match self.copy(layer, path, None, || Ok(io::sink())).await {
            Ok((_, digest)) => Ok(Some(digest)),
            Err(LakeError::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Checks that an object has the SHA-256 of its manifest.
    ///
    /// # Errors
    /// [`LakeError::Damaged`] when it is missing or another one, [`LakeError::Object`].
    pub async fn verify(&self, layer: Layer, path: &str, sha256: &str) -> Result<()> {
        self.copy(layer, path, Some(sha256), || Ok(io::sink())).await.map(drop)
    }

    /// Reads a whole verified file of a manifest into memory.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub async fn get_file(&self, layer: Layer, file: &TableFile) -> Result<Bytes> {
        let (bytes, _) =
            self.copy(layer, &file.path, Some(&file.sha256), || Ok(Vec::new())).await?;
        Ok(bytes.into())
    }

    /// Fetches and verifies a file of a manifest, to be read at any position. A large one is copied to a
    /// temporary file, not to memory.
    ///
    /// # Errors
    /// As [`Self::verify`], and [`LakeError::Spool`].
    pub async fn fetch(&self, layer: Layer, file: &TableFile) -> Result<Fetched> {
        if file.size_bytes <= PART_BYTES {
            return Ok(Fetched::Memory(self.get_file(layer, file).await?));
        }
        if let Backend::Directory(directory) = &self.layer(layer).backend {
            self.verify(layer, &file.path, &file.sha256).await?;
            let opened = File::open(directory.file(&file.path));
            return opened.map(Fetched::File).map_err(|source| LakeError::Directory {
                path: self.locate(layer, &file.path),
                source,
            });
        }
        let (mut copy, _) =
            self.copy(layer, &file.path, Some(&file.sha256), tempfile::tempfile).await?;
        copy.rewind().map_err(|source| LakeError::Spool {
            path: self.locate(layer, &file.path),
            directory: std::env::temp_dir().display().to_string(),
            source,
        })?;
        Ok(Fetched::File(copy))
    }
}

/// The lake's own error in that of a [`Reader`].
fn into_lake_error(error: io::Error, place: &str) -> LakeError {
    error
        .downcast::<LakeError>()
        .unwrap_or_else(|source| LakeError::Directory { path: place.to_owned(), source })
}

/// Reads an object on a blocking thread, in parts that are fetched ahead. Its errors hold a [`LakeError`].
#[derive(Debug)]
pub struct Reader {
    lake: Lake,
    layer: Layer,
    path: String,
    expected: Option<String>,
    runtime: Handle,
    /// `None` before the first read.
    parts: Option<mpsc::Receiver<Result<Piece>>>,
    current: Bytes,
    /// Length in bytes and SHA-256 of the object, once it has been read.
    digest: Option<(u64, String)>,
}

/// What a reader gets of an object.
#[derive(Debug)]
enum Piece {
    Part(Bytes),
    /// The end: length in bytes and SHA-256 of all parts.
    End(u64, String),
}

impl Reader {
    /// Starts to fetch.
    fn start(&self) -> mpsc::Receiver<Result<Piece>> {
        // Parts, and `None` for the end.
        let (sender, mut fetched) = mpsc::channel::<Result<Option<Bytes>>>(1);
        let (forward, receiver) = mpsc::channel(1);
        let hash = move || {
            let (mut hasher, mut size_bytes) = (Sha256::new(), 0);
            while let Some(fetched) = fetched.blocking_recv() {
                let (part, piece) = match fetched {
                    Ok(Some(part)) => (part.clone(), Ok(Piece::Part(part))),
                    Ok(None) => {
                        let sha256 = hex::encode(hasher.finalize_reset());
                        (Bytes::new(), Ok(Piece::End(size_bytes, sha256)))
                    }
                    Err(error) => (Bytes::new(), Err(error)),
                };
                // A failed send means that the reader was dropped.
                if forward.blocking_send(piece).is_err() {
                    return;
                }
                hasher.update(&part);
                size_bytes += part.len() as u64;
            }
        };
        // Beside whatever is done with the parts, and not on one of the runtime's threads, which readers may all be
        // waiting on. Without it the reader finds that nothing comes.
        let _ = std::thread::Builder::new().name("lake-hash".to_owned()).spawn(hash);
        let (lake, layer, path) = (self.lake.clone(), self.layer, self.path.clone());
        self.runtime.spawn(async move {
            let mut parts = match lake.parts(layer, &path).await {
                Ok(Some(parts)) => parts,
                Ok(None) => {
                    let missing = LakeError::Missing(lake.locate(layer, &path));
                    let _ = sender.send(Err(missing)).await;
                    return;
                }
                Err(error) => {
                    let _ = sender.send(Err(error)).await;
                    return;
                }
            };
            while let Some(part) = parts.next().await {
                let is_last = part.is_err();
                if sender.send(part.map(Some)).await.is_err() || is_last {
                    return;
                }
            }
            let _ = sender.send(Ok(None)).await;
        });
        receiver
    }

    /// Compares what has been read, the whole object, with the expected SHA-256.
    fn check_digest(&self) -> Result<()> {
        match &self.expected {
            Some(expected) if self.digest.as_ref().is_none_or(|(_, sha256)| sha256 != expected) => {
                if self.layer == Layer::Sources {
                    return Err(LakeError::Replaced(self.lake.locate(self.layer, &self.path)));
                }
                Err(self.damaged("its SHA-256 is not the one in its manifest"))
            }
            _ => Ok(()),
        }
    }

    fn damaged(&self, problem: &str) -> LakeError {
        let path = self.lake.locate(self.layer, &self.path);
        LakeError::Damaged { path, problem: problem.to_owned() }
    }

    /// Length in bytes and SHA-256 of the object, after its end has been read.
    #[must_use]
    pub fn digest(&self) -> (u64, String) {
        self.digest.clone().unwrap_or_default()
    }
}

impl BufRead for Reader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() {
            let mut parts = self.parts.take().unwrap_or_else(|| self.start());
            let part = parts.blocking_recv();
            self.parts = Some(parts);
            match part {
                Some(Ok(Piece::Part(part))) => self.current = part,
                Some(Ok(Piece::End(size_bytes, sha256))) => {
                    self.digest = Some((size_bytes, sha256));
                    self.check_digest().map_err(io::Error::other)?;
                    break;
                }
                Some(Err(LakeError::Missing(_))) if self.expected.is_some() => {
                    return Err(io::Error::other(self.damaged("it is missing")));
                }
                Some(Err(error)) => return Err(io::Error::other(error)),
                None if self.digest.is_some() => {
                    self.check_digest().map_err(io::Error::other)?;
                    break;
                }
                None => {
                    let place = self.lake.locate(self.layer, &self.path);
                    return Err(io::Error::other(LakeError::Changed(place)));
                }
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, amount: usize) {
        self.current.advance(amount);
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let ready = self.fill_buf()?;
        let amount = ready.len().min(buffer.len());
        buffer[..amount].copy_from_slice(&ready[..amount]);
        self.consume(amount);
        Ok(amount)
    }
}
