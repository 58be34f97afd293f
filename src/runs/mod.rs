//! Runs: refreshes, rollbacks and vacuums of the lake, one at a time per serving store.
//!
//! Owns what a run is ([`kind`], [`step`]), what is requested ([`request`]), what a store records
//! ([`record`]), what follows from a record ([`progress`], [`event`]) and when a refresh is due
//! ([`schedule`]). [`log`] and [`control`] are the contracts: stores implement the one, the runner
//! in `jobs` the other. Nothing here carries out a run or stores one.

pub mod control;
pub mod event;
pub mod kind;
pub mod log;
pub mod progress;
pub mod record;
pub mod request;
pub mod schedule;
pub mod step;
pub mod summary;

pub use control::RunControl;
pub use kind::{RunEnd, RunKind, RunState, RunTrigger};
pub use log::{IDEMPOTENCY_KEY_TTL, RunLog};
pub use progress::Progress;
pub use record::{RowCounts, RunNotes, RunPage, RunQuality, RunQuery, RunRecord};
pub use request::{
    Conflict, IdempotencyRecord, IfRunning, RefreshCommand, RefreshRequest, RunSpec, StartAt,
    StartError, StartedRun,
};
pub use step::{Flow, RunStep, Step};
pub use summary::RunSummary;
