//! Writes the sample data set as source files, for a shop that has none yet.

use std::io::Write as _;

use super::error::RefreshError;
use super::sources;
use crate::lake::writing::PartWriter;
use crate::lake::{Lake, LakeError, Layer};
use crate::sample::{self, SampleError, Spec};
use crate::sources::is_hidden;

/// The folder that file systems make in the root of a volume.
const LOST_AND_FOUND: &str = "lost+found";

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

/// Whether the sample should be written: the sources layer is empty but for hidden files, or has only
/// part of a sample whose writing was interrupted. Files and folders of a shop, whatever they are, are
/// never taken for a sample.
///
/// # Errors
/// When the layer cannot be read.
pub async fn is_wanted(lake: &Lake) -> Result<bool, RefreshError> {
    lake.prepare().await?;
    let names = sources::names(lake).await?;
    let folders = lake.folders(Layer::Sources).await?;
    if folders.iter().any(|folder| !is_hidden(folder) && folder != LOST_AND_FOUND) {
        return Ok(false);
    }
    if names.is_empty() {
        return Ok(true);
    }
    let is_of_sample = |name: &String| sample::FILES.contains(&name.as_str());
    if !names.iter().all(is_of_sample) || names.len() == sample::FILES.len() {
        return Ok(false);
    }
    let hashes = sources::hashes(lake, &names).await?;
    sources::are_sample(lake, names.iter().zip(&hashes)).await
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
