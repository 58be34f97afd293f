//! The record of a run, as stores keep it, and queries for records.
//!
//! Its JSON is the format of `goldsmith_runs` in SQLite; MongoDB's document differs in how it
//! writes numbers and instants (`store::mongo::run_document`). Fields that came later have
//! defaults, so that older records are read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::account::Account;
use crate::domain::data_set::PerDataSet;
use crate::domain::files::{RejectsFile, TableFile};
use crate::domain::quality::{Check, CorrectionOutcome, QualityReport};
use crate::domain::time::Timestamp;
use crate::runs::kind::{RunEnd, RunKind, RunState, RunTrigger};
use crate::runs::request::{RefreshRequest, RunSpec};
use crate::runs::step::{RunStep, Step};

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Its number; it grows from run to run of a store.
    pub run: u64,
    /// What it is for.
    pub kind: RunKind,
    /// What started it.
    #[serde(default)]
    pub trigger: RunTrigger,
    /// The options of a refresh.
    #[serde(default)]
    pub request: RefreshRequest,
    /// The instant of the schedule it is for.
    #[serde(default, rename = "occurrence")]
    pub scheduled_for: Option<Timestamp>,
    /// Its state.
    pub state: RunState,
    /// Whether it ever began: one that was cancelled while it was queued did not.
    #[serde(default = "has_begun_by_default")]
    pub has_begun: bool,
    /// Whether it was asked to stop.
    #[serde(default, rename = "is_cancel_asked")]
    pub cancel_requested: bool,
    /// The process that runs it, as `host:pid`; while it is queued, the one that took the request.
    #[serde(rename = "holder")]
    pub owner: String,
    /// When it got the right to publish; while it is queued, when it was requested.
    pub started_at: Timestamp,
    /// When it ended; `None` while it runs, and when its process did not record the end.
    pub ended_at: Option<Timestamp>,
    /// The generation served when it began.
    #[serde(default)]
    pub before: Option<u64>,
    /// The generation it switched to.
    pub generation: Option<u64>,
    /// What it found in its sources.
    #[serde(default)]
    pub quality: Option<RunQuality>,
    /// Why it failed, causes included.
    pub error: Option<String>,
    /// The causes one by one, the root cause last.
    #[serde(default)]
    pub causes: Vec<String>,
    /// Its steps so far, in order; a rollback has none.
    #[serde(default)]
    pub steps: Vec<RunStep>,
}

/// Before runs could be queued, every recorded run had begun.
pub(crate) fn has_begun_by_default() -> bool {
    true
}

impl RunRecord {
    /// A run that begins now.
    #[must_use]
    pub fn starting(run: u64, spec: &RunSpec, owner: String) -> Self {
        Self {
            run,
            kind: spec.kind,
            trigger: spec.trigger,
            request: spec.request,
            scheduled_for: spec.scheduled_for,
            state: RunState::Running,
            has_begun: true,
            cancel_requested: false,
            owner,
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

    /// A run that is queued now.
    #[must_use]
    pub fn enqueued(run: u64, spec: &RunSpec, owner: String) -> Self {
        let has_begun = false;
        Self { state: RunState::Enqueued, has_begun, ..Self::starting(run, spec, owner) }
    }

    /// The outcome of a refresh that succeeded: `published`, or `unchanged` when its inputs were
    /// those of the newest generation.
    #[must_use]
    pub fn outcome(&self) -> Option<&'static str> {
        let has_succeeded = self.kind == RunKind::Refresh && self.state == RunState::Succeeded;
        has_succeeded.then_some(if self.generation.is_some() { "published" } else { "unchanged" })
    }

    /// Whether it was cancelled with its process, not on request.
    #[must_use]
    pub fn was_stopped_with_process(&self) -> bool {
        self.state == RunState::Cancelled && !self.cancel_requested
    }

    /// Whether it is a refresh that computed its tables and published them. One that found its
    /// tables complete in the lake did not compute them.
    #[must_use]
    pub fn is_complete_refresh(&self) -> bool {
        let has_step = |step: Step| self.steps.iter().any(|other| other.step == step);
        self.outcome() == Some("published") && has_step(Step::Gold) && has_step(Step::Publish)
    }

    /// Ends the record of a run whose process is gone: it succeeded if it had switched.
    pub fn mark_interrupted(&mut self) {
        self.state = match self.generation {
            Some(_) => RunState::Succeeded,
            None => RunState::Interrupted,
        };
    }

    /// Records how far it is.
    pub fn note(&mut self, notes: RunNotes) {
        let RunNotes { steps, before, quality } = notes;
        (self.steps, self.before, self.quality) = (steps, before, quality);
    }

    /// Records that it ended now.
    pub fn end(&mut self, end: &RunEnd) {
        self.ended_at = Some(Timestamp::now());
        self.state = end.state();
        let (error, causes) = end.error();
        (self.error, self.causes) = (error.map(str::to_owned), causes.to_vec());
    }
}

/// What a run records while it is running.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunNotes {
    /// Its steps so far, in order.
    pub steps: Vec<RunStep>,
    /// The generation served when it began.
    pub before: Option<u64>,
    /// What it found in its sources.
    pub quality: Option<RunQuality>,
}

/// The data quality a run found in its sources.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunQuality {
    /// Rows of each data set.
    #[serde(flatten)]
    pub data_sets: PerDataSet<RowCounts>,
    /// Rejected rows of all data sets, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Rows with a warning, by warning.
    pub warnings: BTreeMap<String, u64>,
    /// Rows that are neither served nor errors, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set_aside: BTreeMap<String, u64>,
    /// Where the money of each file went.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<Account>,
    /// Sentences about what is not served as it stands in the sources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
    /// What files of corrected rows did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub corrections: Vec<CorrectionOutcome>,
    /// Rejected rows as CSV, by source file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejects: Vec<RejectsFile>,
    /// What corrections replaced, as CSV in silver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<TableFile>,
    /// What was checked, and whether it held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
}

/// Rows of a data set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCounts {
    /// Rows read.
    pub read: u64,
    /// Rows accepted.
    pub valid: u64,
    /// Rows rejected.
    pub rejected: u64,
}

/// The files beside the report are added by the run.
impl From<&QualityReport> for RunQuality {
    fn from(report: &QualityReport) -> Self {
        let (mut rejected, mut set_aside) = (BTreeMap::new(), BTreeMap::new());
        let data_sets = PerDataSet::from_fn(|set| {
            let quality = &report.data_sets[set];
            for (reason, count) in &quality.rejected {
                *rejected.entry(reason.clone()).or_insert(0) += count;
            }
            for (reason, count) in &quality.set_aside {
                *set_aside.entry(reason.clone()).or_insert(0) += count;
            }
            RowCounts {
                read: quality.rows_read,
                valid: quality.rows_valid,
                rejected: quality.rows_rejected(),
            }
        });
        let warnings = report.warnings.iter().filter(|(_, count)| **count > 0);
        let warnings = warnings.map(|(name, count)| (name.clone(), *count)).collect();
        let (accounts, findings) = (report.accounts.clone(), report.findings.clone());
        let corrections = report.corrections.clone();
        let (rejects, changes) = (Vec::new(), None);
        Self {
            data_sets,
            rejected,
            warnings,
            set_aside,
            accounts,
            findings,
            corrections,
            rejects,
            changes,
            checks: report.checks.clone(),
        }
    }
}

/// A query for runs; conditions that are `None` match every run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunQuery {
    /// The run of this number.
    pub run: Option<u64>,
    /// Runs in this state.
    pub state: Option<RunState>,
    /// Runs that started at this instant or later.
    pub from: Option<Timestamp>,
    /// Runs that started before this instant.
    pub until: Option<Timestamp>,
    /// How many of the newest runs to skip.
    pub offset: u32,
    /// How many runs to return at most.
    pub limit: u32,
    /// Whether to count the runs beyond the page.
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

/// A page of runs.
#[derive(Debug, Clone, PartialEq)]
pub struct RunPage {
    /// The runs, newest first.
    pub runs: Vec<RunRecord>,
    /// How many runs match the query; those of this page, if the query does not count.
    pub total: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::data_set::DataSet;
    use crate::runs::step::Flow;

    #[test]
    fn a_record_of_an_earlier_version_is_read() {
        let text = r#"{"run":3,"kind":"refresh","state":"running","holder":"shop:1",
            "started_at":"2026-01-21T03:00:00","ended_at":null,"generation":null,"error":null,
            "steps":[{"step":"gold","started_at":"2026-01-21T03:00:00","ended_at":null,"summary":""}]}"#;
        let record: RunRecord = serde_json::from_str(text).unwrap();
        assert_eq!((record.trigger, record.request), (RunTrigger::Cli, RefreshRequest::default()));
        assert_eq!(record.steps[0].flow, Flow::default());
    }

    /// As version 5153dbb wrote it.
    const STORED: &str = r#"{"run":12,"kind":"refresh","trigger":"schedule","request":{"as_of":"2025-12-31T23:59:59.999999","force":true,"start_at":"bronze","inputs_of":7},"occurrence":"2026-01-21T03:00:00","state":"failed","has_begun":true,"is_cancel_asked":false,"holder":"shop:4711","started_at":"2026-01-21T03:00:00.123456","ended_at":"2026-01-21T03:00:05","before":6,"generation":null,"quality":{"clients":{"read":5012,"valid":5000,"rejected":12},"achats":{"read":60000,"valid":60000,"rejected":0},"rejected":{"missing_id":12},"warnings":{"future_date":1}},"error":"it failed: because","causes":["because"],"steps":[{"step":"sources","started_at":"2026-01-21T03:00:00.2","ended_at":"2026-01-21T03:00:01","summary":"2 files","flow":{"rows_in":null,"rows_out":null,"bytes":1874309}},{"step":"silver","started_at":"2026-01-21T03:00:01","ended_at":null,"summary":"","flow":{"rows_in":null,"rows_out":null,"bytes":null}}]}"#;

    #[test]
    fn a_stored_record_is_read_and_written_as_it_was() {
        let record: RunRecord = serde_json::from_str(STORED).unwrap();
        assert_eq!(record.scheduled_for, Timestamp::parse("2026-01-21T03:00:00"));
        assert_eq!(record.owner, "shop:4711");
        assert_eq!(record.quality.as_ref().unwrap().data_sets[DataSet::Customers].rejected, 12);
        assert_eq!(record.steps[0].step, Step::Sources);
        assert_eq!(serde_json::to_string(&record).unwrap(), STORED);
    }
}
