//! Server-sent events of runs: the stream, its frames and the polling behind it.
//!
//! Clients hear of the runs of every process, since the streams poll the store; the clients of
//! `/events` share one poll. A client that reconnects with the last identifier it received misses
//! nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_ENCODING};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures::{Stream, stream};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::error::ApiError;
use crate::domain::time::Timestamp;
use crate::runs::event::{RunEvent, RunEventKind, events_of};
use crate::runs::{RunQuery, RunRecord};
use crate::store::{GoldStore, StoreError};

/// Between polls of the store.
const POLL_INTERVAL: Duration = Duration::from_millis(300);
/// Between comments when there are no events, so that proxies do not close the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Runs that a poll reads. A run that is still running after this many later ones is not reported
/// further.
const FEED_SIZE: u32 = 50;
/// How long a client whose connection broke should wait before it reconnects, milliseconds.
const RETRY_MS: u32 = 2_000;

/// The newest runs, polled once for all clients of `/events`.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    latest: Mutex<Option<(Instant, Arc<Vec<RunRecord>>)>>,
}

impl Feed {
    /// The newest runs, at most [`POLL_INTERVAL`] old.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn latest(
        &self,
        store: &dyn GoldStore,
    ) -> Result<Arc<Vec<RunRecord>>, StoreError> {
        let mut latest = self.latest.lock().await;
        if let Some((polled_at, runs)) = latest.as_ref()
            && polled_at.elapsed() < POLL_INTERVAL
        {
            return Ok(Arc::clone(runs));
        }
        let runs = Arc::new(store.runs(RunQuery::newest(FEED_SIZE)).await?.runs);
        *latest = Some((Instant::now(), Arc::clone(&runs)));
        Ok(runs)
    }
}

/// The data of an event. Its name is `run`, `step`, `generation` or `end`; its identifier is the
/// run's number and its own.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct EventView {
    /// The run.
    #[schema(example = 12)]
    run: u64,
    /// When, UTC; null of an end that was not recorded.
    #[schema(example = "2026-01-21T03:00:01Z")]
    at: Option<String>,
    /// The state of the run (`run`, `end`), or of the step: `running` or `succeeded`.
    #[schema(example = "succeeded")]
    state: Option<&'static str>,
    /// The step.
    #[schema(example = "silver")]
    step: Option<String>,
    /// Rows the step read.
    rows_in: Option<u64>,
    /// Rows the step wrote.
    rows_out: Option<u64>,
    /// The generation that is served now.
    #[schema(example = 7)]
    generation: Option<u64>,
}

/// An event as it is sent.
fn frame(event: &RunEvent) -> Bytes {
    let (run, at) = (event.run, event.at.map(Timestamp::to_utc));
    let view = EventView { run, at, ..EventView::default() };
    let (name, view) = match &event.kind {
        RunEventKind::Run(state) => ("run", EventView { state: Some(state.as_str()), ..view }),
        RunEventKind::Step(step) => {
            let view = EventView {
                state: Some(if step.ended_at.is_some() { "succeeded" } else { "running" }),
                step: Some(step.step.to_string()),
                rows_in: step.flow.rows_in,
                rows_out: step.flow.rows_out,
                ..view
            };
            ("step", view)
        }
        RunEventKind::Generation(generation) => {
            ("generation", EventView { generation: Some(*generation), ..view })
        }
        RunEventKind::End(state) => ("end", EventView { state: Some(state.as_str()), ..view }),
    };
    // Plain fields: writing them as JSON cannot fail.
    let data = serde_json::to_string(&view).unwrap_or_default();
    format!("id: {run}.{}\nevent: {name}\ndata: {data}\n\n", event.number).into()
}

/// The identifier of the last event a client received: run and number.
///
/// # Errors
/// [`ApiError::InvalidParameter`].
pub(crate) fn last_event_id(request: &HttpRequest) -> Result<Option<(u64, u32)>, ApiError> {
    const HEADER: &str = "Last-Event-ID";
    let Some(text) = request.headers().get(HEADER) else { return Ok(None) };
    let id = text.to_str().ok().and_then(|text| text.trim().split_once('.'));
    let id = id.and_then(|(run, number)| Some((run.parse().ok()?, number.parse().ok()?)));
    id.map(Some).ok_or_else(|| ApiError::InvalidParameter {
        parameter: HEADER.to_owned(),
        detail: "it is not the identifier of an event (example: 12.3)".to_owned(),
        valid: vec!["12.3".to_owned()],
    })
}

/// Which runs a client listens to.
#[derive(Debug)]
pub(crate) enum Scope {
    /// All of them.
    All(Arc<Feed>),
    /// One, until its end.
    One(u64),
}

/// The events sent to one client.
#[derive(Debug)]
pub(crate) struct EventStream {
    store: Arc<dyn GoldStore>,
    stopping: CancellationToken,
    scope: Scope,
    /// The number of the last event of each run that was sent or skipped.
    sent: BTreeMap<u64, u32>,
    /// What is to be sent next.
    pending: VecDeque<Bytes>,
    is_over: bool,
    last_sent: Instant,
}

impl EventStream {
    /// A stream that has sent nothing yet. It ends when `stopping` fires.
    pub(crate) fn new(
        store: Arc<dyn GoldStore>,
        stopping: CancellationToken,
        scope: Scope,
    ) -> Self {
        let retry = Bytes::from(format!("retry: {RETRY_MS}\n\n"));
        let (sent, pending) = (BTreeMap::new(), VecDeque::from([retry]));
        let last_sent = Instant::now();
        Self { store, stopping, scope, sent, pending, is_over: false, last_sent }
    }

    /// Queues the events of these runs that were not sent yet, those of the first run to begin
    /// first.
    pub(crate) fn push_new(&mut self, runs: &[RunRecord]) {
        let mut runs: Vec<&RunRecord> = runs.iter().collect();
        runs.sort_by_key(|run| (run.started_at, run.run));
        for run in runs {
            // A queued run is left out until it begins, so that events come in the order runs began
            // and a client that reconnects finds its place.
            if matches!(self.scope, Scope::All(_)) && !run.has_begun {
                continue;
            }
            for event in events_of(run) {
                if self.sent.get(&run.run).is_none_or(|sent| *sent < event.number) {
                    self.sent.insert(run.run, event.number);
                    self.is_over |= event.is_last() && matches!(self.scope, Scope::One(_));
                    self.pending.push_back(frame(&event));
                }
            }
        }
    }

    /// Counts the events of these runs as sent.
    pub(crate) fn skip(&mut self, runs: &[RunRecord]) {
        for run in runs.iter().filter(|run| run.has_begun) {
            if let Some(event) = events_of(run).last() {
                self.sent.insert(run.run, event.number);
            }
        }
    }

    /// Counts the events of a run up to this number as sent.
    pub(crate) fn skip_until(&mut self, run: u64, number: u32) {
        self.sent.insert(run, number);
    }

    /// Whether there is an event to send now.
    pub(crate) fn has_events(&self) -> bool {
        // The first frame is the retry interval.
        self.pending.len() > 1
    }

    async fn poll(&mut self) {
        let runs = match &self.scope {
            Scope::All(feed) => feed.latest(self.store.as_ref()).await,
            Scope::One(run) => {
                self.store.runs(RunQuery::one(*run)).await.map(|page| Arc::new(page.runs))
            }
        };
        // A store that does not answer is polled again.
        if let Ok(runs) = runs {
            // The run's record was removed.
            self.is_over |= runs.is_empty() && matches!(self.scope, Scope::One(_));
            self.push_new(&runs);
            if let (Scope::All(_), Some(oldest)) = (&self.scope, runs.last()) {
                // Polls do not see older runs any more.
                self.sent.retain(|run, _| *run >= oldest.run);
            }
        }
    }

    /// The next bytes to send; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.pending.pop_front() {
                self.last_sent = Instant::now();
                return Some(bytes);
            }
            if self.is_over || self.stopping.is_cancelled() {
                return None;
            }
            if self.last_sent.elapsed() >= KEEP_ALIVE {
                self.pending.push_back(Bytes::from_static(b": alive\n\n"));
                continue;
            }
            self.poll().await;
            if self.pending.is_empty() {
                let stopping = self.stopping.clone();
                let _ = tokio::time::timeout(POLL_INTERVAL, stopping.cancelled()).await;
            }
        }
    }

    /// The response that sends the events; of a HEAD request its headers only.
    pub(crate) fn into_response(self, request: &HttpRequest) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        response
            .content_type("text/event-stream")
            .insert_header((CACHE_CONTROL, "no-store"))
            // A compressed event would be held back until more follow.
            .insert_header((CONTENT_ENCODING, "identity"))
            .insert_header(("X-Accel-Buffering", "no"));
        if request.method() == Method::HEAD {
            return response.finish();
        }
        response.streaming(self.into_stream())
    }

    fn into_stream(self) -> impl Stream<Item = Result<Bytes, ApiError>> {
        stream::unfold(self, |mut events| async {
            let bytes = events.next().await?;
            Some((Ok(bytes), events))
        })
    }
}
