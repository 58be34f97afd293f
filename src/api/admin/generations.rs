//! `/admin/generations`: the stored generations, rollback and comparison.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::envelope::Meta;
use crate::api::error::{ApiError, Problem};
use crate::api::extract::Admin;
use crate::api::parameters::refuse_parameters;
use crate::api::tags;
use crate::domain::data_set::DataSet;
use crate::domain::diff::{GenerationDiff, KpiChange, Migration};
use crate::domain::manifest::Published;
use crate::domain::quality::DataSetQuality;
use crate::error_chain::describe;
use crate::runs::StartError;

/// A stored generation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GenerationView {
    /// Its number.
    #[schema(example = 7)]
    generation: u64,
    /// Whether it is the generation served now.
    is_active: bool,
    /// The reference instant of its data, without offset, as the shop's clocks showed it.
    #[schema(example = "2026-01-20T10:39:43")]
    as_of: String,
    /// When it was published, UTC.
    #[schema(example = "2026-01-21T03:00:05Z")]
    published_at: String,
    /// Whether it was built from the generated sample.
    is_sample: bool,
    /// Valid rows of the customer files.
    #[schema(example = 5000)]
    clients: u64,
    /// Valid rows of the purchase files.
    #[schema(example = 60000)]
    achats: u64,
    /// Rejected rows.
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
            clients: quality.data_sets[DataSet::Customers].rows_valid,
            achats: quality.data_sets[DataSet::Purchases].rows_valid,
            rejected: quality.data_sets.values().map(DataSetQuality::rows_rejected).sum(),
            rows: manifest.tables.iter().map(|table| table.rows).sum(),
        }
    }
}

/// Generations in the common envelope.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GenerationsAnswer {
    data: Vec<GenerationView>,
    meta: Meta,
}

/// A switch from one generation to another.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Switch {
    /// The generation that was served.
    #[schema(example = 7)]
    from: u64,
    /// The generation that is served now.
    #[schema(example = 6)]
    to: u64,
}

/// A switch in the common envelope.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SwitchAnswer {
    data: Switch,
    meta: Meta,
}

/// Stored generations
///
/// Newest first. Each of them can be served again at once.
#[utoipa::path(get, path = "/admin/generations", tag = tags::ADMIN,
    operation_id = "admin_generations", security(("admin_token" = [])),
    responses(
        (status = 200, description = "The generations", body = GenerationsAnswer),
    ))]
pub(crate) async fn list(admin: Admin, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    refuse_parameters(&request)?;
    let active = admin.store.active().await?.map(|active| active.manifest.generation);
    let stored = admin.store.generations().await?;
    let data: Vec<GenerationView> =
        stored.iter().rev().map(|stored| GenerationView::of(stored, active)).collect();
    let meta = Meta::of_service(data.len(), data.len() as u64, admin.started);
    Ok(HttpResponse::Ok().json(GenerationsAnswer { data, meta }))
}

/// Serve a generation
///
/// Switches all routes, tables and views to the generation at once. The generation served so far stays stored.
/// Recorded as a run of kind `rollback`.
#[utoipa::path(post, path = "/admin/generations/{generation}/activate", tag = tags::ADMIN,
    operation_id = "admin_generations_activate",
    params(("generation" = u64, Path, description = "The generation's number")),
    security(("admin_token" = [])),
    responses(
        (status = 200, description = "The generation is served", body = SwitchAnswer),
        (status = 409, description = "Another run is publishing",
            content_type = "application/problem+json", body = Problem),
    ))]
pub(crate) async fn activate(
    admin: Admin,
    generation: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    refuse_parameters(&request)?;
    let (from, to) = admin.run_control.rollback(number(&generation)?).await?;
    let answer =
        SwitchAnswer { data: Switch { from, to }, meta: Meta::of_service(1, 1, admin.started) };
    Ok(HttpResponse::Ok().json(answer))
}

/// How two generations differ.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DiffView {
    /// The generation compared with.
    #[schema(example = 6)]
    from: u64,
    /// The generation compared.
    #[schema(example = 7)]
    to: u64,
    /// Headline figures.
    kpis: Vec<KpiChangeView>,
    /// Customers who changed segment, are new or are gone.
    migrations: Vec<MigrationView>,
    /// Customers who stayed in their segment.
    #[schema(example = 4711)]
    stayed: u64,
    /// Rows by table.
    tables: Vec<TableChangeView>,
}

/// A headline figure in both generations.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KpiChangeView {
    /// Its name in `/kpis`.
    #[schema(example = "total_revenue")]
    name: String,
    /// The value before; null when unknown.
    #[schema(example = 1250.5)]
    from: Option<f64>,
    /// The value after; null when unknown.
    #[schema(example = 1300.5)]
    to: Option<f64>,
    /// The difference, rounded to six decimals; null when either value is null.
    #[schema(example = 50.0)]
    change: Option<f64>,
    /// The difference in percent of the value before; null when either value is null or the value before is 0.
    #[schema(example = 3.998)]
    change_pct: Option<f64>,
}

/// Customers who moved from one segment to another.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MigrationView {
    /// The segment before; null for new customers.
    #[schema(example = "At Risk")]
    from: Option<String>,
    /// The segment after; null for customers who are gone.
    #[schema(example = "Champions")]
    to: Option<String>,
    /// Number of customers.
    #[schema(example = 12)]
    customers: u64,
}

/// Rows of a table in both generations, matched by its key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TableChangeView {
    /// Name of the table.
    #[schema(example = "customers")]
    table: String,
    /// Rows before.
    #[schema(example = 4990)]
    rows_from: u64,
    /// Rows after.
    #[schema(example = 5000)]
    rows_to: u64,
    /// Rows whose key is new.
    #[schema(example = 12)]
    added: u64,
    /// Rows whose key is gone.
    #[schema(example = 2)]
    removed: u64,
    /// Rows with the same key and a different value.
    #[schema(example = 840)]
    changed: u64,
}

/// A comparison in the common envelope.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DiffAnswer {
    data: DiffView,
    meta: Meta,
}

impl From<KpiChange> for KpiChangeView {
    fn from(KpiChange { name, from, to }: KpiChange) -> Self {
        const PERCENT: f64 = 100.0;
        /// Differences below this are rounding errors of floating-point numbers.
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
/// Headline figures, customers who changed segment, and rows added, removed and changed by table, from the
/// first generation to the second. Both must be stored.
#[utoipa::path(get, path = "/admin/generations/{generation}/diff/{other}", tag = tags::ADMIN,
    operation_id = "admin_generations_diff",
    params(
        ("generation" = u64, Path, description = "The generation to compare with"),
        ("other" = u64, Path, description = "The generation to compare"),
    ),
    security(("admin_token" = [])),
    responses((status = 200, description = "The differences", body = DiffAnswer)))]
pub(crate) async fn diff(
    admin: Admin,
    generations: web::Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    refuse_parameters(&request)?;
    let (from, to) = (number(&generations.0)?, number(&generations.1)?);
    let compared = admin.run_control.diff(from, to).await.map_err(|error| match error {
        StartError::NotFound(_) => ApiError::NotFound(describe(&error)),
        _ => ApiError::LakeUnavailable(describe(&error)),
    })?;
    let meta = Meta::of_service(1, 1, admin.started);
    Ok(HttpResponse::Ok().json(DiffAnswer { data: compared.into(), meta }))
}

fn number(text: &str) -> Result<u64, ApiError> {
    text.parse().map_err(|_| {
        ApiError::NotFound(format!("there is no generation {text}; /admin/generations lists them"))
    })
}
