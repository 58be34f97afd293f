//! Watching a refresh while it runs: the command line shows progress, the runner needs none.

use crate::runs::Step;
use std::time::Duration;

/// Receives the progress of a refresh, on the task that carries it out: implementations must be quick.
pub trait Observer: Send + Sync {
    /// A step starts; it has this many parts.
    fn started(&self, step: Step, parts: u64);
    /// One part of the step is done.
    fn advanced(&self, step: Step, part: &str);
    /// The step succeeded.
    fn finished(&self, step: Step, took: Duration, summary: &str);
}

/// Ignores all progress: a run in the background is watched through its record.
pub struct NoObserver;

impl Observer for NoObserver {
    fn started(&self, _step: Step, _parts: u64) {}
    fn advanced(&self, _step: Step, _part: &str) {}
    fn finished(&self, _step: Step, _took: Duration, _summary: &str) {}
}
