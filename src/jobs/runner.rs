//! The runner: refreshes in the background, one at a time, started and stopped by others.
//!
//! What goes on is in the store, so that every process on it sees and stops the same runs; here is
//! only what this process needs for the one it carries out itself.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use tokio::runtime::Handle;
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio_util::sync::CancellationToken;

use super::diff::{DiffError, diff};
use super::notify::Notifier;
use super::refresh::{RefreshError, Refresher};
use super::{AbortAt, NoObserver};
use crate::domain::diff::GenerationDiff;
use crate::domain::digest::sha256_hex;
use crate::error_chain::describe;
use crate::lake::LakeError;
use crate::runs::{
    IdempotencyRecord, IfRunning, RefreshCommand, RefreshRequest, RunKind, RunQuery, RunRecord,
    RunSpec, RunState, RunTrigger, StartError, StartedRun,
};
use crate::store::rollback::rollback;
use crate::store::{GoldStore, RunControl, StoreError, end_run, failed as failure};

/// Makes what a refresh works with, when one is asked for: who only serves needs no lake.
pub type MakeRefresher = Box<dyn Fn() -> Result<Refresher, RefreshError> + Send + Sync>;

/// Between looks at a run that goes on elsewhere.
const LOOK: Duration = Duration::from_millis(300);
/// Before a run in line is tried again when it could not begin for another reason than its turn.
const TROUBLE: Duration = Duration::from_secs(5);

/// For so long others are still told of a run that ended when the process was told to stop.
const FAREWELL: Duration = Duration::from_secs(2);

/// Runs refreshes in the background, one at a time.
#[derive(Clone)]
pub struct Runner(Arc<Inner>);

struct Inner {
    make: MakeRefresher,
    notifier: Notifier,
    /// Where development builds end the process; for tests.
    abort_at: Option<String>,
    store: Arc<dyn GoldStore>,
    /// Where runs go on: that of whoever asks may end with the server, before the run has.
    runtime: Handle,
    /// Held while a run is being started, so that of many who ask one starts it.
    starting: AsyncMutex<()>,
    current: Mutex<Option<Current>>,
    /// Whether somebody here waits for the turn of the run in line.
    is_attended: AtomicBool,
    stopping: CancellationToken,
}

/// The run that goes on here, or went on last.
#[derive(Clone)]
struct Current {
    run: u64,
    cancel: CancellationToken,
    stage: watch::Receiver<Stage>,
}

/// How far this process is with a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// It goes on.
    Running,
    /// Its record says how it ended.
    Ended,
    /// Others have been told.
    Told,
}

impl Current {
    async fn reaches(mut self, stage: Stage) {
        // An error means that its task is gone.
        let _ = self.stage.wait_for(|now| *now >= stage).await;
    }

    /// Whether it is not this far, and somebody works on it.
    fn is_before(&self, stage: Stage) -> bool {
        *self.stage.borrow() < stage && self.stage.has_changed().is_ok()
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let run = self.0.current().as_ref().map(|current| current.run);
        f.debug_struct("Runner").field("run", &run).finish_non_exhaustive()
    }
}

impl Runner {
    /// A runner that has nothing to do yet. Its runs go on in the runtime this is called in, and end the
    /// process at the point `abort_at` in development builds.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn new(
        make: MakeRefresher,
        store: Arc<dyn GoldStore>,
        notifier: Notifier,
        abort_at: Option<String>,
    ) -> Self {
        Self(Arc::new(Inner {
            make,
            notifier,
            abort_at,
            store,
            runtime: Handle::current(),
            starting: AsyncMutex::new(()),
            current: Mutex::new(None),
            is_attended: AtomicBool::new(false),
            stopping: CancellationToken::new(),
        }))
    }

    /// Asks what goes on here to stop, and tells whoever waits that there will be nothing more.
    pub fn cancel_all(&self) {
        self.0.stopping.cancel();
        if let Some(current) = self.0.running(None) {
            tracing::info!(run = current.run, "cancelling the run that goes on");
            current.cancel.cancel();
        }
    }

    /// Stops what goes on here and waits until it has ended and others have been told.
    pub async fn stop(&self) {
        self.cancel_all();
        let current = self.0.current().clone();
        if let Some(current) = current {
            current.reaches(Stage::Told).await;
        }
    }

    /// Says what is left behind when the process ends before its run has.
    pub fn give_up(&self) {
        if let Some(Current { run, .. }) = self.0.running(None) {
            tracing::warn!(run, "the run did not end in time; it will be found interrupted");
        }
    }

    /// The store that runs are kept in.
    #[must_use]
    pub fn store(&self) -> &dyn GoldStore {
        self.0.store.as_ref()
    }

    /// What a refresh works with.
    ///
    /// # Errors
    /// When the lake cannot be opened.
    pub fn refresher(&self) -> Result<Refresher, RefreshError> {
        (self.0.make)()
    }

    /// Starts a refresh, or does as `if_running` says while one goes on.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(
        &self,
        order: RunSpec,
        if_running: IfRunning,
    ) -> Result<StartedRun, StartError> {
        let inner = Arc::clone(&self.0);
        self.0
            .whole(async move {
                let _starting = inner.starting.lock().await;
                inner.start(order, if_running).await
            })
            .await
    }

    /// Looks after what other processes left behind: ends the records of runs whose process is gone, and
    /// begins the run in line.
    pub async fn tidy(&self) {
        match self.0.store.mark_interrupted().await {
            Ok(settled) => {
                for run in settled {
                    tracing::warn!(run, "the process of a run is gone");
                    let inner = Arc::clone(&self.0);
                    self.0.runtime.spawn(async move { inner.tell(run).await });
                }
            }
            // A store that is away is told of by whoever needs it.
            Err(error) => tracing::debug!(error = describe(&error), "runs could not be settled"),
        }
        if let Ok(Some(_)) = self.0.in_line().await {
            Arc::clone(&self.0).attend();
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
        (is_asked && current.is_before(Stage::Ended)).then_some(current)
    }

    /// Does something to its end, also when whoever waits for it gives up.
    async fn whole<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StartError>> + Send + 'static,
    ) -> Result<T, StartError> {
        let done = self.runtime.spawn(work).await;
        done.unwrap_or_else(|error| Err(StartError::Failed(error.to_string())))
    }

    /// The record of a run; `None` when there is none.
    async fn record(&self, run: u64) -> Result<Option<RunRecord>, StoreError> {
        Ok(self.store.runs(RunQuery::one(run)).await?.runs.into_iter().next())
    }

    /// The refresh that is said to go on, wherever.
    async fn going_on(&self) -> Result<Option<RunRecord>, StoreError> {
        let running = RunQuery { state: Some(RunState::Running), ..RunQuery::newest(1) };
        let running = self.store.runs(running).await?.runs.into_iter().next();
        Ok(running.filter(|record| record.kind == RunKind::Refresh))
    }

    /// The run that waits in line.
    async fn in_line(&self) -> Result<Option<RunRecord>, StoreError> {
        let enqueued = RunQuery { state: Some(RunState::Enqueued), ..RunQuery::newest(1) };
        Ok(self.store.runs(enqueued).await?.runs.into_iter().next())
    }

    /// Starts what somebody wishes for, once for each key.
    async fn grant(self: Arc<Self>, wish: RefreshCommand) -> Result<StartedRun, StartError> {
        let _starting = self.starting.lock().await;
        let RefreshCommand { request, if_running, key } = wish;
        let order = RunSpec::refresh(RunTrigger::Api, request);
        let Some(key) = key else { return self.start(order, if_running).await };
        let asked = serde_json::json!([request, if_running]).to_string();
        let asked = sha256_hex(asked.as_bytes());
        if let Some(kept) = self.claim(&key, &asked).await? {
            if kept.asked != asked {
                return Err(StartError::OtherKey(key));
            }
            // One whose record is forgotten already is as good as none.
            if let Some(run) = kept.run
                && self.record(run).await.map_err(failed)?.is_some()
            {
                return Ok(StartedRun { run, is_new: false });
            }
        }
        let started = self.start(order, if_running).await;
        let run = started.as_ref().ok().map(|asked| asked.run);
        self.store.keep_key(&key, run).await.map_err(failed)?;
        started
    }

    /// Takes a key, or finds what it stands for. One that a process took and did not live to keep is taken
    /// over.
    async fn claim(&self, key: &str, asked: &str) -> Result<Option<IdempotencyRecord>, StartError> {
        /// Longer than it takes to start a run.
        const LOOKS: u32 = 20;
        for _ in 0..LOOKS {
            match self.store.claim_key(key, asked).await.map_err(failed)? {
                Some(kept) if kept.run.is_none() && kept.asked == asked => {
                    tokio::time::sleep(LOOK).await;
                }
                kept => return Ok(kept),
            }
        }
        Ok(None)
    }

    /// Starts a run, or does as `if_running` says; the caller holds the right to start.
    async fn start(
        self: &Arc<Self>,
        order: RunSpec,
        if_running: IfRunning,
    ) -> Result<StartedRun, StartError> {
        /// Who has what a run needs and no record yet, or none any more, has one soon or is gone.
        const LOOKS: u32 = 10;
        for _ in 0..LOOKS {
            if self.running(None).is_none() {
                match self.begin(&order).await {
                    Ok(run) => return Ok(StartedRun { run, is_new: true }),
                    Err(error) if is_busy(&error) => {}
                    Err(RefreshError::Store(error @ StoreError::AlreadyRun(_))) => {
                        return Err(StartError::Busy(describe(&error)));
                    }
                    Err(error) => return Err(StartError::Failed(describe(&error))),
                }
            }
            if if_running == IfRunning::Queue {
                return self.enqueue(order).await;
            }
            if let Some(record) = self.going_on().await.map_err(failed)? {
                return join(&record, &order);
            }
            tokio::time::sleep(LOOK).await;
        }
        let location = self.store.location();
        Err(StartError::Busy(format!("something that is no refresh is going on in {location}")))
    }

    async fn enqueue(self: &Arc<Self>, order: RunSpec) -> Result<StartedRun, StartError> {
        let enqueued = self.store.enqueue(&order).await;
        let (run, is_new) = enqueued.map_err(|error| match error {
            StoreError::AlreadyRun(_) => StartError::Busy(describe(&error)),
            error => failed(error),
        })?;
        Arc::clone(self).attend();
        if is_new {
            return Ok(StartedRun { run, is_new });
        }
        match self.record(run).await.map_err(failed)? {
            Some(record) => join(&record, &order),
            None => Ok(StartedRun { run, is_new }),
        }
    }

    /// Begins a run and lets it go on by itself. Returns its number. Without a lake it fails at once.
    async fn begin(self: &Arc<Self>, order: &RunSpec) -> Result<u64, RefreshError> {
        let refresher = match (self.make)() {
            Ok(refresher) => refresher,
            Err(error) => {
                let publisher = self.store.publisher(order).await?;
                let run = publisher.run();
                end_run(publisher, failure(&error)).await;
                tracing::error!(run, error = describe(&error), "the refresh failed");
                let inner = Arc::clone(self);
                self.runtime.spawn(async move { inner.tell(run).await });
                return Ok(run);
            }
        };
        let begun = refresher.begin(order).await?;
        let run = begun.run();
        let cancel = self.stopping.child_token();
        let (reached, stage) = watch::channel(Stage::Running);
        *self.current() = Some(Current { run, cancel: cancel.clone(), stage });
        let inner = Arc::clone(self);
        let observer = AbortAt { point: self.abort_at.clone(), inner: NoObserver };
        self.runtime.spawn(async move {
            let work = AssertUnwindSafe(refresher.run(begun, &observer, &cancel));
            match work.catch_unwind().await {
                Ok(Ok(_)) => tracing::info!(run, "the refresh ended"),
                Ok(Err(RefreshError::Cancelled)) => {
                    tracing::info!(run, "the refresh was cancelled");
                }
                Ok(Err(error)) => {
                    tracing::error!(run, error = describe(&error), "the refresh failed");
                }
                // The panic itself is told where it happened.
                Err(_) => tracing::error!(run, "the refresh panicked"),
            }
            reached.send_replace(Stage::Ended);
            inner.tell(run).await;
            reached.send_replace(Stage::Told);
        });
        Ok(run)
    }

    /// Tells others how a run ended, as long as the process is not told to stop.
    async fn tell(&self, run: u64) {
        tokio::select! {
            () = self.notifier.tell(self.store.as_ref(), run) => {}
            () = self.given_up() => {}
        }
    }

    /// Returns a little after the process is told to stop: enough for who answers at once.
    async fn given_up(&self) {
        self.stopping.cancelled().await;
        tokio::time::sleep(FAREWELL).await;
    }

    /// Waits for the turn of the run in line and begins it, unless somebody here does so already.
    fn attend(self: Arc<Self>) {
        if self.is_attended.swap(true, Ordering::AcqRel) {
            return;
        }
        let runtime = self.runtime.clone();
        runtime.spawn(async move {
            if AssertUnwindSafe(self.work_off()).catch_unwind().await.is_err() {
                tracing::error!("looking after the run in line panicked");
            }
            self.is_attended.store(false, Ordering::Release);
            // One that came between the last look and now.
            if !self.stopping.is_cancelled() && matches!(self.in_line().await, Ok(Some(_))) {
                self.attend();
            }
        });
    }

    /// Begins the run in line when its turn has come, and those that come after it.
    async fn work_off(self: &Arc<Self>) {
        while !self.stopping.is_cancelled() {
            let waiting = match self.in_line().await {
                Ok(Some(waiting)) => waiting,
                Ok(None) => return,
                Err(_) => {
                    tokio::time::sleep(TROUBLE).await;
                    continue;
                }
            };
            if let Some(current) = self.running(None) {
                current.reaches(Stage::Ended).await;
                continue;
            }
            let order = RunSpec {
                occurrence: waiting.occurrence,
                enqueued: Some(waiting.run),
                ..RunSpec::refresh(waiting.trigger, waiting.request)
            };
            let begun = {
                let _starting = self.starting.lock().await;
                self.begin(&order).await
            };
            match begun {
                // The next look finds what is in line now.
                Ok(_) | Err(RefreshError::Store(StoreError::NotEnqueued(_))) => {}
                Err(RefreshError::Store(error @ StoreError::AlreadyRun(_))) => {
                    let (run, why) = (waiting.run, describe(&error));
                    tracing::info!(run, why, "the run in line is not needed any more");
                    if self.store.request_cancel(run).await.is_err() {
                        tokio::time::sleep(TROUBLE).await;
                    }
                }
                Err(error) if is_busy(&error) => tokio::time::sleep(LOOK).await,
                Err(error) => {
                    let (run, error) = (waiting.run, describe(&error));
                    tracing::warn!(run, error, "the run in line cannot begin; trying again");
                    tokio::time::sleep(TROUBLE).await;
                }
            }
        }
    }
}

#[allow(clippy::needless_pass_by_value)] // as `map_err` hands it over
fn failed(error: StoreError) -> StartError {
    StartError::Failed(describe(&error))
}

/// Takes a run for what was asked for, if it was asked for the same, or nothing in particular is wanted.
fn join(record: &RunRecord, order: &RunSpec) -> Result<StartedRun, StartError> {
    let run = record.run;
    if order.request == RefreshRequest::default() || order.request == record.request {
        return Ok(StartedRun { run, is_new: false });
    }
    let (stands, hint) = match record.state {
        RunState::Enqueued => ("is in line", "when it has begun"),
        _ => ("is going on", "with if_running=queue, or when it has ended"),
    };
    Err(StartError::Busy(format!(
        "run {run} {stands}, which was asked for other things than this request; ask again {hint}"
    )))
}

/// Whether another run has what this one needs.
fn is_busy(error: &RefreshError) -> bool {
    matches!(
        error,
        RefreshError::Lake(LakeError::Locked(_)) | RefreshError::Store(StoreError::Locked(_))
    )
}

#[async_trait]
impl RunControl for Runner {
    async fn refresh(&self, wish: RefreshCommand) -> Result<StartedRun, StartError> {
        self.0.whole(Arc::clone(&self.0).grant(wish)).await
    }

    async fn rollback(&self, generation: u64) -> Result<(u64, u64), StoreError> {
        let inner = Arc::clone(&self.0);
        let work = async move {
            let went = rollback(inner.store.as_ref(), RunTrigger::Api, Some(generation)).await?;
            let teller = Arc::clone(&inner);
            inner.runtime.spawn(async move { teller.tell(went.run).await });
            Ok((went.from, went.to))
        };
        self.0.runtime.spawn(work).await.unwrap_or_else(|error| {
            let (action, location) = ("going back".to_owned(), self.0.store.location());
            Err(StoreError::Failed { action, location, source: error.into() })
        })
    }

    async fn diff(&self, from: u64, to: u64) -> Result<GenerationDiff, StartError> {
        let inner = Arc::clone(&self.0);
        let compared = self.0.runtime.spawn(async move {
            let lake = (inner.make)().map_err(DiffError::from)?.lake;
            diff(inner.store.as_ref(), &lake, from, to).await
        });
        match compared.await {
            Ok(Ok(diff)) => Ok(diff),
            Ok(Err(error @ DiffError::NoGeneration(..))) => {
                Err(StartError::NotThere(describe(&error)))
            }
            Ok(Err(error)) => Err(StartError::Failed(describe(&error))),
            Err(error) => Err(StartError::Failed(error.to_string())),
        }
    }

    async fn cancel(&self, run: u64) -> Result<(), StoreError> {
        if let Some(current) = self.0.running(Some(run)) {
            current.cancel.cancel();
        }
        let record = self.0.record(run).await?;
        self.0.store.request_cancel(run).await?;
        if record.is_some_and(|record| record.state == RunState::Enqueued) {
            // If it began meanwhile, it is told of when it has ended.
            let inner = Arc::clone(&self.0);
            self.0.runtime.spawn(async move {
                if matches!(inner.record(run).await, Ok(Some(record)) if record.state.has_ended()) {
                    inner.tell(run).await;
                }
            });
        }
        Ok(())
    }

    async fn wait(&self, run: u64, at_most: Duration) {
        let ended = async {
            if let Some(current) = self.0.running(Some(run)) {
                return current.reaches(Stage::Ended).await;
            }
            // A store that is away is looked at again.
            while !matches!(self.0.record(run).await, Ok(Some(record)) if record.state.has_ended())
            {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            // Whether the time was over or the run is the answer's to say.
            _ = tokio::time::timeout(at_most, ended) => {}
            () = self.0.stopping.cancelled() => {}
        }
    }

    fn stopping(&self) -> CancellationToken {
        self.0.stopping.clone()
    }
}
