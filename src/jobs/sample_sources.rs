//! The sample data set as source files, for a shop that has none yet.

use super::refresh::RefreshError;
use super::sources;
use crate::domain::manifest::SourceKind;
use crate::lake::{Lake, Layer};
use crate::sample::{self, SampleError, Spec};

/// What is in the sources layer.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    has_clients: bool,
    has_achats: bool,
    has_ground_truth: bool,
}

impl Found {
    /// Whether there is nothing, or a sample whose writing was interrupted.
    #[must_use]
    pub fn needs_sample(self) -> bool {
        match (self.has_clients, self.has_achats) {
            (false, false) => true,
            (true, true) => false,
            _ => self.has_ground_truth,
        }
    }
}

/// Why no sample was written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// There is no such sample.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The lake refused.
    #[error(transparent)]
    Lake(#[from] crate::lake::LakeError),
}

/// Looks for source files.
///
/// # Errors
/// When the layer cannot be listed.
pub async fn look(lake: &Lake) -> Result<Found, RefreshError> {
    let names = lake.names(Layer::Sources).await?;
    let files = sources::find(lake).await?;
    let has = |kind| files.iter().any(|(other, _)| *other == kind);
    Ok(Found {
        has_clients: has(SourceKind::Clients),
        has_achats: has(SourceKind::Achats),
        has_ground_truth: names.iter().any(|name| name == sample::GROUND_TRUTH),
    })
}

/// Writes a sample to the sources layer and returns where that is.
///
/// # Errors
/// When there is no such sample or the lake refuses.
pub async fn write(lake: &Lake, spec: Spec) -> Result<String, WriteError> {
    let _lock = lake.lock()?;
    lake.sweep_half_written(Layer::Sources, |name| sample::FILES.contains(&name))?;
    for (name, bytes) in sample::generate(spec)? {
        lake.put(Layer::Sources, name, bytes.into()).await?;
    }
    Ok(lake.place(Layer::Sources))
}
