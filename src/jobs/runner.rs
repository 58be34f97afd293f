//! The runner: refreshes in the background, one at a time, started and stopped by others.
//!
//! What goes on is in the store, so that every process on it sees and stops the same runs; here is
//! only what this process needs for the one it carries out itself.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio_util::sync::CancellationToken;

use super::diff::{DiffError, diff};
use super::notify::Notifier;
use super::refresh::{RefreshError, Refresher};
use super::{AbortAt, Unwatched};
use crate::domain::diff::GenerationDiff;
use crate::domain::digest::sha256_hex;
use crate::domain::run::{
    Asked, IfRunning, KeptKey, Refusal, RunKind, RunOrder, RunQuery, RunRecord, RunState,
    RunTrigger, Wish,
};
use crate::lake::LakeError;
use crate::store::{GoldStore, Operator, StoreError, rollback};
use crate::telemetry::sentence;

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
    has_ended: watch::Receiver<bool>,
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

    /// Stops what goes on here and waits until it has ended.
    pub async fn stop(&self) {
        self.cancel_all();
        if let Some(current) = self.0.running(None) {
            current.ended().await;
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
    /// [`Refusal`].
    pub async fn start(&self, order: RunOrder, if_running: IfRunning) -> Result<Asked, Refusal> {
        let _starting = self.0.starting.lock().await;
        self.0.start(order, if_running).await
    }

    /// Looks after the run in line, if there is one and nobody here does so yet.
    pub async fn attend(&self) {
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
        // A channel without a sender is that of a run that panicked.
        let goes_on = !*current.has_ended.borrow() && current.has_ended.has_changed().is_ok();
        (is_asked && goes_on).then_some(current)
    }

    /// The record of a run; `None` when there is none, or nobody can tell.
    async fn record(&self, run: u64) -> Option<RunRecord> {
        self.store.runs(RunQuery::one(run)).await.ok()?.runs.into_iter().next()
    }

    /// The refresh that another process says is going on.
    async fn elsewhere(&self) -> Option<u64> {
        let running = RunQuery { state: Some(RunState::Running), ..RunQuery::newest(1) };
        let page = self.store.runs(running).await.ok()?;
        let refresh = page.runs.first().filter(|record| record.kind == RunKind::Refresh);
        refresh.map(|record| record.run)
    }

    /// The run that waits in line.
    async fn in_line(&self) -> Result<Option<RunRecord>, StoreError> {
        let enqueued = RunQuery { state: Some(RunState::Enqueued), ..RunQuery::newest(1) };
        Ok(self.store.runs(enqueued).await?.runs.into_iter().next())
    }

    /// Starts what somebody wishes for, once for each key. Not to be given up half way.
    async fn grant(self: Arc<Self>, wish: Wish) -> Result<Asked, Refusal> {
        let _starting = self.starting.lock().await;
        let Wish { request, if_running, key } = wish;
        let order = RunOrder::refresh(RunTrigger::Api, request);
        let Some(key) = key else { return self.start(order, if_running).await };
        let failed = |error: StoreError| Refusal::Failed(sentence(&error));
        let asked = serde_json::json!([request, if_running]).to_string();
        let asked = sha256_hex(asked.as_bytes());
        let only_same = |kept: &KeptKey| {
            if kept.asked == asked { Ok(kept.run) } else { Err(Refusal::OtherKey(key.clone())) }
        };
        if let Some(kept) = self.store.key(&key).await.map_err(failed)? {
            return Ok(Asked { run: only_same(&kept)?, is_new: false });
        }
        let Asked { run, is_new } = self.start(order, if_running).await?;
        let kept = KeptKey { asked: asked.clone(), run };
        // Another process may have been quicker.
        let kept = self.store.keep_key(&key, kept).await.map_err(failed)?;
        Ok(Asked { run: only_same(&kept)?, is_new: is_new && kept.run == run })
    }

    /// Starts a run, or does as `if_running` says; the caller holds the right to start.
    async fn start(
        self: &Arc<Self>,
        order: RunOrder,
        if_running: IfRunning,
    ) -> Result<Asked, Refusal> {
        if let Some(current) = self.running(None) {
            let run = current.run;
            // Shortly before it has ended here the store says so already.
            let record = self.record(run).await;
            if record.is_some_and(|record| record.state == RunState::Running) {
                return match if_running {
                    IfRunning::Join => Ok(Asked { run, is_new: false }),
                    IfRunning::Queue => self.enqueue(order).await,
                };
            }
            current.ended().await;
        }
        match self.begin(&order).await {
            Ok(run) => Ok(Asked { run, is_new: true }),
            Err(error) if is_busy(&error) => {
                let busy = || Refusal::Busy(sentence(&error));
                match if_running {
                    IfRunning::Join => {
                        let run = self.elsewhere().await.ok_or_else(busy)?;
                        Ok(Asked { run, is_new: false })
                    }
                    IfRunning::Queue => self.enqueue(order).await,
                }
            }
            Err(RefreshError::Store(error @ StoreError::AlreadyRun(_))) => {
                Err(Refusal::Busy(sentence(&error)))
            }
            Err(error) => Err(Refusal::Failed(sentence(&error))),
        }
    }

    async fn enqueue(self: &Arc<Self>, order: RunOrder) -> Result<Asked, Refusal> {
        let enqueued = self.store.enqueue(&order).await;
        let (run, is_new) = enqueued.map_err(|error| match error {
            StoreError::AlreadyRun(_) => Refusal::Busy(sentence(&error)),
            error => Refusal::Failed(sentence(&error)),
        })?;
        Arc::clone(self).attend();
        Ok(Asked { run, is_new })
    }

    /// Begins a run and lets it go on by itself. Returns its number.
    async fn begin(self: &Arc<Self>, order: &RunOrder) -> Result<u64, RefreshError> {
        let refresher = (self.make)()?;
        let begun = refresher.begin(order).await?;
        let run = begun.run();
        let cancel = self.stopping.child_token();
        let (ended, has_ended) = watch::channel(false);
        *self.current() = Some(Current { run, cancel: cancel.clone(), has_ended });
        let inner = Arc::clone(self);
        let observer = AbortAt { point: self.abort_at.clone(), inner: Unwatched };
        self.runtime.spawn(async move {
            match refresher.run(begun, &observer, &cancel).await {
                Ok(_) => tracing::info!(run, "the refresh ended"),
                Err(RefreshError::Cancelled) => tracing::info!(run, "the refresh was cancelled"),
                Err(error) => tracing::error!(run, error = sentence(&error), "the refresh failed"),
            }
            // Dropped if the task panics: whoever waits hears of it either way.
            ended.send_replace(true);
            inner.tell(run).await;
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
            let stopping = self.stopping.clone();
            tokio::select! {
                () = self.work_off() => {}
                () = stopping.cancelled() => {}
            }
            self.is_attended.store(false, Ordering::Release);
        });
    }

    /// Begins the run in line when its turn has come, and those that come after it.
    async fn work_off(self: &Arc<Self>) {
        loop {
            let waiting = match self.in_line().await {
                Ok(Some(waiting)) => waiting,
                Ok(None) => return,
                Err(_) => {
                    tokio::time::sleep(TROUBLE).await;
                    continue;
                }
            };
            if let Some(current) = self.running(None) {
                current.ended().await;
            }
            let order = RunOrder {
                occurrence: waiting.occurrence,
                enqueued: Some(waiting.run),
                ..RunOrder::refresh(waiting.trigger, waiting.request)
            };
            let begun = {
                let _starting = self.starting.lock().await;
                self.begin(&order).await
            };
            match begun {
                // The next look finds what is in line now.
                Ok(_) | Err(RefreshError::Store(StoreError::NotEnqueued(_))) => {}
                Err(RefreshError::Store(error @ StoreError::AlreadyRun(_))) => {
                    let (run, why) = (waiting.run, sentence(&error));
                    tracing::info!(run, why, "the run in line is not needed any more");
                    if self.store.ask_cancel(run).await.is_err() {
                        tokio::time::sleep(TROUBLE).await;
                    }
                }
                Err(error) if is_busy(&error) => tokio::time::sleep(LOOK).await,
                Err(error) => {
                    let (run, error) = (waiting.run, sentence(&error));
                    tracing::warn!(run, error, "the run in line cannot begin; trying again");
                    tokio::time::sleep(TROUBLE).await;
                }
            }
        }
    }
}

/// Whether another run has what this one needs.
fn is_busy(error: &RefreshError) -> bool {
    matches!(
        error,
        RefreshError::Lake(LakeError::Locked(_)) | RefreshError::Store(StoreError::Locked(_))
    )
}

#[async_trait]
impl Operator for Runner {
    async fn refresh(&self, wish: Wish) -> Result<Asked, Refusal> {
        let inner = Arc::clone(&self.0);
        let granted = self.0.runtime.spawn(async move { inner.grant(wish).await });
        granted.await.unwrap_or_else(|error| Err(Refusal::Failed(error.to_string())))
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

    async fn diff(&self, from: u64, to: u64) -> Result<GenerationDiff, Refusal> {
        let inner = Arc::clone(&self.0);
        let compared = self.0.runtime.spawn(async move {
            let lake = (inner.make)().map_err(DiffError::from)?.lake;
            diff(inner.store.as_ref(), &lake, from, to).await
        });
        match compared.await {
            Ok(Ok(diff)) => Ok(diff),
            Ok(Err(error @ DiffError::NoGeneration(..))) => {
                Err(Refusal::NotThere(sentence(&error)))
            }
            Ok(Err(error)) => Err(Refusal::Failed(sentence(&error))),
            Err(error) => Err(Refusal::Failed(error.to_string())),
        }
    }

    async fn cancel(&self, run: u64) -> Result<(), StoreError> {
        if let Some(current) = self.0.running(Some(run)) {
            current.cancel.cancel();
        }
        self.0.store.ask_cancel(run).await
    }

    async fn wait(&self, run: u64, at_most: Duration) {
        let ended = async {
            if let Some(current) = self.0.running(Some(run)) {
                return current.ended().await;
            }
            while let Some(record) = self.0.record(run).await {
                if record.state.has_ended() {
                    return;
                }
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
