//! The cache of the pointer to the served generation: what the last read found, and for how long it
//! may be used. It does not read by itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mongodb::bson::{Bson, Document, Timestamp as ClusterTime};

use crate::domain::manifest::Published;

/// How long a cached pointer is used, so that requests do not wait for a read of it. A publish by
/// another process is seen this much later at most.
const POINTER_TTL: Duration = Duration::from_millis(10);
/// How long after a failed read requests are refused at once instead of waiting.
pub(super) const FAILURE_COOLDOWN: Duration = Duration::from_millis(500);

/// The outcome of the last read of the pointer.
#[derive(Debug, Default)]
pub(super) struct PointerCache {
    active: Option<Arc<Published>>,
    /// The pointer's document, which changes whenever the generation does.
    pointer: Option<Document>,
    /// The cluster time at which this generation was first seen: later reads are at least as new.
    operation_time: Option<ClusterTime>,
    /// When the pointer was last read; `None` after this process moved it.
    read_at: Option<Instant>,
    /// When a read last failed and why, until one succeeds.
    failure: Option<(Instant, String)>,
    /// Grows when this process moves the pointer: a read that began before saw the old one.
    version: u64,
}

impl PointerCache {
    /// Makes the next request read the pointer again.
    pub fn invalidate(&mut self) {
        self.read_at = None;
        self.version += 1;
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn operation_time(&self) -> Option<ClusterTime> {
        self.operation_time
    }

    /// Why the last read failed, if it did less than `ago` before now.
    pub fn failed_within(&self, ago: Duration) -> Option<&str> {
        let (_, problem) = self.failure.as_ref().filter(|(when, _)| when.elapsed() < ago)?;
        Some(problem)
    }

    /// Whether the last read is recent enough to be used.
    pub fn is_fresh(&self) -> bool {
        self.read_at.is_some_and(|read_at| read_at.elapsed() <= POINTER_TTL)
    }

    /// The generation that the last read found.
    pub fn active(&self) -> Option<Arc<Published>> {
        self.active.clone()
    }

    /// The cached generation, if this pointer is the one it was read with.
    pub fn generation_of(&self, pointer: Option<&Document>) -> Option<Arc<Published>> {
        self.active.clone().filter(|_| self.is_same(pointer))
    }

    /// Notes a successful read that began at a version. Returns whether the one before had failed.
    pub fn record(
        &mut self,
        version: u64,
        active: Option<Arc<Published>>,
        pointer: Option<Document>,
        operation_time: Option<ClusterTime>,
    ) -> bool {
        // Reads need not be newer than the read that first saw this generation.
        if !self.is_same(pointer.as_ref()) {
            self.operation_time = operation_time.or(self.operation_time);
        }
        self.active = active;
        self.pointer = pointer;
        self.read_at = (version == self.version).then(Instant::now);
        self.failure.take().is_some()
    }

    /// Notes a failed read, with its reason where requests should fail at once for a while. Returns
    /// whether the one before had succeeded.
    pub fn record_failure(&mut self, problem: Option<String>) -> bool {
        self.read_at = None;
        let is_first = self.failure.is_none();
        self.failure = problem.map(|problem| (Instant::now(), problem));
        is_first
    }

    fn is_same(&self, pointer: Option<&Document>) -> bool {
        self.pointer.as_ref().map(switch_of) == pointer.map(switch_of)
    }
}

/// The fields of a pointer that change with each switch; the fence does not.
fn switch_of(pointer: &Document) -> (Option<&Bson>, Option<&Bson>) {
    (pointer.get("generation"), pointer.get("published_at"))
}
