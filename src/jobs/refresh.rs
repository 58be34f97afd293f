//! The refresh: sources → bronze → silver → gold → models → proof → publish, all or nothing.
//!
//! Two commit points, each written last: the manifest in the lake makes a generation exist, the
//! store's pointer makes it served. A run that ends between them, however it ends, leaves the old
//! generation served; the next run removes what it left or publishes what was complete.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use polars::prelude::DataFrame;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::sources::{self, Source};
use super::{Observer, Step};
use crate::domain::digest::sha256_hex;
use crate::domain::manifest::{
    Manifest, Memo, Published, SourceFile, SourceKind, TableEntry, TableFile,
};
use crate::domain::run::{RefreshRequest, RunEnd, RunKind, RunStep, RunTrigger};
use crate::domain::schema::Table;
use crate::domain::time::{Day, Timestamp};
use crate::lake::{Lake, LakeError, Layer, keys, parquet};
use crate::lock::Lock;
use crate::pipeline::gold::{self, Gold, GoldTable, Refined};
use crate::pipeline::model::history::History;
use crate::pipeline::model::{self, Artefact, LastSegments, Rules, Trained};
use crate::pipeline::silver::quality::{Gate, check_gate};
use crate::pipeline::silver::{self, Silver};
use crate::pipeline::{PipelineError, rows, tables};
use crate::store::{Cause, GoldStore, Publisher, Reached, StoreError, end_run};
use crate::telemetry::{sentence, spawn_blocking};

/// What builds gold here, for manifests and fingerprints.
const ENGINE: &str = concat!("goldsmith ", env!("CARGO_PKG_VERSION"));

/// What a refresh works with.
#[derive(Debug, Clone)]
pub struct Refresher {
    /// Where sources come from and generations go.
    pub lake: Lake,
    /// Where they are served from.
    pub store: Arc<dyn GoldStore>,
    /// Where the quality gate closes.
    pub gate: Gate,
    /// Greatest acceptable amount of one purchase, EUR.
    pub max_amount: f64,
    /// How models are trained.
    pub models: Rules,
    /// Generations to keep in lake and store.
    pub keep_generations: usize,
}

/// Why a refresh did not publish.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// There is nothing to read.
    #[error("there is no {pattern} in {place}")]
    NoSources {
        /// What was looked for.
        pattern: &'static str,
        /// Where.
        place: String,
    },
    /// Nobody knows yet what that day will have brought.
    #[error("{as_of} lies in the future: the last day to refresh as of is {today}")]
    Future {
        /// The instant asked for.
        as_of: Timestamp,
        /// The present day.
        today: Day,
    },
    /// A file disappeared while it was being read.
    #[error("{0} disappeared while it was being read")]
    Vanished(String),
    /// Silver does not pass the gate.
    #[error("{source}; the rejected rows are in {rejects}")]
    Gate {
        /// Why.
        source: PipelineError,
        /// Where the rejected rows are kept until the next run.
        rejects: String,
    },
    /// The lake refused.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The pipeline stopped.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// The serving store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Somebody asked it to stop.
    #[error("the run was cancelled")]
    Cancelled,
    /// A manifest cannot be read or written.
    #[error("{path} is not a manifest")]
    Manifest {
        /// Where it lies.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
}

impl From<polars::error::PolarsError> for RefreshError {
    fn from(error: polars::error::PolarsError) -> Self {
        Self::Pipeline(error.into())
    }
}

/// The result of a refresh step.
type Result<T> = std::result::Result<T, RefreshError>;

/// How a refresh ended well.
#[derive(Debug)]
pub enum Outcome {
    /// The sources are those of a generation that was published already.
    Unchanged {
        /// That generation.
        generation: u64,
        /// The generation served, another one after a rollback.
        active: u64,
    },
    /// A generation was published.
    Published(Box<Report>),
}

/// What a refresh did.
#[derive(Debug)]
pub struct Report {
    /// The published generation.
    pub manifest: Manifest,
    /// Whether gold was found complete in the lake, left by a run that ended before publishing.
    pub resumed: bool,
    /// Tables written to the store.
    pub tables_written: usize,
    /// Tables the store had already.
    pub tables_reused: usize,
    /// Why older generations could not be removed; the new one is served all the same.
    pub not_swept: Option<RefreshError>,
    /// The steps, in order.
    pub steps: Vec<StepDone>,
}

/// A step that ended well.
#[derive(Debug, Clone)]
pub struct StepDone {
    /// Which.
    pub step: Step,
    /// How long it took.
    pub took: Duration,
    /// With what it ended.
    pub summary: String,
}

/// Times steps, tells the observer, writes into the run's record how far it is, and stops where
/// somebody asked for it.
struct Steps<'a> {
    publisher: &'a dyn Publisher,
    observer: &'a dyn Observer,
    cancel: &'a CancellationToken,
    done: Vec<StepDone>,
    noted: Vec<RunStep>,
    started: Instant,
}

impl Steps<'_> {
    async fn start(&mut self, step: Step, parts: usize) -> Result<()> {
        self.go_on()?;
        self.started = Instant::now();
        self.observer.started(step, parts as u64);
        self.noted.push(RunStep {
            step: step.to_string(),
            started_at: Timestamp::now(),
            ended_at: None,
            summary: String::new(),
        });
        self.note().await;
        Ok(())
    }

    async fn finish(&mut self, step: Step, summary: &str) {
        let took = self.started.elapsed();
        tracing::info!(%step, seconds = took.as_secs_f64(), "{summary}");
        self.observer.finished(step, took, summary);
        self.done.push(StepDone { step, took, summary: summary.to_owned() });
        if let Some(noted) = self.noted.last_mut() {
            noted.ended_at = Some(Timestamp::now());
            summary.clone_into(&mut noted.summary);
        }
        self.note().await;
    }

    /// What cannot be noted is no reason to stop: the steps that write would fail themselves.
    async fn note(&self) {
        if let Err(error) = self.publisher.note(&self.noted).await {
            tracing::warn!(error = sentence(&error), "how far the run is could not be recorded");
        }
    }

    fn go_on(&self) -> Result<()> {
        if self.cancel.is_cancelled() { Err(RefreshError::Cancelled) } else { Ok(()) }
    }
}

/// A run that holds the lake and the right to publish, and has not begun to work.
#[derive(Debug)]
pub struct Begun {
    _lock: Lock,
    publisher: Box<dyn Publisher>,
}

impl Begun {
    /// Its number.
    #[must_use]
    pub fn run(&self) -> u64 {
        self.publisher.run()
    }
}

impl Refresher {
    /// Takes the lake and the right to publish, and starts the record of a run.
    ///
    /// # Errors
    /// [`RefreshError`] when another run has either, or neither can be had.
    pub async fn begin(&self, trigger: RunTrigger) -> Result<Begun> {
        let lock = self.lake.lock()?;
        let publisher = self.store.publisher(RunKind::Refresh, trigger).await?;
        Ok(Begun { _lock: lock, publisher })
    }

    /// Runs the pipeline once. `cancel` stops it before anything is switched, leaving nothing
    /// published in part.
    ///
    /// # Errors
    /// [`RefreshError`]; whatever it is, what was published stays published.
    pub async fn run(
        &self,
        begun: Begun,
        request: RefreshRequest,
        observer: &dyn Observer,
        cancel: &CancellationToken,
    ) -> Result<Outcome> {
        let Begun { _lock, publisher } = begun;
        let mut steps = Steps {
            publisher: publisher.as_ref(),
            observer,
            cancel,
            done: Vec::new(),
            noted: Vec::new(),
            started: Instant::now(),
        };
        let work = self.run_alone(publisher.as_ref(), request, &mut steps);
        // A panic ends the record as well, before it goes on.
        let outcome = AssertUnwindSafe(work).catch_unwind().await;
        let end = match &outcome {
            Ok(Ok(_)) => RunEnd::Succeeded,
            Ok(Err(RefreshError::Cancelled)) => RunEnd::Cancelled,
            Ok(Err(error)) => RunEnd::Failed(sentence(error)),
            Err(_) => RunEnd::Failed("the run panicked; the log says where".to_owned()),
        };
        end_run(publisher, end).await;
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    }

    async fn run_alone(
        &self,
        publisher: &dyn Publisher,
        request: RefreshRequest,
        steps: &mut Steps<'_>,
    ) -> Result<Outcome> {
        let run_start = Timestamp::now();
        if let Some(as_of) = request.as_of
            && as_of > run_start.day().end()
        {
            return Err(RefreshError::Future { as_of, today: run_start.day() });
        }
        steps.start(Step::Sources, 1).await?;
        let sources = sources::read(&self.lake).await?;
        let files: Vec<SourceFile> = sources.iter().map(|source| source.file.clone()).collect();
        let fingerprint = self.fingerprint(&files, request);
        let bytes: u64 = files.iter().map(|file| file.size_bytes).sum();
        steps.finish(Step::Sources, &format!("{} files, {bytes} bytes", files.len())).await;

        let kept = self.store.generations().await?;
        let active = publisher.active().await?;
        if !request.force
            && let Some(active) = &active
            && let Some(newest) = kept.last()
            && is_current(&newest.manifest, &fingerprint, run_start)
            && self.has_models(&newest.manifest).await?
        {
            self.clear_debris().await?;
            self.repair(publisher, active).await?;
            publisher.sweep(self.keep_generations).await?;
            return Ok(Outcome::Unchanged {
                generation: newest.manifest.generation,
                active: active.manifest.generation,
            });
        }

        let committed = self.clear_debris().await?;
        let newest_stored = kept.last().map_or(0, |newest| newest.manifest.generation);
        let newest_lake = committed.last().copied().unwrap_or(0);
        // A generation that is complete in the lake and was never published.
        let left_over = match self.manifest(newest_lake).await? {
            Some(manifest)
                if !request.force
                    && newest_lake > newest_stored
                    && is_current(&manifest, &fingerprint, run_start)
                    && self.passes_gate(&manifest, kept.last())
                    && self.has_models(&manifest).await? =>
            {
                Some(manifest)
            }
            _ => None,
        };
        let resumed = left_over.is_some();
        let manifest = if let Some(manifest) = left_over {
            manifest
        } else {
            let is_sample = sources::are_sample(&self.lake, &sources).await?;
            let run = Run {
                generation: newest_stored.max(newest_lake) + 1,
                fingerprint,
                started_at: run_start,
                request,
                is_sample,
                last: kept
                    .last()
                    .filter(|newest| is_sample || !newest.manifest.is_sample)
                    .map(|newest| newest.manifest.clone()),
            };
            {
                // What is being computed is given up where it stands; nothing of it is published.
                let cancel = steps.cancel;
                tokio::select! {
                    built = self.build(run, sources, steps) => built?,
                    () = cancel.cancelled() => return Err(RefreshError::Cancelled),
                }
            }
        };

        let (tables_written, tables_reused) = self.publish(publisher, &manifest, steps).await?;
        // The new generation is served by now: what is left over is for the next run.
        let not_swept = self.sweep(publisher, steps).await.err();
        Ok(Outcome::Published(Box::new(Report {
            manifest,
            not_swept,
            resumed,
            tables_written,
            tables_reused,
            steps: std::mem::take(&mut steps.done),
        })))
    }

    /// Brings back what of the active generation is missing in the store: tables that somebody
    /// dropped, names that an earlier run did not get to.
    async fn repair(&self, publisher: &dyn Publisher, active: &Published) -> Result<()> {
        for entry in &active.manifest.tables {
            let Some(table) = tables::by_name(&entry.name) else { continue };
            if !publisher.has_table(table, entry).await? {
                tracing::warn!(table = table.name, "a table is missing and written again");
                self.publish_table(publisher, table, entry, &|_| {}, &CancellationToken::new())
                    .await?;
            }
        }
        if !self.store.audit_names(active).await?.is_empty() {
            publisher.repair_names(active).await?;
        }
        Ok(())
    }

    /// Whether a generation that was built, perhaps past the gate, would pass it.
    fn passes_gate(&self, manifest: &Manifest, last: Option<&Published>) -> bool {
        let last = last.map(|last| &last.manifest);
        let last = last.filter(|last| manifest.is_sample || !last.is_sample);
        check_gate(&manifest.quality, last.map(|last| &last.quality), self.gate, false).is_ok()
    }

    /// Whether what scores is still there as it was written. If not, it takes a run to make it again.
    async fn has_models(&self, manifest: &Manifest) -> Result<bool> {
        let Some(file) = &manifest.models else { return Ok(false) };
        match self.lake.get_file(file).await {
            Ok(_) => Ok(true),
            Err(LakeError::Damaged { path, problem }) => {
                tracing::warn!(path, problem, "the models are damaged and made again");
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Equal for runs that give equal gold.
    fn fingerprint(&self, files: &[SourceFile], request: RefreshRequest) -> String {
        let sources: Vec<_> =
            files.iter().map(|file| json!([file.kind, file.name, file.sha256])).collect();
        let inputs = json!({
            "engine": ENGINE,
            "sources": sources,
            "as_of": request.as_of,
            "max_amount": self.max_amount,
            "models": self.models,
        });
        sha256_hex(inputs.to_string().as_bytes())
    }

    /// Removes what ended runs left behind and returns the generations that are committed,
    /// ascending.
    async fn clear_debris(&self) -> Result<Vec<u64>> {
        for layer in [Layer::Bronze, Layer::Silver, Layer::Gold] {
            self.lake.sweep_half_written(layer, |_| true)?;
        }
        let mut committed = Vec::new();
        for number in self.generation_folders(Layer::Gold).await? {
            if self.lake.get(Layer::Gold, &keys::manifest(number)).await?.is_some() {
                committed.push(number);
            } else {
                self.lake.delete_folder(Layer::Gold, &keys::generation(number)).await?;
            }
        }
        for number in self.generation_folders(Layer::Silver).await? {
            if !committed.contains(&number) {
                self.lake.delete_folder(Layer::Silver, &keys::generation(number)).await?;
            }
        }
        Ok(committed)
    }

    /// The numbers of the generations that have a folder in a layer, ascending.
    async fn generation_folders(&self, layer: Layer) -> Result<Vec<u64>> {
        let folders = self.lake.folders(layer).await?;
        let mut numbers: Vec<u64> =
            folders.iter().filter_map(|folder| keys::generation_number(folder)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    async fn manifest(&self, generation: u64) -> Result<Option<Manifest>> {
        let path = keys::manifest(generation);
        let Some(bytes) = self.lake.get(Layer::Gold, &path).await? else {
            return Ok(None);
        };
        let manifest = serde_json::from_slice(&bytes).map_err(|source| RefreshError::Manifest {
            path: self.lake.locate(Layer::Gold, &path),
            source,
        })?;
        Ok(Some(manifest))
    }

    /// Bronze, silver and gold of a new generation; the manifest is written last.
    async fn build(
        &self,
        run: Run,
        sources: Vec<Source>,
        steps: &mut Steps<'_>,
    ) -> Result<Manifest> {
        steps.start(Step::Bronze, sources.len()).await?;
        let mut new = 0;
        for source in &sources {
            new += usize::from(sources::keep(&self.lake, source).await?);
            steps.observer.advanced(Step::Bronze, &source.file.name);
        }
        steps.finish(Step::Bronze, &format!("{new} new of {}", sources.len())).await;
        steps.observer.reached("bronze");

        steps.start(Step::Silver, 1).await?;
        let files: Vec<SourceFile> = sources.iter().map(|source| source.file.clone()).collect();
        let rules = silver::Rules { max_amount: self.max_amount, run_start: run.started_at };
        let mut silver = spawn_blocking(move || refine(&sources, &rules)).await?;
        for (quality, kind) in [
            (&mut silver.report.clients, SourceKind::Clients),
            (&mut silver.report.achats, SourceKind::Achats),
        ] {
            let names = files.iter().filter(|file| file.kind == kind);
            quality.files = names.map(|file| file.name.clone()).collect();
        }
        let silver = self.write_silver(run.generation, silver).await?;
        steps.observer.reached("silver");
        let report = &silver.report;
        let quality = run.last.as_ref().map(|manifest| &manifest.quality);
        check_gate(report, quality, self.gate, run.request.force).map_err(|source| {
            let rejects = self.lake.locate(Layer::Silver, &keys::rejects_folder(run.generation));
            RefreshError::Gate { source, rejects }
        })?;
        let rejected = report.clients.rows_rejected() + report.achats.rows_rejected();
        steps
            .finish(
                Step::Silver,
                &format!(
                    "{} customers, {} purchases, {rejected} rows rejected",
                    report.clients.rows_valid, report.achats.rows_valid
                ),
            )
            .await;

        steps.start(Step::Gold, 1).await?;
        let (clients, achats) = (silver.clients, silver.achats);
        let asked = run.request.as_of;
        let refined = spawn_blocking(move || gold::refine(&clients, &achats, asked)).await?;
        steps.finish(Step::Gold, &format!("as of {}", refined.as_of)).await;
        steps.observer.reached("gold");

        let last = self.last_segments(run.last.as_ref()).await?;
        let (refined, trained, last) = self.train(refined, last, steps).await?;
        let models = self.write_models(run.generation, &trained.artefact).await?;
        steps.observer.reached("models");

        steps.start(Step::Proof, tables::ALL.len()).await?;
        let (rules, trained_at) = (self.models, run.started_at.to_second());
        let Gold { tables, proof, as_of, purchases_after_as_of } =
            spawn_blocking(move || gold::complete(refined, &trained, &rules, &last, trained_at))
                .await?;
        let mut entries = Vec::with_capacity(tables.len());
        for table in tables {
            let name = table.table.name;
            entries.push(self.write_gold(run.generation, table).await?);
            steps.observer.advanced(Step::Proof, name);
        }
        steps.observer.reached("proof");
        let manifest = Manifest {
            generation: run.generation,
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
        };
        self.write_json(Layer::Gold, &keys::manifest(run.generation), &manifest).await?;
        steps.observer.reached("manifest");
        let rows: u64 = manifest.tables.iter().map(|table| table.rows).sum();
        steps
            .finish(
                Step::Proof,
                &format!(
                    "generation {}, {} tables, {rows} rows, {} checks hold",
                    manifest.generation,
                    manifest.tables.len(),
                    manifest.proof.len()
                ),
            )
            .await;
        Ok(manifest)
    }

    /// Trains, judges and scores; returns what it was given as well.
    async fn train(
        &self,
        refined: Refined,
        last: LastSegments,
        steps: &mut Steps<'_>,
    ) -> Result<(Refined, Trained, LastSegments)> {
        steps.start(Step::Models, 1).await?;
        let rules = self.models;
        let (refined, trained, last) = spawn_blocking(move || {
            let trained = model::train(&History::new(&refined.fact)?, refined.as_of, &rules, &last);
            Ok::<_, RefreshError>((refined, trained, last))
        })
        .await?;
        let serving = trained.entries.iter().filter(|entry| entry.serves);
        let told: Vec<String> = serving
            .map(|entry| format!("{} by {}", entry.task.word(), entry.method.word()))
            .collect();
        steps.finish(Step::Models, &told.join(", ")).await;
        Ok((refined, trained, last))
    }

    /// Writes silver's rows, rejects and report; returns silver for what follows.
    async fn write_silver(&self, generation: u64, silver: Silver) -> Result<Silver> {
        let (silver, objects) = spawn_blocking(move || {
            let mut objects = Vec::new();
            let mut encode = |path: String, frame: &DataFrame| -> Result<()> {
                objects.push((path, parquet::encode(&mut frame.clone())?));
                Ok(())
            };
            encode(keys::silver_clients(generation), &silver.clients)?;
            encode(keys::rejects(generation, SourceKind::Clients), &silver.rejected_clients)?;
            encode(keys::rejects(generation, SourceKind::Achats), &silver.rejected_achats)?;
            for (month, frame) in silver::by_month(&silver.achats)? {
                encode(keys::silver_achats(generation, &month), &frame)?;
            }
            Ok::<_, RefreshError>((silver, objects))
        })
        .await?;
        for (path, bytes) in objects {
            self.lake.put(Layer::Silver, &path, bytes).await?;
        }
        self.write_json(Layer::Silver, &keys::quality_report(generation), &silver.report).await?;
        Ok(silver)
    }

    /// Who was in which segment in the last published run; empty when there is none to compare with.
    async fn last_segments(&self, last: Option<&Manifest>) -> Result<LastSegments> {
        let table = &tables::models::CUSTOMER_SEGMENTS;
        let Some(entry) = last.and_then(|manifest| manifest.table(table.name)) else {
            return Ok(LastSegments::new());
        };
        let mut frames = Vec::with_capacity(entry.files.len());
        for file in &entry.files {
            match self.lake.get_file(file).await {
                Ok(bytes) => frames.push(bytes),
                // What the lake has lost is nothing to compare with, and no reason to stop.
                Err(LakeError::Damaged { path, problem }) => {
                    tracing::warn!(path, problem, "the last run's segments cannot be read");
                    return Ok(LastSegments::new());
                }
                Err(error) => return Err(error.into()),
            }
        }
        spawn_blocking(move || {
            let mut last = LastSegments::new();
            for bytes in frames {
                last.extend(model::frames::read_segments(&parquet::decode(bytes)?)?);
            }
            Ok(last)
        })
        .await
    }

    /// Keeps what scores with the generation.
    async fn write_models(&self, generation: u64, artefact: &Artefact) -> Result<TableFile> {
        let path = keys::models(generation);
        let json = serde_json::to_vec(artefact).map_err(|source| RefreshError::Manifest {
            path: self.lake.locate(Layer::Gold, &path),
            source,
        })?;
        Ok(self.lake.put_file(path, json.into()).await?)
    }

    async fn write_gold(&self, generation: u64, built: GoldTable) -> Result<TableEntry> {
        let GoldTable { table, mut frame, totals } = built;
        let rows = frame.height() as u64;
        let bytes = spawn_blocking(move || parquet::encode(&mut frame)).await?;
        let file = self.lake.put_file(keys::gold_table(generation, table.name), bytes).await?;
        Ok(TableEntry {
            name: table.name.to_owned(),
            rows,
            content_hash: content_hash(table, std::slice::from_ref(&file)),
            files: vec![file],
            totals,
            physical: Memo::default(),
        })
    }

    async fn write_json<T: serde::Serialize>(
        &self,
        layer: Layer,
        path: &str,
        value: &T,
    ) -> Result<()> {
        let json = serde_json::to_vec_pretty(value).map_err(|source| RefreshError::Manifest {
            path: self.lake.locate(layer, path),
            source,
        })?;
        Ok(self.lake.put(layer, path, json.into()).await?)
    }

    /// Brings every table of a committed generation from the lake to the store, then switches.
    async fn publish(
        &self,
        publisher: &dyn Publisher,
        manifest: &Manifest,
        steps: &mut Steps<'_>,
    ) -> Result<(usize, usize)> {
        let observer = steps.observer;
        let reached = |point: &str| observer.reached(point);
        steps.start(Step::Publish, manifest.tables.len()).await?;
        let (mut written, mut reused) = (0, 0);
        for entry in &manifest.tables {
            steps.go_on()?;
            let Some(table) = tables::by_name(&entry.name) else { continue };
            let is_stored = publisher.has_table(table, entry).await?;
            let write = self.publish_table(publisher, table, entry, &reached, steps.cancel);
            if !is_stored && write.await? {
                written += 1;
            } else {
                reused += 1;
            }
            steps.observer.advanced(Step::Publish, table.name);
            steps.observer.reached(&format!("publish:{}", table.name));
        }
        steps.go_on()?;
        steps.observer.reached("switch");
        let next = Published::new(manifest.clone(), Timestamp::now());
        publisher.activate(&next, &reached).await?;
        steps.observer.reached("switched");
        steps
            .finish(
                Step::Publish,
                &format!(
                    "{written} tables written, {reused} unchanged, to {}",
                    self.store.location()
                ),
            )
            .await;
        Ok((written, reused))
    }

    async fn publish_table(
        &self,
        publisher: &dyn Publisher,
        table: &'static Table,
        entry: &TableEntry,
        reached: Reached<'_>,
        cancel: &CancellationToken,
    ) -> Result<bool> {
        let mut objects = Vec::with_capacity(entry.files.len());
        for file in &entry.files {
            objects.push(self.lake.get_file(file).await?);
        }
        let batches = spawn_blocking(move || {
            let batches = |bytes| Ok(rows::batches(&parquet::decode(bytes)?, table)?);
            objects.into_iter().map(batches).collect::<Result<Vec<_>>>()
        })
        .await?;
        let all = batches.into_iter().flatten().map(|batch| batch.map_err(Cause::from));
        // An error among the rows undoes the writing.
        let asked = cancel.clone();
        let all = all.map(move |batch| {
            if asked.is_cancelled() { Err(Cause::from(RefreshError::Cancelled)) } else { batch }
        });
        match publisher.write_table(table, entry, Box::new(all), reached).await {
            Err(error) if is_cancelled(&error) => Err(RefreshError::Cancelled),
            written => Ok(written?),
        }
    }

    /// Removes generations no longer kept, from the store first.
    async fn sweep(&self, publisher: &dyn Publisher, steps: &mut Steps<'_>) -> Result<()> {
        steps.start(Step::Sweep, 1).await?;
        let dropped = publisher.sweep(self.keep_generations).await?;
        let stored = self.store.generations().await?;
        let mut kept: Vec<u64> = stored.iter().map(|kept| kept.manifest.generation).collect();
        let in_lake = self.generation_folders(Layer::Gold).await?;
        kept.extend(in_lake.iter().rev().take(self.keep_generations));
        let mut folders = 0;
        for layer in [Layer::Gold, Layer::Silver] {
            for number in self.generation_folders(layer).await? {
                if !kept.contains(&number) {
                    self.lake.delete_folder(layer, &keys::generation(number)).await?;
                    folders += 1;
                }
            }
        }
        steps.finish(Step::Sweep, &format!("{dropped} tables and {folders} folders removed")).await;
        Ok(())
    }
}

/// A new generation under construction.
struct Run {
    generation: u64,
    fingerprint: String,
    started_at: Timestamp,
    request: RefreshRequest,
    is_sample: bool,
    /// The last published run, unless that was of the sample and this one is not.
    last: Option<Manifest>,
}

/// Whether a run with this fingerprint would give this generation again. A row that was rejected
/// for lying in the future may be accepted once its instant has come.
fn is_current(manifest: &Manifest, fingerprint: &str, now: Timestamp) -> bool {
    manifest.fingerprint == fingerprint
        && manifest.quality.earliest_future.is_none_or(|instant| instant > now)
}

/// Whether an error is what became of [`RefreshError::Cancelled`] among the rows.
fn is_cancelled(error: &StoreError) -> bool {
    let first: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |error| error.source())
        .any(|error| matches!(error.downcast_ref(), Some(RefreshError::Cancelled)))
}

fn refine(sources: &[Source], rules: &silver::Rules) -> Result<Silver> {
    let of_kind = |kind: SourceKind| -> Vec<_> {
        let files = sources.iter().filter(|source| source.file.kind == kind);
        files.map(Source::as_bytes).collect()
    };
    let silver =
        silver::refine(&of_kind(SourceKind::Clients), &of_kind(SourceKind::Achats), rules)?;
    Ok(silver)
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
