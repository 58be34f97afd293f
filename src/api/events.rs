//! Server-sent events: what happens in runs, to whoever listens.
//!
//! Listeners look at the store, all of one process together, so that they hear of every process's runs;
//! who comes back with the last identifier they heard misses nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_ENCODING};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures::{Stream, stream};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::admin::runs::{number, utc};
use super::error::ApiError;
use super::extract::{Admin, Listener};
use super::parameters::refuse_parameters;
use super::tags;
use crate::runs::event::{Happening, RunEvent, events_of};
use crate::runs::{RunQuery, RunRecord};
use crate::store::{GoldStore, StoreError};

/// Between looks at the store.
const LOOK: Duration = Duration::from_millis(300);
/// Between signs of life when nothing happens, so that what lies between does not close the connection.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);
/// Runs that a look sees. Of one that goes on while more than that come after it nothing more is told.
const SEEN: u32 = 50;
/// Most runs that are told of again to who comes back.
const RETOLD: u32 = 200;
/// After what time a listener whose connection broke should come back, milliseconds.
const COME_BACK: u32 = 2_000;

/// The newest runs, looked at once for all who listen.
#[derive(Debug, Default)]
pub struct Feed {
    latest: Mutex<Option<(Instant, Arc<Vec<RunRecord>>)>>,
}

impl Feed {
    async fn latest(&self, store: &dyn GoldStore) -> Result<Arc<Vec<RunRecord>>, StoreError> {
        let mut latest = self.latest.lock().await;
        if let Some((looked_at, runs)) = latest.as_ref()
            && looked_at.elapsed() < LOOK
        {
            return Ok(Arc::clone(runs));
        }
        let runs = Arc::new(store.runs(RunQuery::newest(SEEN)).await?.runs);
        *latest = Some((Instant::now(), Arc::clone(&runs)));
        Ok(runs)
    }
}

/// What an event says. Its name is `run`, `step`, `generation` or `end`, its identifier the run's number
/// and its own.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventView {
    /// The run.
    #[schema(example = 12)]
    run: u64,
    /// When, UTC; null of an end that nobody saw.
    #[schema(example = "2026-01-21T03:00:01Z")]
    at: Option<String>,
    /// How the run stands (`run`, `end`), or the step: `running` or `succeeded`.
    #[schema(example = "succeeded")]
    state: Option<&'static str>,
    /// The step.
    #[schema(example = "silver")]
    step: Option<String>,
    /// Rows the step took in.
    rows_in: Option<u64>,
    /// Rows the step gave.
    rows_out: Option<u64>,
    /// The generation that is served now.
    #[schema(example = 7)]
    generation: Option<u64>,
}

/// An event as it goes over the wire.
fn frame(event: RunEvent) -> Bytes {
    let (run, at) = (event.run, event.at.map(utc));
    let mut view = EventView {
        run,
        at,
        state: None,
        step: None,
        rows_in: None,
        rows_out: None,
        generation: None,
    };
    let name = match event.what {
        Happening::Run(state) => {
            view.state = Some(state.as_str());
            "run"
        }
        Happening::Step(step) => {
            view.state = Some(if step.ended_at.is_some() { "succeeded" } else { "running" });
            (view.rows_in, view.rows_out) = (step.flow.rows_in, step.flow.rows_out);
            view.step = Some(step.step);
            "step"
        }
        Happening::Generation(generation) => {
            view.generation = Some(generation);
            "generation"
        }
        Happening::End(state) => {
            view.state = Some(state.as_str());
            "end"
        }
    };
    // Plain fields: nothing of it can fail.
    let data = serde_json::to_string(&view).unwrap_or_default();
    format!("id: {run}.{}\nevent: {name}\ndata: {data}\n\n", event.number).into()
}

/// The identifier of the last event a listener heard: run and number.
fn last_heard(request: &HttpRequest) -> Result<Option<(u64, u32)>, ApiError> {
    const HEADER: &str = "Last-Event-ID";
    let Some(text) = request.headers().get(HEADER) else { return Ok(None) };
    let heard = text.to_str().ok().and_then(|text| text.trim().split_once('.'));
    let heard = heard.and_then(|(run, number)| Some((run.parse().ok()?, number.parse().ok()?)));
    heard.map(Some).ok_or_else(|| ApiError::InvalidParameter {
        parameter: HEADER.to_owned(),
        detail: "it is not the identifier of an event, as 12.3 is".to_owned(),
        valid: vec!["12.3".to_owned()],
    })
}

/// Which runs somebody listens to.
enum Scope {
    /// All of them.
    All(Arc<Feed>),
    /// One, until its end.
    One(u64),
}

/// Somebody who listens.
struct EventStream {
    store: Arc<dyn GoldStore>,
    stopping: CancellationToken,
    scope: Scope,
    /// The last event told of each run.
    told: BTreeMap<u64, u32>,
    /// What is to be sent next.
    next: VecDeque<Bytes>,
    is_over: bool,
    last_sent: Instant,
}

impl EventStream {
    fn new(store: Arc<dyn GoldStore>, stopping: CancellationToken, scope: Scope) -> Self {
        let hello = Bytes::from(format!("retry: {COME_BACK}\n\n"));
        let (told, next) = (BTreeMap::new(), VecDeque::from([hello]));
        let last_sent = Instant::now();
        Self { store, stopping, scope, told, next, is_over: false, last_sent }
    }

    /// Tells of what is new in these runs, the first to begin first.
    fn tell(&mut self, runs: &[RunRecord]) {
        let mut runs: Vec<&RunRecord> = runs.iter().collect();
        runs.sort_by_key(|run| (run.started_at, run.run));
        for run in runs {
            // To all is told what has begun: one after the other, so that who comes back finds their place.
            if matches!(self.scope, Scope::All(_)) && !run.has_begun {
                continue;
            }
            for event in events_of(run) {
                let told = self.told.get(&run.run);
                if told.is_none_or(|told| *told < event.number) {
                    self.told.insert(run.run, event.number);
                    self.is_over |= event.is_last() && matches!(self.scope, Scope::One(_));
                    self.next.push_back(frame(event));
                }
            }
        }
    }

    /// Counts everything in these runs as told.
    fn skip(&mut self, runs: &[RunRecord]) {
        for run in runs.iter().filter(|run| run.has_begun) {
            if let Some(event) = events_of(run).last() {
                self.told.insert(run.run, event.number);
            }
        }
    }

    /// Looks once.
    async fn look(&mut self) {
        let runs = match &self.scope {
            Scope::All(feed) => feed.latest(self.store.as_ref()).await,
            Scope::One(run) => {
                self.store.runs(RunQuery::one(*run)).await.map(|page| Arc::new(page.runs))
            }
        };
        // A store that is away is looked at again.
        if let Ok(runs) = runs {
            // The run's record was removed.
            self.is_over |= runs.is_empty() && matches!(self.scope, Scope::One(_));
            self.tell(&runs);
            if let (Scope::All(_), Some(oldest)) = (&self.scope, runs.last()) {
                // Those that no look sees any more.
                self.told.retain(|run, _| *run >= oldest.run);
            }
        }
    }

    /// The next bytes to send; `None` when there will be none.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.next.pop_front() {
                self.last_sent = Instant::now();
                return Some(bytes);
            }
            if self.is_over || self.stopping.is_cancelled() {
                return None;
            }
            if self.last_sent.elapsed() >= SIGN_OF_LIFE {
                self.next.push_back(Bytes::from_static(b": alive\n\n"));
                continue;
            }
            self.look().await;
            if self.next.is_empty() {
                let stopping = self.stopping.clone();
                let _ = tokio::time::timeout(LOOK, stopping.cancelled()).await;
            }
        }
    }

    fn into_response(self, request: &HttpRequest) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        response
            .content_type("text/event-stream")
            .insert_header((CACHE_CONTROL, "no-store"))
            // Compressed, an event would wait for the next ones.
            .insert_header((CONTENT_ENCODING, "identity"))
            .insert_header(("X-Accel-Buffering", "no"));
        if request.method() == Method::HEAD {
            return response.finish();
        }
        response.streaming(self.into_stream())
    }

    fn into_stream(self) -> impl Stream<Item = Result<Bytes, ApiError>> {
        stream::unfold(self, |mut listening| async {
            let bytes = listening.next().await?;
            Some((Ok(bytes), listening))
        })
    }
}

/// What happens
///
/// Server-sent events of all runs as they happen, from when they begin: steps, ends, new generations. With `Last-Event-ID` also
/// those since then. Without a word of why a run failed, which is the operator's to see.
#[utoipa::path(get, path = "/events", tag = tags::HEADLINE, operation_id = "events",
    params(("Last-Event-ID" = Option<String>, Header, description = "The last event heard, as 12.3")),
    responses(
        (status = 200, description = "Events, each with an `EventView` as its data", body = EventView,
            content_type = "text/event-stream"),
    ))]
pub async fn all(listener: Listener, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    refuse_parameters(&request)?;
    let heard = last_heard(&request)?;
    let Listener { store, stopping, feed } = listener;
    let latest = feed.latest(store.as_ref()).await?;
    let mut listening = EventStream::new(Arc::clone(&store), stopping, Scope::All(feed));
    match heard {
        None => listening.skip(&latest),
        Some((run, number)) => {
            let since = store.runs(RunQuery::one(run)).await?.runs.pop();
            // After one that is forgotten, or never was, nobody knows what was missed.
            let Some(since) = since else {
                listening.skip(&latest);
                return Ok(listening.into_response(&request));
            };
            let missed = RunQuery { from: Some(since.started_at), ..RunQuery::newest(RETOLD) };
            let missed = store.runs(missed).await?.runs;
            let older = latest.iter().filter(|run| missed.iter().all(|m| m.run != run.run));
            listening.skip(&older.cloned().collect::<Vec<_>>());
            listening.told.insert(run, number);
            listening.tell(&missed);
        }
    }
    Ok(listening.into_response(&request))
}

/// What happens in a run
///
/// Server-sent events from its beginning, or since `Last-Event-ID`, until it ends. Who comes back after the
/// end gets 204, upon which browsers stop coming back.
#[utoipa::path(get, path = "/admin/runs/{run}/events", tag = tags::ADMIN,
    operation_id = "admin_runs_events",
    params(
        ("run" = u64, Path, description = "The run's number"),
        ("Last-Event-ID" = Option<String>, Header, description = "The last event heard, as 12.3"),
    ),
    security(("admin_token" = [])),
    responses(
        (status = 200, description = "Events, each with an `EventView` as its data", body = EventView,
            content_type = "text/event-stream"),
        (status = 204, description = "Nothing more comes of the run"),
    ))]
pub async fn one(
    admin: Admin,
    run: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    refuse_parameters(&request)?;
    let run = number(&run)?;
    let heard = last_heard(&request)?.filter(|(of, _)| *of == run);
    let record = super::admin::runs::find_record(&admin, run).await?;
    let stopping = admin.operator.stopping();
    let mut listening = EventStream::new(Arc::clone(&admin.store), stopping, Scope::One(run));
    listening.told.extend(heard);
    listening.tell(std::slice::from_ref(&record));
    // The first thing sent is no event.
    if record.state.has_ended() && listening.next.len() == 1 {
        return Ok(HttpResponse::NoContent().finish());
    }
    Ok(listening.into_response(&request))
}
