//! `/admin/generations`: what is kept, what is served, and going back.

use actix_web::{HttpRequest, HttpResponse, post, route, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::meta;
use crate::api::envelope::Meta;
use crate::api::error::{ApiError, Problem};
use crate::api::extract::Admin;
use crate::api::table::refuse_parameters;
use crate::domain::manifest::Published;

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
    let number = generation.parse().map_err(|_| {
        ApiError::NotFound(format!(
            "there is no generation {generation}; /admin/generations lists them"
        ))
    })?;
    let (from, to) = admin.operator.rollback(number).await?;
    let answer = SwitchAnswer { data: Switch { from, to }, meta: meta(1, 1, admin.started) };
    Ok(HttpResponse::Ok().json(answer))
}
