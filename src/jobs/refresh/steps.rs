//! The steps of a run: timed, told, written into its record, tried again when what failed may pass,
//! and stopped where somebody asked for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use backon::Retryable as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{RefreshError, Result, StepDone};
use crate::domain::time::Timestamp;
use crate::error_chain::describe;
use crate::jobs::{Observer, Step, patience};
use crate::metrics::count_retry;
use crate::runs::{Flow, RunNotes, RunStep};
use crate::store::Publisher;

/// What the metric of tries calls these.
const STEP: &str = "step of a run";

/// Times steps, tells the observer, writes into the run's record how far it is, and stops where
/// somebody asked for it.
pub struct Steps<'a> {
    publisher: &'a dyn Publisher,
    pub observer: &'a dyn Observer,
    pub cancel: &'a CancellationToken,
    pub done: Vec<StepDone>,
    /// What is written into the record.
    pub notes: RunNotes,
    started: Instant,
    /// The step that goes on and may be given up, and since when.
    current: watch::Sender<Option<(Step, Instant)>>,
    is_limited: bool,
    /// What last failed in passing, to tell of a step that never gets further.
    trouble: Arc<Mutex<Option<String>>>,
}

impl<'a> Steps<'a> {
    pub fn new(
        publisher: &'a dyn Publisher,
        observer: &'a dyn Observer,
        cancel: &'a CancellationToken,
    ) -> Self {
        let (done, notes) = (Vec::new(), RunNotes::default());
        let current = watch::Sender::new(None);
        let (started, trouble) = (Instant::now(), Arc::default());
        let is_limited = true;
        Self { publisher, observer, cancel, done, notes, started, current, is_limited, trouble }
    }

    /// What comes from now on is not to fail the run, however long it takes.
    pub fn stop_limiting(&mut self) {
        self.is_limited = false;
        self.current.send_replace(None);
    }

    /// Returns an error when a step takes longer than this.
    pub fn overdue(&self, limit: Duration) -> impl Future<Output = RefreshError> + use<> {
        let trouble = Arc::clone(&self.trouble);
        let mut current = self.current.subscribe();
        async move {
            loop {
                let now = *current.borrow_and_update();
                let changed = match now {
                    None => current.changed().await,
                    Some((step, since)) => {
                        let left = limit.saturating_sub(since.elapsed());
                        let changed = tokio::time::timeout(left, current.changed()).await;
                        let Ok(changed) = changed else {
                            let trouble = lock(&trouble).take();
                            let trouble = trouble.map(|told| format!("; at last: {told}"));
                            return RefreshError::TooLong {
                                step,
                                limit_secs: limit.as_secs(),
                                trouble: trouble.unwrap_or_default(),
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
        self.go_on()?;
        self.started = Instant::now();
        *lock(&self.trouble) = None;
        if self.is_limited {
            self.current.send_replace(Some((step, self.started)));
        }
        self.observer.started(step, parts as u64);
        self.notes.steps.push(RunStep {
            step: step.to_string(),
            started_at: Timestamp::now(),
            ended_at: None,
            summary: String::new(),
            flow: Flow::default(),
        });
        self.note().await;
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
        self.note().await;
    }

    /// What cannot be noted is no reason to stop: the steps that write would fail themselves.
    async fn note(&self) {
        if let Err(error) = self.publisher.note(&self.notes).await {
            tracing::warn!(error = describe(&error), "how far the run is could not be recorded");
        }
    }

    pub fn go_on(&self) -> Result<()> {
        if self.cancel.is_cancelled() { Err(RefreshError::Cancelled) } else { Ok(()) }
    }

    /// Does something that may fail in passing, again while it does, unless somebody cancels.
    pub async fn again<T, F>(&self, action: &str, mut work: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let attempt = || {
            let work = self.go_on().map(|()| work());
            async {
                tokio::select! {
                    done = work? => done,
                    () = self.cancel.cancelled() => Err(RefreshError::Cancelled),
                }
            }
        };
        tries(action, attempt, self.cancel.clone(), &self.trouble).await
    }

    /// The same for what is not to be left half done: who cancels is not heard, and it may take its time.
    pub async fn insist<T, F>(&self, action: &str, work: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.current.send_replace(None);
        tries(action, work, CancellationToken::new(), &self.trouble).await
    }
}

fn lock(trouble: &Mutex<Option<String>>) -> MutexGuard<'_, Option<String>> {
    trouble.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tries something again while it fails in passing; `cancel` ends a pause between tries.
async fn tries<T, F>(
    action: &str,
    attempt: impl FnMut() -> F,
    cancel: CancellationToken,
    trouble: &Mutex<Option<String>>,
) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    attempt
        .retry(patience())
        .sleep(move |pause| {
            let cancel = cancel.clone();
            async move {
                // Whether it is over is the attempt's to say.
                let _ = tokio::time::timeout(pause, cancel.cancelled()).await;
            }
        })
        .when(RefreshError::is_transient)
        .notify(|error, pause| {
            let (error, seconds) = (describe(error), pause.as_secs_f64());
            count_retry(STEP, action);
            *lock(trouble) = Some(error.clone());
            tracing::warn!(action, error, seconds, "failed in passing; trying again");
        })
        .await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::catalogue::CATALOGUE;
    use crate::jobs::NoObserver;
    use crate::runs::{RefreshRequest, RunSpec, RunTrigger};
    use crate::store::sqlite::SqliteStore;
    use crate::store::{GoldStore as _, StoreError};

    fn away() -> RefreshError {
        let (location, source) = ("somewhere".to_owned(), "nobody answers".into());
        RefreshError::Store(StoreError::Unavailable { location, source })
    }

    fn full() -> RefreshError {
        let (action, location) = ("writing".to_owned(), "somewhere".to_owned());
        RefreshError::Store(StoreError::Failed { action, location, source: "full".into() })
    }

    /// How often something was tried that failed so at first, and what came of it.
    async fn tried(fail: fn() -> RefreshError, cancel: &CancellationToken) -> (u32, Result<()>) {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("serving.db"), &CATALOGUE).unwrap();
        let order = RunSpec::refresh(RunTrigger::Cli, RefreshRequest::default());
        let publisher = store.publisher(&order).await.unwrap();
        let steps = Steps::new(publisher.as_ref(), &NoObserver, cancel);
        let count = AtomicU32::new(0);
        let work = async || {
            if count.fetch_add(1, Ordering::Relaxed) == 0 { Err(fail()) } else { Ok(()) }
        };
        let came = steps.again("trying", work).await;
        (count.load(Ordering::Relaxed), came)
    }

    #[tokio::test]
    async fn only_what_may_pass_is_tried_again() {
        let never = CancellationToken::new();
        let (passing, permanent) = tokio::join!(tried(away, &never), tried(full, &never));
        assert!(matches!(passing, (2, Ok(()))), "{passing:?}");
        assert!(matches!(permanent, (1, Err(RefreshError::Store(_)))), "{permanent:?}");
    }

    #[tokio::test]
    async fn who_cancels_does_not_wait_for_the_next_try() {
        let cancel = CancellationToken::new();
        let asked = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            cancel.cancel();
        };
        let (came, ()) = tokio::join!(tried(away, &cancel), asked);
        assert!(matches!(came, (1, Err(RefreshError::Cancelled))), "{came:?}");
    }

    #[test]
    fn the_pauses_are_two_ten_and_thirty_seconds_and_up_to_as_long_again() {
        use backon::BackoffBuilder as _;
        let pauses: Vec<u64> = patience().build().map(|pause| pause.as_secs()).collect();
        assert_eq!(pauses.len(), 3);
        for (pause, least) in pauses.into_iter().zip([2, 10, 30]) {
            assert!((least..=2 * least).contains(&pause), "{pause} instead of {least}");
        }
    }
}
