//! The queue: begins the queued run when the one before it has ended, in whichever process that was.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt as _;

use super::start::is_busy;
use super::state::{Inner, POLL_INTERVAL, Stage};
use crate::error_chain::describe;
use crate::jobs::error::RefreshError;
use crate::runs::{RunQuery, RunRecord, RunSpec, RunState};
use crate::store::StoreError;

/// Before a queued run that could not begin is tried again, unless it only had to wait for its turn.
const RETRY_DELAY: Duration = Duration::from_secs(5);

impl Inner {
    /// Begins queued runs from here on, unless a task of this process does so already.
    pub fn attend_queue(self: &Arc<Self>) {
        if self.is_queue_attended.swap(true, Ordering::AcqRel) {
            return;
        }
        let inner = Arc::clone(self);
        self.runtime.spawn(async move {
            if AssertUnwindSafe(inner.begin_queued_runs()).catch_unwind().await.is_err() {
                tracing::error!("the task that begins queued runs panicked");
            }
            inner.is_queue_attended.store(false, Ordering::Release);
            // A run may have been queued between the last look and now.
            if !inner.stopping.is_cancelled() && matches!(inner.queued_run().await, Ok(Some(_))) {
                inner.attend_queue();
            }
        });
    }

    /// The queued run.
    pub async fn queued_run(&self) -> Result<Option<RunRecord>, StoreError> {
        let enqueued = RunQuery { state: Some(RunState::Enqueued), ..RunQuery::newest(1) };
        Ok(self.store.runs(enqueued).await?.runs.into_iter().next())
    }

    /// Begins the queued run when its turn has come, and those that are queued after it.
    async fn begin_queued_runs(self: &Arc<Self>) {
        while !self.stopping.is_cancelled() {
            let queued = match self.queued_run().await {
                Ok(Some(queued)) => queued,
                Ok(None) => return,
                Err(_) => {
                    tokio::time::sleep(RETRY_DELAY).await;
                    continue;
                }
            };
            if let Some(current) = self.running(None) {
                current.wait_for(Stage::Ended).await;
                continue;
            }
            self.begin_queued(&queued).await;
        }
    }

    /// Begins a queued run, or waits before the next attempt.
    async fn begin_queued(self: &Arc<Self>, queued: &RunRecord) {
        let spec = RunSpec {
            scheduled_for: queued.scheduled_for,
            enqueued: Some(queued.run),
            ..RunSpec::refresh(queued.trigger, queued.request)
        };
        let result = {
            let _starting = self.starting.lock().await;
            self.begin(&spec).await
        };
        let run = queued.run;
        match result {
            // What is queued now is read next.
            Ok(_) | Err(RefreshError::Store(StoreError::NotEnqueued(_))) => {}
            Err(RefreshError::Store(error @ StoreError::AlreadyRun(_))) => {
                tracing::info!(run, reason = describe(&error), "cancelling a queued run");
                if self.store.request_cancel(run).await.is_err() {
                    tokio::time::sleep(RETRY_DELAY).await;
                }
            }
            Err(error) if is_busy(&error) => tokio::time::sleep(POLL_INTERVAL).await,
            Err(error) => {
                tracing::warn!(
                    run,
                    error = describe(&error),
                    "a queued run cannot begin; retrying"
                );
                tokio::time::sleep(RETRY_DELAY).await;
            }
        }
    }
}
