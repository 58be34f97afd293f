//! Generations in the lake: which have a folder, what their manifests say, which files those list.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::error::{LakeError, Result};
use super::keys;
use super::layer::Layer;
use super::objects::Lake;
use crate::domain::files::SilverFiles;
use crate::domain::manifest::Manifest;

/// A file that a manifest lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedFile<'m> {
    /// Where it lies.
    pub layer: Layer,
    /// Path within the layer.
    pub path: &'m str,
    /// Its size, bytes.
    pub size_bytes: u64,
    /// Its SHA-256, hexadecimal.
    pub sha256: &'m str,
}

/// Every file that a manifest lists: bronze, silver, then gold with the models.
pub fn files_of(manifest: &Manifest) -> impl Iterator<Item = ListedFile<'_>> {
    let bronze = manifest.sources.iter().map(|file| ListedFile {
        layer: Layer::Bronze,
        path: &file.bronze,
        size_bytes: file.size_bytes,
        sha256: &file.sha256,
    });
    let corrections = manifest.corrections.iter().map(|file| ListedFile {
        layer: Layer::Bronze,
        path: &file.bronze,
        size_bytes: file.size_bytes,
        sha256: &file.sha256,
    });
    let silver = manifest.silver.iter().flat_map(SilverFiles::all);
    let silver = silver.map(|file| (Layer::Silver, file));
    let refined = silver.chain(manifest.gold_files().map(|file| (Layer::Gold, file)));
    bronze.chain(corrections).chain(refined.map(|(layer, file)| ListedFile {
        layer,
        path: &file.path,
        size_bytes: file.size_bytes,
        sha256: &file.sha256,
    }))
}

impl Lake {
    /// The manifest of a generation; `None` when it is not committed.
    ///
    /// # Errors
    /// [`LakeError::Manifest`] when it cannot be read as one.
    pub async fn manifest(&self, generation: u64) -> Result<Option<Manifest>> {
        let path = keys::manifest(generation);
        let Some(bytes) = self.get(Layer::Gold, &path).await? else { return Ok(None) };
        let manifest = serde_json::from_slice(&bytes).map_err(|source| LakeError::Manifest {
            path: self.locate(Layer::Gold, &path),
            source,
        })?;
        Ok(Some(manifest))
    }

    /// The numbers of the generations that have a folder in a layer, committed or not.
    ///
    /// # Errors
    /// When the layer cannot be listed.
    pub async fn generation_numbers(&self, layer: Layer) -> Result<BTreeSet<u64>> {
        let folders = self.folders(layer).await?;
        Ok(folders.iter().filter_map(|folder| keys::generation_number(folder)).collect())
    }

    /// Makes sure that every file a manifest lists is there, with its size.
    ///
    /// # Errors
    /// [`LakeError::Damaged`] for one that is not.
    pub async fn require_files_of(&self, manifest: &Manifest) -> Result<()> {
        /// Objects asked for at once.
        const CONCURRENCY: usize = 8;
        let files: Vec<_> = files_of(manifest)
            .map(|file| self.require(file.layer, file.path.to_owned(), file.size_bytes))
            .collect();
        stream::iter(files).buffer_unordered(CONCURRENCY).try_collect().await
    }

    async fn require(&self, layer: Layer, path: String, size_bytes: u64) -> Result<()> {
        let found = self.head(layer, &path).await?;
        if found.is_some_and(|found| found.size_bytes == size_bytes) {
            return Ok(());
        }
        let problem = "it was removed or replaced during the run".to_owned();
        Err(LakeError::Damaged { path: self.locate(layer, &path), problem })
    }
}
