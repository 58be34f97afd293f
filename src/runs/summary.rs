//! What the API and the webhooks report alike about a run.

use serde::Serialize;

use crate::domain::time::Timestamp;
use crate::runs::record::{RunQuality, RunRecord};

/// The part of a run that the API and the webhooks report alike, in their JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunSummary {
    /// Its number.
    pub run: u64,
    /// What it is for.
    pub kind: &'static str,
    /// What started it.
    pub trigger: &'static str,
    /// Its state.
    pub state: &'static str,
    /// When it began, or was queued; UTC.
    pub started_at: String,
    /// When it ended, UTC; `None` while it runs and when its process did not record the end.
    pub ended_at: Option<String>,
    /// The generation served when it began.
    pub generation_before: Option<u64>,
    /// The generation it switched to.
    pub generation: Option<u64>,
    /// Of a refresh that succeeded: `published`, or `unchanged` when its inputs were those of the
    /// newest generation.
    pub outcome: Option<&'static str>,
    /// Why it failed, causes included.
    pub error: Option<String>,
    /// What it found in its sources.
    pub quality: Option<RunQuality>,
}

impl From<&RunRecord> for RunSummary {
    fn from(record: &RunRecord) -> Self {
        Self {
            run: record.run,
            kind: record.kind.as_str(),
            trigger: record.trigger.as_str(),
            state: record.state.as_str(),
            started_at: record.started_at.to_utc(),
            ended_at: record.ended_at.map(Timestamp::to_utc),
            generation_before: record.before,
            generation: record.generation,
            outcome: record.outcome(),
            error: record.error.clone(),
            quality: record.quality.clone(),
        }
    }
}
