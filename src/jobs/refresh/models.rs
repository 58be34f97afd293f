//! Models: trained on the generation's purchases, compared with the last run's segments, and stored beside gold.

use std::sync::Arc;

use super::plan::NewGeneration;
use super::refresher::Refresher;
use super::steps::Steps;
use crate::blocking::{compute, spawn_blocking};
use crate::catalogue;
use crate::domain::files::TableFile;
use crate::domain::manifest::Manifest;
use crate::failpoint::failpoint;
use crate::jobs::error::{RefreshError, Result};
use crate::jobs::generation_reader;
use crate::lake::keys::Folder;
use crate::lake::writing::PartWriter;
use crate::lake::{LakeError, Layer};
use crate::pipeline::gold::Aggregates;
use crate::pipeline::ml::history::History;
use crate::pipeline::ml::{self, Artefact, LastSegments, Trained};
use crate::runs::{Flow, Step};

/// Trained models, with what they were trained on.
pub(super) struct NewModels {
    pub aggregates: Aggregates,
    pub trained: Trained,
    /// Each customer's segment in the last published run.
    pub last_segments: LastSegments,
    /// The models in the lake.
    pub file: TableFile,
}

impl Refresher {
    /// Trains, evaluates and scores, and writes the models.
    pub(super) async fn make_models(
        &self,
        new: &NewGeneration,
        aggregates: Aggregates,
        steps: &mut Steps<'_>,
    ) -> Result<NewModels> {
        let read = || self.last_segments(new.previous.as_ref());
        let last_segments = steps.retry("reading the last segments", read).await?;
        let (aggregates, trained, last_segments) =
            self.train(aggregates, last_segments, steps).await?;
        let file = self.write_models(new.folder, trained.artefact.clone(), steps).await?;
        failpoint!("models");
        Ok(NewModels { aggregates, trained, last_segments, file })
    }

    /// Trains on a blocking thread; returns its arguments as well, which that thread had to own.
    async fn train(
        &self,
        aggregates: Aggregates,
        last: LastSegments,
        steps: &mut Steps<'_>,
    ) -> Result<(Aggregates, Trained, LastSegments)> {
        steps.start(Step::Models, 1).await?;
        let options = self.models;
        let rows = aggregates.base.fact.height() as u64;
        let (aggregates, trained, last) = compute(move || {
            let base = &aggregates.base;
            let trained = ml::train(&History::new(&base.fact)?, base.as_of, &options, &last);
            Ok::<_, RefreshError>((aggregates, trained, last))
        })
        .await?;
        let serving = trained.candidates.iter().filter(|candidate| candidate.serves);
        let names: Vec<String> = serving
            .map(|candidate| format!("{} by {}", candidate.task.as_str(), candidate.method))
            .collect();
        let flow = Flow { rows_in: Some(rows), ..Flow::default() };
        steps.finish(Step::Models, &names.join(", "), flow).await;
        Ok((aggregates, trained, last))
    }

    /// Each customer's segment in the last published run; empty when there is none to compare with.
    async fn last_segments(&self, last: Option<&Manifest>) -> Result<LastSegments> {
        let table = &catalogue::CUSTOMER_SEGMENTS;
        let Some(entry) = last.and_then(|manifest| manifest.table(table.name)) else {
            return Ok(LastSegments::new());
        };
        match generation_reader::table(&self.lake, entry, Some(&ml::frames::SEGMENT_COLUMNS)).await
        {
            Ok(frame) => Ok(spawn_blocking(move || ml::frames::read_segments(&frame)).await?),
            // Without the comparison the run is still worth publishing.
            Err(RefreshError::Lake(LakeError::Damaged { path, problem })) => {
                tracing::warn!(path, problem, "cannot read the segments of the last run");
                Ok(LastSegments::new())
            }
            Err(error) => Err(error),
        }
    }

    async fn write_models(
        &self,
        folder: Folder,
        artefact: Artefact,
        steps: &Steps<'_>,
    ) -> Result<TableFile> {
        let artefact = Arc::new(artefact);
        let encode = move |to: &mut PartWriter| serde_json::to_writer(to, artefact.as_ref());
        self.write(Layer::Gold, folder.models(), encode, steps).await
    }

    /// Whether a generation's models are in the lake as they were written. If not, it takes a run to make
    /// them again.
    pub(super) async fn has_models(&self, manifest: &Manifest) -> Result<bool> {
        let Some(file) = &manifest.models else { return Ok(false) };
        match self.lake.verify(Layer::Gold, &file.path, &file.sha256).await {
            Ok(()) => Ok(true),
            Err(LakeError::Damaged { path, problem }) => {
                tracing::warn!(path, problem, "the models are damaged; training them again");
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}
