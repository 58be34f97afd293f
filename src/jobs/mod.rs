//! Work that takes time: the refresh and what watches it.
//!
//! [`refresh`] walks sources → bronze → silver → gold → models → proof → publish. A watcher ([`Observer`]) hears of
//! every step; progress bars, plain lines and logs are all watchers. [`runner`] runs it in the background,
//! [`house`] by the clock, and [`notify`] tells others how it ended.

pub mod background;
pub mod check;
pub mod diff;
mod generation_reader;
pub mod maintenance;
pub mod notify;
mod owner;
pub mod refresh;
pub mod runner;
pub mod sample_sources;
pub mod score;
mod sources;

use std::fmt;
use std::time::Duration;

use backon::ExponentialBuilder;

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

/// Before what failed in passing is tried again: 2, 10 and 30 seconds, and up to as long again, so that
/// many who wait for the same thing do not come back at once.
fn patience() -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_secs(2))
        .with_factor(5.0)
        .with_max_delay(Duration::from_secs(30))
        .with_max_times(3)
        .with_jitter()
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

/// Passes everything on, and ends the process without clean-up at a named point, or panics there when it
/// is named `panic:point`: tests use it to see what `kill -9` and mistakes leave behind. Inert in release
/// builds.
pub struct AbortAt<O> {
    /// Where; `None` for nowhere.
    pub point: Option<String>,
    /// Who else hears.
    pub inner: O,
}

impl<O: Observer> Observer for AbortAt<O> {
    fn started(&self, step: Step, parts: u64) {
        self.inner.started(step, parts);
    }

    fn advanced(&self, step: Step, part: &str) {
        self.inner.advanced(step, part);
    }

    fn finished(&self, step: Step, took: Duration, summary: &str) {
        self.inner.finished(step, took, summary);
    }

    fn reached(&self, point: &str) {
        if cfg!(debug_assertions)
            && let Some(wanted) = &self.point
        {
            assert!(wanted.strip_prefix("panic:") != Some(point), "asked to panic at {point}");
            if wanted == point {
                std::process::abort();
            }
        }
        self.inner.reached(point);
    }
}

impl Observer for Box<dyn Observer> {
    fn started(&self, step: Step, parts: u64) {
        self.as_ref().started(step, parts);
    }

    fn advanced(&self, step: Step, part: &str) {
        self.as_ref().advanced(step, part);
    }

    fn finished(&self, step: Step, took: Duration, summary: &str) {
        self.as_ref().finished(step, took, summary);
    }

    fn reached(&self, point: &str) {
        self.as_ref().reached(point);
    }
}

/// Watches nothing: the record has it all.
pub struct NoObserver;

impl Observer for NoObserver {
    fn started(&self, _step: Step, _parts: u64) {}
    fn advanced(&self, _step: Step, _part: &str) {}
    fn finished(&self, _step: Step, _took: Duration, _summary: &str) {}
}
