//! What this process knows of the run that it carries out itself, and what its parts share.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio_util::sync::CancellationToken;

use crate::jobs::error::RefreshError;
use crate::jobs::notify::Notifier;
use crate::jobs::refresh::Refresher;
use crate::runs::{RunQuery, RunRecord, StartError};
use crate::store::{GoldStore, StoreError};

/// Makes a refresher when a refresh is requested: a process that only serves needs no lake.
pub type OpenRefresher = Box<dyn Fn() -> Result<Refresher, RefreshError> + Send + Sync>;

/// How often the record of a run of another process is read.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(300);
/// How long notifications of a run that ended may take once the process is asked to stop.
const NOTIFY_GRACE: Duration = Duration::from_secs(2);

/// Shared by all clones of a runner.
pub(super) struct Inner {
    pub open_refresher: OpenRefresher,
    pub notifier: Notifier,
    pub store: Arc<dyn GoldStore>,
    /// Where runs are carried out: the runtime of a request may end with the server, before the run does.
    pub runtime: Handle,
    /// Held while a run is being started, so that of many requests one starts it.
    pub starting: AsyncMutex<()>,
    pub current: Mutex<Option<Current>>,
    /// Whether a task of this process begins queued runs.
    pub is_queue_attended: AtomicBool,
    pub stopping: CancellationToken,
}

/// The run that is running here, or ran last.
#[derive(Clone)]
pub(super) struct Current {
    pub run: u64,
    pub cancel: CancellationToken,
    pub stage: watch::Receiver<Stage>,
}

/// How far this process is with a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Running,
    /// Its record says how it ended.
    Ended,
    /// Notifications have been sent.
    Notified,
}

impl Current {
    /// Waits until the run is at this stage, or its task is gone.
    pub async fn wait_for(mut self, stage: Stage) {
        let _ = self.stage.wait_for(|now| *now >= stage).await;
    }

    fn is_running(&self) -> bool {
        // Without a sender its task is gone.
        *self.stage.borrow() < Stage::Ended && self.stage.has_changed().is_ok()
    }
}

impl Inner {
    /// The run that is running here; with a number, only if it is that one.
    pub fn running(&self, run: Option<u64>) -> Option<Current> {
        let current = self.current.lock().clone()?;
        let is_wanted = run.is_none_or(|run| run == current.run);
        (is_wanted && current.is_running()).then_some(current)
    }

    /// Completes the work even if the caller, an HTTP request for one, is dropped.
    pub async fn complete<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StartError>> + Send + 'static,
    ) -> Result<T, StartError> {
        let done = self.runtime.spawn(work).await;
        done.unwrap_or_else(|error| Err(StartError::Failed(error.into())))
    }

    /// The record of a run; `None` when there is none.
    pub async fn record(&self, run: u64) -> Result<Option<RunRecord>, StoreError> {
        Ok(self.store.runs(RunQuery::one(run)).await?.runs.into_iter().next())
    }

    /// Sends the notifications of how a run ended, in the background.
    pub fn notify_in_background(self: &Arc<Self>, run: u64) {
        let inner = Arc::clone(self);
        self.runtime.spawn(async move { inner.notify(run).await });
    }

    /// Sends the notifications of how a run ended; gives up soon after the process is asked to stop.
    pub async fn notify(&self, run: u64) {
        let stop = async {
            self.stopping.cancelled().await;
            tokio::time::sleep(NOTIFY_GRACE).await;
        };
        tokio::select! {
            () = self.notifier.notify(self.store.as_ref(), run) => {}
            () = stop => {}
        }
    }
}
