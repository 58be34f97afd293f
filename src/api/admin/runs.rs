//! `/admin/runs`: the runs there were and are, one run, and stopping one.

use std::str::FromStr as _;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use strum::VariantArray as _;
use utoipa::ToSchema;

use crate::api::envelope::Meta;
use crate::api::error::ApiError;
use crate::api::extract::Admin;
use crate::api::parameters::{QueryParams, refuse_parameters};
use crate::api::quality::QualityView;
use crate::api::tags;
use crate::domain::time::Timestamp;
use crate::runs::{Progress, RefreshRequest, RunQuery, RunRecord, RunState, RunStep, RunSummary};

/// A run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunView {
    /// Its number; later runs have greater ones.
    #[schema(example = 12)]
    run: u64,
    /// `refresh`, `rollback` or `vacuum` (of the lake).
    #[schema(example = "refresh")]
    kind: &'static str,
    /// What started it: `api`, `cli`, `schedule`, `startup` or `watch` (source files that changed).
    #[schema(example = "api")]
    trigger: &'static str,
    /// `enqueued`, `running`, `succeeded`, `failed`, `cancelled`, or `interrupted` when its process
    /// ended before it did.
    #[schema(example = "succeeded")]
    state: &'static str,
    /// The options of a refresh.
    request: RequestView,
    /// The instant of the schedule it is for, UTC; null of other runs.
    #[schema(example = "2026-01-21T03:00:00Z")]
    scheduled_for: Option<String>,
    /// The process that runs it, as `host:pid`.
    #[schema(example = "shop:4711")]
    holder: String,
    /// When it got the right to publish, UTC; while it is queued, when it was requested.
    #[schema(example = "2026-01-21T03:00:00Z")]
    started_at: String,
    /// When it ended, UTC; null while it runs and when its process did not record the end.
    #[schema(example = "2026-01-21T03:00:05Z")]
    ended_at: Option<String>,
    /// How long it took, seconds; null when `ended_at` is.
    #[schema(example = 4.82)]
    seconds: Option<f64>,
    /// The generation served when it began; null when there was none.
    #[schema(example = 6)]
    generation_before: Option<u64>,
    /// The generation it switched to; null when it switched to none.
    #[schema(example = 7)]
    generation: Option<u64>,
    /// The outcome of a refresh that succeeded: `published`, or `unchanged` when its inputs were
    /// those of the newest generation; else null.
    #[schema(example = "published")]
    outcome: Option<&'static str>,
    /// Why it failed, causes included.
    error: Option<String>,
    /// The causes one by one, the root cause last.
    causes: Vec<String>,
    /// Whether it was asked to stop.
    #[serde(rename = "is_cancel_asked")]
    cancel_requested: bool,
    /// The share that is done, 0 to 1; null of a run that is queued or ended without success.
    #[schema(example = 1.0)]
    progress: Option<f64>,
    /// When it is expected to end, UTC, from how long the steps of the last complete run took; null
    /// when it is not running, and when there is no such run.
    #[schema(example = "2026-01-21T03:00:05Z")]
    eta: Option<String>,
    /// The data quality of its sources; null before they are read.
    quality: Option<QualityView>,
    /// The steps so far.
    steps: Vec<StepView>,
}

/// The options of a refresh.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RequestView {
    /// The reference instant; null for the last purchase.
    #[schema(example = "2025-12-31T23:59:59.999999")]
    as_of: Option<String>,
    /// Whether it runs although nothing changed, and despite the quality gate.
    force: bool,
    /// The inputs it starts from: `sources`, `bronze` (a replay) or `silver` (gold and models
    /// only).
    #[schema(example = "sources")]
    start_at: &'static str,
    /// The generation whose inputs it takes, if it does not start from the sources and one was
    /// named.
    #[schema(example = json!(null))]
    inputs_of: Option<u64>,
}

/// A step of a run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StepView {
    /// Its name; `unknown` of a run of another version that has steps this one does not have.
    #[schema(example = "silver")]
    step: String,
    /// `running` or `succeeded`; the step a run ended in has the state of the run.
    #[schema(example = "succeeded")]
    state: &'static str,
    /// When it began, UTC.
    #[schema(example = "2026-01-21T03:00:01Z")]
    started_at: String,
    /// How long it took, seconds; null while it runs, and when it did not succeed.
    #[schema(example = 0.107)]
    seconds: Option<f64>,
    /// Rows read; null where a step reads none, and until it succeeded.
    #[schema(example = 65012)]
    rows_in: Option<u64>,
    /// Rows written; null likewise.
    #[schema(example = 65000)]
    rows_out: Option<u64>,
    /// Bytes read or written; null likewise.
    #[schema(example = 1_874_309)]
    bytes: Option<u64>,
    /// The result in a few words; empty until it succeeded.
    #[schema(example = "5000 customers, 60000 purchases, 12 rows rejected")]
    summary: String,
}

#[allow(clippy::cast_precision_loss)]
fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    const MICROS_PER_SEC: f64 = 1e6;
    // Not negative when the clock was set back.
    (to.0 - from.0).max(0) as f64 / MICROS_PER_SEC
}

impl From<RefreshRequest> for RequestView {
    fn from(request: RefreshRequest) -> Self {
        let RefreshRequest { as_of, force, start_at, inputs_of } = request;
        let as_of = as_of.map(|as_of| as_of.to_string());
        Self { as_of, force, start_at: start_at.as_str(), inputs_of }
    }
}

impl StepView {
    /// A step of a run in a state.
    fn of(step: RunStep, run: RunState) -> Self {
        let state = if step.ended_at.is_some() { RunState::Succeeded } else { run };
        Self {
            step: step.step.to_string(),
            state: state.as_str(),
            started_at: step.started_at.to_utc(),
            seconds: step.ended_at.map(|ended_at| seconds(step.started_at, ended_at)),
            rows_in: step.flow.rows_in,
            rows_out: step.flow.rows_out,
            bytes: step.flow.bytes,
            summary: step.summary,
        }
    }
}

impl RunView {
    /// A record, with the last complete run to predict its progress from.
    fn of(record: RunRecord, past: Option<&RunRecord>) -> Self {
        let Progress { share, eta } = Progress::of(&record, past, Timestamp::now());
        let summary = RunSummary::from(&record);
        let RunSummary { run, kind, trigger, state, started_at, ended_at, .. } = summary;
        let RunSummary { generation_before, generation, outcome, error, quality, .. } = summary;
        Self {
            run,
            kind,
            trigger,
            state,
            request: record.request.into(),
            scheduled_for: record.scheduled_for.map(Timestamp::to_utc),
            holder: record.owner,
            started_at,
            ended_at,
            seconds: record.ended_at.map(|ended_at| seconds(record.started_at, ended_at)),
            generation_before,
            generation,
            outcome,
            error,
            causes: record.causes,
            cancel_requested: record.cancel_requested,
            progress: share,
            eta: eta.map(Timestamp::to_utc),
            quality: quality.map(|quality| QualityView::of_run(run, quality)),
            steps: record.steps.into_iter().map(|step| StepView::of(step, record.state)).collect(),
        }
    }
}

/// Runs in the common envelope.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunsAnswer {
    data: Vec<RunView>,
    meta: Meta,
}

/// A run in the common envelope.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunAnswer {
    data: RunView,
    meta: Meta,
}

const PARAMETERS: &[&str] = &["state", "from", "until", "limit", "offset"];

fn parse(query: &str) -> Result<RunQuery, ApiError> {
    let params = QueryParams::parse(query, PARAMETERS)?;
    let states: Vec<&str> = RunState::VARIANTS.iter().map(|state| state.as_str()).collect();
    let state = |text: &str| RunState::from_str(text).ok();
    let (limit, offset) = params.page()?;
    let instant = "an instant such as 2026-01-21T03:00:00 (UTC)";
    Ok(RunQuery {
        run: None,
        state: params.read("state", &format!("one of {}", states.join(", ")), state)?,
        from: params.read("from", instant, Timestamp::parse)?,
        until: params.read("until", instant, Timestamp::parse)?,
        limit,
        offset,
        counts: true,
    })
}

/// Refreshes, rollbacks and vacuums
///
/// The newest first.
#[utoipa::path(get, path = "/admin/runs", tag = tags::ADMIN, operation_id = "admin_runs",
    params(
        ("state" = Option<String>, Query, description = "Only runs in this state"),
        ("from" = Option<String>, Query, description = "Only runs that started at this instant or later, UTC"),
        ("until" = Option<String>, Query, description = "Only runs that started before this instant, UTC"),
        ("limit" = Option<u32>, Query, description = "How many runs to return at most"),
        ("offset" = Option<u32>, Query, description = "How many of the newest runs to skip"),
    ),
    security(("admin_token" = [])),
    responses(
        (status = 200, description = "The runs", body = RunsAnswer),
    ))]
pub(crate) async fn list(admin: Admin, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let page = admin.store.runs(parse(request.query_string())?).await?;
    let past = find_past(&admin, &page.runs).await?;
    let data: Vec<RunView> =
        page.runs.into_iter().map(|record| RunView::of(record, past.as_ref())).collect();
    let meta = Meta::of_service(data.len(), page.total, admin.started);
    Ok(HttpResponse::Ok().json(RunsAnswer { data, meta }))
}

/// A run
#[utoipa::path(get, path = "/admin/runs/{run}", tag = tags::ADMIN, operation_id = "admin_runs_run",
    params(("run" = u64, Path, description = "The run's number")),
    security(("admin_token" = [])),
    responses(
        (status = 200, description = "The run", body = RunAnswer),
    ))]
pub(crate) async fn one(
    admin: Admin,
    run: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    refuse_parameters(&request)?;
    Ok(HttpResponse::Ok().json(find(&admin, parse_number(&run)?).await?.0))
}

/// Stop a run
///
/// A running run of any process ends within seconds: as cancelled, having published nothing, or as
/// succeeded if it has published already. A queued run is cancelled at once. Repeating the request,
/// or sending it for a run that has ended, changes nothing.
#[utoipa::path(post, path = "/admin/runs/{run}/cancel", tag = tags::ADMIN,
    operation_id = "admin_runs_cancel",
    params(("run" = u64, Path, description = "The run's number")),
    security(("admin_token" = [])),
    responses((status = 202, description = "The run is asked to stop, or has ended", body = RunAnswer)))]
pub(crate) async fn cancel(
    admin: Admin,
    run: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    refuse_parameters(&request)?;
    let run = parse_number(&run)?;
    admin.run_control.cancel(run).await?;
    Ok(HttpResponse::Accepted().json(find(&admin, run).await?.0))
}

/// The number of a run in a path.
///
/// # Errors
/// [`ApiError::NotFound`] for a text that is not a number.
pub(crate) fn parse_number(text: &str) -> Result<u64, ApiError> {
    text.parse().map_err(|_| not_found(text))
}

fn not_found(run: &str) -> ApiError {
    ApiError::NotFound(format!("there is no run {run}; /admin/runs lists them"))
}

/// A run's record.
///
/// # Errors
/// [`ApiError::NotFound`], [`ApiError::Store`].
pub(crate) async fn find_record(admin: &Admin, run: u64) -> Result<RunRecord, ApiError> {
    let page = admin.store.runs(RunQuery::one(run)).await?;
    page.runs.into_iter().next().ok_or_else(|| not_found(&run.to_string()))
}

/// A run's view, and whether it has ended.
///
/// # Errors
/// As [`find_record`].
pub(crate) async fn find(admin: &Admin, run: u64) -> Result<(RunAnswer, bool), ApiError> {
    let record = find_record(admin, run).await?;
    let has_ended = record.state.has_ended();
    let past = find_past(admin, std::slice::from_ref(&record)).await?;
    let data = RunView::of(record, past.as_ref());
    Ok((RunAnswer { data, meta: Meta::of_service(1, 1, admin.started) }, has_ended))
}

/// The last complete run with the same start, if one of these runs is running: its progress is
/// predicted from it.
async fn find_past(admin: &Admin, runs: &[RunRecord]) -> Result<Option<RunRecord>, ApiError> {
    /// Runs to search: those that found their inputs unchanged lie between.
    const RUN_LOOKBACK: u32 = 100;
    let Some(running) = runs.iter().find(|run| run.state == RunState::Running) else {
        return Ok(None);
    };
    let succeeded = Some(RunState::Succeeded);
    let query = RunQuery { state: succeeded, ..RunQuery::newest(RUN_LOOKBACK) };
    let past = admin.store.runs(query).await?.runs.into_iter();
    let start_at = running.request.start_at;
    let is_like_it =
        |run: &RunRecord| run.is_complete_refresh() && run.request.start_at == start_at;
    Ok(past.into_iter().find(is_like_it))
}
