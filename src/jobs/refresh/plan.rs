//! Planning: reads what is published and what the sources are, and decides what the run has to do.

use serde_json::json;

use super::refresher::{ENGINE, Refresher};
use super::steps::Steps;
use crate::domain::digest::sha256_hex;
use crate::domain::files::{CorrectionFile, SilverFiles, SourceFile, UnreadFile};
use crate::domain::manifest::{Manifest, Published};
use crate::domain::time::Timestamp;
use crate::domain::verdict::Verdict;
use crate::domain::zone::Zone;
use crate::jobs::error::{RefreshError, Result};
use crate::jobs::sources::{self, Sources};
use crate::lake::keys::Folder;
use crate::pipeline::silver::quality::check_gate;
use crate::runs::{Flow, RefreshRequest, StartAt, Step};
use crate::sources::newer_columns;

/// What a run has to do.
pub(super) enum Plan {
    /// Nothing: this generation is what the run would build.
    Unchanged { generation: u64, active: Box<Published> },
    /// Publish a generation that is complete in the lake.
    Publish(Box<Manifest>),
    /// Build a generation and publish it.
    Build(Box<NewGeneration>),
}

/// A generation to be built.
pub(super) struct NewGeneration {
    /// Where its objects go.
    pub folder: Folder,
    pub fingerprint: String,
    pub started_at: Timestamp,
    pub request: RefreshRequest,
    /// The source files, for its manifest.
    pub sources: Vec<SourceFile>,
    /// The files beside them that are not read.
    pub unread: Vec<UnreadFile>,
    /// Files of corrected rows.
    pub corrections: Vec<CorrectionFile>,
    pub start_from: StartFrom,
    pub is_sample: bool,
    /// Where the clocks are that show the instants of its data.
    pub timezone: Zone,
    /// The last published generation, unless that is of the sample and this one is not.
    pub previous: Option<Manifest>,
}

/// Where the pipeline starts.
pub(super) enum StartFrom {
    /// Source files, which are copied to bronze first.
    Sources,
    /// Source files in bronze.
    Bronze,
    /// Silver of an earlier generation.
    Silver(Box<SilverFiles>),
}

/// What a generation is to be made from.
struct Inputs {
    files: Vec<SourceFile>,
    unread: Vec<UnreadFile>,
    corrections: Vec<CorrectionFile>,
    start_from: StartFrom,
    /// Whether they are the generated sample; `None` when that is not known yet.
    is_sample: Option<bool>,
    timezone: Zone,
    /// The request, completed by what the inputs decide.
    request: RefreshRequest,
}

impl Refresher {
    /// Decides what the run has to do; removes what ended runs left behind on the way.
    pub(super) async fn plan(
        &self,
        request: RefreshRequest,
        steps: &mut Steps<'_>,
    ) -> Result<Plan> {
        let now = Timestamp::now();
        let today = request.check(self.cleaning.timezone.wall_clock(now));
        if let (Some(as_of), Err(today)) = (request.as_of, today) {
            return Err(RefreshError::Future { as_of, today });
        }
        let publisher = steps.publisher;
        let read = async || Ok(publisher.active().await?);
        let active = steps.retry("reading the active generation", read).await?;
        steps.notes.before = active.as_ref().map(|active| active.manifest.generation);
        let list = async || Ok(self.store.generations().await?);
        let stored = steps.retry("listing generations", list).await?;
        let newest = stored.last();
        let inputs = self.read_inputs_step(request, newest, steps).await?;
        let request = inputs.request;
        let fingerprint = self.fingerprint(&inputs.files, &inputs.corrections, request);

        let is_unchanged = match newest {
            Some(newest) if active.is_some() && !request.force => {
                self.is_up_to_date(&newest.manifest, &fingerprint, now, steps).await?
            }
            _ => false,
        };
        let numbers = stored.iter().map(|stored| stored.manifest.generation).collect();
        let clear = || self.clear_debris(publisher, &numbers);
        let committed = steps.retry("removing debris", clear).await?;
        let newest_number = newest.map_or(0, |newest| newest.manifest.generation);
        if let Some(active) = active.filter(|_| is_unchanged) {
            let active = Box::new(active);
            return Ok(Plan::Unchanged { generation: newest_number, active });
        }
        let (number, unpublished) = self.newest_in_lake(&committed, newest_number, steps).await?;
        if let Some(manifest) = unpublished
            && !request.force
            && self.passes_gate(&manifest, newest)
            && self.is_up_to_date(&manifest, &fingerprint, now, steps).await?
        {
            return Ok(Plan::Publish(Box::new(manifest)));
        }
        let is_sample = self.is_sample(&inputs, steps).await?;
        let run = publisher.run();
        Ok(Plan::Build(Box::new(NewGeneration {
            folder: Folder { generation: number + 1, run, nonce: rand::random() },
            fingerprint,
            started_at: now,
            request,
            sources: inputs.files,
            unread: inputs.unread,
            corrections: inputs.corrections,
            start_from: inputs.start_from,
            is_sample,
            timezone: inputs.timezone,
            previous: newest
                .filter(|newest| is_sample || !newest.manifest.is_sample)
                .map(|newest| newest.manifest.clone()),
        })))
    }

    /// The step of reading the source files, or the manifest of the generation to start from.
    async fn read_inputs_step(
        &self,
        request: RefreshRequest,
        newest: Option<&Published>,
        steps: &mut Steps<'_>,
    ) -> Result<Inputs> {
        steps.start(Step::Sources, 1).await?;
        steps.retry("preparing the lake", || self.prepare_lake()).await?;
        let newest = newest.map(|newest| newest.manifest.generation);
        let inputs = self.read_inputs(request, newest, steps).await?;
        let bytes: u64 = inputs.files.iter().map(|file| file.size_bytes).sum();
        let summary = format!("{} files, {bytes} bytes", inputs.files.len());
        let flow = Flow { bytes: Some(bytes), ..Flow::default() };
        steps.finish(Step::Sources, &summary, flow).await;
        Ok(inputs)
    }

    /// Checks the lake: that its buckets exist, and that it belongs to this serving store.
    async fn prepare_lake(&self) -> Result<()> {
        self.lake.prepare().await?;
        self.claim_lake().await
    }

    async fn read_inputs(
        &self,
        mut request: RefreshRequest,
        newest: Option<u64>,
        steps: &Steps<'_>,
    ) -> Result<Inputs> {
        if request.start_at == StartAt::Sources {
            let read = || sources::read(&self.lake, &self.sources);
            let found = steps.retry("reading the source files", read).await?;
            log_assumptions(&found);
            let Sources { files, unread, corrections, .. } = found;
            let (start_from, is_sample) = (StartFrom::Sources, None);
            let timezone = self.cleaning.timezone.clone();
            return Ok(Inputs {
                files,
                unread,
                corrections,
                start_from,
                is_sample,
                timezone,
                request,
            });
        }
        let wanted = request.inputs_of.or(newest);
        let missing = || RefreshError::NoInputs(wanted);
        let generation = wanted.ok_or_else(missing)?;
        let manifest = self.read_manifest(generation, steps).await?.ok_or_else(missing)?;
        request.inputs_of = Some(generation);
        // A generation that was requested as of an earlier day is made as of that day again.
        if request.as_of.is_none() && !self.is_of(&manifest, request) {
            request.as_of = Some(manifest.as_of);
        }
        let Manifest { sources: mut files, unread, corrections, is_sample, silver, .. } = manifest;
        let mut timezone = self.cleaning.timezone.clone();
        let start_from = if request.start_at == StartAt::Silver {
            timezone = manifest.timezone;
            StartFrom::Silver(Box::new(silver.ok_or(RefreshError::NoSilver(generation))?))
        } else {
            let complete = async || {
                let mut completed = files.clone();
                sources::complete_verdicts(&self.lake, &mut completed).await?;
                Ok(completed)
            };
            files = steps.retry("reading source files in bronze", complete).await?;
            StartFrom::Bronze
        };
        let is_sample = Some(is_sample);
        Ok(Inputs { files, unread, corrections, start_from, is_sample, timezone, request })
    }

    /// The greatest number of a generation that is committed in the lake or stored, and its manifest where
    /// it is not stored. Numbers beyond what a listing shows are probed by name, since listings may be late:
    /// a number is never used twice.
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
            last = self.read_manifest(listed, steps).await?;
        }
        while let Some(manifest) = self.read_manifest(newest + 1, steps).await? {
            newest += 1;
            last = Some(manifest);
        }
        Ok((newest, last))
    }

    async fn read_manifest(&self, number: u64, steps: &Steps<'_>) -> Result<Option<Manifest>> {
        let read = async || Ok(self.lake.manifest(number).await?);
        steps.retry("reading a manifest", read).await
    }

    async fn is_sample(&self, inputs: &Inputs, steps: &Steps<'_>) -> Result<bool> {
        match (&inputs.start_from, inputs.is_sample) {
            (StartFrom::Sources, None) => {
                let read = || {
                    let files = inputs.files.iter().map(|file| (&file.name, &file.sha256));
                    sources::are_sample(&self.lake, files)
                };
                steps.retry("reading the sample's description", read).await
            }
            (_, known) => Ok(known.unwrap_or(false)),
        }
    }

    /// Whether a run with this fingerprint would make this generation again, and its models are intact. A row
    /// that was rejected for lying in the future may be accepted once its instant has come.
    async fn is_up_to_date(
        &self,
        manifest: &Manifest,
        fingerprint: &str,
        now: Timestamp,
        steps: &Steps<'_>,
    ) -> Result<bool> {
        let now = manifest.timezone.wall_clock(now);
        Ok(manifest.fingerprint == fingerprint
            && manifest.quality.earliest_future.is_none_or(|instant| instant > now)
            && steps.retry("verifying the models", || self.has_models(manifest)).await?)
    }

    /// Whether a generation is what this request makes of its source files.
    fn is_of(&self, manifest: &Manifest, request: RefreshRequest) -> bool {
        let from_files = RefreshRequest { start_at: StartAt::Bronze, ..request };
        let Manifest { sources, corrections, .. } = manifest;
        manifest.fingerprint == self.fingerprint(sources, corrections, from_files)
    }

    /// Whether a generation that was built, perhaps with the gate overridden, would pass the gate.
    fn passes_gate(&self, manifest: &Manifest, last: Option<&Published>) -> bool {
        let last = last.map(|last| &last.manifest);
        let last = last.filter(|last| manifest.is_sample || !last.is_sample);
        check_gate(&manifest.quality, last.map(|last| &last.quality), &self.gate, false).is_ok()
    }

    /// Equal for runs that make equal gold.
    fn fingerprint(
        &self,
        files: &[SourceFile],
        corrections: &[CorrectionFile],
        request: RefreshRequest,
    ) -> String {
        let sources: Vec<_> = files.iter().map(decisions).collect();
        let mut inputs = json!({
            "engine": ENGINE,
            "sources": sources,
            "as_of": request.as_of,
            "cleaning": self.cleaning,
            "models": self.models,
        });
        if !corrections.is_empty() {
            let hashes = corrections.iter().map(|file| &file.sha256);
            inputs["corrections"] = hashes.cloned().collect();
        }
        if request.start_at == StartAt::Silver {
            // Silver may have been cleaned with other settings than today's.
            inputs["silver"] = json!(request.inputs_of);
        }
        sha256_hex(inputs.to_string().as_bytes())
    }
}

/// What is decided about a source file, for fingerprints: which bytes it has, and how they are read where
/// these do not decide it alone.
fn decisions(file: &SourceFile) -> serde_json::Value {
    match &file.verdict {
        Some(verdict) if !verdict.is_plain(newer_columns(file.data_set)) => {
            // Sentences decide nothing.
            let (notes, warnings) = (Vec::new(), Vec::new());
            let verdict = Verdict { notes, warnings, ..verdict.clone() };
            json!([file.data_set, file.name, file.sha256, verdict])
        }
        _ => json!([file.data_set, file.name, file.sha256]),
    }
}

fn log_assumptions(sources: &Sources) {
    for file in &sources.files {
        for note in file.verdict.iter().flat_map(|verdict| &verdict.notes) {
            tracing::info!(file = file.name, note, "a source file is read with an assumption");
        }
    }
    for file in &sources.unread {
        tracing::warn!(file = file.name, problem = file.sentence(), "a source file is not read");
    }
    for warning in &sources.warnings {
        tracing::warn!(warning, "a setting of source files has no effect");
    }
}
