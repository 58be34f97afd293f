//! `/admin/refresh`: the whole pipeline, in the background.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::runs::{RunAnswer, find};
use crate::api::error::{ApiError, Problem};
use crate::api::extract::Admin;
use crate::api::parameters::QueryParams;
use crate::api::tags;
use crate::domain::time::Timestamp;
use crate::runs::{IfRunning, RefreshCommand, RefreshRequest, StartAt, StartError, StartedRun};

/// The header with a key of the request's own.
const KEY: &str = "Idempotency-Key";
/// Longest wait for the end of a run that a request may ask for, seconds.
const MOST_WAIT_SECS: u64 = 60;

/// What a refresh may be asked for.
#[derive(Debug, ToSchema)]
#[allow(dead_code)] // the shape for the document; `parse` reads it, to name the field that is wrong
pub struct RefreshBody {
    /// A day, standing for its end, or an instant (UTC): figures as they stood then. Not given: at
    /// the last purchase.
    #[schema(example = "2025-12-31")]
    as_of: Option<String>,
    /// Run although no input has changed, and past the quality gate.
    force: Option<bool>,
    /// Take the source files as an earlier run read them, which bronze keeps, instead of those that are
    /// there now: `true` for the newest generation, or the number of one.
    replay: Option<Replay>,
    /// Do only these of `silver`, `gold` and `models`, with all that follows, and take what comes before
    /// from the newest generation, or from that of `replay`.
    #[schema(example = json!(["gold", "models"]))]
    only: Option<Vec<String>>,
}

/// Whose source files are taken.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code)] // as above
pub enum Replay {
    /// The newest generation's, if true.
    Newest(bool),
    /// This generation's.
    Of(u64),
}

/// What a body asks for.
fn parse(body: &[u8]) -> Result<RefreshRequest, ApiError> {
    const FIELDS: [&str; 4] = ["as_of", "force", "replay", "only"];
    let invalid = |detail: String| ApiError::InvalidParameter {
        parameter: "body".to_owned(),
        detail,
        valid: vec![
            r#"{"as_of": "2025-12-31", "force": false}"#.to_owned(),
            r#"{"replay": true}"#.to_owned(),
            r#"{"only": ["gold", "models"]}"#.to_owned(),
        ],
    };
    if body.is_empty() {
        return Ok(RefreshRequest::default());
    }
    let fields: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| invalid(format!("it is no JSON object ({error})")))?;
    if let Some(other) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        let known = FIELDS.join(", ");
        return Err(invalid(format!("there is no {other:?} to ask for; there are {known}")));
    }
    let given = |name: &str| fields.get(name).filter(|value| !value.is_null());
    let wrong = |name: &str, wanted: &str| {
        let value = given(name).map(ToString::to_string).unwrap_or_default();
        invalid(format!("{name}: {value} is not {wanted}"))
    };
    let as_of = given("as_of").map(|value| {
        let read = value.as_str().and_then(RefreshRequest::parse_as_of);
        read.ok_or_else(|| wrong("as_of", "a day or instant"))
    });
    let force =
        given("force").map(|value| value.as_bool().ok_or_else(|| wrong("force", "true or false")));
    let (is_replay, inputs_of) = match given("replay") {
        None | Some(Value::Bool(false)) => (false, None),
        Some(Value::Bool(true)) => (true, None),
        Some(value) => {
            let number = value.as_u64();
            let number = number.ok_or_else(|| wrong("replay", "true or a generation's number"))?;
            (true, Some(number))
        }
    };
    let start_at = match given("only") {
        None if is_replay => StartAt::Bronze,
        None => StartAt::Sources,
        Some(value) => {
            let steps = value.as_array().and_then(|steps| {
                steps
                    .iter()
                    .map(|step| step.as_str().map(str::to_owned))
                    .collect::<Option<Vec<_>>>()
            });
            let steps = steps.ok_or_else(|| wrong("only", "a list of steps"))?;
            start_of(&steps).map_err(invalid)?
        }
    };
    let (as_of, force) = (as_of.transpose()?, force.transpose()?.unwrap_or(false));
    let request = RefreshRequest { as_of, force, start_at, inputs_of };
    request
        .check(Timestamp::now())
        .map_err(|today| invalid(format!("as_of lies in the future: the last day is {today}")))?;
    Ok(request)
}

/// Where a run begins that does only these steps. Gold and models always go together: scores of one
/// would stand beside figures of the other.
fn start_of(only: &[String]) -> Result<StartAt, String> {
    const STEPS: [&str; 3] = ["silver", "gold", "models"];
    if let Some(other) = only.iter().find(|step| !STEPS.contains(&step.as_str())) {
        return Err(format!("only: {other:?} is none of {}", STEPS.join(", ")));
    }
    let has = |step: &str| only.iter().any(|other| other == step);
    if !(has("gold") && has("models")) {
        let why = "gold and models go together, since scores belong to the figures beside them";
        return Err(format!("only: {why}; ask for [\"gold\", \"models\"]"));
    }
    Ok(if has("silver") { StartAt::Bronze } else { StartAt::Silver })
}

/// The key of the request's own, if it has one.
fn key(request: &HttpRequest) -> Result<Option<String>, ApiError> {
    /// Characters.
    const LONGEST: usize = 255;
    let mut keys = request.headers().get_all(KEY);
    let Some(key) = keys.next() else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=LONGEST).contains(&key.trim().len()));
    match (key, keys.next()) {
        (Some(key), None) => Ok(Some(key.trim().to_owned())),
        _ => Err(ApiError::InvalidParameter {
            parameter: KEY.to_owned(),
            detail: format!("it is to be given once, with 1 to {LONGEST} characters"),
            valid: vec!["6f1c9a52-refresh".to_owned()],
        }),
    }
}

/// The wait a request prefers (RFC 7240): `Prefer: wait=30`.
fn preferred_wait(request: &HttpRequest) -> Option<Duration> {
    let values = request.headers().get_all("prefer").filter_map(|value| value.to_str().ok());
    let secs = values
        .flat_map(|value| value.split([',', ';']))
        .filter_map(|preference| preference.trim().split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("wait"))
        .and_then(|(_, secs)| secs.trim().trim_matches('"').parse::<u64>().ok())?;
    Some(Duration::from_secs(secs.min(MOST_WAIT_SECS)))
}

/// Refresh everything
///
/// Sources, bronze, silver, gold, models, proof and publishing, in the background; routes that read
/// go on answering. While a run is going on, a request joins it, or puts one more in line.
#[utoipa::path(post, path = "/admin/refresh", tag = tags::ADMIN, operation_id = "admin_refresh",
    params(
        ("if_running" = Option<String>, Query,
            description = "While a run is going on: `join` it (the default), or `queue` one more behind it; there \
                is never more than one in line"),
        ("Prefer" = Option<String>, Header,
            description = "`wait=30`: answer when the run has ended, after at most so many seconds (60)"),
        ("Idempotency-Key" = Option<String>, Header,
            description = "Asking again with the same key within 24 hours answers the run of the first time"),
    ),
    request_body(content = RefreshBody, description = "Not needed"),
    security(("admin_token" = [])),
    responses(
        (status = 202, description = "A run has begun or is in line; `Location` is where to watch it", body = RunAnswer),
        (status = 200, description = "There was this run already; or the run has ended", body = RunAnswer),
        (status = 409, description = "Something else is going on",
            content_type = "application/problem+json", body = Problem),
        (status = 413, description = "The body is larger than anything that can be asked for",
            content_type = "application/problem+json", body = Problem),
        (status = 422, description = "The key stands for a request with another body",
            content_type = "application/problem+json", body = Problem),
    ))]
pub async fn start(
    admin: Admin,
    body: Result<web::Bytes, actix_web::Error>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let given = QueryParams::parse(request.query_string(), &["if_running"])?;
    let if_running = given.read("if_running", "join or queue", |word| match word {
        "join" => Some(IfRunning::Join),
        "queue" => Some(IfRunning::Queue),
        _ => None,
    })?;
    let if_running = if_running.unwrap_or_default();
    let body = body.map_err(|error| match error.as_response_error().status_code() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::LargeBody,
        _ => ApiError::BadBody(format!("the body cannot be read: {error}")),
    })?;
    let wish = RefreshCommand { request: parse(&body)?, if_running, key: key(&request)? };
    let granted = admin.operator.refresh(wish).await;
    let StartedRun { run, is_new } = granted.map_err(|refusal| match refusal {
        StartError::Busy(why) => ApiError::Conflict(why),
        StartError::NotThere(why) => ApiError::NotFound(why),
        StartError::Failed(why) => ApiError::NotStarted(why),
        StartError::OtherKey(key) => ApiError::KeyReused(format!(
            "the {KEY} {key:?} was sent with another body or if_running within the last 24 hours"
        )),
    })?;
    let wait = preferred_wait(&request);
    if let Some(wait) = wait {
        admin.operator.wait(run, wait).await;
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
