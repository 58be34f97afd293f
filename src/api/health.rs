//! Health report, probes and metrics.

use std::time::Instant;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::envelope::Meta;
use super::error::{ApiError, Problem};
use super::parameters::refuse_parameters;
use super::state::State;
use super::tags;
use crate::domain::time::Timestamp;
use crate::metrics as process_metrics;
use crate::store::StoreError;

/// The health report.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`, `unpublished` or `degraded` (the store does not answer).
    #[schema(example = "ok")]
    status: &'static str,
    /// Version of goldsmith.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// Seconds since the application was built.
    #[schema(example = 86400)]
    uptime_secs: u64,
    /// The serving store.
    store: StoreHealth,
    /// Age of the published data in seconds; null before the first publish.
    #[schema(example = 3600)]
    published_age_secs: Option<i64>,
}

/// The serving store.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StoreHealth {
    /// Kind and location.
    #[schema(example = "sqlite ./data/serving.db")]
    location: String,
    /// Whether it answers.
    reachable: bool,
}

/// Liveness of the process.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Alive {
    /// Always `alive`.
    #[schema(example = "alive")]
    status: &'static str,
}

/// A health report in the common envelope.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthAnswer {
    data: Health,
    meta: Meta,
}

/// Liveness in the common envelope.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AliveAnswer {
    data: Alive,
    meta: Meta,
}

async fn report_of(state: &State) -> (Result<(), StoreError>, HealthAnswer) {
    const MICROS_PER_SEC: i64 = 1_000_000;
    let started = Instant::now();
    let ping = state.store.ping().await;
    let published = state.store.active().await.ok().flatten();
    let status = match (&ping, &published) {
        (Err(_), _) => "degraded",
        (Ok(()), None) => "unpublished",
        (Ok(()), Some(_)) => "ok",
    };
    let age = published
        .as_ref()
        .map(|published| (Timestamp::now().0 - published.published_at.0).max(0) / MICROS_PER_SEC);
    let data = Health {
        status,
        version: env!("CARGO_PKG_VERSION"),
        uptime_secs: state.started.elapsed().as_secs(),
        store: StoreHealth { location: state.store.location(), reachable: ping.is_ok() },
        published_age_secs: age,
    };
    let meta = Meta::new(1, 1, published.as_deref(), started);
    (ping, HealthAnswer { data, meta })
}

/// Status of the process, the store and the published data
///
/// For people: answers 200 whatever the status is. Probes use `/health/ready`.
#[utoipa::path(get, path = "/health", tag = tags::HEALTH, operation_id = "health",
    responses((status = 200, description = "The report", body = HealthAnswer)))]
pub(crate) async fn report(
    state: web::Data<State>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    refuse_parameters(&request)?;
    let (_, answer) = report_of(&state).await;
    Ok(HttpResponse::Ok().json(answer))
}

/// Liveness probe
#[utoipa::path(get, path = "/health/live", tag = tags::HEALTH, operation_id = "health_live",
    responses((status = 200, description = "The process answers", body = AliveAnswer)))]
pub(crate) async fn live(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    refuse_parameters(&request)?;
    let meta = Meta::new(1, 1, None, Instant::now());
    Ok(HttpResponse::Ok().json(AliveAnswer { data: Alive { status: "alive" }, meta }))
}

/// Readiness probe
#[utoipa::path(get, path = "/health/ready", tag = tags::HEALTH, operation_id = "health_ready",
    responses(
        (status = 200, description = "The server can answer requests for data", body = HealthAnswer),
        (status = 503, description = "Nothing is published or the serving store does not answer",
            content_type = "application/problem+json", body = Problem),
    ))]
pub(crate) async fn ready(
    state: web::Data<State>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    refuse_parameters(&request)?;
    let (ping, answer) = report_of(&state).await;
    ping.map_err(ApiError::Degraded)?;
    if answer.data.published_age_secs.is_none() {
        return Err(ApiError::Unpublished(
            "nothing has been published yet; run goldsmith refresh".to_owned(),
        ));
    }
    Ok(HttpResponse::Ok().json(answer))
}

/// Metrics for Prometheus
///
/// Retries after transient failures since the process started, by operation and cause.
#[utoipa::path(get, path = "/metrics", tag = tags::HEALTH, operation_id = "metrics",
    responses((status = 200, description = "Prometheus text format", body = String,
        content_type = "text/plain; version=0.0.4",
        example = "goldsmith_retries_total{cause=\"503\",what=\"lake request\"} 3")))]
pub(crate) async fn metrics(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    refuse_parameters(&request)?;
    Ok(HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(process_metrics::metrics()))
}
