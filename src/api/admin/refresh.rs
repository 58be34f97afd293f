//! `/admin/refresh`: starts the pipeline in the background.

use std::str::FromStr as _;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::runs::{RunAnswer, find};
use crate::api::error::{ApiError, Problem};
use crate::api::extract::Admin;
use crate::api::parameters::QueryParams;
use crate::api::tags;
use crate::domain::time::Timestamp;
use crate::error_chain::describe;
use crate::runs::{IfRunning, RefreshCommand, RefreshRequest, StartAt, StartError, StartedRun};

/// The header with the client's idempotency key.
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
/// The longest wait for the end of a run that a request may ask for, seconds.
const MAX_WAIT_SECS: u64 = 60;

/// The options of a refresh.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshBody {
    /// A day, standing for its end, or an instant (as the shop's clocks show it): the tables as they would have been then.
    /// Without it, as of the last purchase.
    #[schema(value_type = Option<String>, example = "2025-12-31")]
    #[serde(default, deserialize_with = "day_or_instant")]
    as_of: Option<Timestamp>,
    /// Run although no input has changed, and despite the quality gate.
    force: Option<bool>,
    /// Take the source files as an earlier run read them, which bronze stores, instead of those
    /// that are there now: `true` for the newest generation, or the number of one.
    replay: Option<Replay>,
    /// Run only these of `silver`, `gold` and `models`, with all that follows, and take what comes
    /// before from the newest generation, or from that of `replay`.
    #[schema(value_type = Option<Vec<String>>, example = json!(["gold", "models"]))]
    only: Option<Vec<Only>>,
}

/// Whose source files are taken.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(untagged, expecting = "it must be true, false or the number of a generation")]
pub(crate) enum Replay {
    /// The newest generation's, if true.
    Newest(bool),
    /// This generation's.
    Of(u64),
}

/// A step that can be run without those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Only {
    Silver,
    Gold,
    Models,
}

fn day_or_instant<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
    let as_of = RefreshRequest::parse_as_of(&text);
    as_of.map(Some).ok_or_else(|| D::Error::custom(format!("{text:?} is not a day or instant")))
}

fn invalid_body(detail: String) -> ApiError {
    ApiError::InvalidParameter {
        parameter: "body".to_owned(),
        detail,
        valid: vec![
            r#"{"as_of": "2025-12-31", "force": false}"#.to_owned(),
            r#"{"replay": true}"#.to_owned(),
            r#"{"only": ["gold", "models"]}"#.to_owned(),
        ],
    }
}

/// Parses a body; an empty one has the default options.
fn parse(body: &[u8]) -> Result<RefreshRequest, ApiError> {
    if body.is_empty() {
        return Ok(RefreshRequest::default());
    }
    // First as an object: a struct would be read from an array as well.
    let object: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| invalid_body(format!("it is not a JSON object ({error})")))?;
    // The error starts with the path of the field.
    let body: RefreshBody = serde_path_to_error::deserialize(Value::Object(object))
        .map_err(|error| invalid_body(error.to_string()))?;
    let request = body.into_request().map_err(invalid_body)?;
    request.check(Timestamp::latest_wall_clock()).map_err(|today| {
        invalid_body(format!("as_of lies in the future: the last day is {today}"))
    })?;
    Ok(request)
}

impl RefreshBody {
    fn into_request(self) -> Result<RefreshRequest, String> {
        let (is_replay, inputs_of) = match self.replay {
            None | Some(Replay::Newest(false)) => (false, None),
            Some(Replay::Newest(true)) => (true, None),
            Some(Replay::Of(generation)) => (true, Some(generation)),
        };
        let start_at = match self.only {
            Some(only) => start_of(&only)?,
            None if is_replay => StartAt::Bronze,
            None => StartAt::Sources,
        };
        let force = self.force.unwrap_or(false);
        Ok(RefreshRequest { as_of: self.as_of, force, start_at, inputs_of })
    }
}

/// The inputs from which these steps start. Gold and models run together, since the scores must
/// agree with the tables beside them.
fn start_of(only: &[Only]) -> Result<StartAt, String> {
    if !(only.contains(&Only::Gold) && only.contains(&Only::Models)) {
        let why =
            "gold and models go together, since scores must agree with the tables beside them";
        return Err(format!("only: {why}; use [\"gold\", \"models\"]"));
    }
    Ok(if only.contains(&Only::Silver) { StartAt::Bronze } else { StartAt::Silver })
}

/// The client's idempotency key.
fn idempotency_key(request: &HttpRequest) -> Result<Option<String>, ApiError> {
    const MAX_CHARS: usize = 255;
    let mut keys = request.headers().get_all(IDEMPOTENCY_KEY);
    let Some(key) = keys.next() else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=MAX_CHARS).contains(&key.trim().len()));
    match (key, keys.next()) {
        (Some(key), None) => Ok(Some(key.trim().to_owned())),
        _ => Err(ApiError::InvalidParameter {
            parameter: IDEMPOTENCY_KEY.to_owned(),
            detail: format!("send it once, with 1 to {MAX_CHARS} characters"),
            valid: vec!["6f1c9a52-refresh".to_owned()],
        }),
    }
}

/// The wait that a request prefers (RFC 7240): `Prefer: wait=30`.
fn preferred_wait(request: &HttpRequest) -> Option<Duration> {
    let values = request.headers().get_all("prefer").filter_map(|value| value.to_str().ok());
    let secs = values
        .flat_map(|value| value.split([',', ';']))
        .filter_map(|preference| preference.trim().split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("wait"))
        .and_then(|(_, secs)| secs.trim().trim_matches('"').parse::<u64>().ok())?;
    Some(Duration::from_secs(secs.min(MAX_WAIT_SECS)))
}

/// Refresh everything
///
/// Runs sources, bronze, silver, gold, models, proof and publishing in the background; other routes
/// keep answering. While another run is running, the request joins it, or queues another run.
#[utoipa::path(post, path = "/admin/refresh", tag = tags::ADMIN, operation_id = "admin_refresh",
    params(
        ("if_running" = Option<String>, Query,
            description = "While another run is running: `join` it (the default), or `queue` another run behind \
                it; at most one run is queued"),
        ("Prefer" = Option<String>, Header,
            description = "`wait=30`: answer when the run has ended, after at most this many seconds (60)"),
        ("Idempotency-Key" = Option<String>, Header,
            description = "Repeating the request with the same key within 24 hours answers the run of the first \
                request"),
    ),
    request_body(content = RefreshBody, description = "Optional"),
    security(("admin_token" = [])),
    responses(
        (status = 202, description = "A run was started or queued; `Location` is where to watch it", body = RunAnswer),
        (status = 200, description = "The run was there already, or it has ended", body = RunAnswer),
        (status = 409, description = "Another run has to end first",
            content_type = "application/problem+json", body = Problem),
        (status = 413, description = "The body is larger than any valid one",
            content_type = "application/problem+json", body = Problem),
        (status = 422, description = "The key belongs to a request with another body",
            content_type = "application/problem+json", body = Problem),
    ))]
pub(crate) async fn start(
    admin: Admin,
    body: Result<web::Bytes, actix_web::Error>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let command = read_command(body, &request)?;
    let started = admin.run_control.refresh(command).await;
    let StartedRun { run, is_new } = started.map_err(|error| not_started(&error))?;
    let wait = preferred_wait(&request);
    if let Some(wait) = wait {
        admin.run_control.wait(run, wait).await;
    }
    let (answer, has_ended) = find(&admin, run).await?;
    let status = if is_new && !has_ended { StatusCode::ACCEPTED } else { StatusCode::OK };
    let mut response = HttpResponse::build(status);
    response.insert_header((LOCATION, format!("/admin/runs/{run}")));
    if let Some(wait) = wait {
        response.insert_header(("Preference-Applied", format!("wait={}", wait.as_secs())));
    }
    Ok(response.json(answer))
}

fn read_command(
    body: Result<web::Bytes, actix_web::Error>,
    request: &HttpRequest,
) -> Result<RefreshCommand, ApiError> {
    let params = QueryParams::parse(request.query_string(), &["if_running"])?;
    let if_running =
        params.read("if_running", "join or queue", |text| IfRunning::from_str(text).ok())?;
    let if_running = if_running.unwrap_or_default();
    let body = body.map_err(|error| match error.as_response_error().status_code() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::LargeBody,
        _ => ApiError::BadBody(format!("the body cannot be read: {error}")),
    })?;
    Ok(RefreshCommand { request: parse(&body)?, if_running, key: idempotency_key(request)? })
}

fn not_started(error: &StartError) -> ApiError {
    match error {
        StartError::Busy(conflict) => ApiError::Conflict(conflict.to_string()),
        StartError::NotFound(_) => ApiError::NotFound(describe(error)),
        StartError::Failed(_) => ApiError::NotStarted(describe(error)),
        StartError::KeyConflict { key } => ApiError::KeyReused(format!(
            "the {IDEMPOTENCY_KEY} {key:?} was sent with another body or if_running within the last 24 \
             hours"
        )),
    }
}
