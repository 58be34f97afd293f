//! Writes the sample data set as source files, for a shop that has none yet.

use std::io::Write as _;

use super::error::RefreshError;
use super::sources;
use crate::lake::writing::PartWriter;
use crate::lake::{Lake, LakeError, Layer};
use crate::sample::{self, SampleError, Spec};

/// Why no sample was written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The sample cannot be generated.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The lake failed.
    #[error(transparent)]
    Lake(#[from] LakeError),
}

/// Whether the sample should be written: there is no source file, or only part of a sample whose
/// writing was interrupted. A shop's own files are never taken for a sample.
///
/// # Errors
/// When the layer cannot be read.
pub async fn is_wanted(lake: &Lake) -> Result<bool, RefreshError> {
    lake.prepare().await?;
    let files = sources::find(lake).await?;
    if sources::first_missing(files.iter().map(|(set, _)| *set)).is_none() {
        return Ok(false);
    }
    if files.is_empty() {
        return Ok(true);
    }
    let part = sources::read_all(lake, files).await?;
    sources::are_sample(lake, &part).await
}

/// Writes a sample to the sources layer. Returns that layer's location.
///
/// # Errors
/// [`WriteError`].
pub async fn write(lake: &Lake, spec: Spec) -> Result<String, WriteError> {
    let _lock = lake.lock()?;
    let is_sample_file: fn(&str) -> bool = |name| sample::FILES.contains(&name);
    lake.remove_incomplete(Layer::Sources, is_sample_file, false).await?;
    for (name, bytes) in sample::generate(spec)? {
        let write = move |to: &mut PartWriter| to.write_all(&bytes);
        lake.write(Layer::Sources, name, write).await?;
    }
    Ok(lake.place(Layer::Sources))
}
