//! The steps of a run: timed, shown to the observer, written into the run's record, retried after
//! transient failures, limited in time, and stopped by cancelling.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::Retryable as _;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::domain::time::Timestamp;
use crate::error_chain::describe;
use crate::jobs::error::{RefreshError, Result};
use crate::jobs::observer::Observer;
use crate::jobs::report::StepDone;
use crate::metrics::count_retry;
use crate::retry::{self, Policy};
use crate::runs::{Flow, RunNotes, RunStep, Step};
use crate::store::Publisher;

/// The metric's label for these retries.
const RETRIED: &str = "step of a run";

/// The progress of one run.
pub(super) struct Steps<'a> {
    pub publisher: &'a dyn Publisher,
    pub observer: &'a dyn Observer,
    pub cancel: &'a CancellationToken,
    pub done: Vec<StepDone>,
    /// What is written into the record.
    pub notes: RunNotes,
    started: Instant,
    /// The step under the time limit, and since when.
    current: watch::Sender<Option<(Step, Instant)>>,
    is_limited: bool,
    policy: Policy,
    /// The last transient failure, for the error of a step that exceeds the limit.
    last_failure: Arc<Mutex<Option<String>>>,
}

impl<'a> Steps<'a> {
    pub fn new(
        publisher: &'a dyn Publisher,
        observer: &'a dyn Observer,
        cancel: &'a CancellationToken,
    ) -> Self {
        Self {
            publisher,
            observer,
            cancel,
            done: Vec::new(),
            notes: RunNotes::default(),
            started: Instant::now(),
            current: watch::Sender::new(None),
            is_limited: true,
            policy: retry::REFRESH_STEP,
            last_failure: Arc::default(),
        }
    }

    /// Lifts the time limit from here on: what follows cannot fail the run any more.
    pub fn stop_limiting(&mut self) {
        self.is_limited = false;
        self.current.send_replace(None);
    }

    /// Returns an error once a step has taken longer than the limit; never returns otherwise.
    pub fn timeout(&self, limit: Duration) -> impl Future<Output = RefreshError> + use<> {
        let last_failure = Arc::clone(&self.last_failure);
        let mut current = self.current.subscribe();
        async move {
            loop {
                let now = *current.borrow_and_update();
                let changed = match now {
                    None => current.changed().await,
                    Some((step, since)) => {
                        let left = limit.saturating_sub(since.elapsed());
                        let Ok(changed) = tokio::time::timeout(left, current.changed()).await
                        else {
                            let failure = last_failure.lock().take();
                            let failure =
                                failure.map(|failure| format!("; last failure: {failure}"));
                            return RefreshError::StepTimeout {
                                step,
                                limit_secs: limit.as_secs(),
                                last_failure: failure.unwrap_or_default(),
                            };
                        };
                        changed
                    }
                };
                if changed.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    pub async fn start(&mut self, step: Step, parts: usize) -> Result<()> {
        self.check_cancelled()?;
        self.started = Instant::now();
        *self.last_failure.lock() = None;
        if self.is_limited {
            self.current.send_replace(Some((step, self.started)));
        }
        self.observer.started(step, parts as u64);
        self.notes.steps.push(RunStep::starting(step, Timestamp::now()));
        self.write_notes().await;
        Ok(())
    }

    pub async fn finish(&mut self, step: Step, summary: &str, flow: Flow) {
        let took = self.started.elapsed();
        // What comes before the next step is limited as well.
        if self.is_limited {
            self.current.send_replace(Some((step, Instant::now())));
        }
        tracing::info!(%step, seconds = took.as_secs_f64(), "{summary}");
        self.observer.finished(step, took, summary);
        self.done.push(StepDone { step, took, summary: summary.to_owned() });
        if let Some(noted) = self.notes.steps.last_mut() {
            noted.ended_at = Some(Timestamp::now());
            summary.clone_into(&mut noted.summary);
            noted.flow = flow;
        }
        self.write_notes().await;
    }

    /// A failure here does not stop the run: the steps that write would fail themselves.
    pub async fn write_notes(&self) {
        if let Err(error) = self.publisher.note(&self.notes).await {
            tracing::warn!(error = describe(&error), "cannot record the progress of the run");
        }
    }

    pub fn check_cancelled(&self) -> Result<()> {
        if self.cancel.is_cancelled() { Err(RefreshError::Cancelled) } else { Ok(()) }
    }

    /// Does something, and retries it after transient failures; cancelling ends it at once.
    pub async fn retry<T, F>(&self, action: &str, mut work: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let attempt = || {
            let work = self.check_cancelled().map(|()| work());
            async {
                tokio::select! {
                    done = work? => done,
                    () = self.cancel.cancelled() => Err(RefreshError::Cancelled),
                }
            }
        };
        self.retry_transient(action, attempt, self.cancel.clone()).await
    }

    /// The same for what must not be left half done: neither cancelling nor the time limit ends it.
    pub async fn retry_uncancelled<T, F>(&self, action: &str, work: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.current.send_replace(None);
        self.retry_transient(action, work, CancellationToken::new()).await
    }

    /// Retries while the failure is transient; `cancel` ends a delay between attempts.
    async fn retry_transient<T, F>(
        &self,
        action: &str,
        attempt: impl FnMut() -> F,
        cancel: CancellationToken,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        attempt
            .retry(self.policy.backoff())
            .sleep(move |delay| {
                let cancel = cancel.clone();
                async move {
                    // Either way the next attempt decides.
                    let _ = tokio::time::timeout(delay, cancel.cancelled()).await;
                }
            })
            .when(RefreshError::is_transient)
            .notify(|error, delay| {
                let (error, delay_secs) = (describe(error), delay.as_secs_f64());
                count_retry(RETRIED, action);
                *self.last_failure.lock() = Some(error.clone());
                tracing::warn!(action, error, delay_secs, "transient failure; retrying");
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::catalogue::CATALOGUE;
    use crate::jobs::observer::NoObserver;
    use crate::runs::{RefreshRequest, RunSpec, RunTrigger};
    use crate::store::sqlite::SqliteStore;
    use crate::store::{GoldStore as _, StoreError};

    fn unavailable() -> RefreshError {
        let (location, source) = ("the store".to_owned(), "connection refused".into());
        RefreshError::Store(StoreError::Unavailable { location, source })
    }

    fn disk_full() -> RefreshError {
        let (action, location) = ("writing".to_owned(), "the store".to_owned());
        RefreshError::Store(StoreError::Failed { action, location, source: "disk full".into() })
    }

    /// How many attempts were made when the first fails so, and the result.
    async fn attempts(
        fail: fn() -> RefreshError,
        first_delay: Duration,
        cancel: &CancellationToken,
    ) -> (u32, Result<()>) {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("serving.db"), &CATALOGUE).unwrap();
        let spec = RunSpec::refresh(RunTrigger::Cli, RefreshRequest::default());
        let publisher = store.publisher(&spec).await.unwrap();
        let mut steps = Steps::new(publisher.as_ref(), &NoObserver, cancel);
        let max_delay = first_delay;
        steps.policy = Policy { first_delay, max_delay, ..retry::REFRESH_STEP };
        let count = AtomicU32::new(0);
        let work = async || {
            if count.fetch_add(1, Ordering::Relaxed) == 0 { Err(fail()) } else { Ok(()) }
        };
        let result = steps.retry("trying", work).await;
        (count.load(Ordering::Relaxed), result)
    }

    #[tokio::test]
    async fn only_transient_failures_are_retried() {
        let (never, delay) = (CancellationToken::new(), Duration::from_millis(1));
        let transient = attempts(unavailable, delay, &never).await;
        assert!(matches!(transient, (2, Ok(()))), "{transient:?}");
        let permanent = attempts(disk_full, delay, &never).await;
        assert!(matches!(permanent, (1, Err(RefreshError::Store(_)))), "{permanent:?}");
    }

    #[tokio::test]
    async fn cancelling_does_not_wait_for_the_next_attempt() {
        let (cancel, delay) = (CancellationToken::new(), Duration::from_hours(1));
        let later = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            cancel.cancel();
        };
        let (result, ()) = tokio::join!(attempts(unavailable, delay, &cancel), later);
        assert!(matches!(result, (1, Err(RefreshError::Cancelled))), "{result:?}");
    }
}
