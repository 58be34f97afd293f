//! The steps of a run: timed, told, written into its record, tried again when what failed may pass,
//! and stopped where somebody asked for it.

use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable as _};
use tokio_util::sync::CancellationToken;

use super::{RefreshError, Result, StepDone};
use crate::domain::run::{Flow, RunNotes, RunStep};
use crate::domain::time::Timestamp;
use crate::jobs::{Observer, Step};
use crate::store::Publisher;
use crate::telemetry::sentence;

/// Before what failed in passing is tried again: 2, 10 and 30 seconds, and up to as long again, so that
/// many who wait for the same thing do not come back at once.
fn patience() -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_secs(2))
        .with_factor(5.0)
        .with_max_delay(Duration::from_secs(30))
        .with_max_times(3)
        .with_jitter()
}

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
}

impl<'a> Steps<'a> {
    pub fn new(
        publisher: &'a dyn Publisher,
        observer: &'a dyn Observer,
        cancel: &'a CancellationToken,
    ) -> Self {
        let (done, notes) = (Vec::new(), RunNotes::default());
        Self { publisher, observer, cancel, done, notes, started: Instant::now() }
    }

    pub async fn start(&mut self, step: Step, parts: usize) -> Result<()> {
        self.go_on()?;
        self.started = Instant::now();
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
            tracing::warn!(error = sentence(&error), "how far the run is could not be recorded");
        }
    }

    pub fn go_on(&self) -> Result<()> {
        if self.cancel.is_cancelled() { Err(RefreshError::Cancelled) } else { Ok(()) }
    }

    /// Does something that may fail in passing, again while it does.
    pub async fn again<T, F>(&self, action: &str, mut work: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let cancel = self.cancel.clone();
        let attempt = || {
            let work = self.go_on().map(|()| work());
            async { work?.await }
        };
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
                let (error, seconds) = (sentence(error), pause.as_secs_f64());
                tracing::warn!(action, error, seconds, "failed in passing; trying again");
            })
            .await
    }
}
