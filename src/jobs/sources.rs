//! The source files of a run: found, hashed and stored in bronze, where the pipeline reads them.

use std::collections::BTreeSet;

use super::error::RefreshError;
use crate::domain::data_set::{DataSet, PerDataSet};
use crate::domain::manifest::SourceFile;
use crate::domain::time::Timestamp;
use crate::lake::writing::PartWriter;
use crate::lake::{Lake, Layer, keys};
use crate::pipeline::silver::read::SourceText;
use crate::sample;

/// Lists the source files with their data sets, by data set and name.
///
/// # Errors
/// When the layer cannot be listed, or a name cannot be printed.
pub async fn find(lake: &Lake) -> Result<Vec<(DataSet, String)>, RefreshError> {
    let mut found: Vec<(DataSet, String)> = lake
        .names(Layer::Sources)
        .await?
        .into_iter()
        .filter_map(|name| Some((DataSet::of_file(&name)?, name)))
        .collect();
    found.sort();
    if let Some((_, name)) = found.iter().find(|(_, name)| name.contains(char::is_control)) {
        let path = lake.locate(Layer::Sources, &name.escape_default().to_string());
        return Err(RefreshError::BadFileName(path));
    }
    Ok(found)
}

/// The first required data set that none of these data sets is.
pub fn first_missing(found: impl Iterator<Item = DataSet>) -> Option<DataSet> {
    let found: BTreeSet<DataSet> = found.collect();
    DataSet::ALL.iter().copied().find(|set| set.is_required() && !found.contains(set))
}

/// Hashes every source file.
///
/// # Errors
/// [`RefreshError::NoSources`] when a required data set has no file.
pub async fn read(lake: &Lake) -> Result<Vec<SourceFile>, RefreshError> {
    let found = find(lake).await?;
    if let Some(missing) = first_missing(found.iter().map(|(set, _)| *set)) {
        let pattern = missing.file_pattern();
        return Err(RefreshError::NoSources { pattern, place: lake.place(Layer::Sources) });
    }
    read_all(lake, found).await
}

/// Hashes these files.
///
/// # Errors
/// [`RefreshError::Vanished`], or when a file cannot be read.
pub async fn read_all(
    lake: &Lake,
    files: Vec<(DataSet, String)>,
) -> Result<Vec<SourceFile>, RefreshError> {
    let mut sources = Vec::with_capacity(files.len());
    for (data_set, name) in files {
        let Some((size_bytes, sha256)) = lake.digest(Layer::Sources, &name).await? else {
            return Err(RefreshError::Vanished(lake.locate(Layer::Sources, &name)));
        };
        let (bronze, arrived_at) = (keys::bronze(data_set, &sha256), Timestamp::now());
        sources.push(SourceFile { data_set, name, size_bytes, sha256, arrived_at, bronze });
    }
    Ok(sources)
}

/// Whether every source is a file of the generated sample, byte for byte.
///
/// # Errors
/// When the layer cannot be read.
pub async fn are_sample(lake: &Lake, sources: &[SourceFile]) -> Result<bool, RefreshError> {
    let truth = lake.get(Layer::Sources, sample::GROUND_TRUTH).await?;
    Ok(truth.is_some_and(|truth| {
        sources.iter().all(|source| sample::is_sample(&truth, &source.name, &source.sha256))
    }))
}

/// Stores a source in bronze under its content's name; with `overwrite` also if it is there
/// already. Returns whether it was written.
///
/// # Errors
/// When the source has changed since it was hashed, or bronze cannot be written.
pub async fn store(
    lake: &Lake,
    source: &SourceFile,
    overwrite: bool,
) -> Result<bool, RefreshError> {
    let SourceFile { bronze, size_bytes, name, sha256, .. } = source;
    let stored = lake.head(Layer::Bronze, bronze).await?;
    if !overwrite && stored.is_some_and(|stored| stored.size_bytes == *size_bytes) {
        return Ok(false);
    }
    let mut bytes = lake.reader(Layer::Sources, name, Some(sha256));
    let copy = move |to: &mut PartWriter| std::io::copy(&mut bytes, to).map(|_| ());
    lake.write(Layer::Bronze, bronze, copy).await?;
    Ok(true)
}

/// Opens the files of each data set in bronze, to be read once.
///
/// # Panics
/// Outside a tokio runtime.
pub fn texts(lake: &Lake, files: &[SourceFile]) -> PerDataSet<Vec<SourceText<'static>>> {
    PerDataSet::from_fn(|set| {
        let files = files.iter().filter(|file| file.data_set == set);
        let texts = files.map(|file| SourceText {
            name: file.name.clone(),
            text: Box::new(lake.reader(Layer::Bronze, &file.bronze, Some(&file.sha256))),
        });
        texts.collect()
    })
}
