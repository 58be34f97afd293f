//! Silver: source files into bronze, bronze into typed, clean rows, and the quality gate.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::plan::{NewGeneration, StartFrom};
use super::refresher::Refresher;
use super::steps::Steps;
use super::write::WRITERS;
use crate::blocking::{compute, spawn_blocking};
use crate::domain::data_set::{DataSet, PerDataSet};
use crate::domain::files::{DataSetFiles, RejectsFile, SilverFiles, SourceFile, TableFile};
use crate::domain::quality::QualityReport;
use crate::domain::time::Timestamp;
use crate::failpoint::failpoint;
use crate::jobs::corrections::{self, Loaded};
use crate::jobs::error::{RefreshError, Result};
use crate::jobs::{generation_reader, sources};
use crate::lake::keys::Folder;
use crate::lake::writing::PartWriter;
use crate::lake::{LakeError, Layer};
use crate::pipeline::PipelineError;
use crate::pipeline::silver::quality::{check_gate, checks};
use crate::pipeline::silver::{self, Silver, partition};
use crate::runs::{Flow, RowCounts, RunQuality, Step};
use crate::sources::read_all;

/// Silver of a new generation.
pub(super) struct NewSilver {
    pub rows: Silver,
    /// The same in the lake.
    pub files: SilverFiles,
}

impl Refresher {
    /// Makes silver, writes it, and stops the run if it does not pass the gate.
    pub(super) async fn make_silver(
        &self,
        new: &NewGeneration,
        steps: &mut Steps<'_>,
    ) -> Result<NewSilver> {
        let corrections = self.copy_corrections(new, steps).await?;
        let mut rows = self.clean_or_read(new, &corrections, steps).await?;
        let (rejects, changes) = self.document(new, &corrections, &mut rows, steps).await?;
        let previous = new.previous.as_ref().map(|manifest| &manifest.quality);
        self.check(&mut rows, previous).await?;
        let silver = self.write_silver(new.folder, rows, rejects, changes, steps).await?;
        failpoint!("silver");
        let report = &silver.rows.report;
        let SilverFiles { rejects, changes, .. } = silver.files.clone();
        let quality = RunQuality { rejects, changes, ..RunQuality::from(report) };
        steps.notes.quality = Some(quality.clone());
        // Before the gate may stop the run: what it found is what there is to correct.
        steps.write_notes().await;
        check_gate(report, previous, &self.gate, new.request.force).map_err(|source| {
            let rejects = self.lake.locate(Layer::Silver, &new.folder.rejects_folder());
            RefreshError::Gate { source, rejects }
        })?;
        let counts = quality.data_sets;
        let sum = |count: fn(&RowCounts) -> u64| counts.values().map(count).sum::<u64>();
        let valid = counts.iter().map(|(set, rows)| format!("{} {}, ", rows.valid, set.noun()));
        let rejected = sum(|rows| rows.rejected);
        let summary = format!("{}{rejected} rows rejected", valid.collect::<String>());
        let flow = Flow {
            rows_in: Some(sum(|rows| rows.read)),
            rows_out: Some(sum(|rows| rows.valid)),
            bytes: Some(silver.files.all().map(|file| file.size_bytes).sum()),
        };
        steps.finish(Step::Silver, &summary, flow).await;
        Ok(silver)
    }

    /// Adds the statistics of the rows and what they are checked for to the report.
    async fn check(&self, silver: &mut Silver, previous: Option<&QualityReport>) -> Result<()> {
        let valid = silver.valid.clone();
        let count = move || Ok::<_, RefreshError>(silver::statistics(&valid)?);
        silver.report.statistics = Some(spawn_blocking(count).await?);
        silver.report.checks = checks(&silver.report, previous, &self.gate);
        Ok(())
    }

    /// Silver from wherever the pipeline starts; source files are copied to bronze first.
    async fn clean_or_read(
        &self,
        new: &NewGeneration,
        corrections: &Loaded,
        steps: &mut Steps<'_>,
    ) -> Result<Silver> {
        let (files, started_at) = (&new.sources, new.started_at);
        if let StartFrom::Silver(silver) = &new.start_from {
            steps.start(Step::Silver, 1).await?;
            let read = || generation_reader::silver(&self.lake, silver);
            return steps.retry("reading silver", read).await;
        }
        let has_sources = matches!(new.start_from, StartFrom::Sources);
        if has_sources {
            self.copy_to_bronze(files, false, steps).await?;
        }
        steps.start(Step::Silver, 1).await?;
        match self.clean(files, corrections, started_at, steps).await {
            // Bronze is named by content: the sources, still unchanged, can replace what is damaged.
            Err(RefreshError::Lake(LakeError::Damaged { path, problem })) if has_sources => {
                tracing::warn!(path, problem, "a file in bronze is damaged; copying it again");
                self.copy_to_bronze(files, true, steps).await?;
                steps.start(Step::Silver, 1).await?;
                self.clean(files, corrections, started_at, steps).await
            }
            cleaned => cleaned,
        }
    }

    /// Copies files of corrected rows to bronze, and reads them there.
    async fn copy_corrections(&self, new: &NewGeneration, steps: &Steps<'_>) -> Result<Loaded> {
        if matches!(new.start_from, StartFrom::Sources) {
            for file in &new.corrections {
                let store = || sources::store(&self.lake, file.into(), false);
                steps.retry("copying a file of corrections to bronze", store).await?;
            }
        }
        let load = || corrections::load(&self.lake, Layer::Bronze, &new.corrections);
        steps.retry("reading corrections", load).await
    }

    /// Copies the source files to bronze; with `replace` also those that bronze has already.
    async fn copy_to_bronze(
        &self,
        files: &[SourceFile],
        replace: bool,
        steps: &mut Steps<'_>,
    ) -> Result<()> {
        steps.start(Step::Bronze, files.len()).await?;
        let (mut new, mut bytes) = (0, 0);
        for file in files {
            let store = || sources::store(&self.lake, file.into(), replace);
            if steps.retry("copying a source file to bronze", store).await? {
                new += 1;
                bytes += file.size_bytes;
            }
            steps.observer.advanced(Step::Bronze, &file.name);
        }
        let flow = Flow { bytes: Some(bytes), ..Flow::default() };
        steps.finish(Step::Bronze, &format!("{new} new of {}", files.len()), flow).await;
        failpoint!("bronze");
        Ok(())
    }

    /// Silver of source files in bronze.
    async fn clean(
        &self,
        files: &[SourceFile],
        corrections: &Loaded,
        started_at: Timestamp,
        steps: &Steps<'_>,
    ) -> Result<Silver> {
        let options = silver::CleaningOptions::new(self.cleaning.clone(), started_at);
        let clean = async || {
            let texts = sources::texts(&self.lake, Layer::Bronze, files, corrections);
            let options = options.clone();
            let clean = move || silver::clean(read_all(texts)?, &options);
            Ok(compute(clean).await?)
        };
        let mut silver = match steps.retry("reading and cleaning the source files", clean).await {
            // A file that cannot be read may be damaged rather than wrong: that is the error to report.
            Err(
                error @ RefreshError::Pipeline(
                    PipelineError::BadSource { .. } | PipelineError::Unreadable { .. },
                ),
            ) => {
                let verify = async || {
                    for file in files {
                        self.lake.verify(Layer::Bronze, &file.bronze, &file.sha256).await?;
                    }
                    Ok(())
                };
                steps.retry("verifying bronze", verify).await?;
                return Err(error);
            }
            cleaned => cleaned?,
        };
        for file in files {
            let warnings = file.verdict.iter().flat_map(|verdict| &verdict.warnings);
            let sentences = warnings.map(|warning| format!("{}: {warning}", file.name));
            silver.report.findings.extend(sentences);
            silver.report.data_sets[file.data_set].files.push(file.name.clone());
        }
        // Their dates may have decided which is the later.
        let QualityReport { data_sets, file_rows, .. } = &mut silver.report;
        let position = |name: &String| file_rows.iter().position(|rows| rows.file == *name);
        for set in DataSet::ALL {
            data_sets[*set].files.sort_by_key(position);
        }
        for rows in file_rows {
            rows.examples.clear();
        }
        Ok(silver)
    }

    /// Writes silver's rows, rejects and report.
    async fn write_silver(
        &self,
        folder: Folder,
        silver: Silver,
        rejects: Vec<RejectsFile>,
        changes: Option<TableFile>,
        steps: &Steps<'_>,
    ) -> Result<NewSilver> {
        let write = |path, frame| self.write_frame(Layer::Silver, path, frame, steps);
        let mut data_sets = PerDataSet::<DataSetFiles>::default();
        for set in DataSet::ALL.iter().copied() {
            let rejected = write(folder.rejects(set), silver.rejected[set].clone()).await?;
            let valid = silver.valid[set].clone();
            let parts = spawn_blocking(move || partition::split(set, &valid)).await?;
            let writes = parts
                .into_iter()
                .map(|(month, rows)| write(folder.silver(set, month.as_deref()), rows));
            let valid = stream::iter(writes).buffered(WRITERS).try_collect().await?;
            data_sets[set] = DataSetFiles { valid, rejected: Some(rejected) };
        }
        let report = silver.report.clone();
        let encode = move |to: &mut PartWriter| serde_json::to_writer_pretty(to, &report);
        let report = self.write(Layer::Silver, folder.quality_report(), encode, steps).await?;
        let files = SilverFiles { data_sets, report, rejects, changes };
        Ok(NewSilver { rows: silver, files })
    }
}
