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
use crate::domain::run::{Asked, Operator, RefreshRequest, RunQuery, RunState, RunTrigger};
use crate::lake::LakeError;
use crate::store::{GoldStore, StoreError};
use crate::telemetry::sentence;

/// Makes what a refresh works with, when one is asked for: who only serves needs no lake.
pub type MakeRefresher = Box<dyn Fn() -> Result<Refresher, RefreshError> + Send + Sync>;

/// Runs refreshes in the background, one at a time.
pub struct Runner {
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

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let run = self.current().as_ref().map(|current| current.run);
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
        Self { make, store, runtime, starting, current: Mutex::new(None) }
    }

    fn current(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run that goes on here, if it is this one.
    fn running(&self, run: Option<u64>) -> Option<Current> {
        let current = self.current().clone()?;
        let is_asked = run.is_none_or(|run| run == current.run);
        (is_asked && !*current.has_ended.borrow()).then_some(current)
    }

    /// Stops what goes on here and waits until it has ended.
    pub async fn stop(&self) {
        let Some(mut current) = self.running(None) else { return };
        tracing::info!(run = current.run, "cancelling the run that goes on");
        current.cancel.cancel();
        // An error means that it is gone.
        let _ = current.has_ended.wait_for(|has_ended| *has_ended).await;
    }

    /// The run that another process says is going on.
    async fn elsewhere(&self) -> Option<u64> {
        let running = RunQuery { state: Some(RunState::Running), ..RunQuery::newest(1) };
        let page = self.store.runs(running).await.ok()?;
        page.runs.first().map(|record| record.run)
    }
}

#[async_trait]
impl Operator for Runner {
    async fn refresh(&self, request: RefreshRequest) -> Result<Asked, String> {
        let _starting = self.starting.lock().await;
        if let Some(current) = self.running(None) {
            return Ok(Asked { run: current.run, is_new: false });
        }
        let refresher = (self.make)().map_err(|error| sentence(&error))?;
        let begun = match refresher.begin(RunTrigger::Api).await {
            Ok(begun) => begun,
            Err(
                error @ (RefreshError::Lake(LakeError::Locked(_))
                | RefreshError::Store(StoreError::Locked(_))),
            ) => {
                let run = self.elsewhere().await.ok_or_else(|| sentence(&error))?;
                return Ok(Asked { run, is_new: false });
            }
            Err(error) => return Err(sentence(&error)),
        };
        let run = begun.run();
        let cancel = CancellationToken::new();
        let (ended, has_ended) = watch::channel(false);
        let progress = Arc::new(Progress::default());
        let current =
            Current { run, cancel: cancel.clone(), has_ended, progress: progress.clone() };
        *self.current() = Some(current);
        self.runtime.spawn(async move {
            match refresher.run(begun, request, progress.as_ref(), &cancel).await {
                Ok(_) => tracing::info!(run, "the refresh ended"),
                Err(error) => tracing::error!(run, error = sentence(&error), "the refresh failed"),
            }
            // Dropped too if the task panics: whoever waits hears of it either way.
            ended.send_replace(true);
        });
        Ok(Asked { run, is_new: true })
    }

    async fn cancel(&self, run: u64) -> bool {
        let Some(current) = self.running(Some(run)) else { return false };
        current.cancel.cancel();
        true
    }

    async fn wait(&self, run: u64, at_most: Duration) {
        let Some(mut current) = self.running(Some(run)) else { return };
        let ended = current.has_ended.wait_for(|has_ended| *has_ended);
        // Whether the time was over or the run is the answer's to say.
        let _ = tokio::time::timeout(at_most, ended).await;
    }

    fn progress(&self, run: u64) -> Option<f64> {
        self.running(Some(run)).map(|current| current.progress.share())
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
