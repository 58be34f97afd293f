//! The contract of what starts and stops runs. The API needs no more of the runner than this.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::domain::diff::GenerationDiff;
use crate::domain::files::{RejectsFile, TableFile};
use crate::domain::inspection::Inspection;
use crate::domain::rejects::RejectedRecord;
use crate::runs::request::{RefreshCommand, StartError, StartedRun};

/// Starts, stops and awaits runs.
#[async_trait]
pub trait RunControl: Send + Sync + fmt::Debug {
    /// The serving store's error.
    type Error;

    /// Starts a refresh, or joins or queues one while another run is running.
    ///
    /// # Errors
    /// [`StartError`].
    async fn refresh(&self, command: RefreshCommand) -> Result<StartedRun, StartError>;

    /// Serves an earlier generation again. Returns the generation served before and the one served
    /// now.
    async fn rollback(&self, generation: u64) -> Result<(u64, u64), Self::Error>;

    /// Compares two stored generations.
    ///
    /// # Errors
    /// [`StartError::NotFound`] when one is not stored, [`StartError::Failed`] when its tables cannot be read.
    async fn diff(&self, from: u64, to: u64) -> Result<GenerationDiff, StartError>;

    /// What a run would make of the source files now.
    ///
    /// # Errors
    /// [`StartError::Failed`] when the lake cannot be read.
    async fn inspect(&self) -> Result<Inspection, StartError>;

    /// The rejected rows of a source file.
    ///
    /// # Errors
    /// As [`Self::silver_file`].
    async fn rejects(&self, file: &RejectsFile) -> Result<Vec<RejectedRecord>, StartError>;

    /// A file of silver, whole.
    ///
    /// # Errors
    /// [`StartError::NotFound`] when it was removed, [`StartError::Failed`] when it cannot be read.
    async fn silver_file(&self, file: &TableFile) -> Result<Bytes, StartError>;

    /// Asks a run of any process to stop at the next point where nothing is half done.
    async fn cancel(&self, run: u64) -> Result<(), Self::Error>;

    /// Waits until a run of any process has ended, or the time is over.
    async fn wait(&self, run: u64, at_most: Duration);

    /// Fires when the process is asked to stop: long-lived responses end then.
    fn stopping(&self) -> CancellationToken;
}
