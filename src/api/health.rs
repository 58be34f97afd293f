//! Is it up, can it answer, how old is what it answers, what went wrong in passing?

use std::time::Instant;

use actix_web::{HttpRequest, HttpResponse, route, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::envelope::Meta;
use super::error::{ApiError, Problem};
use super::state::State;
use super::table::refuse_parameters;
use crate::domain::time::Timestamp;
use crate::metrics as process_metrics;
use crate::store::Result;

/// What a health route answers.
type Answered = std::result::Result<HttpResponse, ApiError>;

/// The whole report.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`, `unpublished` or `degraded` (the store does not answer).
    #[schema(example = "ok")]
    status: &'static str,
    /// Version of the program.
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
pub struct StoreHealth {
    /// Kind and place.
    #[schema(example = "sqlite ./data/serving.db")]
    location: String,
    /// Whether it answers.
    reachable: bool,
}

/// That the process answers.
#[derive(Debug, Serialize, ToSchema)]
pub struct Alive {
    /// Always `alive`.
    #[schema(example = "alive")]
    status: &'static str,
}

/// A health report in the common envelope.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthAnswer {
    data: Health,
    meta: Meta,
}

/// A sign of life in the common envelope.
#[derive(Debug, Serialize, ToSchema)]
pub struct AliveAnswer {
    data: Alive,
    meta: Meta,
}

async fn look(state: &State) -> (Result<()>, HealthAnswer) {
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

/// Process, store and age of the published data
///
/// Answers 200 whatever the status is: it is for people. Probes ask `/health/ready`.
#[utoipa::path(get, path = "/health", tag = "health", operation_id = "health",
    responses((status = 200, description = "The report", body = HealthAnswer)))]
#[route("/health", method = "GET", method = "HEAD")]
pub async fn report(state: web::Data<State>, request: HttpRequest) -> Answered {
    refuse_parameters(&request)?;
    let (_, answer) = look(&state).await;
    Ok(HttpResponse::Ok().json(answer))
}

/// Whether the process answers
#[utoipa::path(get, path = "/health/live", tag = "health", operation_id = "health_live",
    responses((status = 200, description = "It does", body = AliveAnswer)))]
#[route("/health/live", method = "GET", method = "HEAD")]
pub async fn live(request: HttpRequest) -> Answered {
    refuse_parameters(&request)?;
    let meta = Meta::new(1, 1, None, Instant::now());
    Ok(HttpResponse::Ok().json(AliveAnswer { data: Alive { status: "alive" }, meta }))
}

/// Whether data can be answered
#[utoipa::path(get, path = "/health/ready", tag = "health", operation_id = "health_ready",
    responses(
        (status = 200, description = "They can", body = HealthAnswer),
        (status = 503, description = "Nothing is published or the serving store does not answer",
            content_type = "application/problem+json", body = Problem),
    ))]
#[route("/health/ready", method = "GET", method = "HEAD")]
pub async fn ready(state: web::Data<State>, request: HttpRequest) -> Answered {
    refuse_parameters(&request)?;
    let (ping, answer) = look(&state).await;
    ping.map_err(ApiError::Degraded)?;
    if answer.data.published_age_secs.is_none() {
        return Err(ApiError::Unpublished(
            "nothing has been published yet; run goldsmith refresh".to_owned(),
        ));
    }
    Ok(HttpResponse::Ok().json(answer))
}

/// What is metrics::metrics, for Prometheus
///
/// Attempts that failed in passing and were made again, by what was tried and why it failed. Since
/// the process started.
#[utoipa::path(get, path = "/metrics", tag = "health", operation_id = "metrics",
    responses((status = 200, description = "Prometheus' text format", body = String,
        content_type = "text/plain; version=0.0.4",
        example = "goldsmith_retries_total{cause=\"503\",what=\"lake request\"} 3")))]
#[route("/metrics", method = "GET", method = "HEAD")]
pub async fn metrics(request: HttpRequest) -> Answered {
    refuse_parameters(&request)?;
    Ok(HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(process_metrics::metrics()))
}
