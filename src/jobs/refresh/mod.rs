//! The refresh: plan, silver, gold, models, commit, publish, retain; all or nothing.
//!
//! Two commit points, each written last: the manifest in the lake makes a generation exist, the
//! store's pointer makes it served. A run that ends between them, however it ends, leaves the old
//! generation served; the next run removes what it left or publishes what was complete. One file per
//! stage, in the order of [`Refresher::run_stages`]; [`steps`] records and retries, [`write`] writes to the lake.

mod commit;
mod gold;
mod models;
mod plan;
mod publish;
mod refresher;
mod rejects;
mod retention;
mod silver;
mod steps;
mod write;

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use futures::FutureExt;
use tokio_util::sync::CancellationToken;

use self::plan::{NewGeneration, Plan};
pub use self::refresher::Refresher;
use self::steps::Steps;
use super::error::{RefreshError, Result};
use super::observer::Observer;
use super::report::{Outcome, Report};
use crate::domain::manifest::Manifest;
use crate::error_chain::describe;
use crate::lake::{LakeError, LakeLock};
use crate::runs::{RefreshRequest, RunEnd, RunSpec};
use crate::store::{Publisher, end_run, failed};

/// How often a run looks whether another process asked it to stop.
const CANCEL_POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Longest time to remove records of old runs.
const PRUNE_TIMEOUT: Duration = Duration::from_secs(5);

/// A run that holds the lake and the right to publish, and has not started to work.
#[derive(Debug)]
pub struct PreparedRun {
    /// The lake's lock, or why it could not be taken, which fails the run.
    lock: Result<LakeLock>,
    publisher: Box<dyn Publisher>,
    request: RefreshRequest,
}

impl PreparedRun {
    /// Its number.
    #[must_use]
    pub fn run(&self) -> u64 {
        self.publisher.run()
    }
}

impl Refresher {
    /// Takes the lake and the right to publish, and starts the record of a run. When the lake cannot be
    /// written, the run is prepared all the same and fails with that error, so that it is on record.
    ///
    /// # Errors
    /// [`RefreshError`] when another run holds either, or the store cannot be used.
    pub async fn prepare(&self, spec: &RunSpec) -> Result<PreparedRun> {
        let lock = match self.lake.lock() {
            Err(error @ LakeError::Locked(_)) => return Err(error.into()),
            lock => lock.map_err(RefreshError::from),
        };
        let publisher = self.store.publisher(spec).await?;
        Ok(PreparedRun { lock, publisher, request: spec.request })
    }

    /// Carries out a run and records how it ended. `cancel`, or a request in the run's record, stops it
    /// before the switch, leaving nothing published in part.
    ///
    /// # Errors
    /// [`RefreshError`]; what was published before stays published.
    pub async fn run(
        &self,
        prepared: PreparedRun,
        observer: &dyn Observer,
        cancel: &CancellationToken,
    ) -> Result<Outcome> {
        let PreparedRun { lock, publisher, request } = prepared;
        let _lock = match lock {
            Ok(lock) => lock,
            Err(error) => {
                end_run(publisher, failed(&error)).await;
                return Err(error);
            }
        };
        // Cancelled with the caller's token, by a request in the record, and when a step takes too long.
        let cancel = &cancel.child_token();
        let mut steps = Steps::new(publisher.as_ref(), observer, cancel);
        let timeout = steps.timeout(self.longest_step);
        // Boxed: with all that it holds between its steps it is large to move.
        let work = Box::pin(self.run_stages(request, &mut steps));
        // Caught, so that a panic ends the record as well before it unwinds further.
        let outcome = tokio::select! {
            outcome = AssertUnwindSafe(work).catch_unwind() => outcome,
            never = poll_cancel_request(publisher.as_ref(), cancel) => match never {},
            error = timeout => {
                // Work on a blocking thread stops at its next batch.
                cancel.cancel();
                Ok(Err(error))
            }
        };
        let end = match &outcome {
            Ok(Ok(_)) => RunEnd::Succeeded,
            Ok(Err(RefreshError::Cancelled)) => RunEnd::Cancelled,
            Ok(Err(error)) => failed(error),
            Err(_) => {
                let error = "the run panicked; the log says where".to_owned();
                RunEnd::Failed { error, causes: Vec::new() }
            }
        };
        self.prune_runs(publisher.as_ref()).await;
        end_run(publisher, end).await;
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    }

    async fn run_stages(&self, request: RefreshRequest, steps: &mut Steps<'_>) -> Result<Outcome> {
        let (manifest, resumed) = match self.plan(request, steps).await? {
            Plan::Unchanged { generation, active } => {
                self.restore(&active, steps).await?;
                let active = active.manifest.generation;
                return Ok(Outcome::Unchanged { generation, active });
            }
            Plan::Publish(manifest) => (*manifest, true),
            Plan::Build(new) => (self.build(*new, steps).await?, false),
        };
        let (tables_written, tables_reused) = self.publish(&manifest, steps).await?;
        // The new generation is served by now: what could not be removed is left to the next run.
        let not_swept = self.retain(steps).await.err();
        let steps = std::mem::take(&mut steps.done);
        let report = Report { manifest, resumed, tables_written, tables_reused, not_swept, steps };
        Ok(Outcome::Published(Box::new(report)))
    }

    /// Builds a generation in the lake. Cancelling abandons the computation at once: nothing of it is published.
    async fn build(&self, new: NewGeneration, steps: &mut Steps<'_>) -> Result<Manifest> {
        let cancel = steps.cancel;
        let build = async {
            let silver = self.make_silver(&new, steps).await?;
            let (quality, silver_files) = (silver.rows.report.clone(), silver.files);
            let aggregates = self.make_gold(&new, silver.rows, steps).await?;
            let models = self.make_models(&new, aggregates, steps).await?;
            self.commit(new, quality, silver_files, models, steps).await
        };
        tokio::select! {
            manifest = build => manifest,
            () = cancel.cancelled() => Err(RefreshError::Cancelled),
        }
    }

    /// Removes records of old runs; those that cannot be removed now are removed after the next run.
    async fn prune_runs(&self, publisher: &dyn Publisher) {
        let prune = publisher.forget_runs(self.keep_runs);
        match tokio::time::timeout(PRUNE_TIMEOUT, prune).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = describe(&error), "cannot remove records of old runs");
            }
            Err(_) => tracing::warn!("cannot remove records of old runs in time"),
        }
    }
}

/// Cancels the run when its record says that it is to stop.
async fn poll_cancel_request(
    publisher: &dyn Publisher,
    cancel: &CancellationToken,
) -> std::convert::Infallible {
    loop {
        tokio::time::sleep(CANCEL_POLL_INTERVAL).await;
        // That the store cannot be reached shows in the steps.
        if publisher.cancel_requested().await.unwrap_or(false) && !cancel.is_cancelled() {
            tracing::info!(run = publisher.run(), "the run was asked to stop");
            cancel.cancel();
        }
    }
}
