//! Reading objects in parts: several on their way at once, few in memory, the whole checked against
//! the hash its manifest has of it.

use std::fs::File;
use std::io::{self, BufRead, Read, Seek as _};

use bytes::{Buf as _, Bytes};
use futures::stream::{self, BoxStream, StreamExt};
use object_store::{GetOptions, GetRange, ObjectStore as _, ObjectStoreExt as _};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::{Lake, LakeError, Layer, Place, Result, object_path};
use crate::blocking::spawn_blocking;
use crate::domain::manifest::TableFile;

/// Bytes of a part.
pub const PART: usize = 8 << 20;
/// The same, as lengths of objects are counted.
const PART_BYTES: u64 = PART as u64;
/// Parts of one object that are on their way at once.
pub const IN_FLIGHT: usize = 4;

/// An object that is what its manifest says, to read from at will.
#[derive(Debug)]
pub enum Fetched {
    /// A small one.
    Memory(Bytes),
    /// The file itself, or a copy that is gone when this is.
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
            Err(error) if Self::is_missing(&error) => return Ok(None),
            Err(error) => return Err(self.failed("read", layer, path)(error)),
        };
        let size = found.meta.size;
        if size <= PART_BYTES {
            let bytes = found.bytes().await.map_err(self.failed("read", layer, path))?;
            return Ok(Some(stream::iter([Ok(bytes)]).boxed()));
        }
        // All parts are to be of the object that was found.
        let if_match = found.meta.e_tag.clone();
        drop(found);
        let (lake, path, shown) = (self.clone(), path.to_owned(), self.locate(layer, path));
        let starts = (0..size).step_by(PART);
        let parts = stream::iter(starts).map(move |start| {
            let (lake, path, location) = (lake.clone(), path.clone(), location.clone());
            let range = GetRange::Bounded(start..size.min(start + PART_BYTES));
            let options = GetOptions {
                range: Some(range),
                if_match: if_match.clone(),
                ..GetOptions::default()
            };
            // By itself: a part is not to wait for whoever takes the one before.
            let part = tokio::spawn(async move {
                let part = lake.layer(layer).store.get_opts(&location, options).await;
                let part = match part {
                    Ok(part) => part.bytes().await,
                    Err(error) => Err(error),
                };
                part.map_err(|error| match error {
                    object_store::Error::Precondition { .. }
                    | object_store::Error::NotFound { .. } => {
                        LakeError::Changed(lake.locate(layer, &path))
                    }
                    error => lake.failed("read", layer, &path)(error),
                })
            });
            let (part, shown) = (AbortOnDropHandle::new(part), shown.clone());
            async move { part.await.unwrap_or_else(|_| Err(LakeError::Changed(shown))) }
        });
        Ok(Some(parts.buffered(IN_FLIGHT).boxed()))
    }

    /// Reads an object on a thread that may block. With the SHA-256 it is to have, its end is an error
    /// when it has another one. Nothing is asked of the store before the first byte is.
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
            hasher: Sha256::new(),
            size_bytes: 0,
        }
    }

    /// Length in bytes and SHA-256 of an object; `None` when there is none.
    ///
    /// # Errors
    /// [`LakeError::Object`], [`LakeError::Changed`].
    pub async fn digest(&self, layer: Layer, path: &str) -> Result<Option<(u64, String)>> {
        let mut reader = self.reader(layer, path, None);
        let read = spawn_blocking(move || {
            let copied = io::copy(&mut reader, &mut io::sink());
            copied.map(|_| reader.digest())
        });
        match read.await.map_err(|error| self.cause(layer, path, error)) {
            Ok(digest) => Ok(Some(digest)),
            Err(LakeError::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes sure that a file is what its manifest says.
    ///
    /// # Errors
    /// [`LakeError::Damaged`] when it is missing or not what was written, [`LakeError::Object`].
    pub async fn verify(&self, layer: Layer, path: &str, sha256: &str) -> Result<()> {
        let mut reader = self.reader(layer, path, Some(sha256));
        let read = spawn_blocking(move || io::copy(&mut reader, &mut io::sink())).await;
        read.map(|_| ()).map_err(|error| self.cause(layer, path, error))
    }

    /// Reads a whole file of a manifest into memory, as it was written.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub async fn get_file(&self, layer: Layer, file: &TableFile) -> Result<Bytes> {
        let mut reader = self.reader(layer, &file.path, Some(&file.sha256));
        let read = spawn_blocking(move || {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).map(|_| bytes)
        });
        read.await.map(Bytes::from).map_err(|error| self.cause(layer, &file.path, error))
    }

    /// Fetches a file of a manifest, as it was written, to read from at will. A large one is kept in
    /// a file, not in memory.
    ///
    /// # Errors
    /// As [`Self::verify`], and [`LakeError::Spool`].
    pub async fn fetch(&self, layer: Layer, file: &TableFile) -> Result<Fetched> {
        if file.size_bytes <= PART_BYTES {
            return Ok(Fetched::Memory(self.get_file(layer, file).await?));
        }
        let path = file.path.clone();
        if let Place::Directory(directory) = &self.layer(layer).place {
            self.verify(layer, &path, &file.sha256).await?;
            let opened = File::open(directory.file(&path));
            return opened.map(Fetched::File).map_err(|error| self.cause(layer, &path, error));
        }
        let mut reader = self.reader(layer, &path, Some(&file.sha256));
        let (lake, shown) = (self.clone(), self.locate(layer, &path));
        spawn_blocking(move || {
            let directory = std::env::temp_dir().display().to_string();
            let spool = |source| LakeError::Spool {
                path: shown.clone(),
                directory: directory.clone(),
                source,
            };
            let mut copy = tempfile::tempfile().map_err(spool)?;
            loop {
                let part = reader.fill_buf().map_err(|error| lake.cause(layer, &path, error))?;
                if part.is_empty() {
                    break;
                }
                io::Write::write_all(&mut copy, part).map_err(spool)?;
                let read = part.len();
                reader.consume(read);
            }
            copy.rewind().map_err(spool)?;
            Ok(Fetched::File(copy))
        })
        .await
    }

    /// The lake's own error in what a [`Reader`] said.
    fn cause(&self, layer: Layer, path: &str, error: io::Error) -> LakeError {
        error.downcast::<LakeError>().unwrap_or_else(|source| LakeError::Directory {
            path: self.locate(layer, path),
            source,
        })
    }
}

/// Reads an object in parts that are fetched ahead, for threads that may block. Errors hold the
/// [`LakeError`].
#[derive(Debug)]
pub struct Reader {
    lake: Lake,
    layer: Layer,
    path: String,
    expected: Option<String>,
    runtime: Handle,
    /// `None` before the first byte is asked for.
    parts: Option<mpsc::Receiver<Result<Bytes>>>,
    current: Bytes,
    hasher: Sha256,
    size_bytes: u64,
}

impl Reader {
    /// Begins to fetch.
    fn start(&self) -> mpsc::Receiver<Result<Bytes>> {
        let (sender, receiver) = mpsc::channel(1);
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
                // Whoever reads may have had enough.
                if sender.send(part).await.is_err() || is_last {
                    return;
                }
            }
        });
        receiver
    }

    fn damaged(&self, problem: &str) -> LakeError {
        let path = self.lake.locate(self.layer, &self.path);
        LakeError::Damaged { path, problem: problem.to_owned() }
    }

    /// Length in bytes and SHA-256 of what has been read so far.
    fn digest(&self) -> (u64, String) {
        (self.size_bytes, hex::encode(self.hasher.clone().finalize()))
    }
}

impl BufRead for Reader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() {
            if self.parts.is_none() {
                self.parts = Some(self.start());
            }
            let Some(parts) = &mut self.parts else { break };
            match parts.blocking_recv() {
                Some(Ok(part)) => {
                    self.hasher.update(&part);
                    self.size_bytes += part.len() as u64;
                    self.current = part;
                }
                Some(Err(LakeError::Missing(_))) if self.expected.is_some() => {
                    return Err(io::Error::other(self.damaged("it is missing")));
                }
                Some(Err(error)) => return Err(io::Error::other(error)),
                None => {
                    if self.expected.as_ref().is_some_and(|expected| *expected != self.digest().1) {
                        if self.layer == Layer::Sources {
                            let path = self.lake.locate(self.layer, &self.path);
                            return Err(io::Error::other(LakeError::Replaced(path)));
                        }
                        let problem = "its SHA-256 is not the one in its manifest";
                        return Err(io::Error::other(self.damaged(problem)));
                    }
                    break;
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
