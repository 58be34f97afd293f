//! `/events`: the events of all runs.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse};

use super::error::ApiError;
use super::extract::Listener;
use super::feed::{EventStream, EventView, Scope, last_event_id};
use super::parameters::refuse_parameters;
use super::tags;
use crate::runs::RunQuery;

/// How many runs are replayed at most to a client that reconnects.
const REPLAY_LIMIT: u32 = 200;

/// Events of runs
///
/// Server-sent events of all runs as they happen, from when they begin: steps, ends, new
/// generations. With `Last-Event-ID` also the events since that one. They do not say why a run
/// failed, which only operators may read.
#[utoipa::path(get, path = "/events", tag = tags::HEADLINE, operation_id = "events",
    params(("Last-Event-ID" = Option<String>, Header, description = "The last event received, such as 12.3")),
    responses(
        (status = 200, description = "Events, each with an `EventView` as its data", body = EventView,
            content_type = "text/event-stream"),
    ))]
pub(crate) async fn all(
    listener: Listener,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    refuse_parameters(&request)?;
    let last_id = last_event_id(&request)?;
    let Listener { store, stopping, feed } = listener;
    let latest = feed.latest(store.as_ref()).await?;
    let mut events = EventStream::new(Arc::clone(&store), stopping, Scope::All(feed));
    let Some((run, number)) = last_id else {
        events.skip(&latest);
        return Ok(events.into_response(&request));
    };
    // What followed a run whose record is gone cannot be told.
    let Some(since) = store.runs(RunQuery::one(run)).await?.runs.pop() else {
        events.skip(&latest);
        return Ok(events.into_response(&request));
    };
    let missed = RunQuery { from: Some(since.started_at), ..RunQuery::newest(REPLAY_LIMIT) };
    let missed = store.runs(missed).await?.runs;
    let is_missed = |number: u64| missed.iter().any(|run| run.run == number);
    let older: Vec<_> = latest.iter().filter(|run| !is_missed(run.run)).cloned().collect();
    events.skip(&older);
    events.skip_until(run, number);
    events.push_new(&missed);
    Ok(events.into_response(&request))
}
