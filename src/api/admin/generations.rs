//! `/admin/generations`: what is kept, what is served, and going back.

use actix_web::{HttpRequest, HttpResponse, post, route, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::meta;
use crate::api::envelope::Meta;
use crate::api::error::{ApiError, Problem};
use crate::api::extract::Admin;
use crate::api::table::refuse_parameters;
use crate::domain::diff::{GenerationDiff, KpiChange, Migration};
use crate::domain::manifest::Published;
use crate::runs::StartError;

/// A published generation that is kept.
#[derive(Debug, Serialize, ToSchema)]
pub struct GenerationView {
    /// Its number.
    #[schema(example = 7)]
    generation: u64,
    /// Whether it is the one that is served.
    is_active: bool,
    /// The reference instant of its data, UTC without offset.
    #[schema(example = "2026-01-20T10:39:43")]
    as_of: String,
    /// When it was published, UTC.
    #[schema(example = "2026-01-21T03:00:05Z")]
    published_at: String,
    /// Whether its sources were the sample.
    is_sample: bool,
    /// Valid rows of the customers' files.
    #[schema(example = 5000)]
    clients: u64,
    /// Valid rows of the purchases' files.
    #[schema(example = 60000)]
    achats: u64,
    /// Rows that were rejected.
    #[schema(example = 12)]
    rejected: u64,
    /// Rows of all tables.
    #[schema(example = 96712)]
    rows: u64,
}

impl GenerationView {
    fn of(published: &Published, active: Option<u64>) -> Self {
        let manifest = &published.manifest;
        let (as_of, published_at) = published.shown_instants();
        let quality = &manifest.quality;
        Self {
            generation: manifest.generation,
            is_active: active == Some(manifest.generation),
            as_of: as_of.clone(),
            published_at: published_at.clone(),
            is_sample: manifest.is_sample,
            clients: quality.clients.rows_valid,
            achats: quality.achats.rows_valid,
            rejected: quality.clients.rows_rejected() + quality.achats.rows_rejected(),
            rows: manifest.tables.iter().map(|table| table.rows).sum(),
        }
    }
}

/// Generations in the common envelope.
#[derive(Debug, Serialize, ToSchema)]
pub struct GenerationsAnswer {
    data: Vec<GenerationView>,
    meta: Meta,
}

/// A switch from one generation to another.
#[derive(Debug, Serialize, ToSchema)]
pub struct Switch {
    /// The generation that was served.
    #[schema(example = 7)]
    from: u64,
    /// The generation that is served now.
    #[schema(example = 6)]
    to: u64,
}

/// A switch in the common envelope.
#[derive(Debug, Serialize, ToSchema)]
pub struct SwitchAnswer {
    data: Switch,
    meta: Meta,
}

/// Generations that are kept
///
/// The newest first; each can be served again at once.
#[utoipa::path(get, path = "/admin/generations", tag = super::TAG,
    operation_id = "admin_generations", security(("admin_token" = [])),
    responses(
        (status = 200, description = "The generations", body = GenerationsAnswer),
    ))]
#[route("/admin/generations", method = "GET", method = "HEAD")]
pub async fn list(admin: Admin, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    refuse_parameters(&request)?;
    let active = admin.store.active().await?.map(|active| active.manifest.generation);
    let kept = admin.store.generations().await?;
    let data: Vec<GenerationView> =
        kept.iter().rev().map(|kept| GenerationView::of(kept, active)).collect();
    let meta = meta(data.len(), data.len() as u64, admin.started);
    Ok(HttpResponse::Ok().json(GenerationsAnswer { data, meta }))
}

/// Serve a generation
///
/// Every name shows it at once; what is served now is kept. Recorded as a run of kind rollback.
#[utoipa::path(post, path = "/admin/generations/{generation}/activate", tag = super::TAG,
    operation_id = "admin_generations_activate",
    params(("generation" = u64, Path, description = "The generation's number")),
    security(("admin_token" = [])),
    responses(
        (status = 200, description = "It is served", body = SwitchAnswer),
        (status = 409, description = "A refresh is publishing",
            content_type = "application/problem+json", body = Problem),
    ))]
#[post("/admin/generations/{generation}/activate")]
pub async fn activate(
    admin: Admin,
    generation: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    refuse_parameters(&request)?;
    let (from, to) = admin.operator.rollback(number(&generation)?).await?;
    let answer = SwitchAnswer { data: Switch { from, to }, meta: meta(1, 1, admin.started) };
    Ok(HttpResponse::Ok().json(answer))
}

/// How two generations differ.
#[derive(Debug, Serialize, ToSchema)]
pub struct DiffView {
    /// The generation compared with.
    #[schema(example = 6)]
    from: u64,
    /// The generation compared.
    #[schema(example = 7)]
    to: u64,
    /// The headline figures.
    kpis: Vec<KpiChangeView>,
    /// Customers who changed segments, came or went.
    migrations: Vec<MigrationView>,
    /// Customers who stayed in their segment.
    #[schema(example = 4711)]
    stayed: u64,
    /// Rows by table.
    tables: Vec<TableChangeView>,
}

/// A headline figure in both generations.
#[derive(Debug, Serialize, ToSchema)]
pub struct KpiChangeView {
    /// Its name in `/kpis`.
    #[schema(example = "total_revenue")]
    name: String,
    /// What it was; null where it was not known.
    #[schema(example = 1250.5)]
    from: Option<f64>,
    /// What it is; null likewise.
    #[schema(example = 1300.5)]
    to: Option<f64>,
    /// The difference, to the millionth; null when either is.
    #[schema(example = 50.0)]
    change: Option<f64>,
    /// The difference in percent of what it was; null when either is, and when it was 0.
    #[schema(example = 3.998)]
    change_pct: Option<f64>,
}

/// Customers who went from one segment to another.
#[derive(Debug, Serialize, ToSchema)]
pub struct MigrationView {
    /// Where they were; null for nowhere.
    #[schema(example = "At Risk")]
    from: Option<String>,
    /// Where they are; null for nowhere.
    #[schema(example = "Champions")]
    to: Option<String>,
    /// How many.
    #[schema(example = 12)]
    customers: u64,
}

/// Rows of a table in both generations, told apart by its key.
#[derive(Debug, Serialize, ToSchema)]
pub struct TableChangeView {
    /// The table.
    #[schema(example = "customers")]
    table: String,
    /// Rows it had.
    #[schema(example = 4990)]
    rows_from: u64,
    /// Rows it has.
    #[schema(example = 5000)]
    rows_to: u64,
    /// Rows whose key is new.
    #[schema(example = 12)]
    added: u64,
    /// Rows whose key is there no more.
    #[schema(example = 2)]
    removed: u64,
    /// Rows with the same key and another value.
    #[schema(example = 840)]
    changed: u64,
}

/// A comparison in the common envelope.
#[derive(Debug, Serialize, ToSchema)]
pub struct DiffAnswer {
    data: DiffView,
    meta: Meta,
}

impl From<KpiChange> for KpiChangeView {
    fn from(KpiChange { name, from, to }: KpiChange) -> Self {
        const PERCENT: f64 = 100.0;
        /// Beyond it a difference shows how numbers are stored, not what they are.
        const MILLIONTHS: f64 = 1e6;
        let rounded = |value: f64| (value * MILLIONTHS).round() / MILLIONTHS;
        let both = from.zip(to);
        Self {
            name,
            from,
            to,
            change: both.map(|(from, to)| rounded(to - from)),
            change_pct: both
                .filter(|(from, _)| *from != 0.0)
                .map(|(from, to)| rounded((to - from) / from.abs() * PERCENT)),
        }
    }
}

impl From<GenerationDiff> for DiffView {
    fn from(compared: GenerationDiff) -> Self {
        let has_stayed = |moved: &Migration| moved.from == moved.to;
        let stayed = compared.migrations.iter().filter(|moved| has_stayed(moved));
        Self {
            from: compared.from,
            to: compared.to,
            kpis: compared.kpis.into_iter().map(KpiChangeView::from).collect(),
            stayed: stayed.map(|stayed| stayed.customers).sum(),
            migrations: compared
                .migrations
                .into_iter()
                .filter(|moved| !has_stayed(moved))
                .map(|Migration { from, to, customers }| MigrationView { from, to, customers })
                .collect(),
            tables: compared
                .tables
                .into_iter()
                .map(|table| TableChangeView {
                    table: table.table,
                    rows_from: table.rows_from,
                    rows_to: table.rows_to,
                    added: table.added,
                    removed: table.removed,
                    changed: table.changed,
                })
                .collect(),
        }
    }
}

/// Compare two generations
///
/// The headline figures, who moved between segments, and rows added, removed and changed by table, from the
/// first to the second; both have to be kept.
#[utoipa::path(get, path = "/admin/generations/{generation}/diff/{other}", tag = super::TAG,
    operation_id = "admin_generations_diff",
    params(
        ("generation" = u64, Path, description = "The generation to compare with"),
        ("other" = u64, Path, description = "The generation to compare"),
    ),
    security(("admin_token" = [])),
    responses((status = 200, description = "How they differ", body = DiffAnswer)))]
#[route("/admin/generations/{generation}/diff/{other}", method = "GET", method = "HEAD")]
pub async fn diff(
    admin: Admin,
    generations: web::Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    refuse_parameters(&request)?;
    let (from, to) = (number(&generations.0)?, number(&generations.1)?);
    let compared = admin.operator.diff(from, to).await.map_err(|refusal| match refusal {
        StartError::NotThere(why) => ApiError::NotFound(why),
        StartError::Busy(why) | StartError::Failed(why) | StartError::OtherKey(why) => {
            ApiError::LakeAway(why)
        }
    })?;
    let meta = meta(1, 1, admin.started);
    Ok(HttpResponse::Ok().json(DiffAnswer { data: compared.into(), meta }))
}

fn number(text: &str) -> Result<u64, ApiError> {
    text.parse().map_err(|_| {
        ApiError::NotFound(format!("there is no generation {text}; /admin/generations lists them"))
    })
}
