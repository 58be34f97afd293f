//! Health report, probes and metrics.

use std::collections::BTreeMap;
use std::time::Instant;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::envelope::Meta;
use super::error::{ApiError, Problem};
use super::extract::may_read;
use super::parameters::refuse_parameters;
use super::state::State;
use super::tags;
use crate::domain::account::{Account, Entry, in_units};
use crate::domain::reasons::hint;
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
    /// The money in the sources of the published data, by currency, and where it went; null before the first publish,
    /// and for requests that may not read data.
    money: Option<Vec<MoneyView>>,
}

/// The money in the sources, in one currency.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MoneyView {
    /// The currency that rows name; null where they name none.
    #[schema(example = "EUR")]
    currency: Option<String>,
    /// Sum of every readable amount.
    #[schema(example = 1_250_000.5)]
    read: f64,
    /// Sum of the sales that are served.
    #[schema(example = 1_249_000.5)]
    sales: f64,
    /// Sum of the refunds that are served, positive.
    #[schema(example = 0.0)]
    refunds: f64,
    /// Sales less refunds in the currency that is served; null where that is their own.
    converted: Option<f64>,
    /// Rejected rows by reason, each with a sum and an example.
    left_out: Vec<ReasonView>,
    /// Rows that are neither served nor errors, likewise: repeats, earlier versions, what is no sale or no goods.
    set_aside: Vec<ReasonView>,
}

/// Rows of a source file with one reason.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReasonView {
    /// The reason.
    #[schema(example = "invalid_date")]
    reason: String,
    /// The source file.
    #[schema(example = "achats.csv")]
    file: String,
    /// Number of rows.
    #[schema(example = 12)]
    rows: u64,
    /// Sum of their readable amounts.
    #[schema(example = 1000.0)]
    sum: f64,
    /// The line of the first of them.
    #[schema(example = 17)]
    line: i64,
    /// The cell of that line that the reason is about.
    #[schema(example = "30/02/2026")]
    value: String,
    /// What there is to do; empty where there is nothing.
    #[schema(example = "correct the dates in the export")]
    hint: &'static str,
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

/// The money of accounts, by currency.
fn money_of(accounts: &[Account]) -> Vec<MoneyView> {
    let mut by_currency: BTreeMap<Option<&str>, Vec<&Account>> = BTreeMap::new();
    for account in accounts {
        by_currency.entry(account.currency.as_deref()).or_default().push(account);
    }
    let of_currency = |(currency, accounts): (Option<&str>, Vec<&Account>)| {
        let sum = |part: fn(&Account) -> i64| {
            in_units(accounts.iter().map(|account| part(account)).sum())
        };
        let reasons = |part: fn(&Account) -> &BTreeMap<String, Entry>,
                       hint: fn(&str) -> &'static str| {
            let entries = accounts.iter().flat_map(|account| {
                part(account).iter().map(|(reason, entry)| (&account.file, reason, entry))
            });
            let view = |(file, reason, entry): (&String, &String, &Entry)| ReasonView {
                reason: reason.clone(),
                file: file.clone(),
                rows: entry.rows,
                sum: in_units(entry.sum),
                line: entry.line,
                value: entry.value.clone(),
                hint: hint(reason),
            };
            entries.map(view).collect()
        };
        MoneyView {
            currency: currency.map(str::to_owned),
            read: sum(|account| account.read),
            sales: sum(|account| account.sales),
            refunds: sum(|account| account.refunds),
            converted: accounts
                .iter()
                .filter_map(|account| account.converted)
                .reduce(i64::saturating_add)
                .map(in_units),
            left_out: reasons(|account| &account.left_out, hint),
            set_aside: reasons(|account| &account.set_aside, |_| ""),
        }
    };
    by_currency.into_iter().map(of_currency).collect()
}

async fn report_of(state: &State, request: &HttpRequest) -> (Result<(), StoreError>, HealthAnswer) {
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
        money: published
            .as_ref()
            .filter(|_| may_read(state, request))
            .map(|published| money_of(&published.manifest.quality.accounts)),
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
    let (_, answer) = report_of(&state, &request).await;
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
    let (ping, answer) = report_of(&state, &request).await;
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
