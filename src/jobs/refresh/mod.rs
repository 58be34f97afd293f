//! The refresh: sources → bronze → silver → gold → models → proof → publish, all or nothing.
//!
//! Two commit points, each written last: the manifest in the lake makes a generation exist, the
//! store's pointer makes it served. A run that ends between them, however it ends, leaves the old
//! generation served; the next run removes what it left or publishes what was complete. What a run
//! is made of is in [`inputs`], how in [`build`] and [`publish`], with [`steps`].

mod build;
mod inputs;
mod publish;
mod steps;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use self::build::Run;
use self::inputs::{Given, Inputs};
use self::steps::Steps;
use super::owner::owner_of;
use super::sources;
use super::{Observer, Step};
use crate::domain::digest::sha256_hex;
use crate::domain::manifest::{Manifest, Published, SourceFile};
use crate::domain::time::{Day, Timestamp};
use crate::error_chain::describe;
use crate::lake::keys::Folder;
use crate::lake::{Lake, LakeError, LakeLock, Layer, keys};
use crate::pipeline::PipelineError;
use crate::pipeline::ml::TrainingOptions;
use crate::pipeline::silver::quality::{Gate, check_gate};
use crate::runs::{Flow, RefreshRequest, RunEnd, RunSpec, StartAt};
use crate::store::{GoldStore, Publisher, StoreError, end_run, failed};

/// Between looks whether somebody asked for the run to stop, in whichever process.
const LISTEN: Duration = Duration::from_millis(500);
/// Longest time to remove records of old runs.
const LONGEST_FORGETTING: Duration = Duration::from_secs(5);
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
    pub models: TrainingOptions,
    /// Generations to keep in lake and store.
    pub keep_generations: usize,
    /// Records of runs to keep in the store.
    pub keep_runs: u32,
    /// Longest time one step may take.
    pub longest_step: Duration,
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
    /// There is no such generation to begin from.
    #[error("there is no generation{} in the lake to begin from", .0.map(|n| format!(" {n}")).unwrap_or_default())]
    NoInputs(Option<u64>),
    /// Nobody knows which files its silver is.
    #[error("generation {0} does not list its silver: begin from its bronze")]
    NoSilver(u64),
    /// A file has a name that cannot be asked for.
    #[error("the name of {0} holds a control character; rename it")]
    Unspeakable(String),
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
    Pipeline(PipelineError),
    /// The serving store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Somebody asked it to stop.
    #[error("the run was cancelled")]
    Cancelled,
    /// A step hangs.
    #[error("the step {step} did not end within {limit_secs} s (refresh.step_secs){trouble}")]
    TooLong {
        /// Which.
        step: Step,
        /// The limit, seconds.
        limit_secs: u64,
        /// What last failed in passing, if anything did.
        trouble: String,
    },
    /// A generation has a table that this version does not know.
    #[error(
        "generation {generation} contains the table {table}, which this version does not know; \
         use the version that built it"
    )]
    UnknownTable {
        /// The generation.
        generation: u64,
        /// The table.
        table: String,
    },
    /// A manifest cannot be read or written.
    #[error("{path} is not a manifest")]
    Manifest {
        /// Where it lies.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
}

impl RefreshError {
    /// Whether the same may succeed a little later, without anybody doing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Lake(error) => error.is_transient(),
            Self::Store(error) => error.is_transient(),
            _ => false,
        }
    }
}

impl From<PipelineError> for RefreshError {
    /// What the lake said while the pipeline was reading from it is the lake's.
    fn from(error: PipelineError) -> Self {
        match error {
            PipelineError::Unreadable { file, source } => match source.downcast() {
                Ok(error) => Self::Lake(error),
                Err(source) => Self::Pipeline(PipelineError::Unreadable { file, source }),
            },
            other => Self::Pipeline(other),
        }
    }
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

/// A run that holds the lake and the right to publish, and has not begun to work.
#[derive(Debug)]
pub struct Begun {
    /// The lake, or why it cannot be had, which is what becomes of the run.
    lock: Result<LakeLock>,
    publisher: Box<dyn Publisher>,
    request: RefreshRequest,
}

impl Begun {
    /// Its number.
    #[must_use]
    pub fn run(&self) -> u64 {
        self.publisher.run()
    }
}

impl Refresher {
    /// Takes the lake and the right to publish, and starts the record of a run. A lake that cannot be
    /// written is for the run to fail of.
    ///
    /// # Errors
    /// [`RefreshError`] when another run has either, or the store cannot be used.
    pub async fn begin(&self, order: &RunSpec) -> Result<Begun> {
        let lock = match self.lake.lock() {
            Err(error @ LakeError::Locked(_)) => return Err(error.into()),
            lock => lock.map_err(RefreshError::from),
        };
        let publisher = self.store.publisher(order).await?;
        Ok(Begun { lock, publisher, request: order.request })
    }

    /// Runs the pipeline once. `cancel`, or the wish in the run's record, stops it before anything is
    /// switched, leaving nothing published in part.
    ///
    /// # Errors
    /// [`RefreshError`]; whatever it is, what was published stays published.
    pub async fn run(
        &self,
        begun: Begun,
        observer: &dyn Observer,
        cancel: &CancellationToken,
    ) -> Result<Outcome> {
        let Begun { lock, publisher, request } = begun;
        let _lock = match lock {
            Ok(lock) => lock,
            Err(error) => {
                end_run(publisher, failed(&error)).await;
                return Err(error);
            }
        };
        // Stopped with the process's wish, with the record's, and when a step takes too long.
        let cancel = &cancel.child_token();
        let mut steps = Steps::new(publisher.as_ref(), observer, cancel);
        let overdue = steps.overdue(self.longest_step);
        // Boxed: with all it holds between its steps it is large to move about.
        let work = Box::pin(self.run_alone(publisher.as_ref(), request, &mut steps));
        // A panic ends the record as well, before it goes on.
        let outcome = tokio::select! {
            outcome = AssertUnwindSafe(work).catch_unwind() => outcome,
            () = listen(publisher.as_ref(), cancel) => unreachable!("it listens for ever"),
            error = overdue => {
                // What works on a thread of its own stops at its next batch.
                cancel.cancel();
                Ok(Err(error))
            }
        };
        let end = match &outcome {
            Ok(Ok(_)) => RunEnd::Succeeded,
            Ok(Err(RefreshError::Cancelled)) => RunEnd::Cancelled,
            Ok(Err(error)) => failed(error),
            Err(_) => {
                let error = "the run panicked; the log says where".to_owned();
                RunEnd::Failed { error, causes: Vec::new() }
            }
        };
        // What is not forgotten now is forgotten after the next run.
        match tokio::time::timeout(LONGEST_FORGETTING, publisher.forget_runs(self.keep_runs)).await
        {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = describe(&error), "records of old runs are kept for now");
            }
            Err(_) => tracing::warn!("records of old runs are kept for now: it takes too long"),
        }
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
        if let (Some(as_of), Err(today)) = (request.as_of, request.check(run_start)) {
            return Err(RefreshError::Future { as_of, today });
        }
        let active =
            steps.again("reading what is served", async || Ok(publisher.active().await?)).await?;
        steps.notes.before = active.as_ref().map(|active| active.manifest.generation);
        let kept = steps
            .again("listing generations", async || Ok(self.store.generations().await?))
            .await?;
        steps.start(Step::Sources, 1).await?;
        steps.again("looking at the lake", || self.prepare_lake()).await?;
        let newest = kept.last().map(|newest| newest.manifest.generation);
        let stored: BTreeSet<u64> = kept.iter().map(|kept| kept.manifest.generation).collect();
        let (inputs, request) = self.read_inputs(request, newest, steps).await?;
        let fingerprint = self.fingerprint(&inputs.files, request);
        let bytes: u64 = inputs.files.iter().map(|file| file.size_bytes).sum();
        let summary = format!("{} files, {bytes} bytes", inputs.files.len());
        let flow = Flow { bytes: Some(bytes), ..Flow::default() };
        steps.finish(Step::Sources, &summary, flow).await;

        if !request.force
            && let Some(active) = &active
            && let Some(newest) = kept.last()
            && is_current(&newest.manifest, &fingerprint, run_start)
            && steps.again("reading the models", || self.has_models(&newest.manifest)).await?
        {
            steps.again("clearing up", || self.clear_debris(publisher, &stored)).await?;
            let repair = || self.repair(publisher, active, steps.cancel);
            steps.again("looking over what is served", repair).await?;
            let sweep = async || Ok(publisher.sweep(self.keep_generations).await?);
            steps.again("removing older generations", sweep).await?;
            return Ok(Outcome::Unchanged {
                generation: newest.manifest.generation,
                active: active.manifest.generation,
            });
        }

        let committed =
            steps.again("clearing up", || self.clear_debris(publisher, &stored)).await?;
        let (newest_lake, last_in_lake) =
            self.newest_in_lake(&committed, newest.unwrap_or(0), steps).await?;
        // A generation that is complete in the lake and was never published.
        let left_over = match last_in_lake {
            Some(manifest)
                if !request.force
                    && is_current(&manifest, &fingerprint, run_start)
                    && self.passes_gate(&manifest, kept.last())
                    && steps.again("reading the models", || self.has_models(&manifest)).await? =>
            {
                Some(manifest)
            }
            _ => None,
        };
        let resumed = left_over.is_some();
        let manifest = if let Some(manifest) = left_over {
            manifest
        } else {
            let is_sample = match (&inputs.given, inputs.is_sample) {
                (Given::Sources, None) => {
                    let look = || sources::are_sample(&self.lake, &inputs.files);
                    steps.again("reading the sample's description", look).await?
                }
                (_, known) => known.unwrap_or(false),
            };
            let run = Run {
                folder: Folder {
                    generation: newest_lake + 1,
                    run: publisher.run(),
                    nonce: rand::random(),
                },
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
                    built = self.build(publisher, run, inputs, steps) => built?,
                    () = cancel.cancelled() => return Err(RefreshError::Cancelled),
                }
            }
        };

        let (tables_written, tables_reused) = self.publish(publisher, &manifest, steps).await?;
        // The new generation is served by now: what is left over is for the next run.
        let not_swept = self.sweep_in_time(publisher, steps).await.err();
        Ok(Outcome::Published(Box::new(Report {
            manifest,
            not_swept,
            resumed,
            tables_written,
            tables_reused,
            steps: std::mem::take(&mut steps.done),
        })))
    }

    /// Checks the lake: that its buckets exist, and that it belongs to this serving store.
    async fn prepare_lake(&self) -> Result<()> {
        self.lake.prepare().await?;
        self.claim_lake().await
    }

    /// Checks that the lake belongs to the serving store, and makes it the owner of a lake without one.
    async fn claim_lake(&self) -> Result<()> {
        Ok(self.lake.claim(&owner_of(self.store.as_ref()).await?).await?)
    }

    /// The greatest number of a generation that is committed in the lake or stored, and its manifest where
    /// it is not stored. What a listing does not show is asked for: a number is never used twice.
    async fn newest_in_lake(
        &self,
        committed: &[u64],
        newest_stored: u64,
        steps: &Steps<'_>,
    ) -> Result<(u64, Option<Manifest>)> {
        let mut newest = newest_stored;
        let mut last = None;
        if let Some(listed) = committed.last().copied().filter(|listed| *listed > newest) {
            newest = listed;
            last = steps.again("reading a manifest", || self.manifest(listed)).await?;
        }
        while let Some(manifest) =
            steps.again("reading a manifest", || self.manifest(newest + 1)).await?
        {
            newest += 1;
            last = Some(manifest);
        }
        Ok((newest, last))
    }

    /// What the request is to be made of, and the request as it then stands.
    async fn read_inputs(
        &self,
        mut request: RefreshRequest,
        newest: Option<u64>,
        steps: &Steps<'_>,
    ) -> Result<(Inputs, RefreshRequest)> {
        if request.start_at == StartAt::Sources {
            let read = || sources::read(&self.lake);
            let files = steps.again("reading the source files", read).await?;
            return Ok((Inputs { files, given: Given::Sources, is_sample: None }, request));
        }
        let asked = request.inputs_of.or(newest);
        let missing = || RefreshError::NoInputs(asked);
        let generation = asked.ok_or_else(missing)?;
        let read = || self.manifest(generation);
        let manifest = steps.again("reading a manifest", read).await?.ok_or_else(missing)?;
        request.inputs_of = Some(generation);
        // One that was asked for as of an earlier day is made as of that day again.
        if request.as_of.is_none() && !self.is_of(&manifest, request) {
            request.as_of = Some(manifest.as_of);
        }
        let Manifest { sources: files, is_sample, silver, .. } = manifest;
        let given = if request.start_at == StartAt::Silver {
            Given::Silver(Box::new(silver.ok_or(RefreshError::NoSilver(generation))?))
        } else {
            Given::Bronze
        };
        Ok((Inputs { files, given, is_sample: Some(is_sample) }, request))
    }

    /// Whether a generation is what this request gives of its source files.
    fn is_of(&self, manifest: &Manifest, request: RefreshRequest) -> bool {
        let from_files = RefreshRequest { start_at: StartAt::Bronze, ..request };
        manifest.fingerprint == self.fingerprint(&manifest.sources, from_files)
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
        match self.lake.verify(Layer::Gold, &file.path, &file.sha256).await {
            Ok(()) => Ok(true),
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
            files.iter().map(|file| json!([file.data_set, file.name, file.sha256])).collect();
        let mut inputs = json!({
            "engine": ENGINE,
            "sources": sources,
            "as_of": request.as_of,
            "max_amount": self.max_amount,
            "models": self.models,
        });
        if request.start_at == StartAt::Silver {
            // By whichever settings that was cleaned.
            inputs["silver"] = json!(request.inputs_of);
        }
        sha256_hex(inputs.to_string().as_bytes())
    }

    /// Removes what ended runs left behind and returns the generations that are committed,
    /// ascending. Whether one is committed is asked for by its name.
    async fn clear_debris(
        &self,
        publisher: &dyn Publisher,
        stored: &BTreeSet<u64>,
    ) -> Result<Vec<u64>> {
        for layer in Layer::WRITTEN {
            self.lake.remove_incomplete(layer, keys::is_managed, false).await?;
        }
        let in_gold = self.generation_folders(Layer::Gold).await?;
        let in_silver = self.generation_folders(Layer::Silver).await?;
        let mut committed = Vec::new();
        for number in in_gold.iter().chain(&in_silver).copied().collect::<BTreeSet<u64>>() {
            if self.lake.get(Layer::Gold, &keys::manifest(number)).await?.is_some() {
                committed.push(number);
            } else if !stored.contains(&number) {
                for (layer, folders) in [(Layer::Gold, &in_gold), (Layer::Silver, &in_silver)] {
                    if folders.contains(&number) {
                        self.remove(publisher, layer, number).await?;
                    }
                }
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

    /// Removes a generation from a layer, if the run still has the right to. Its manifest goes first:
    /// without it there is no generation, with it there is all of it.
    async fn remove(&self, publisher: &dyn Publisher, layer: Layer, number: u64) -> Result<()> {
        publisher.confirm_held().await?;
        if layer == Layer::Gold {
            self.lake.delete(layer, &keys::manifest(number)).await?;
        }
        Ok(self.lake.delete_folder(layer, &keys::generation(number)).await?)
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

    /// Sweeps, for no longer than a step may take: that is no failure of the run any more.
    async fn sweep_in_time(&self, publisher: &dyn Publisher, steps: &mut Steps<'_>) -> Result<()> {
        steps.stop_limiting();
        let swept = tokio::time::timeout(self.longest_step, self.sweep(publisher, steps)).await;
        swept.unwrap_or_else(|_| {
            let (limit_secs, trouble) = (self.longest_step.as_secs(), String::new());
            Err(RefreshError::TooLong { step: Step::Sweep, limit_secs, trouble })
        })
    }

    /// Removes generations no longer kept, from the store first; none that came after the newest it
    /// knows.
    async fn sweep(&self, publisher: &dyn Publisher, steps: &mut Steps<'_>) -> Result<()> {
        steps.start(Step::Sweep, 1).await?;
        let sweep = async || Ok(publisher.sweep(self.keep_generations).await?);
        let dropped = steps.again("removing older generations", sweep).await?;
        let list = async || Ok(self.store.generations().await?);
        let stored = steps.again("listing generations", list).await?;
        // Another store may have won a lake that cannot decide between two claims at once.
        steps.again("checking the owner of the lake", async || self.claim_lake().await).await?;
        let mut kept: BTreeSet<u64> = stored.iter().map(|kept| kept.manifest.generation).collect();
        let newest = kept.last().copied().unwrap_or(0);
        let list = || self.generation_folders(Layer::Gold);
        let in_gold = steps.again("listing generations", list).await?;
        let list = || self.generation_folders(Layer::Silver);
        let in_silver = steps.again("listing generations", list).await?;
        kept.extend(in_gold.iter().rev().take(self.keep_generations));
        let mut folders = 0;
        for (layer, numbers) in [(Layer::Gold, in_gold), (Layer::Silver, in_silver)] {
            for number in numbers {
                if number < newest && !kept.contains(&number) {
                    let remove = || self.remove(publisher, layer, number);
                    steps.again("removing older generations", remove).await?;
                    folders += 1;
                }
            }
        }
        let summary = format!("{dropped} tables and {folders} folders removed");
        steps.finish(Step::Sweep, &summary, Flow::default()).await;
        Ok(())
    }
}

/// Whether a run with this fingerprint would give this generation again. A row that was rejected
/// for lying in the future may be accepted once its instant has come.
fn is_current(manifest: &Manifest, fingerprint: &str, now: Timestamp) -> bool {
    manifest.fingerprint == fingerprint
        && manifest.quality.earliest_future.is_none_or(|instant| instant > now)
}

/// Cancels the run when its record says that somebody wants it to; never returns.
async fn listen(publisher: &dyn Publisher, cancel: &CancellationToken) {
    loop {
        tokio::time::sleep(LISTEN).await;
        // A store that is away is found out by the steps.
        if publisher.cancel_requested().await.unwrap_or(false) && !cancel.is_cancelled() {
            tracing::info!(run = publisher.run(), "somebody asked for the run to stop");
            cancel.cancel();
        }
    }
}
