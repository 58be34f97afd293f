//! The runner: one refresh at a time in the background, started, watched and stopped by others.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio_util::sync::CancellationToken;

use super::refresh::{RefreshError, Refresher};
use super::{Observer, Step};
use crate::domain::run::{Asked, RefreshRequest, Refusal, RunKind, RunQuery, RunState, RunTrigger};
use crate::lake::LakeError;
use crate::store::{GoldStore, Operator, StoreError, rollback};
use crate::telemetry::sentence;

/// Makes what a refresh works with, when one is asked for: who only serves needs no lake.
pub type MakeRefresher = Box<dyn Fn() -> Result<Refresher, RefreshError> + Send + Sync>;

/// Runs refreshes in the background, one at a time.
#[derive(Clone)]
pub struct Runner(Arc<Inner>);

struct Inner {
    make: MakeRefresher,
    store: Arc<dyn GoldStore>,
    /// Where runs go on: that of whoever asks may end with the server, before the run has.
    runtime: Handle,
    /// Held while a run is being started, so that of many who ask one starts it.
    starting: AsyncMutex<()>,
    current: Mutex<Option<Current>>,
}

/// The run that goes on here, or went on last.
#[derive(Clone)]
struct Current {
    run: u64,
    cancel: CancellationToken,
    has_ended: watch::Receiver<bool>,
    progress: Arc<Progress>,
}

impl Current {
    async fn ended(mut self) {
        // An error means that it is gone, by a panic.
        let _ = self.has_ended.wait_for(|has_ended| *has_ended).await;
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let run = self.0.current().as_ref().map(|current| current.run);
        f.debug_struct("Runner").field("run", &run).finish_non_exhaustive()
    }
}

impl Runner {
    /// A runner that has nothing to do yet. Its runs go on in the runtime this is called in.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn new(make: MakeRefresher, store: Arc<dyn GoldStore>) -> Self {
        let (runtime, starting) = (Handle::current(), AsyncMutex::new(()));
        Self(Arc::new(Inner { make, store, runtime, starting, current: Mutex::new(None) }))
    }

    /// Asks what goes on here to stop.
    pub fn cancel_all(&self) {
        if let Some(current) = self.0.running(None) {
            tracing::info!(run = current.run, "cancelling the run that goes on");
            current.cancel.cancel();
        }
    }

    /// Stops what goes on here and waits until it has ended, or the time is over.
    pub async fn stop(&self, at_most: Duration) {
        self.cancel_all();
        let Some(current) = self.0.running(None) else { return };
        let run = current.run;
        if tokio::time::timeout(at_most, current.ended()).await.is_err() {
            tracing::warn!(
                run,
                "the run did not end in time; the next one will find it interrupted"
            );
        }
    }
}

impl Inner {
    fn current(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run that goes on here, if it is this one.
    fn running(&self, run: Option<u64>) -> Option<Current> {
        let current = self.current().clone()?;
        let is_asked = run.is_none_or(|run| run == current.run);
        // A channel without a sender is that of a run that panicked.
        let goes_on = !*current.has_ended.borrow() && current.has_ended.has_changed().is_ok();
        (is_asked && goes_on).then_some(current)
    }

    /// Whether the store still says that a run goes on: shortly before it has ended it does not.
    async fn is_on_record(&self, run: u64) -> bool {
        let page = self.store.runs(RunQuery::one(run)).await;
        page.is_ok_and(|page| page.runs.iter().any(|run| run.state == RunState::Running))
    }

    /// The refresh that another process says is going on.
    async fn elsewhere(&self) -> Option<u64> {
        let running = RunQuery { state: Some(RunState::Running), ..RunQuery::newest(1) };
        let page = self.store.runs(running).await.ok()?;
        let refresh = page.runs.first().filter(|record| record.kind == RunKind::Refresh);
        refresh.map(|record| record.run)
    }

    async fn start(self: Arc<Self>, request: RefreshRequest) -> Result<Asked, Refusal> {
        let _starting = self.starting.lock().await;
        if let Some(current) = self.running(None) {
            if self.is_on_record(current.run).await {
                return Ok(Asked { run: current.run, is_new: false });
            }
            current.ended().await;
        }
        let failed = |error: &RefreshError| Refusal::Failed(sentence(error));
        let refresher = (self.make)().map_err(|error| failed(&error))?;
        let begun = match refresher.begin(RunTrigger::Api).await {
            Ok(begun) => begun,
            Err(
                error @ (RefreshError::Lake(LakeError::Locked(_))
                | RefreshError::Store(StoreError::Locked(_))),
            ) => {
                let busy = || Refusal::Busy(sentence(&error));
                return Ok(Asked { run: self.elsewhere().await.ok_or_else(busy)?, is_new: false });
            }
            Err(error) => return Err(failed(&error)),
        };
        let run = begun.run();
        let cancel = CancellationToken::new();
        let (ended, has_ended) = watch::channel(false);
        let progress = Arc::new(Progress::default());
        let current =
            Current { run, cancel: cancel.clone(), has_ended, progress: Arc::clone(&progress) };
        *self.current() = Some(current);
        self.runtime.spawn(async move {
            match refresher.run(begun, request, progress.as_ref(), &cancel).await {
                Ok(_) => tracing::info!(run, "the refresh ended"),
                Err(RefreshError::Cancelled) => tracing::info!(run, "the refresh was cancelled"),
                Err(error) => tracing::error!(run, error = sentence(&error), "the refresh failed"),
            }
            // Dropped if the task panics: whoever waits hears of it either way.
            ended.send_replace(true);
        });
        Ok(Asked { run, is_new: true })
    }
}

#[async_trait]
impl Operator for Runner {
    async fn refresh(&self, request: RefreshRequest) -> Result<Asked, Refusal> {
        // Of its own, so that a request that is given up leaves nothing half begun.
        let started = self.0.runtime.spawn(Arc::clone(&self.0).start(request));
        started.await.unwrap_or_else(|error| Err(Refusal::Failed(error.to_string())))
    }

    async fn rollback(&self, generation: u64) -> Result<(u64, u64), StoreError> {
        let store = Arc::clone(&self.0.store);
        let work = async move { rollback(store.as_ref(), RunTrigger::Api, Some(generation)).await };
        self.0.runtime.spawn(work).await.unwrap_or_else(|error| {
            let (action, location) = ("going back".to_owned(), self.0.store.location());
            Err(StoreError::Failed { action, location, source: error.into() })
        })
    }

    async fn cancel(&self, run: u64) -> bool {
        let Some(current) = self.0.running(Some(run)) else { return false };
        current.cancel.cancel();
        true
    }

    async fn wait(&self, run: u64, at_most: Duration) {
        let Some(current) = self.0.running(Some(run)) else { return };
        // Whether the time was over or the run is the answer's to say.
        let _ = tokio::time::timeout(at_most, current.ended()).await;
    }

    fn progress(&self, run: u64) -> Option<f64> {
        self.0.running(Some(run)).map(|current| current.progress.share())
    }
}

/// How much of a run is done: its steps, and the parts of the step that goes on.
#[derive(Debug, Default)]
struct Progress {
    steps: AtomicU32,
    parts: AtomicU32,
    parts_done: AtomicU32,
}

impl Progress {
    fn share(&self) -> f64 {
        let read = |number: &AtomicU32| f64::from(number.load(Ordering::Relaxed));
        let within = read(&self.parts_done) / read(&self.parts).max(1.0);
        #[allow(clippy::cast_precision_loss)]
        let all = Step::ALL.len() as f64;
        ((read(&self.steps) + within.min(1.0)) / all).min(1.0)
    }
}

impl Observer for Progress {
    fn started(&self, step: Step, parts: u64) {
        let before = Step::ALL.iter().position(|other| *other == step).unwrap_or(0);
        self.steps.store(u32::try_from(before).unwrap_or(0), Ordering::Relaxed);
        self.parts_done.store(0, Ordering::Relaxed);
        self.parts.store(u32::try_from(parts).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    fn advanced(&self, _step: Step, _part: &str) {
        self.parts_done.fetch_add(1, Ordering::Relaxed);
    }

    fn finished(&self, _step: Step, _took: Duration, _summary: &str) {
        self.parts_done.store(self.parts.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}
