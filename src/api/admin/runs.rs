//! `/admin/runs`: what refreshes and rollbacks there were, how each went or goes, and stopping one.

use actix_web::{HttpRequest, HttpResponse, post, route, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::meta;
use crate::api::envelope::Meta;
use crate::api::error::{ApiError, Problem};
use crate::api::extract::Admin;
use crate::api::parameters::{DEFAULT_LIMIT, Given, MAX_LIMIT};
use crate::api::table::refuse_parameters;
use crate::domain::run::{RunKind, RunQuery, RunRecord, RunState, RunStep};
use crate::domain::time::Timestamp;
use crate::store::Operator;

/// One run.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunView {
    /// Its number; later runs have greater ones.
    #[schema(example = 12)]
    run: u64,
    /// `refresh` or `rollback`.
    #[schema(example = "refresh")]
    kind: &'static str,
    /// What started it: `api` or `cli`.
    #[schema(example = "api")]
    trigger: &'static str,
    /// `running`, `succeeded`, `failed`, `cancelled`, or `interrupted` when its process ended before
    /// it did.
    #[schema(example = "succeeded")]
    state: &'static str,
    /// The process that ran it, as `host:pid`.
    #[schema(example = "shop:4711")]
    holder: String,
    /// When it got the right to publish, UTC.
    #[schema(example = "2026-01-21T03:00:00Z")]
    started_at: String,
    /// When it ended, UTC; null while it runs and when nobody saw the end.
    #[schema(example = "2026-01-21T03:00:05Z")]
    ended_at: Option<String>,
    /// How long it took, seconds; null likewise.
    #[schema(example = 4.82)]
    seconds: Option<f64>,
    /// The generation it switched to; null when it switched to none.
    #[schema(example = 7)]
    generation: Option<u64>,
    /// What a refresh that succeeded came to: `published`, or `unchanged` when its inputs were those of
    /// the newest generation; else null.
    #[schema(example = "published")]
    outcome: Option<&'static str>,
    /// Why it failed, with the causes.
    error: Option<String>,
    /// How much is done, 0 to 1; null of a run that goes on in another process, and of one that did
    /// not get to its end.
    #[schema(example = 1.0)]
    progress: Option<f64>,
    /// The steps so far.
    steps: Vec<StepView>,
}

/// A step of a run.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepView {
    /// Its name.
    #[schema(example = "gold")]
    step: String,
    /// When it began, UTC.
    #[schema(example = "2026-01-21T03:00:01Z")]
    started_at: String,
    /// How long it took, seconds; null while it runs, and when it did not end well.
    #[schema(example = 0.107)]
    seconds: Option<f64>,
    /// With what it ended; empty until then.
    #[schema(example = "as of 2026-01-20T10:39:43")]
    summary: String,
}

fn utc(instant: Timestamp) -> String {
    format!("{instant}Z")
}

#[allow(clippy::cast_precision_loss)]
fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    const MICROS_PER_SEC: f64 = 1e6;
    (to.0 - from.0) as f64 / MICROS_PER_SEC
}

impl RunView {
    fn of(record: RunRecord, operator: &dyn Operator) -> Self {
        let step = |step: RunStep| StepView {
            seconds: step.ended_at.map(|ended| seconds(step.started_at, ended)),
            step: step.step,
            started_at: utc(step.started_at),
            summary: step.summary,
        };
        let progress = match record.state {
            RunState::Succeeded => Some(1.0),
            RunState::Running => operator.progress(record.run),
            _ => None,
        };
        let has_succeeded = record.kind == RunKind::Refresh && record.state == RunState::Succeeded;
        let outcome = if record.generation.is_some() { "published" } else { "unchanged" };
        Self {
            run: record.run,
            kind: record.kind.word(),
            trigger: record.trigger.word(),
            state: record.state.word(),
            holder: record.holder,
            started_at: utc(record.started_at),
            ended_at: record.ended_at.map(utc),
            seconds: record.ended_at.map(|ended| seconds(record.started_at, ended)),
            generation: record.generation,
            outcome: has_succeeded.then_some(outcome),
            error: record.error,
            progress,
            steps: record.steps.into_iter().map(step).collect(),
        }
    }
}

/// Runs in the common envelope.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunsAnswer {
    data: Vec<RunView>,
    meta: Meta,
}

/// A run in the common envelope.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunAnswer {
    data: RunView,
    meta: Meta,
}

/// What a request for runs may ask.
const PARAMETERS: &[&str] = &["state", "from", "until", "limit", "offset"];

fn parse(query: &str) -> Result<RunQuery, ApiError> {
    let given = Given::parse(query, PARAMETERS)?;
    let words: Vec<&str> = RunState::ALL.iter().map(|state| state.word()).collect();
    let state = |text: &str| RunState::ALL.into_iter().find(|state| state.word() == text);
    let instant = "an instant such as 2026-01-21T03:00:00 (UTC)";
    Ok(RunQuery {
        run: None,
        state: given.read("state", &format!("one of {}", words.join(", ")), state)?,
        from: given.read("from", instant, Timestamp::parse)?,
        until: given.read("until", instant, Timestamp::parse)?,
        limit: given
            .read("limit", &format!("a whole number from 1 to {MAX_LIMIT}"), |text| {
                text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit))
            })?
            .unwrap_or(DEFAULT_LIMIT),
        offset: given
            .read("offset", "a whole number from 0", |text| text.parse().ok())?
            .unwrap_or(0),
    })
}

/// Refreshes and rollbacks
///
/// The newest first.
#[utoipa::path(get, path = "/admin/runs", tag = super::TAG, operation_id = "admin_runs",
    params(
        ("state" = Option<String>, Query, description = "Only runs that stand so"),
        ("from" = Option<String>, Query, description = "Only runs that started then or later, UTC"),
        ("until" = Option<String>, Query, description = "Only runs that started before then, UTC"),
        ("limit" = Option<u32>, Query, description = "Most runs to answer"),
        ("offset" = Option<u32>, Query, description = "Runs to skip, of the newest"),
    ),
    security(("admin_token" = [])),
    responses(
        (status = 200, description = "The runs", body = RunsAnswer),
        (status = 400, description = "A parameter is unknown, repeated or not valid",
            content_type = "application/problem+json", body = Problem),
        (status = 401, description = "The request does not carry the admin token",
            content_type = "application/problem+json", body = Problem),
        (status = 503, description = "The serving store does not answer",
            content_type = "application/problem+json", body = Problem),
    ))]
#[route("/admin/runs", method = "GET", method = "HEAD")]
pub async fn list(admin: Admin, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let page = admin.store.runs(parse(request.query_string())?).await?;
    let data: Vec<RunView> =
        page.runs.into_iter().map(|record| RunView::of(record, admin.operator.as_ref())).collect();
    let meta = meta(data.len(), page.total, admin.started);
    Ok(HttpResponse::Ok().json(RunsAnswer { data, meta }))
}

/// One run
#[utoipa::path(get, path = "/admin/runs/{run}", tag = super::TAG, operation_id = "admin_runs_run",
    params(("run" = u64, Path, description = "The run's number")),
    security(("admin_token" = [])),
    responses(
        (status = 200, description = "The run", body = RunAnswer),
        (status = 401, description = "The request does not carry the admin token",
            content_type = "application/problem+json", body = Problem),
        (status = 404, description = "There is no such run",
            content_type = "application/problem+json", body = Problem),
        (status = 503, description = "The serving store does not answer",
            content_type = "application/problem+json", body = Problem),
    ))]
#[route("/admin/runs/{run}", method = "GET", method = "HEAD")]
pub async fn one(
    admin: Admin,
    run: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    refuse_parameters(&request)?;
    Ok(HttpResponse::Ok().json(find(&admin, number(&run)?).await?))
}

/// Stop a run
///
/// It ends as cancelled within seconds and publishes nothing in part, or as succeeded if it has
/// published already. Asking again, or for a run that has ended, changes nothing.
#[utoipa::path(post, path = "/admin/runs/{run}/cancel", tag = super::TAG,
    operation_id = "admin_runs_cancel",
    params(("run" = u64, Path, description = "The run's number")),
    security(("admin_token" = [])),
    responses(
        (status = 202, description = "It is asked to stop, or has ended", body = RunAnswer),
        (status = 401, description = "The request does not carry the admin token",
            content_type = "application/problem+json", body = Problem),
        (status = 404, description = "There is no such run",
            content_type = "application/problem+json", body = Problem),
        (status = 409, description = "It goes on in another process",
            content_type = "application/problem+json", body = Problem),
        (status = 503, description = "The serving store does not answer",
            content_type = "application/problem+json", body = Problem),
    ))]
#[post("/admin/runs/{run}/cancel")]
pub async fn cancel(
    admin: Admin,
    run: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    refuse_parameters(&request)?;
    let run = number(&run)?;
    let is_here = admin.operator.cancel(run).await;
    let answer = find(&admin, run).await?;
    if !is_here && !answer.has_ended() {
        return Err(ApiError::Conflict(format!(
            "run {run} goes on in another process, {}; stop it there",
            answer.data.holder
        )));
    }
    Ok(HttpResponse::Accepted().json(answer))
}

fn number(text: &str) -> Result<u64, ApiError> {
    text.parse().map_err(|_| missing(text))
}

fn missing(run: &str) -> ApiError {
    ApiError::NotFound(format!("there is no run {run}; /admin/runs lists them"))
}

/// A run's view.
///
/// # Errors
/// [`ApiError::NotFound`], [`ApiError::Store`].
pub async fn find(admin: &Admin, run: u64) -> Result<RunAnswer, ApiError> {
    let page = admin.store.runs(RunQuery::one(run)).await?;
    let record = page.runs.into_iter().next().ok_or_else(|| missing(&run.to_string()))?;
    let data = RunView::of(record, admin.operator.as_ref());
    Ok(RunAnswer { data, meta: meta(1, 1, admin.started) })
}

impl RunAnswer {
    /// Whether the run goes on no longer.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.data.state != RunState::Running.word()
    }
}
