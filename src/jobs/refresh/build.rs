//! Building a generation: bronze, silver, gold, models, proof, and the manifest last.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use polars::prelude::DataFrame;
use tokio::sync::Semaphore;

use super::inputs::{Given, Inputs};
use super::steps::Steps;
use super::{ENGINE, RefreshError, Refresher, Result};
use crate::blocking::spawn_blocking;
use crate::catalogue;
use crate::domain::data_set::{DataSet, PerDataSet};
use crate::domain::digest::sha256_hex;
use crate::domain::manifest::{
    DataSetFiles, Manifest, SilverFiles, SourceFile, TableEntry, TableFile,
};
use crate::domain::schema::Table;
use crate::domain::time::Timestamp;
use crate::jobs::{Step, generation_reader, sources};
use crate::lake::keys::Folder;
use crate::lake::writing::PartWriter;
use crate::lake::{LakeError, Layer, keys, parquet};
use crate::pipeline::PipelineError;
use crate::pipeline::gold::{self, Aggregates, Gold, GoldTable};
use crate::pipeline::ml::history::History;
use crate::pipeline::ml::{self, Artefact, LastSegments, Trained};
use crate::pipeline::silver::quality::check_gate;
use crate::pipeline::silver::{self, Silver, partition};
use crate::runs::{Flow, RefreshRequest, RowCounts, RunQuality};
use crate::store::Publisher;

/// Objects that are being written at once, each in parts: a store that is far away answers late.
const WRITERS: usize = 3;

impl Refresher {
    /// Bronze, silver and gold of a new generation; the manifest is written last.
    pub(super) async fn build(
        &self,
        publisher: &dyn Publisher,
        run: Run,
        inputs: Inputs,
        steps: &mut Steps<'_>,
    ) -> Result<Manifest> {
        let files = inputs.files;
        let silver = self.silver(inputs.given, &files, run.started_at, steps).await?;
        let (silver, written) = self.write_silver(run.folder, silver, steps).await?;
        let bytes = written.all().map(|file| file.size_bytes).sum();
        steps.observer.reached("silver");
        let report = &silver.report;
        let found = RunQuality::from(report);
        steps.notes.quality = Some(found.clone());
        let quality = run.last.as_ref().map(|manifest| &manifest.quality);
        check_gate(report, quality, self.gate, run.request.force).map_err(|source| {
            let rejects = self.lake.locate(Layer::Silver, &run.folder.rejects_folder());
            RefreshError::Gate { source, rejects }
        })?;
        let counts = found.data_sets;
        let sum = |count: fn(&RowCounts) -> u64| counts.values().map(count).sum::<u64>();
        let valid = counts.iter().map(|(set, rows)| format!("{} {}, ", rows.valid, set.noun()));
        let rejected = sum(|rows| rows.rejected);
        let summary = format!("{}{rejected} rows rejected", valid.collect::<String>());
        let kept = sum(|rows| rows.valid);
        let flow =
            Flow { rows_in: Some(sum(|rows| rows.read)), rows_out: Some(kept), bytes: Some(bytes) };
        steps.finish(Step::Silver, &summary, flow).await;

        steps.start(Step::Gold, 1).await?;
        let (rows, asked) = (silver.valid, run.request.as_of);
        let aggregates = compute(move || gold::aggregate(&rows, asked)).await?;
        let purchases = aggregates.base.fact.height() as u64;
        let flow = Flow { rows_in: Some(kept), rows_out: Some(purchases), bytes: None };
        steps.finish(Step::Gold, &format!("as of {}", aggregates.base.as_of), flow).await;
        steps.observer.reached("gold");

        let last = steps
            .again("reading the last segments", || self.last_segments(run.last.as_ref()))
            .await?;
        let (aggregates, trained, last) = self.train(aggregates, last, steps).await?;
        let models = self.write_models(run.folder, trained.artefact.clone(), steps).await?;
        steps.observer.reached("models");

        steps.start(Step::Proof, catalogue::ALL.len()).await?;
        let (rules, trained_at) = (self.models, run.started_at.to_second());
        let Gold { tables, proof, as_of, purchases_after_as_of } =
            compute(move || gold::complete(aggregates, &trained, &rules, &last, trained_at))
                .await?;
        let mut entries = Vec::with_capacity(tables.len());
        {
            let (steps, folder) = (&*steps, run.folder);
            let writes = tables.into_iter().map(|table| self.write_gold(folder, table, steps));
            let mut written = stream::iter(writes).buffered(WRITERS);
            while let Some(entry) = written.try_next().await? {
                steps.observer.advanced(Step::Proof, &entry.name);
                entries.push(entry);
            }
        }
        steps.observer.reached("proof");
        let manifest = Manifest {
            generation: run.folder.generation,
            engine: ENGINE.to_owned(),
            fingerprint: run.fingerprint,
            as_of,
            started_at: run.started_at,
            committed_at: Timestamp::now(),
            sources: files,
            is_sample: run.is_sample,
            quality: silver.report,
            purchases_after_as_of,
            proof,
            tables: entries,
            models: Some(models),
            silver: Some(written),
        };
        self.commit(publisher, &manifest, steps).await?;
        steps.observer.reached("manifest");
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
        Ok(manifest)
    }

    /// Silver from wherever the pipeline begins; what comes from source files is kept in bronze first.
    async fn silver(
        &self,
        given: Given,
        files: &[SourceFile],
        run_start: Timestamp,
        steps: &mut Steps<'_>,
    ) -> Result<Silver> {
        if let Given::Silver(kept) = given {
            steps.start(Step::Silver, 1).await?;
            return steps
                .again("reading silver", || generation_reader::silver(&self.lake, &kept))
                .await;
        }
        let is_new = matches!(given, Given::Sources);
        if is_new {
            self.keep_sources(files, false, steps).await?;
        }
        steps.start(Step::Silver, 1).await?;
        match self.clean(files, run_start, steps).await {
            // Bronze is what its names say: the sources still are.
            Err(RefreshError::Lake(LakeError::Damaged { path, problem })) if is_new => {
                tracing::warn!(path, problem, "a source file is damaged and kept anew");
                self.keep_sources(files, true, steps).await?;
                steps.start(Step::Silver, 1).await?;
                self.clean(files, run_start, steps).await
            }
            cleaned => cleaned,
        }
    }

    /// Trains, judges and scores; returns what it was given as well.
    async fn train(
        &self,
        aggregates: Aggregates,
        last: LastSegments,
        steps: &mut Steps<'_>,
    ) -> Result<(Aggregates, Trained, LastSegments)> {
        steps.start(Step::Models, 1).await?;
        let rules = self.models;
        let rows = aggregates.base.fact.height() as u64;
        let (aggregates, trained, last) = compute(move || {
            let base = &aggregates.base;
            let trained = ml::train(&History::new(&base.fact)?, base.as_of, &rules, &last);
            Ok::<_, RefreshError>((aggregates, trained, last))
        })
        .await?;
        let serving = trained.entries.iter().filter(|entry| entry.serves);
        let told: Vec<String> = serving
            .map(|entry| format!("{} by {}", entry.task.as_str(), entry.method.as_str()))
            .collect();
        let flow = Flow { rows_in: Some(rows), ..Flow::default() };
        steps.finish(Step::Models, &told.join(", "), flow).await;
        Ok((aggregates, trained, last))
    }

    /// Keeps the source files in bronze, `anew` also those that are kept already.
    async fn keep_sources(
        &self,
        files: &[SourceFile],
        anew: bool,
        steps: &mut Steps<'_>,
    ) -> Result<()> {
        steps.start(Step::Bronze, files.len()).await?;
        let (mut new, mut bytes) = (0, 0);
        for file in files {
            let keep = || sources::store(&self.lake, file, anew);
            if steps.again("keeping a source file", keep).await? {
                new += 1;
                bytes += file.size_bytes;
            }
            steps.observer.advanced(Step::Bronze, &file.name);
        }
        let flow = Flow { bytes: Some(bytes), ..Flow::default() };
        steps.finish(Step::Bronze, &format!("{new} new of {}", files.len()), flow).await;
        steps.observer.reached("bronze");
        Ok(())
    }

    /// Silver of the source files that bronze has.
    async fn clean(
        &self,
        files: &[SourceFile],
        run_start: Timestamp,
        steps: &Steps<'_>,
    ) -> Result<Silver> {
        let rules = silver::CleaningOptions { max_amount: self.max_amount, run_start };
        let refine = async || {
            let texts = sources::texts(&self.lake, files);
            Ok(compute(move || silver::clean(texts, &rules)).await?)
        };
        let mut silver = match steps.again("reading and cleaning the source files", refine).await {
            // What cannot be understood may not be what came.
            Err(error @ RefreshError::Pipeline(PipelineError::BadSource { .. })) => {
                let verify = async || {
                    for file in files {
                        self.lake.verify(Layer::Bronze, &file.bronze, &file.sha256).await?;
                    }
                    Ok(())
                };
                steps.again("verifying bronze", verify).await?;
                return Err(error);
            }
            cleaned => cleaned?,
        };
        for file in files {
            silver.report.data_sets[file.data_set].files.push(file.name.clone());
        }
        Ok(silver)
    }

    /// Writes silver's rows, rejects and report; returns silver for what follows, and where it lies.
    async fn write_silver(
        &self,
        folder: Folder,
        silver: Silver,
        steps: &Steps<'_>,
    ) -> Result<(Silver, SilverFiles)> {
        let write = |path, frame| self.write_frame(Layer::Silver, path, frame, steps);
        let mut data_sets = PerDataSet::<DataSetFiles>::default();
        for set in DataSet::ALL.iter().copied() {
            let rejected = write(folder.rejects(set), silver.rejected[set].clone()).await?;
            let rows = silver.valid[set].clone();
            let parts = spawn_blocking(move || partition::split(set, &rows)).await?;
            let writes = parts
                .into_iter()
                .map(|(month, rows)| write(folder.silver(set, month.as_deref()), rows));
            let valid = stream::iter(writes).buffered(WRITERS).try_collect().await?;
            data_sets[set] = DataSetFiles { valid, rejected: Some(rejected) };
        }
        let report = silver.report.clone();
        let encode = move |to: &mut PartWriter| serde_json::to_writer_pretty(to, &report);
        let report = self.write(Layer::Silver, folder.quality_report(), encode, steps).await?;
        let files = SilverFiles { data_sets, report };
        Ok((silver, files))
    }

    /// Writes what `encode` makes, in parts while it is being made, again while that fails in passing.
    async fn write<E>(
        &self,
        layer: Layer,
        path: String,
        encode: impl FnOnce(&mut PartWriter) -> std::result::Result<(), E> + Clone + Send + 'static,
        steps: &Steps<'_>,
    ) -> Result<TableFile>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let write = async || Ok(self.lake.write(layer, &path, encode.clone()).await?);
        steps.again("writing to the lake", write).await
    }

    /// Writes a frame as Parquet.
    async fn write_frame(
        &self,
        layer: Layer,
        path: String,
        frame: DataFrame,
        steps: &Steps<'_>,
    ) -> Result<TableFile> {
        let encode = move |to: &mut PartWriter| parquet::encode(&mut frame.clone(), to);
        self.write(layer, path, encode, steps).await
    }

    /// Makes sure that everything a manifest refers to is there: somebody may have tidied up.
    async fn find_all(&self, manifest: &Manifest) -> Result<()> {
        /// Objects that are asked for at once.
        const AT_ONCE: usize = 8;
        let mut all = Vec::new();
        for file in &manifest.sources {
            all.push((Layer::Bronze, file.bronze.clone(), file.size_bytes));
        }
        for file in manifest.silver.iter().flat_map(SilverFiles::all) {
            all.push((Layer::Silver, file.path.clone(), file.size_bytes));
        }
        for file in manifest.gold_files() {
            all.push((Layer::Gold, file.path.clone(), file.size_bytes));
        }
        let found = all.into_iter().map(|(layer, path, size)| self.find(layer, path, size));
        stream::iter(found).buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn find(&self, layer: Layer, path: String, size_bytes: u64) -> Result<()> {
        let found = self.lake.head(layer, &path).await?;
        if found.is_some_and(|found| found.size_bytes == size_bytes) {
            return Ok(());
        }
        let (path, problem) = (self.lake.locate(layer, &path), "it is gone again".to_owned());
        Err(LakeError::Damaged { path, problem }.into())
    }

    /// Makes the generation exist. What decides is the right to publish: it is asked for once more;
    /// where the store can, another run's manifest is not written over either.
    async fn commit(
        &self,
        publisher: &dyn Publisher,
        manifest: &Manifest,
        steps: &Steps<'_>,
    ) -> Result<()> {
        let path = keys::manifest(manifest.generation);
        let json = serde_json::to_vec_pretty(manifest).map_err(|source| {
            RefreshError::Manifest { path: self.lake.locate(Layer::Gold, &path), source }
        })?;
        let json = Bytes::from(json);
        let commit = async || {
            self.find_all(manifest).await?;
            publisher.confirm_held().await?;
            self.claim_lake().await?;
            Ok(self.lake.commit(Layer::Gold, &path, json.clone()).await?)
        };
        steps.again("committing the generation", commit).await
    }

    /// Who was in which segment in the last published run; empty when there is none to compare with.
    async fn last_segments(&self, last: Option<&Manifest>) -> Result<LastSegments> {
        let table = &catalogue::CUSTOMER_SEGMENTS;
        let Some(entry) = last.and_then(|manifest| manifest.table(table.name)) else {
            return Ok(LastSegments::new());
        };
        match generation_reader::table(&self.lake, entry, Some(&ml::frames::SEGMENT_COLUMNS)).await
        {
            Ok(frame) => Ok(spawn_blocking(move || ml::frames::read_segments(&frame)).await?),
            // What the lake has lost is nothing to compare with, and no reason to stop.
            Err(RefreshError::Lake(LakeError::Damaged { path, problem })) => {
                tracing::warn!(path, problem, "the last run's segments cannot be read");
                Ok(LastSegments::new())
            }
            Err(error) => Err(error),
        }
    }

    /// Keeps what scores with the generation.
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

    async fn write_gold(
        &self,
        folder: Folder,
        built: GoldTable,
        steps: &Steps<'_>,
    ) -> Result<TableEntry> {
        let GoldTable { table, frame, totals } = built;
        let rows = frame.height() as u64;
        let file =
            self.write_frame(Layer::Gold, folder.gold_table(table.name), frame, steps).await?;
        let hash = content_hash(table, std::slice::from_ref(&file));
        Ok(TableEntry::new(table.name.to_owned(), rows, hash, vec![file], totals))
    }
}

/// Held by what computes, also after a run that was cancelled has given up waiting for it: two at once would
/// need twice the memory.
static COMPUTING: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(1)));

/// Computes something on a blocking thread, after what was being computed before.
async fn compute<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    // It is never closed.
    let permit = Arc::clone(&COMPUTING).acquire_owned().await.ok();
    spawn_blocking(move || {
        let _permit = permit;
        work()
    })
    .await
}

/// A new generation under construction.
pub struct Run {
    /// Where its objects go.
    pub folder: Folder,
    pub fingerprint: String,
    pub started_at: Timestamp,
    pub request: RefreshRequest,
    pub is_sample: bool,
    /// The last published run, unless that was of the sample and this one is not.
    pub last: Option<Manifest>,
}

/// Hash of a table's declaration and files: a store keeps rows and indexes, both must be the same.
fn content_hash(table: &Table, files: &[TableFile]) -> String {
    let mut text = format!("{:?} {:?} {:?}", table.key, table.order, table.access);
    for column in table.columns {
        let (name, ty) = (column.name, column.ty);
        let _ = write!(text, " {name}:{ty:?}:{}:{}", column.nullable, column.indexed);
    }
    for file in files {
        text.push_str(&file.sha256);
    }
    sha256_hex(text.as_bytes())
}
