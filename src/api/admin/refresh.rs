//! `/admin/refresh`: the whole pipeline, in the background.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, post, web};
use serde::Deserialize;
use utoipa::ToSchema;

use super::runs::{RunAnswer, find};
use crate::api::error::{ApiError, Problem};
use crate::api::extract::Admin;
use crate::api::table::refuse_parameters;
use crate::domain::run::{Asked, RefreshRequest, Refusal};
use crate::domain::time::{Day, Timestamp};

/// Longest wait for the end of a run that a request may ask for, seconds.
const MOST_WAIT_SECS: u64 = 60;

/// What a refresh may be asked for.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RefreshBody {
    /// A day, standing for its end, or an instant (UTC): figures as they stood then. Not given: at
    /// the last purchase.
    #[schema(example = "2025-12-31")]
    as_of: Option<String>,
    /// Run although no input has changed, and past the quality gate.
    force: bool,
}

impl RefreshBody {
    fn parse(body: &[u8]) -> Result<RefreshRequest, ApiError> {
        let invalid = |detail: String| ApiError::InvalidParameter {
            parameter: "body".to_owned(),
            detail,
            valid: vec![r#"{"as_of": "2025-12-31", "force": false}"#.to_owned()],
        };
        if body.is_empty() {
            return Ok(RefreshRequest::default());
        }
        let Self { as_of, force } =
            serde_json::from_slice(body).map_err(|error| invalid(error.to_string()))?;
        let read = |text: &str| Day::parse(text).map(Day::end).or_else(|| Timestamp::parse(text));
        let as_of = as_of
            .map(|text| {
                read(&text).ok_or_else(|| invalid(format!("as_of {text:?} is no day or instant")))
            })
            .transpose()?;
        let today = Timestamp::now().day();
        if as_of.is_some_and(|as_of| as_of > today.end()) {
            return Err(invalid(format!("as_of lies in the future: the last day is {today}")));
        }
        Ok(RefreshRequest { as_of, force })
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
/// go on answering. While a run is going on, a request joins it.
#[utoipa::path(post, path = "/admin/refresh", tag = super::TAG, operation_id = "admin_refresh",
    params(("Prefer" = Option<String>, Header,
        description = "`wait=30`: answer when the run has ended, after at most so many seconds (60)")),
    request_body(content = RefreshBody, description = "Not needed"),
    security(("admin_token" = [])),
    responses(
        (status = 202, description = "A run has begun; `Location` is where to watch it", body = RunAnswer),
        (status = 200, description = "A run was going on, this one; or the run has ended", body = RunAnswer),
        (status = 400, description = "The body cannot be understood",
            content_type = "application/problem+json", body = Problem),
        (status = 401, description = "The request does not carry the admin token",
            content_type = "application/problem+json", body = Problem),
        (status = 409, description = "Something else is going on",
            content_type = "application/problem+json", body = Problem),
        (status = 503, description = "Lake or serving store cannot be used",
            content_type = "application/problem+json", body = Problem),
    ))]
#[post("/admin/refresh")]
pub async fn start(
    admin: Admin,
    body: web::Bytes,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    refuse_parameters(&request)?;
    let asked = RefreshBody::parse(&body)?;
    let started = admin.operator.refresh(asked).await;
    let Asked { run, is_new } = started.map_err(|refusal| match refusal {
        Refusal::Busy(why) => ApiError::Conflict(why),
        Refusal::Failed(why) => ApiError::NotStarted(why),
    })?;
    if !is_new && asked != RefreshRequest::default() {
        return Err(ApiError::Conflict(format!(
            "run {run} is going on, which was not asked for as_of or force as this request does; ask again when it has ended"
        )));
    }
    let wait = preferred_wait(&request);
    if let Some(wait) = wait {
        admin.operator.wait(run, wait).await;
    }
    let answer = find(&admin, run).await?;
    let status = if is_new && !answer.has_ended() { StatusCode::ACCEPTED } else { StatusCode::OK };
    let mut response = HttpResponse::build(status);
    response.insert_header((LOCATION, format!("/admin/runs/{run}")));
    if let Some(wait) = wait {
        response.insert_header(("Preference-Applied", format!("wait={}", wait.as_secs())));
    }
    Ok(response.json(answer))
}
