//! `/admin/runs`: what refreshes and rollbacks there were, how each went or goes, and stopping one.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::envelope::Meta;
use crate::api::error::ApiError;
use crate::api::extract::Admin;
use crate::api::parameters::{DEFAULT_LIMIT, MAX_LIMIT, QueryParams, refuse_parameters};
use crate::api::tags;
use crate::domain::data_set::DataSet;
use crate::domain::time::Timestamp;
use crate::runs::{RefreshRequest, RowCounts, RunKind, RunQuery, RunRecord, RunState, RunStep};

/// One run.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunView {
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
    /// What it was asked for.
    request: RequestView,
    /// The instant of the schedule that it is for, UTC; null of others.
    #[schema(example = "2026-01-21T03:00:00Z")]
    scheduled_for: Option<String>,
    /// The process that ran it, as `host:pid`.
    #[schema(example = "shop:4711")]
    holder: String,
    /// When it got the right to publish, UTC; while it is enqueued, when it was asked for.
    #[schema(example = "2026-01-21T03:00:00Z")]
    started_at: String,
    /// When it ended, UTC; null while it runs and when nobody saw the end.
    #[schema(example = "2026-01-21T03:00:05Z")]
    ended_at: Option<String>,
    /// How long it took, seconds; null likewise.
    #[schema(example = 4.82)]
    seconds: Option<f64>,
    /// The generation that was served when it began; null when none was.
    #[schema(example = 6)]
    generation_before: Option<u64>,
    /// The generation it switched to; null when it switched to none.
    #[schema(example = 7)]
    generation: Option<u64>,
    /// What a refresh that succeeded came to: `published`, or `unchanged` when its inputs were those of
    /// the newest generation; else null.
    #[schema(example = "published")]
    outcome: Option<&'static str>,
    /// Why it failed, with the causes.
    error: Option<String>,
    /// The causes one by one, the last being the first to happen.
    causes: Vec<String>,
    /// Whether it was asked to stop.
    cancel_requested: bool,
    /// How much is done, 0 to 1; null of one that did not get to its end.
    #[schema(example = 1.0)]
    progress: Option<f64>,
    /// When it is likely to end, UTC, by the times the steps of the last whole run took; null when it does
    /// not run, and when there is no such run.
    #[schema(example = "2026-01-21T03:00:05Z")]
    eta: Option<String>,
    /// What it found of its sources; null before it has looked.
    quality: Option<QualityView>,
    /// The steps so far.
    steps: Vec<StepView>,
}

/// What a run was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct RequestView {
    /// The reference instant; null for the last purchase.
    #[schema(example = "2025-12-31T23:59:59.999999")]
    as_of: Option<String>,
    /// Whether it runs although nothing changed, and past the quality gate.
    force: bool,
    /// Where it begins: `sources`, `bronze` (a replay) or `silver` (gold and models only).
    #[schema(example = "sources")]
    start_at: &'static str,
    /// The generation whose inputs it takes, if it does not begin at the sources and one was named.
    #[schema(example = json!(null))]
    inputs_of: Option<u64>,
}

/// What a run found of its sources.
#[derive(Debug, Serialize, ToSchema)]
pub struct QualityView {
    /// Rows of the customers' files.
    clients: CountsView,
    /// Rows of the purchases' files.
    achats: CountsView,
    /// Rows rejected, by reason.
    rejected: BTreeMap<String, u64>,
    /// Rows that gave rise to a warning, by warning.
    warnings: BTreeMap<String, u64>,
}

/// Rows of a data set.
#[derive(Debug, Serialize, ToSchema)]
pub struct CountsView {
    /// Read.
    #[schema(example = 60012)]
    read: u64,
    /// Kept.
    #[schema(example = 60000)]
    valid: u64,
    /// Rejected.
    #[schema(example = 12)]
    rejected: u64,
}

/// A step of a run.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepView {
    /// Its name.
    #[schema(example = "silver")]
    step: String,
    /// `running` or `succeeded`; the step a run ended in stands as the run does.
    #[schema(example = "succeeded")]
    state: &'static str,
    /// When it began, UTC.
    #[schema(example = "2026-01-21T03:00:01Z")]
    started_at: String,
    /// How long it took, seconds; null while it runs, and when it did not end well.
    #[schema(example = 0.107)]
    seconds: Option<f64>,
    /// Rows it took in; null where a step has none, and until it ended.
    #[schema(example = 65012)]
    rows_in: Option<u64>,
    /// Rows it gave; null likewise.
    #[schema(example = 65000)]
    rows_out: Option<u64>,
    /// Bytes it read or wrote; null likewise.
    #[schema(example = 1_874_309)]
    bytes: Option<u64>,
    /// With what it ended; empty until then.
    #[schema(example = "5000 customers, 60000 purchases, 12 rows rejected")]
    summary: String,
}

/// An instant of the service's own, with its offset.
#[must_use]
pub fn utc(instant: Timestamp) -> String {
    format!("{instant}Z")
}

#[allow(clippy::cast_precision_loss)]
fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    const MICROS_PER_SEC: f64 = 1e6;
    // A clock that was set back tells nothing.
    (to.0 - from.0).max(0) as f64 / MICROS_PER_SEC
}

impl From<RowCounts> for CountsView {
    fn from(RowCounts { read, valid, rejected }: RowCounts) -> Self {
        Self { read, valid, rejected }
    }
}

impl RunView {
    /// A record, with the last whole run to foretell it by.
    fn of(record: RunRecord, past: Option<&RunRecord>) -> Self {
        let (progress, eta) = record.forecast(past, Timestamp::now());
        let step = |step: RunStep| StepView {
            state: if step.ended_at.is_some() {
                RunState::Succeeded.as_str()
            } else {
                record.state.as_str()
            },
            seconds: step.ended_at.map(|ended| seconds(step.started_at, ended)),
            step: step.step,
            started_at: utc(step.started_at),
            rows_in: step.flow.rows_in,
            rows_out: step.flow.rows_out,
            bytes: step.flow.bytes,
            summary: step.summary,
        };
        let RefreshRequest { as_of, force, start_at, inputs_of } = record.request;
        Self {
            outcome: record.outcome(),
            run: record.run,
            kind: record.kind.as_str(),
            trigger: record.trigger.as_str(),
            state: record.state.as_str(),
            request: RequestView {
                as_of: as_of.map(|as_of| as_of.to_string()),
                force,
                start_at: start_at.as_str(),
                inputs_of,
            },
            scheduled_for: record.occurrence.map(utc),
            holder: record.holder,
            started_at: utc(record.started_at),
            ended_at: record.ended_at.map(utc),
            seconds: record.ended_at.map(|ended| seconds(record.started_at, ended)),
            generation_before: record.before,
            generation: record.generation,
            error: record.error,
            causes: record.causes,
            cancel_requested: record.cancel_requested,
            progress,
            eta: eta.map(utc),
            quality: record.quality.map(|quality| QualityView {
                clients: quality.data_sets[DataSet::Customers].into(),
                achats: quality.data_sets[DataSet::Purchases].into(),
                rejected: quality.rejected,
                warnings: quality.warnings,
            }),
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
    let given = QueryParams::parse(query, PARAMETERS)?;
    let words: Vec<&str> = RunState::ALL.iter().map(|state| state.as_str()).collect();
    let state = |text: &str| RunState::ALL.into_iter().find(|state| state.as_str() == text);
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
        counts: true,
    })
}

/// Refreshes, rollbacks and vacuums
///
/// The newest first.
#[utoipa::path(get, path = "/admin/runs", tag = tags::ADMIN, operation_id = "admin_runs",
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
    ))]
pub async fn list(admin: Admin, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let page = admin.store.runs(parse(request.query_string())?).await?;
    let past = past_of(&admin, &page.runs).await?;
    let data: Vec<RunView> =
        page.runs.into_iter().map(|record| RunView::of(record, past.as_ref())).collect();
    let meta = Meta::of_service(data.len(), page.total, admin.started);
    Ok(HttpResponse::Ok().json(RunsAnswer { data, meta }))
}

/// One run
#[utoipa::path(get, path = "/admin/runs/{run}", tag = tags::ADMIN, operation_id = "admin_runs_run",
    params(("run" = u64, Path, description = "The run's number")),
    security(("admin_token" = [])),
    responses(
        (status = 200, description = "The run", body = RunAnswer),
    ))]
pub async fn one(
    admin: Admin,
    run: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    refuse_parameters(&request)?;
    Ok(HttpResponse::Ok().json(find(&admin, number(&run)?).await?.0))
}

/// Stop a run
///
/// Wherever it goes on, it ends as cancelled within seconds and publishes nothing in part, or as
/// succeeded if it has published already; one that is in line leaves it. Asking again, or for a run that
/// has ended, changes nothing.
#[utoipa::path(post, path = "/admin/runs/{run}/cancel", tag = tags::ADMIN,
    operation_id = "admin_runs_cancel",
    params(("run" = u64, Path, description = "The run's number")),
    security(("admin_token" = [])),
    responses((status = 202, description = "It is asked to stop, or has ended", body = RunAnswer)))]
pub async fn cancel(
    admin: Admin,
    run: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    refuse_parameters(&request)?;
    let run = number(&run)?;
    admin.operator.cancel(run).await?;
    Ok(HttpResponse::Accepted().json(find(&admin, run).await?.0))
}

/// The number of a run in a path.
///
/// # Errors
/// [`ApiError::NotFound`] for what is no number.
pub fn number(text: &str) -> Result<u64, ApiError> {
    text.parse().map_err(|_| missing(text))
}

fn missing(run: &str) -> ApiError {
    ApiError::NotFound(format!("there is no run {run}; /admin/runs lists them"))
}

/// A run's record.
///
/// # Errors
/// [`ApiError::NotFound`], [`ApiError::Store`].
pub async fn find_record(admin: &Admin, run: u64) -> Result<RunRecord, ApiError> {
    let page = admin.store.runs(RunQuery::one(run)).await?;
    page.runs.into_iter().next().ok_or_else(|| missing(&run.to_string()))
}

/// A run's view, and whether it has ended.
///
/// # Errors
/// As [`find_record`].
pub async fn find(admin: &Admin, run: u64) -> Result<(RunAnswer, bool), ApiError> {
    let record = find_record(admin, run).await?;
    let has_ended = record.state.has_ended();
    let past = past_of(admin, std::slice::from_ref(&record)).await?;
    let data = RunView::of(record, past.as_ref());
    Ok((RunAnswer { data, meta: Meta::of_service(1, 1, admin.started) }, has_ended))
}

/// The last whole run, if one of these goes on and wants to be foretold.
async fn past_of(admin: &Admin, runs: &[RunRecord]) -> Result<Option<RunRecord>, ApiError> {
    /// Runs that found nothing new, and so took no time, lie between.
    const LOOKED_THROUGH: u32 = 100;
    /// Of a run that did all; one that found gold complete in the lake has fewer.
    const FEWEST_STEPS: usize = 6;
    let Some(going_on) = runs.iter().find(|run| run.state == RunState::Running) else {
        return Ok(None);
    };
    let succeeded = Some(RunState::Succeeded);
    let query = RunQuery { state: succeeded, ..RunQuery::newest(LOOKED_THROUGH) };
    let past = admin.store.runs(query).await?.runs.into_iter();
    let is_whole = |run: &RunRecord| {
        run.kind == RunKind::Refresh
            && run.generation.is_some()
            && run.request.start_at == going_on.request.start_at
            && run.steps.len() >= FEWEST_STEPS
    };
    Ok(past.into_iter().find(is_whole))
}
