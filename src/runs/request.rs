//! What is requested of a run: a refresh and its options, the run to begin, and why none began.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

use crate::domain::time::{Day, Timestamp};
use crate::runs::kind::{RunKind, RunTrigger};

/// The inputs a refresh starts from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum StartAt {
    /// The source files.
    #[default]
    Sources,
    /// The source files of a generation, from bronze.
    Bronze,
    /// The cleaned rows of a generation.
    Silver,
}

impl StartAt {
    /// Its spelling in stores, answers and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The options of a refresh. What is stored under an idempotency key is a hash of its JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RefreshRequest {
    /// The reference instant; `None` for the last purchase.
    pub as_of: Option<Timestamp>,
    /// Runs although nothing changed, and despite the quality gate.
    pub force: bool,
    /// The inputs it starts from.
    pub start_at: StartAt,
    /// The generation whose inputs it takes if it does not start from the sources; `None` for the
    /// newest.
    pub inputs_of: Option<u64>,
}

impl RefreshRequest {
    /// Parses a reference instant. A day stands for its last instant, so that its purchases belong
    /// to it. `None` when the text is neither a day nor an instant.
    #[must_use]
    pub fn parse_as_of(text: &str) -> Option<Timestamp> {
        let is_iso = text.as_bytes().get(4) == Some(&b'-');
        Day::parse(text).map(Day::end).or_else(|| Timestamp::parse(text).filter(|_| is_iso))
    }

    /// Rejects a reference instant after today.
    ///
    /// # Errors
    /// The last valid day.
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
    /// What starts it.
    pub trigger: RunTrigger,
    /// The options of a refresh.
    pub request: RefreshRequest,
    /// The instant of the schedule it is for. There is one run for each instant.
    pub scheduled_for: Option<Timestamp>,
    /// The queued run that begins; `None` for a run with a new number.
    pub enqueued: Option<u64>,
}

impl RunSpec {
    /// A refresh.
    #[must_use]
    pub fn refresh(trigger: RunTrigger, request: RefreshRequest) -> Self {
        Self { kind: RunKind::Refresh, trigger, request, scheduled_for: None, enqueued: None }
    }

    /// A rollback to an earlier generation.
    #[must_use]
    pub fn rollback(trigger: RunTrigger) -> Self {
        Self { kind: RunKind::Rollback, ..Self::refresh(trigger, RefreshRequest::default()) }
    }

    /// A vacuum of the lake.
    #[must_use]
    pub fn vacuum(trigger: RunTrigger) -> Self {
        Self { kind: RunKind::Vacuum, ..Self::refresh(trigger, RefreshRequest::default()) }
    }
}

/// What a request for a refresh does while another run is running.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum IfRunning {
    /// It joins that run.
    #[default]
    Join,
    /// It queues another run behind it.
    Queue,
}

/// A request for a refresh, with how it is to be treated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefreshCommand {
    /// The options of the refresh.
    pub request: RefreshRequest,
    /// What it does while another run is running.
    pub if_running: IfRunning,
    /// The client's idempotency key: the same key and request start one run.
    pub key: Option<String>,
}

/// What is stored under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// SHA-256 of the request, hexadecimal.
    pub request_hash: String,
    /// The run it started; `None` while it is being started.
    pub run: Option<u64>,
}

/// The run that answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartedRun {
    /// Its number.
    pub run: u64,
    /// Whether the request began or queued it; if not, it was running or queued before.
    pub is_new: bool,
}

/// Why no run began.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another run has to end first.
    #[error(transparent)]
    Busy(Conflict),
    /// What a run needs cannot be used.
    #[error(transparent)]
    Failed(Box<dyn std::error::Error + Send + Sync>),
    /// What the request names does not exist.
    #[error(transparent)]
    NotFound(Box<dyn std::error::Error + Send + Sync>),
    /// The idempotency key belongs to another request.
    #[error("the idempotency key {key:?} belongs to another request")]
    KeyConflict {
        /// The key.
        key: String,
    },
}

/// What a request for a run is in conflict with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// A rollback, a vacuum or another process that has what a refresh needs.
    #[error(
        "another job, which is not a refresh, holds the lake or the serving store {store}; try again \
         when it has ended"
    )]
    OtherJob {
        /// The store, without secrets.
        store: String,
    },
    /// A refresh with other options.
    #[error(
        "run {0} is running with other options than this request; send it with if_running=queue, or when \
         that run has ended"
    )]
    Running(u64),
    /// A queued refresh with other options.
    #[error(
        "run {0} is queued with other options than this request; send it again when that run has begun"
    )]
    Queued(u64),
    /// There is a run for this instant of the schedule already.
    #[error("the scheduled run of {0} has begun already")]
    AlreadyRun(Timestamp),
}
