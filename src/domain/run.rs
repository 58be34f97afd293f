//! What a store remembers of a run that held the right to publish.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// What a run was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunKind {
    /// Building a generation and publishing it.
    Refresh,
    /// Serving an earlier generation again.
    Rollback,
}

impl RunKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Refresh, Self::Rollback];

    /// The word for this kind in stores and answers.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Rollback => "rollback",
        }
    }
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// It has not ended.
    Running,
    /// It ended as it should, with or without a switch to another generation.
    Succeeded,
    /// It ended with an error.
    Failed,
    /// Its process ended before it did.
    Interrupted,
}

impl RunState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Running, Self::Succeeded, Self::Failed, Self::Interrupted];

    /// How a run stands that ends with this error, or with none.
    #[must_use]
    pub fn at_end(error: Option<&str>) -> Self {
        if error.is_some() { Self::Failed } else { Self::Succeeded }
    }

    /// The word for this state in stores and answers.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
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
}

impl RunQuery {
    /// The newest runs.
    #[must_use]
    pub fn newest(limit: u32) -> Self {
        Self { run: None, state: None, from: None, until: None, offset: 0, limit }
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
    /// How many there are beyond this page.
    pub total: u64,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Its number; each run of a store has a greater one than those before.
    pub run: u64,
    /// What it was for.
    pub kind: RunKind,
    /// Where it stands.
    pub state: RunState,
    /// The process that ran it, as `host:pid`.
    pub holder: String,
    /// When it got the right to publish.
    pub started_at: Timestamp,
    /// When it ended; `None` while it runs and when nobody saw the end.
    pub ended_at: Option<Timestamp>,
    /// The generation it switched to; `None` when it switched to none.
    pub generation: Option<u64>,
    /// Why it failed.
    pub error: Option<String>,
}

impl RunRecord {
    /// A run that starts now.
    #[must_use]
    pub fn starting(run: u64, kind: RunKind, holder: String) -> Self {
        Self {
            run,
            kind,
            state: RunState::Running,
            holder,
            started_at: Timestamp::now(),
            ended_at: None,
            generation: None,
            error: None,
        }
    }

    /// Notes that it ended now, well unless there is an error.
    pub fn end(&mut self, error: Option<String>) {
        self.ended_at = Some(Timestamp::now());
        self.state = RunState::at_end(error.as_deref());
        self.error = error;
    }
}
