//! The runner: refreshes in the background, one at a time, started and stopped by others.
//!
//! Runs are recorded in the store, so that every process on it sees and stops the same runs; this holds
//! only what the process needs for the run that it carries out itself ([`state`]). [`start`] starts and
//! joins runs, [`queue`] begins the queued one.

mod queue;
mod start;
mod state;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

pub use self::state::OpenRefresher;
use self::state::{Current, Inner, POLL_INTERVAL, Stage};
use super::diff::{DiffError, diff};
use super::error::RefreshError;
use super::inspect::inspect;
use super::notify::Notifier;
use super::refresh::Refresher;
use crate::domain::diff::GenerationDiff;
use crate::domain::files::{RejectsFile, TableFile};
use crate::domain::inspection::Inspection;
use crate::domain::rejects::RejectedRecord;
use crate::error_chain::describe;
use crate::lake::{LakeError, Layer};
use crate::runs::{
    IfRunning, RefreshCommand, RunControl, RunSpec, RunState, RunTrigger, StartError, StartedRun,
};
use crate::sources::read_rejects;
use crate::store::rollback::rollback;
use crate::store::{GoldStore, StoreError};

/// Runs refreshes in the background, one at a time.
#[derive(Clone)]
pub struct Runner(Arc<Inner>);

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let run = self.0.current.lock().as_ref().map(|current| current.run);
        f.debug_struct("Runner").field("run", &run).finish_non_exhaustive()
    }
}

impl Runner {
    /// A runner that has nothing to do yet. Its runs are carried out in the runtime this is called in.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn new(
        open_refresher: OpenRefresher,
        store: Arc<dyn GoldStore>,
        notifier: Notifier,
    ) -> Self {
        Self(Arc::new(Inner {
            open_refresher,
            notifier,
            store,
            runtime: Handle::current(),
            starting: AsyncMutex::new(()),
            current: Mutex::new(None),
            is_queue_attended: AtomicBool::new(false),
            stopping: CancellationToken::new(),
        }))
    }

    /// Cancels the run that is running here, and ends what waits for runs.
    pub fn cancel_all(&self) {
        self.0.stopping.cancel();
        if let Some(current) = self.0.running(None) {
            tracing::info!(run = current.run, "cancelling the run");
            current.cancel.cancel();
        }
    }

    /// Cancels the run that is running here, and waits until it has ended and notifications have been sent.
    pub async fn stop(&self) {
        self.cancel_all();
        let current = self.0.current.lock().clone();
        if let Some(current) = current {
            current.wait_for(Stage::Notified).await;
        }
    }

    /// Warns that the process ends before its run has.
    pub fn give_up(&self) {
        if let Some(Current { run, .. }) = self.0.running(None) {
            tracing::warn!(run, "the run did not end in time; its record will become interrupted");
        }
    }

    /// The store that holds the records of runs.
    #[must_use]
    pub fn store(&self) -> &dyn GoldStore {
        self.0.store.as_ref()
    }

    /// A refresher, for its lake.
    ///
    /// # Errors
    /// When the lake cannot be opened.
    pub fn refresher(&self) -> Result<Refresher, RefreshError> {
        (self.0.open_refresher)()
    }

    /// Starts a refresh, or does as `if_running` says while one is running.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(
        &self,
        spec: RunSpec,
        if_running: IfRunning,
    ) -> Result<StartedRun, StartError> {
        let inner = Arc::clone(&self.0);
        let start = async move {
            let _starting = inner.starting.lock().await;
            inner.start(spec, if_running).await
        };
        self.0.complete(start).await
    }

    /// Takes over from processes that have ended: marks their runs as interrupted, and begins the queued run.
    pub async fn recover(&self) {
        match self.0.store.mark_interrupted().await {
            Ok(interrupted) => {
                for run in interrupted {
                    tracing::warn!(run, "the process of a run ended before the run did");
                    self.0.notify_in_background(run);
                }
            }
            // Requests report a store that is unavailable.
            Err(error) => {
                tracing::debug!(error = describe(&error), "cannot look for interrupted runs");
            }
        }
        if let Ok(Some(_)) = self.0.queued_run().await {
            self.0.attend_queue();
        }
    }
}

/// What work on the runner's runtime gave; `describe` tells why it failed, if it did not panic.
fn joined<T, E>(
    ended: Result<Result<T, E>, JoinError>,
    describe: impl FnOnce(E) -> StartError,
) -> Result<T, StartError> {
    ended.map_err(|error| StartError::Failed(error.into()))?.map_err(describe)
}

#[async_trait]
impl RunControl for Runner {
    type Error = StoreError;

    async fn refresh(&self, command: RefreshCommand) -> Result<StartedRun, StartError> {
        self.0.complete(Arc::clone(&self.0).start_command(command)).await
    }

    async fn rollback(&self, generation: u64) -> Result<(u64, u64), StoreError> {
        let inner = Arc::clone(&self.0);
        let work = async move {
            let done = rollback(inner.store.as_ref(), RunTrigger::Api, Some(generation)).await?;
            inner.notify_in_background(done.run);
            Ok((done.from, done.to))
        };
        self.0.runtime.spawn(work).await.unwrap_or_else(|error| {
            let (action, location) = ("rolling back".to_owned(), self.0.store.location());
            Err(StoreError::Failed { action, location, source: error.into() })
        })
    }

    async fn diff(&self, from: u64, to: u64) -> Result<GenerationDiff, StartError> {
        let inner = Arc::clone(&self.0);
        let compared = self.0.runtime.spawn(async move {
            let lake = (inner.open_refresher)().map_err(DiffError::from)?.lake;
            diff(inner.store.as_ref(), &lake, from, to).await
        });
        joined(compared.await, |error| match error {
            DiffError::NoGeneration(..) => StartError::NotFound(error.into()),
            _ => StartError::Failed(error.into()),
        })
    }

    async fn inspect(&self) -> Result<Inspection, StartError> {
        let inner = Arc::clone(&self.0);
        let inspected = self.0.runtime.spawn(async move {
            let refresher = (inner.open_refresher)()?;
            inspect(&refresher.lake, &refresher.judgement()).await
        });
        joined(inspected.await, |error: RefreshError| StartError::Failed(error.into()))
    }

    async fn rejects(&self, file: &RejectsFile) -> Result<Vec<RejectedRecord>, StartError> {
        let csv = self.silver_file(&file.file).await?;
        let name = file.source.clone();
        let read = self.0.runtime.spawn_blocking(move || read_rejects(&name, &csv));
        joined(read.await, |error| StartError::Failed(error.into()))
    }

    async fn silver_file(&self, file: &TableFile) -> Result<Bytes, StartError> {
        let (inner, file) = (Arc::clone(&self.0), file.clone());
        let read = self.0.runtime.spawn(async move {
            let lake = (inner.open_refresher)()?.lake;
            Ok(lake.get_file(Layer::Silver, &file).await?)
        });
        joined(read.await, |error| match error {
            RefreshError::Lake(error @ LakeError::Missing(_)) => StartError::NotFound(error.into()),
            error => StartError::Failed(error.into()),
        })
    }

    async fn cancel(&self, run: u64) -> Result<(), StoreError> {
        if let Some(current) = self.0.running(Some(run)) {
            current.cancel.cancel();
        }
        let record = self.0.record(run).await?;
        self.0.store.request_cancel(run).await?;
        if record.is_some_and(|record| record.state == RunState::Enqueued) {
            // If it began meanwhile, its end is notified of by the process that carries it out.
            let inner = Arc::clone(&self.0);
            self.0.runtime.spawn(async move {
                if matches!(inner.record(run).await, Ok(Some(record)) if record.state.has_ended()) {
                    inner.notify(run).await;
                }
            });
        }
        Ok(())
    }

    async fn wait(&self, run: u64, at_most: Duration) {
        let ended = async {
            if let Some(current) = self.0.running(Some(run)) {
                return current.wait_for(Stage::Ended).await;
            }
            // While the store is unavailable the run counts as running.
            while !matches!(self.0.record(run).await, Ok(Some(record)) if record.state.has_ended())
            {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        tokio::select! {
            // The caller reads from the record whether the run has ended.
            _ = tokio::time::timeout(at_most, ended) => {}
            () = self.0.stopping.cancelled() => {}
        }
    }

    fn stopping(&self) -> CancellationToken {
        self.0.stopping.clone()
    }
}
