//! The source files of a run: found, hashed and kept in bronze, where the pipeline reads them.

use super::refresh::RefreshError;
use crate::domain::manifest::{SourceFile, SourceKind};
use crate::domain::time::Timestamp;
use crate::lake::writing::PartWriter;
use crate::lake::{Lake, Layer, keys};
use crate::pipeline::silver::read::SourceText;
use crate::sample;

/// Names and kinds of the source files there are, by kind and name.
///
/// # Errors
/// When the layer cannot be listed.
pub async fn find(lake: &Lake) -> Result<Vec<(SourceKind, String)>, RefreshError> {
    let mut found: Vec<(SourceKind, String)> = lake
        .names(Layer::Sources)
        .await?
        .into_iter()
        .filter_map(|name| Some((SourceKind::of_file(&name)?, name)))
        .collect();
    found.sort();
    if let Some((_, name)) = found.iter().find(|(_, name)| name.contains(char::is_control)) {
        let path = lake.locate(Layer::Sources, &name.escape_default().to_string());
        return Err(RefreshError::Unspeakable(path));
    }
    Ok(found)
}

/// Hashes every source file.
///
/// # Errors
/// [`RefreshError::NoSources`] when there is none of a kind.
pub async fn read(lake: &Lake) -> Result<Vec<SourceFile>, RefreshError> {
    let found = find(lake).await?;
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

/// Hashes these files.
///
/// # Errors
/// [`RefreshError::Vanished`], or when one cannot be read.
pub async fn read_all(
    lake: &Lake,
    files: Vec<(SourceKind, String)>,
) -> Result<Vec<SourceFile>, RefreshError> {
    let mut sources = Vec::with_capacity(files.len());
    for (kind, name) in files {
        let Some((size_bytes, sha256)) = lake.digest(Layer::Sources, &name).await? else {
            return Err(RefreshError::Vanished(lake.locate(Layer::Sources, &name)));
        };
        let (bronze, arrived_at) = (keys::bronze(kind, &sha256), Timestamp::now());
        sources.push(SourceFile { kind, name, size_bytes, sha256, arrived_at, bronze });
    }
    Ok(sources)
}

/// Whether every source is the generated sample's, byte for byte.
///
/// # Errors
/// When the layer cannot be read.
pub async fn are_sample(lake: &Lake, sources: &[SourceFile]) -> Result<bool, RefreshError> {
    let truth = lake.get(Layer::Sources, sample::GROUND_TRUTH).await?;
    Ok(truth.is_some_and(|truth| {
        sources.iter().all(|source| sample::is_sample(&truth, &source.name, &source.sha256))
    }))
}

/// Keeps a source in bronze under its content's name, `anew` also where it is kept already. Returns
/// whether it was written.
///
/// # Errors
/// When the source has changed since it was hashed, or bronze cannot be written.
pub async fn keep(lake: &Lake, source: &SourceFile, anew: bool) -> Result<bool, RefreshError> {
    let SourceFile { bronze, size_bytes, name, sha256, .. } = source;
    let kept = lake.stamp(Layer::Bronze, bronze).await?;
    if !anew && kept.is_some_and(|kept| kept.size_bytes == *size_bytes) {
        return Ok(false);
    }
    let mut bytes = lake.reader(Layer::Sources, name, Some(sha256));
    let copy = move |to: &mut PartWriter| std::io::copy(&mut bytes, to).map(|_| ());
    lake.write(Layer::Bronze, bronze, copy).await?;
    Ok(true)
}

/// The files of a kind as bronze has them, to read once.
///
/// # Panics
/// Outside a tokio runtime.
pub fn texts(lake: &Lake, files: &[SourceFile], kind: SourceKind) -> Vec<SourceText<'static>> {
    let files = files.iter().filter(|file| file.kind == kind);
    let texts = files.map(|file| SourceText {
        name: file.name.clone(),
        text: Box::new(lake.reader(Layer::Bronze, &file.bronze, Some(&file.sha256))),
    });
    texts.collect()
}
