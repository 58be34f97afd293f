//! Runs: what is asked for, how one stands, and what a store remembers of it.
//!
//! A run holds the right to publish.

pub mod event;
pub mod schedule;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::data_set::PerDataSet;
use crate::domain::manifest::QualityReport;
use crate::domain::time::{Day, Timestamp};

/// What a run was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunKind {
    /// Building a generation and publishing it.
    Refresh,
    /// Serving an earlier generation again.
    Rollback,
    /// Removing from the lake what no generation needs.
    Vacuum,
}

impl RunKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Refresh, Self::Rollback, Self::Vacuum];

    /// The word for this kind in stores and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Rollback => "rollback",
            Self::Vacuum => "vacuum",
        }
    }
}

/// Who or what started a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunTrigger {
    /// A command.
    #[default]
    Cli,
    /// A request.
    Api,
    /// The clock.
    Schedule,
    /// The start of a process that refreshes before it serves.
    Startup,
    /// Source files that changed.
    Watch,
}

impl RunTrigger {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Cli, Self::Api, Self::Schedule, Self::Startup, Self::Watch];

    /// The word for this trigger in stores and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cli => "cli",
            Self::Api => "api",
            Self::Schedule => "schedule",
            Self::Startup => "startup",
            Self::Watch => "watch",
        }
    }
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// It waits for the one before it to end.
    Enqueued,
    /// It has not ended.
    Running,
    /// It ended as it should, with or without a switch to another generation.
    Succeeded,
    /// It ended with an error.
    Failed,
    /// It was stopped on request.
    Cancelled,
    /// Its process ended before it did.
    Interrupted,
}

impl RunState {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Enqueued,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::Interrupted,
    ];

    /// Whether nothing more comes of it.
    #[must_use]
    pub fn has_ended(self) -> bool {
        !matches!(self, Self::Enqueued | Self::Running)
    }

    /// The word for this state in stores and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enqueued => "enqueued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEnd {
    /// As it should.
    Succeeded,
    /// With an error.
    Failed {
        /// In a sentence, its causes included.
        error: String,
        /// The causes one by one, the last being the first to happen.
        causes: Vec<String>,
    },
    /// On request.
    Cancelled,
}

impl RunEnd {
    /// How a run stands then.
    #[must_use]
    pub fn state(&self) -> RunState {
        match self {
            Self::Succeeded => RunState::Succeeded,
            Self::Failed { .. } => RunState::Failed,
            Self::Cancelled => RunState::Cancelled,
        }
    }

    /// The error and its causes, if there is one.
    #[must_use]
    pub fn error(&self) -> (Option<&str>, &[String]) {
        match self {
            Self::Failed { error, causes } => (Some(error), causes),
            Self::Succeeded | Self::Cancelled => (None, &[]),
        }
    }
}

/// A step of a run, as far as it got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunStep {
    /// Its name.
    pub step: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended well; `None` while it runs, and when it did not.
    pub ended_at: Option<Timestamp>,
    /// With what it ended, in words; empty until then.
    pub summary: String,
    /// What went through it; empty until it ended.
    #[serde(default)]
    pub flow: Flow,
}

/// What went through a step. What a step does not have is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Rows it took in.
    pub rows_in: Option<u64>,
    /// Rows it gave.
    pub rows_out: Option<u64>,
    /// Bytes it read or wrote.
    pub bytes: Option<u64>,
}

/// Rows of a data set that a run read and kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCounts {
    /// Rows read.
    pub read: u64,
    /// Rows kept.
    pub valid: u64,
    /// Rows rejected.
    pub rejected: u64,
}

/// What a run found of its sources' quality.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunQuality {
    /// Rows of each data set.
    #[serde(flatten)]
    pub data_sets: PerDataSet<RowCounts>,
    /// How many rows of both were rejected for which reason.
    pub rejected: BTreeMap<String, u64>,
    /// How many rows gave rise to which warning.
    pub warnings: BTreeMap<String, u64>,
}

impl From<&QualityReport> for RunQuality {
    fn from(report: &QualityReport) -> Self {
        let mut rejected = BTreeMap::new();
        let data_sets = PerDataSet::from_fn(|set| {
            let quality = &report.data_sets[set];
            for (reason, count) in &quality.rejected {
                *rejected.entry(reason.clone()).or_insert(0) += count;
            }
            RowCounts {
                read: quality.rows_read,
                valid: quality.rows_valid,
                rejected: quality.rows_rejected(),
            }
        });
        let warnings = report.warnings.iter().filter(|(_, count)| **count > 0);
        let warnings = warnings.map(|(name, count)| (name.clone(), *count)).collect();
        Self { data_sets, rejected, warnings }
    }
}

/// What a run notes while it goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunNotes {
    /// Its steps so far, in order.
    pub steps: Vec<RunStep>,
    /// The generation that was served when it began.
    pub before: Option<u64>,
    /// What it found of its sources, once it has.
    pub quality: Option<RunQuality>,
}

/// Where a refresh begins: what it takes as given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StartAt {
    /// At the source files as they are.
    #[default]
    Sources,
    /// At the source files that a generation was made of, which bronze keeps.
    Bronze,
    /// At the cleaned rows of a generation.
    Silver,
}

impl StartAt {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sources, Self::Bronze, Self::Silver];

    /// The word for this place in stores and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sources => "sources",
            Self::Bronze => "bronze",
            Self::Silver => "silver",
        }
    }
}

/// What a refresh is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RefreshRequest {
    /// The reference instant; `None` for the last purchase.
    pub as_of: Option<Timestamp>,
    /// Run although nothing changed, and past the quality gate.
    pub force: bool,
    /// Where it begins.
    pub start_at: StartAt,
    /// Whose inputs it takes if it does not begin at the sources; `None` for the newest generation.
    pub inputs_of: Option<u64>,
}

impl RefreshRequest {
    /// Parses a reference instant: a day stands for its end, so that its purchases belong to it.
    /// `None` when the text is neither a day nor an instant.
    #[must_use]
    pub fn parse_as_of(text: &str) -> Option<Timestamp> {
        Day::parse(text).map(Day::end).or_else(|| Timestamp::parse(text))
    }

    /// Refuses an instant nobody can know the figures of yet.
    ///
    /// # Errors
    /// The last day that can be asked for.
    pub fn check(&self, now: Timestamp) -> Result<(), Day> {
        let today = now.day();
        if self.as_of.is_some_and(|as_of| as_of > today.end()) { Err(today) } else { Ok(()) }
    }
}

/// A run to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunSpec {
    /// What it is for.
    pub kind: RunKind,
    /// Who or what starts it.
    pub trigger: RunTrigger,
    /// What a refresh is asked for.
    pub request: RefreshRequest,
    /// The instant of the schedule that it is for: one run for each.
    pub occurrence: Option<Timestamp>,
    /// The run that waited for this moment and begins now; `None` for a run of its own number.
    pub enqueued: Option<u64>,
}

impl RunSpec {
    /// A refresh.
    #[must_use]
    pub fn refresh(trigger: RunTrigger, request: RefreshRequest) -> Self {
        Self { kind: RunKind::Refresh, trigger, request, occurrence: None, enqueued: None }
    }

    /// Going back to an earlier generation.
    #[must_use]
    pub fn rollback(trigger: RunTrigger) -> Self {
        Self { kind: RunKind::Rollback, ..Self::refresh(trigger, RefreshRequest::default()) }
    }

    /// Removing from the lake what no generation needs.
    #[must_use]
    pub fn vacuum(trigger: RunTrigger) -> Self {
        Self { kind: RunKind::Vacuum, ..Self::refresh(trigger, RefreshRequest::default()) }
    }
}

/// What somebody asked for under a key of their own, so that asking again does nothing twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// SHA-256 of what was asked for, hexadecimal.
    pub asked: String,
    /// The run that came of it; `None` while somebody is about to start it.
    pub run: Option<u64>,
}

/// What a request for a refresh means while one goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IfRunning {
    /// That one is what was asked for.
    #[default]
    Join,
    /// One more is to begin when it has ended.
    Queue,
}

/// A wish for a refresh.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefreshCommand {
    /// What it is to do.
    pub request: RefreshRequest,
    /// What it means while one goes on.
    pub if_running: IfRunning,
    /// A key of the asker's own: under the same key the same wish is granted once.
    pub key: Option<String>,
}

/// A run that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartedRun {
    /// Its number.
    pub run: u64,
    /// Whether it began now, or was put in line now; if not, it ran or waited already.
    pub is_new: bool,
}

/// Why no run began, in a sentence with its causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartError {
    /// Something else that is no refresh goes on.
    Busy(String),
    /// What a run needs cannot be used.
    Failed(String),
    /// What is asked about does not exist.
    NotThere(String),
    /// The key stands for another wish.
    OtherKey(String),
}

/// Which runs are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunQuery {
    /// Only the run of this number.
    pub run: Option<u64>,
    /// Only runs that stand so.
    pub state: Option<RunState>,
    /// Only runs that started at this instant or later.
    pub from: Option<Timestamp>,
    /// Only runs that started before this instant.
    pub until: Option<Timestamp>,
    /// Runs to skip, of the newest.
    pub offset: u32,
    /// Most runs to answer.
    pub limit: u32,
    /// Whether to count those beyond the page.
    pub counts: bool,
}

impl RunQuery {
    /// The newest runs.
    #[must_use]
    pub fn newest(limit: u32) -> Self {
        Self { run: None, state: None, from: None, until: None, offset: 0, limit, counts: false }
    }

    /// One run.
    #[must_use]
    pub fn one(run: u64) -> Self {
        Self { run: Some(run), ..Self::newest(1) }
    }
}

/// Some of the runs that were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPage {
    /// The runs, newest first.
    pub runs: Vec<RunRecord>,
    /// How many there are beyond this page; those of this page, if they were not to be counted.
    pub total: u64,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Its number; each run of a store has a greater one than those before.
    pub run: u64,
    /// What it was for.
    pub kind: RunKind,
    /// Who or what started it.
    #[serde(default)]
    pub trigger: RunTrigger,
    /// What it was asked for.
    #[serde(default)]
    pub request: RefreshRequest,
    /// The instant of the schedule that it was for.
    #[serde(default)]
    pub occurrence: Option<Timestamp>,
    /// Where it stands.
    pub state: RunState,
    /// Whether it ever began: one that was cancelled in line did not.
    #[serde(default = "begun")]
    pub has_begun: bool,
    /// Whether somebody asked it to stop.
    #[serde(default)]
    pub cancel_requested: bool,
    /// The process that ran it, as `host:pid`; while it is enqueued, that which took the request.
    pub holder: String,
    /// When it got the right to publish; while it is enqueued, when it was asked for.
    pub started_at: Timestamp,
    /// When it ended; `None` while it runs and when nobody saw the end.
    pub ended_at: Option<Timestamp>,
    /// The generation that was served when it began.
    #[serde(default)]
    pub before: Option<u64>,
    /// The generation it switched to; `None` when it switched to none.
    pub generation: Option<u64>,
    /// What it found of its sources.
    #[serde(default)]
    pub quality: Option<RunQuality>,
    /// Why it failed.
    pub error: Option<String>,
    /// The causes of that, one by one.
    #[serde(default)]
    pub causes: Vec<String>,
    /// Its steps so far, in order; of a rollback none.
    #[serde(default)]
    pub steps: Vec<RunStep>,
}

impl RunRecord {
    /// A run that starts now.
    #[must_use]
    pub fn starting(run: u64, order: &RunSpec, holder: String) -> Self {
        Self {
            run,
            kind: order.kind,
            trigger: order.trigger,
            request: order.request,
            occurrence: order.occurrence,
            state: RunState::Running,
            has_begun: true,
            cancel_requested: false,
            holder,
            started_at: Timestamp::now(),
            ended_at: None,
            before: None,
            generation: None,
            quality: None,
            error: None,
            causes: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// A run that waits for the one before it.
    #[must_use]
    pub fn enqueued(run: u64, order: &RunSpec, holder: String) -> Self {
        let has_begun = false;
        Self { state: RunState::Enqueued, has_begun, ..Self::starting(run, order, holder) }
    }

    /// What a refresh that succeeded came to: `published`, or `unchanged` when its inputs were those of
    /// the newest generation.
    #[must_use]
    pub fn outcome(&self) -> Option<&'static str> {
        let has_succeeded = self.kind == RunKind::Refresh && self.state == RunState::Succeeded;
        has_succeeded.then_some(if self.generation.is_some() { "published" } else { "unchanged" })
    }

    /// Whether it stopped with its process, not because somebody wanted it to.
    #[must_use]
    pub fn was_stopped(&self) -> bool {
        self.state == RunState::Cancelled && !self.cancel_requested
    }

    /// Notes that its process is gone: what it was for is done if it had switched.
    pub fn abandon(&mut self) {
        self.state = match self.generation {
            Some(_) => RunState::Succeeded,
            None => RunState::Interrupted,
        };
    }

    /// Notes how far it is.
    pub fn note(&mut self, notes: RunNotes) {
        let RunNotes { steps, before, quality } = notes;
        (self.steps, self.before, self.quality) = (steps, before, quality);
    }

    /// Notes that it ended now.
    pub fn end(&mut self, end: &RunEnd) {
        self.ended_at = Some(Timestamp::now());
        self.state = end.state();
        let (error, causes) = end.error();
        (self.error, self.causes) = (error.map(str::to_owned), causes.to_vec());
    }

    /// How much of it is done, from 0 to 1, and when it is likely to have ended, by the times that
    /// the steps of `past`, a whole run, took. A step that takes longer than it did then counts as
    /// just before its end. Without a past run each step counts alike, and nobody knows the end;
    /// a run that did not get to its end has no progress.
    #[must_use]
    pub fn forecast(
        &self,
        past: Option<&Self>,
        now: Timestamp,
    ) -> (Option<f64>, Option<Timestamp>) {
        match self.state {
            RunState::Succeeded => return (Some(1.0), None),
            RunState::Running => {}
            _ => return (None, None),
        }
        let Some(past) = past.filter(|past| past.steps.len() > 1) else {
            let done = self.steps.iter().filter(|step| step.ended_at.is_some()).count();
            #[allow(clippy::cast_precision_loss)] // a handful
            return (Some((done as f64 / WHOLE_STEPS).min(1.0)), None);
        };
        let took = |step: &RunStep| step.ended_at.map_or(0, |end| end.0 - step.started_at.0).max(1);
        let all: i64 = past.steps.iter().map(took).sum();
        let is_begun = |name: &str| self.steps.iter().any(|step| step.step == name);
        // Also those that this run passed over.
        let begun = past.steps.iter().rposition(|step| is_begun(&step.step));
        let current = begun.map(|index| &past.steps[index]);
        let before: i64 = past.steps.iter().take(begun.unwrap_or(0)).map(took).sum();
        let within = current.map_or(0, |step| {
            let usual = took(step);
            match self.steps.iter().find(|own| own.step == step.step) {
                Some(own) if own.ended_at.is_some() => usual,
                Some(own) => (now.0 - own.started_at.0).clamp(0, usual),
                None => 0,
            }
        });
        let done = before + within;
        (Some(share(done, all)), Some(Timestamp(now.0 + (all - done).max(0))))
    }
}

/// Before runs could wait, each that there is a record of had begun.
fn begun() -> bool {
    true
}

/// Steps of a whole refresh, where no past run tells.
const WHOLE_STEPS: f64 = 8.0;

/// A share from 0 to 1.
#[allow(clippy::cast_precision_loss)]
fn share(part: i64, whole: i64) -> f64 {
    (part as f64 / whole.max(1) as f64).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str, from: i64, until: Option<i64>) -> RunStep {
        let at = |secs: i64| Timestamp(secs * 1_000_000);
        let (step, summary) = (name.to_owned(), String::new());
        let (started_at, ended_at) = (at(from), until.map(at));
        RunStep { step, started_at, ended_at, summary, flow: Flow::default() }
    }

    fn run(steps: Vec<RunStep>) -> RunRecord {
        let order = RunSpec::refresh(RunTrigger::Cli, RefreshRequest::default());
        RunRecord { steps, ..RunRecord::starting(1, &order, String::new()) }
    }

    #[test]
    fn a_run_is_foretold_by_the_steps_of_one_before() {
        let past = run(vec![
            step("sources", 0, Some(1)),
            step("silver", 1, Some(4)),
            step("publish", 4, Some(10)),
        ]);
        let at = |secs: i64| Timestamp(secs * 1_000_000);
        let foretold = |steps, now| run(steps).forecast(Some(&past), at(now));
        let close = |found: (Option<f64>, Option<Timestamp>), share: f64, end: i64| {
            assert!((found.0.unwrap() - share).abs() < 1e-9, "{found:?}");
            assert_eq!(found.1, Some(at(end)), "{found:?}");
        };
        close(foretold(vec![], 0), 0.0, 10);
        close(foretold(vec![step("sources", 0, Some(1))], 1), 0.1, 10);
        // Two of three seconds of the second step.
        close(foretold(vec![step("sources", 0, Some(1)), step("silver", 1, None)], 3), 0.3, 10);
        // A step that takes much longer than it did.
        close(foretold(vec![step("sources", 0, Some(1)), step("silver", 1, None)], 60), 0.4, 66);
        // A clock that was set back.
        close(foretold(vec![step("sources", 0, Some(1)), step("silver", 50, None)], 2), 0.1, 11);
        // One that passed over the second step.
        close(foretold(vec![step("publish", 2, None)], 4), 0.6, 8);
        let alone = run(vec![step("sources", 0, Some(1)), step("silver", 1, None)]);
        assert_eq!(alone.forecast(None, at(5)), (Some(0.125), None));
        let mut ended = alone.clone();
        ended.end(&RunEnd::Succeeded);
        assert_eq!(ended.forecast(Some(&past), at(5)), (Some(1.0), None));
        ended.end(&RunEnd::Cancelled);
        assert_eq!(ended.forecast(Some(&past), at(5)), (None, None));
    }

    #[test]
    fn a_record_of_an_earlier_version_is_read() {
        let text = r#"{"run":3,"kind":"refresh","state":"running","holder":"shop:1",
            "started_at":"2026-01-21T03:00:00","ended_at":null,"generation":null,"error":null,
            "steps":[{"step":"gold","started_at":"2026-01-21T03:00:00","ended_at":null,"summary":""}]}"#;
        let record: RunRecord = serde_json::from_str(text).unwrap();
        assert_eq!((record.trigger, record.request), (RunTrigger::Cli, RefreshRequest::default()));
        assert_eq!(record.steps[0].flow, Flow::default());
    }
}
