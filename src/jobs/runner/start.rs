//! Starting a run: joining the one that is running, idempotency keys, and carrying it out in the background.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::state::{Current, Inner, POLL_INTERVAL, Stage};
use crate::domain::digest::sha256_hex;
use crate::error_chain::describe;
use crate::jobs::error::RefreshError;
use crate::jobs::observer::NoObserver;
use crate::jobs::refresh::{PreparedRun, Refresher};
use crate::lake::LakeError;
use crate::runs::{
    Conflict, IdempotencyRecord, IfRunning, RefreshCommand, RefreshRequest, RunKind, RunQuery,
    RunRecord, RunSpec, RunState, RunTrigger, StartError, StartedRun,
};
use crate::store::{StoreError, end_run, failed as failed_run};

impl Inner {
    /// Starts what a client requests, once for each idempotency key.
    pub async fn start_command(
        self: Arc<Self>,
        command: RefreshCommand,
    ) -> Result<StartedRun, StartError> {
        let _starting = self.starting.lock().await;
        let RefreshCommand { request, if_running, key } = command;
        let spec = RunSpec::refresh(RunTrigger::Api, request);
        let Some(key) = key else { return self.start(spec, if_running).await };
        let request_text = serde_json::json!([request, if_running]).to_string();
        let request_hash = sha256_hex(request_text.as_bytes());
        if let Some(earlier) = self.claim_key(&key, &request_hash).await? {
            if earlier.request_hash != request_hash {
                return Err(StartError::KeyConflict { key });
            }
            // A run whose record was removed already counts as none.
            if let Some(run) = earlier.run
                && self.record(run).await.map_err(failed)?.is_some()
            {
                return Ok(StartedRun { run, is_new: false });
            }
        }
        let started = self.start(spec, if_running).await;
        let run = started.as_ref().ok().map(|started| started.run);
        self.store.complete_key(&key, run).await.map_err(failed)?;
        started
    }

    /// Claims a key, or finds what it stands for. The claim of a process that died before it started a run
    /// is taken over.
    async fn claim_key(
        &self,
        key: &str,
        request_hash: &str,
    ) -> Result<Option<IdempotencyRecord>, StartError> {
        /// Together longer than it takes to start a run.
        const MAX_POLLS: u32 = 20;
        for _ in 0..MAX_POLLS {
            match self.store.claim_key(key, request_hash).await.map_err(failed)? {
                Some(earlier) if earlier.run.is_none() && earlier.request_hash == request_hash => {
                    tokio::time::sleep(POLL_INTERVAL).await;
                }
                earlier => return Ok(earlier),
            }
        }
        Ok(None)
    }

    /// Starts a run, or does as `if_running` says while one is running; the caller holds `starting`.
    pub async fn start(
        self: &Arc<Self>,
        spec: RunSpec,
        if_running: IfRunning,
    ) -> Result<StartedRun, StartError> {
        /// A process that holds what a run needs, without a record of a refresh, gets one soon or is gone.
        const MAX_POLLS: u32 = 10;
        for _ in 0..MAX_POLLS {
            if self.running(None).is_none() {
                match self.begin(&spec).await {
                    Ok(run) => return Ok(StartedRun { run, is_new: true }),
                    Err(error) if is_busy(&error) => {}
                    Err(RefreshError::Store(StoreError::AlreadyRun(instant))) => {
                        return Err(StartError::Busy(Conflict::AlreadyRun(instant)));
                    }
                    Err(error) => return Err(StartError::Failed(error.into())),
                }
            }
            if if_running == IfRunning::Queue {
                return self.enqueue(spec).await;
            }
            if let Some(record) = self.running_refresh().await.map_err(failed)? {
                return join(&record, &spec);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Err(StartError::Busy(Conflict::OtherJob { store: self.store.location() }))
    }

    async fn enqueue(self: &Arc<Self>, spec: RunSpec) -> Result<StartedRun, StartError> {
        let enqueued = self.store.enqueue(&spec).await;
        let (run, is_new) = enqueued.map_err(|error| match error {
            StoreError::AlreadyRun(instant) => StartError::Busy(Conflict::AlreadyRun(instant)),
            error => failed(error),
        })?;
        self.attend_queue();
        if is_new {
            return Ok(StartedRun { run, is_new });
        }
        match self.record(run).await.map_err(failed)? {
            Some(record) => join(&record, &spec),
            None => Ok(StartedRun { run, is_new }),
        }
    }

    /// The refresh that is recorded as running, in any process.
    async fn running_refresh(&self) -> Result<Option<RunRecord>, StoreError> {
        let running = RunQuery { state: Some(RunState::Running), ..RunQuery::newest(1) };
        let running = self.store.runs(running).await?.runs.into_iter().next();
        Ok(running.filter(|record| record.kind == RunKind::Refresh))
    }

    /// Begins a run and carries it out in the background. Returns its number. Without a lake the run fails
    /// at once, and is on record.
    pub async fn begin(self: &Arc<Self>, spec: &RunSpec) -> Result<u64, RefreshError> {
        let refresher = match (self.open_refresher)() {
            Ok(refresher) => refresher,
            Err(error) => {
                let publisher = self.store.publisher(spec).await?;
                let run = publisher.run();
                end_run(publisher, failed_run(&error)).await;
                tracing::error!(run, error = describe(&error), "the refresh failed");
                self.notify_in_background(run);
                return Ok(run);
            }
        };
        let prepared = refresher.prepare(spec).await?;
        let run = prepared.run();
        let cancel = self.stopping.child_token();
        let (stage, receiver) = watch::channel(Stage::Running);
        *self.current.lock() = Some(Current { run, cancel: cancel.clone(), stage: receiver });
        let inner = Arc::clone(self);
        self.runtime.spawn(async move {
            carry_out(&refresher, prepared, &cancel).await;
            stage.send_replace(Stage::Ended);
            inner.notify(run).await;
            stage.send_replace(Stage::Notified);
        });
        Ok(run)
    }
}

async fn carry_out(refresher: &Refresher, prepared: PreparedRun, cancel: &CancellationToken) {
    let run = prepared.run();
    let work = AssertUnwindSafe(refresher.run(prepared, &NoObserver, cancel));
    match work.catch_unwind().await {
        Ok(Ok(_)) => tracing::info!(run, "the refresh succeeded"),
        Ok(Err(RefreshError::Cancelled)) => tracing::info!(run, "the refresh was cancelled"),
        Ok(Err(error)) => tracing::error!(run, error = describe(&error), "the refresh failed"),
        // The panic handler has logged where.
        Err(_) => tracing::error!(run, "the refresh panicked"),
    }
}

fn failed(error: StoreError) -> StartError {
    StartError::Failed(error.into())
}

/// Answers a request with an existing run, if the request is the same or has no options of its own.
fn join(record: &RunRecord, spec: &RunSpec) -> Result<StartedRun, StartError> {
    let run = record.run;
    if spec.request == RefreshRequest::default() || spec.request == record.request {
        return Ok(StartedRun { run, is_new: false });
    }
    Err(StartError::Busy(match record.state {
        RunState::Enqueued => Conflict::Queued(run),
        _ => Conflict::Running(run),
    }))
}

/// Whether another run holds what this one needs.
pub(super) fn is_busy(error: &RefreshError) -> bool {
    matches!(
        error,
        RefreshError::Lake(LakeError::Locked(_)) | RefreshError::Store(StoreError::Locked(_))
    )
}
