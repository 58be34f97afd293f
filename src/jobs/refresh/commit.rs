//! Commit: the proof, all tables in the lake, and the manifest last, which makes the generation exist.

use bytes::Bytes;

use super::models::NewModels;
use super::plan::NewGeneration;
use super::refresher::{ENGINE, Refresher};
use super::steps::Steps;
use crate::blocking::compute;
use crate::catalogue;
use crate::domain::files::SilverFiles;
use crate::domain::manifest::Manifest;
use crate::domain::quality::QualityReport;
use crate::domain::time::Timestamp;
use crate::failpoint::failpoint;
use crate::jobs::error::{RefreshError, Result};
use crate::lake::{Layer, keys};
use crate::pipeline::gold::{self, Gold};
use crate::runs::{Flow, Step};

impl Refresher {
    /// Completes gold with the models' scores, proves that all tables agree, writes them and commits.
    pub(super) async fn commit(
        &self,
        new: NewGeneration,
        quality: QualityReport,
        silver: SilverFiles,
        models: NewModels,
        steps: &mut Steps<'_>,
    ) -> Result<Manifest> {
        steps.start(Step::Proof, catalogue::ALL.len()).await?;
        let NewModels { aggregates, trained, last_segments, file } = models;
        let (options, trained_at) = (self.models, new.started_at.to_second());
        let gold =
            move || gold::complete(aggregates, &trained, &options, &last_segments, trained_at);
        let Gold { tables, proof, as_of, purchases_after_as_of } = compute(gold).await?;
        let tables = self.write_tables(new.folder, tables, steps).await?;
        failpoint!("proof");
        let manifest = Manifest {
            generation: new.folder.generation,
            engine: ENGINE.to_owned(),
            fingerprint: new.fingerprint,
            as_of,
            timezone: new.timezone,
            started_at: new.started_at,
            committed_at: Timestamp::now(),
            sources: new.sources,
            unread: new.unread,
            corrections: new.corrections,
            is_sample: new.is_sample,
            quality,
            purchases_after_as_of,
            proof,
            tables,
            models: Some(file),
            silver: Some(silver),
        };
        self.write_manifest(&manifest, steps).await?;
        failpoint!("manifest");
        finish(&manifest, steps).await;
        Ok(manifest)
    }

    /// Makes the generation exist. Whether this run still may is asked of the store once more; where the
    /// lake supports it, another run's manifest is not overwritten either.
    async fn write_manifest(&self, manifest: &Manifest, steps: &Steps<'_>) -> Result<()> {
        let path = keys::manifest(manifest.generation);
        let json = serde_json::to_vec_pretty(manifest).map_err(|source| RefreshError::Json {
            path: self.lake.locate(Layer::Gold, &path),
            source,
        })?;
        let json = Bytes::from(json);
        let commit = async || {
            // Files may have been removed from outside since they were written.
            self.lake.require_files_of(manifest).await?;
            steps.publisher.confirm_held().await?;
            self.claim_lake().await?;
            Ok(self.lake.commit(Layer::Gold, &path, json.clone()).await?)
        };
        steps.retry("committing the generation", commit).await
    }
}

async fn finish(manifest: &Manifest, steps: &mut Steps<'_>) {
    let rows: u64 = manifest.tables.iter().map(|table| table.rows).sum();
    let files = manifest.tables.iter().flat_map(|table| &table.files);
    let flow = Flow {
        rows_in: None,
        rows_out: Some(rows),
        bytes: Some(files.map(|file| file.size_bytes).sum()),
    };
    let summary = format!(
        "generation {}, {} tables, {rows} rows, {} checks hold",
        manifest.generation,
        manifest.tables.len(),
        manifest.proof.len()
    );
    steps.finish(Step::Proof, &summary, flow).await;
}
