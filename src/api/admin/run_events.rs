//! `/admin/runs/{run}/events`: the events of one run.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};

use super::runs::{find_record, parse_number};
use crate::api::error::ApiError;
use crate::api::extract::Admin;
use crate::api::feed::{EventStream, EventView, Scope, last_event_id};
use crate::api::parameters::refuse_parameters;
use crate::api::tags;

/// Events of a run
///
/// Server-sent events from its beginning, or since `Last-Event-ID`, until it ends. A client that
/// reconnects after the end gets 204, upon which browsers stop reconnecting.
#[utoipa::path(get, path = "/admin/runs/{run}/events", tag = tags::ADMIN,
    operation_id = "admin_runs_events",
    params(
        ("run" = u64, Path, description = "The run's number"),
        ("Last-Event-ID" = Option<String>, Header, description = "The last event received, such as 12.3"),
    ),
    security(("admin_token" = [])),
    responses(
        (status = 200, description = "Events, each with an `EventView` as its data", body = EventView,
            content_type = "text/event-stream"),
        (status = 204, description = "The run has ended and all its events were received"),
    ))]
pub(crate) async fn one(
    admin: Admin,
    run: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    refuse_parameters(&request)?;
    let run = parse_number(&run)?;
    let last_id = last_event_id(&request)?.filter(|(of, _)| *of == run);
    let record = find_record(&admin, run).await?;
    let stopping = admin.run_control.stopping();
    let mut events = EventStream::new(Arc::clone(&admin.store), stopping, Scope::One(run));
    if let Some((run, number)) = last_id {
        events.skip_until(run, number);
    }
    events.push_new(std::slice::from_ref(&record));
    if record.state.has_ended() && !events.has_events() {
        return Ok(HttpResponse::NoContent().finish());
    }
    Ok(events.into_response(&request))
}
