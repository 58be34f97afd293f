//! What a run is for, what started it, its state and how it ended.
//!
//! Each enum has one spelling in stores, answers and messages: its name in lower case.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum RunKind {
    /// Builds a generation and publishes it.
    Refresh,
    /// Serves an earlier generation again.
    Rollback,
    /// Deletes objects of the lake that no generation references.
    Vacuum,
}

impl RunKind {
    /// Its spelling in stores, answers and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What started a run.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum RunTrigger {
    /// A command.
    #[default]
    Cli,
    /// A request.
    Api,
    /// The schedule.
    Schedule,
    /// A process that refreshes before it serves.
    Startup,
    /// Source files that changed.
    Watch,
}

impl RunTrigger {
    /// Its spelling in stores, answers and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The state of a run.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum RunState {
    /// It is queued behind the run before it.
    Enqueued,
    /// It has not ended.
    Running,
    /// It ended without an error, whether or not it switched to another generation.
    Succeeded,
    /// It ended with an error.
    Failed,
    /// It was stopped, on request or with its process.
    Cancelled,
    /// Its process ended before it did.
    Interrupted,
}

impl RunState {
    /// Its spelling in stores, answers and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether the run has ended.
    #[must_use]
    pub fn has_ended(self) -> bool {
        !matches!(self, Self::Enqueued | Self::Running)
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEnd {
    /// Without an error.
    Succeeded,
    /// With an error.
    Failed {
        /// One sentence, causes included.
        error: String,
        /// The causes one by one, the root cause last.
        causes: Vec<String>,
    },
    /// It was stopped.
    Cancelled,
}

impl RunEnd {
    /// The state of a run that ended this way.
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
