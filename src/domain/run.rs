//! Runs: what is asked for, how one stands, and what a store remembers of it.
//!
//! A run holds the right to publish.

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

/// Who or what started a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunTrigger {
    /// A command.
    #[default]
    Cli,
    /// A request.
    Api,
}

impl RunTrigger {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Cli, Self::Api];

    /// The word for this trigger in stores and answers.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Cli => "cli",
            Self::Api => "api",
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
    /// It was stopped on request.
    Cancelled,
    /// Its process ended before it did.
    Interrupted,
}

impl RunState {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Running, Self::Succeeded, Self::Failed, Self::Cancelled, Self::Interrupted];

    /// The word for this state in stores and answers.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
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
    /// With this error, its causes included.
    Failed(String),
    /// On request.
    Cancelled,
}

impl RunEnd {
    /// How a run stands then.
    #[must_use]
    pub fn state(&self) -> RunState {
        match self {
            Self::Succeeded => RunState::Succeeded,
            Self::Failed(_) => RunState::Failed,
            Self::Cancelled => RunState::Cancelled,
        }
    }

    /// The error, if there is one.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Failed(error) => Some(error),
            Self::Succeeded | Self::Cancelled => None,
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
}

/// What a refresh is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RefreshRequest {
    /// The reference instant; `None` for the last purchase.
    pub as_of: Option<Timestamp>,
    /// Run although nothing changed, and past the quality gate.
    pub force: bool,
}

/// A run that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Its number.
    pub run: u64,
    /// Whether it began now; if not, it was running already.
    pub is_new: bool,
}

/// Why no run began, in a sentence with its causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Something else that is no refresh goes on.
    Busy(String),
    /// What a run needs cannot be used.
    Failed(String),
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
    /// Who or what started it.
    #[serde(default)]
    pub trigger: RunTrigger,
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
    /// Its steps so far, in order; of a rollback none.
    #[serde(default)]
    pub steps: Vec<RunStep>,
}

impl RunRecord {
    /// A run that starts now.
    #[must_use]
    pub fn starting(run: u64, kind: RunKind, trigger: RunTrigger, holder: String) -> Self {
        Self {
            run,
            kind,
            trigger,
            state: RunState::Running,
            holder,
            started_at: Timestamp::now(),
            ended_at: None,
            generation: None,
            error: None,
            steps: Vec::new(),
        }
    }

    /// Notes that it ended now.
    pub fn end(&mut self, end: &RunEnd) {
        self.ended_at = Some(Timestamp::now());
        self.state = end.state();
        self.error = end.error().map(str::to_owned);
    }
}
