//! The source files of a run: found, read, hashed and kept in bronze.

use bytes::Bytes;

use super::refresh::RefreshError;
use crate::domain::digest::sha256_hex;
use crate::domain::manifest::{SourceFile, SourceKind};
use crate::domain::time::Timestamp;
use crate::lake::{Lake, Layer, keys};
use crate::pipeline::silver::read::SourceBytes;
use crate::sample;
use crate::telemetry::spawn_blocking;

/// A source file with its bytes.
#[derive(Debug, Clone)]
pub struct Source {
    /// What the manifest says of it.
    pub file: SourceFile,
    /// Its content.
    pub bytes: Bytes,
}

impl Source {
    /// The view silver takes.
    pub fn as_bytes(&self) -> SourceBytes<'_> {
        SourceBytes { name: &self.file.name, bytes: &self.bytes }
    }
}

/// Names and kinds of the source files there are, by kind and name.
///
/// # Errors
/// When the layer cannot be listed.
pub fn find(lake: &Lake) -> Result<Vec<(SourceKind, String)>, RefreshError> {
    let mut found: Vec<(SourceKind, String)> = lake
        .names(Layer::Sources)?
        .into_iter()
        .filter_map(|name| Some((SourceKind::of_file(&name)?, name)))
        .collect();
    found.sort();
    Ok(found)
}

/// Reads and hashes every source file.
///
/// # Errors
/// [`RefreshError::NoSources`] when there is none of a kind.
pub async fn read(lake: &Lake) -> Result<Vec<Source>, RefreshError> {
    let found = find(lake)?;
    for (kind, pattern) in [
        (SourceKind::Clients, "clients*.csv"),
        (SourceKind::Achats, "achats*.csv or purchases*.csv"),
    ] {
        if found.iter().all(|(other, _)| *other != kind) {
            return Err(RefreshError::NoSources { pattern, place: lake.place(Layer::Sources) });
        }
    }
    read_all(lake, found).await
}

/// Reads and hashes these files.
///
/// # Errors
/// [`RefreshError::Vanished`], or when one cannot be read.
pub async fn read_all(
    lake: &Lake,
    files: Vec<(SourceKind, String)>,
) -> Result<Vec<Source>, RefreshError> {
    let mut sources = Vec::with_capacity(files.len());
    for (kind, name) in files {
        let Some(bytes) = lake.get(Layer::Sources, &name).await? else {
            return Err(RefreshError::Vanished(lake.locate(Layer::Sources, &name)));
        };
        let hashed = bytes.clone();
        let sha256 = spawn_blocking(move || sha256_hex(&hashed)).await;
        let file = SourceFile {
            kind,
            name,
            size_bytes: bytes.len() as u64,
            bronze: keys::bronze(kind, &sha256),
            sha256,
            arrived_at: Timestamp::now(),
        };
        sources.push(Source { file, bytes });
    }
    Ok(sources)
}

/// Whether every source is the generated sample's, byte for byte.
///
/// # Errors
/// When the layer cannot be read.
pub async fn are_sample(lake: &Lake, sources: &[Source]) -> Result<bool, RefreshError> {
    let truth = lake.get(Layer::Sources, sample::GROUND_TRUTH).await?;
    Ok(truth.is_some_and(|truth| {
        sources
            .iter()
            .all(|source| sample::is_sample(&truth, &source.file.name, &source.file.sha256))
    }))
}

/// Keeps a source in bronze under its content's name. Returns whether it was new.
///
/// # Errors
/// When bronze cannot be written.
pub async fn keep(lake: &Lake, source: &Source) -> Result<bool, RefreshError> {
    let SourceFile { bronze, size_bytes, .. } = &source.file;
    if lake.has(Layer::Bronze, bronze, *size_bytes).await? {
        return Ok(false);
    }
    lake.put(Layer::Bronze, bronze, source.bytes.clone()).await?;
    Ok(true)
}
