//! Work that takes time: the refresh and what watches it.
//!
//! [`refresh`] walks sources → bronze → silver → gold → models → proof → publish. A watcher ([`Observer`]) hears of
//! every step; progress bars, plain lines and logs are all watchers. [`runner`] runs it in the background.

pub mod check;
pub mod refresh;
pub mod runner;
pub mod sample_sources;
pub mod score;
mod sources;

use std::fmt;
use std::time::Duration;

/// The steps of a refresh, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Reading the source files.
    Sources,
    /// Keeping them byte for byte.
    Bronze,
    /// Typing, cleaning and deduplicating.
    Silver,
    /// Computing the tables that need no model.
    Gold,
    /// Training, judging and scoring.
    Models,
    /// Proving that all tables agree, and writing them to the lake.
    Proof,
    /// Writing the tables to the serving store and switching to them.
    Publish,
    /// Removing generations no longer kept.
    Sweep,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 8] = [
        Self::Sources,
        Self::Bronze,
        Self::Silver,
        Self::Gold,
        Self::Models,
        Self::Proof,
        Self::Publish,
        Self::Sweep,
    ];
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sources => "sources",
            Self::Bronze => "bronze",
            Self::Silver => "silver",
            Self::Gold => "gold",
            Self::Models => "models",
            Self::Proof => "proof",
            Self::Publish => "publish",
            Self::Sweep => "sweep",
        })
    }
}

/// Hears how a refresh goes. Called from the task that runs it: be quick.
pub trait Observer: Send + Sync {
    /// A step begins; `parts` is how many parts it has.
    fn started(&self, step: Step, parts: u64);
    /// One part of the step is done; `part` names it.
    fn advanced(&self, step: Step, part: &str);
    /// The step ended well; `summary` says with what.
    fn finished(&self, step: Step, took: Duration, summary: &str);
    /// A named point is reached, for tests that end the process there.
    fn reached(&self, _point: &str) {}
}
