//! The envelope of answers: `{"data": …, "meta": {…}}`.

use std::sync::Arc;
use std::time::Instant;

use actix_web::body::BoxBody;
use actix_web::http::header::ContentType;
use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError};
use bytes::Bytes;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use utoipa::ToSchema;

use super::cache::Rendered;
use super::error::ApiError;
use crate::domain::manifest::Published;
use crate::domain::rows::Value;
use crate::store::Page;

/// Metadata of an answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Meta {
    /// Rows in `data`.
    #[schema(example = 9)]
    pub(crate) count: u64,
    /// Rows that match, on this page or not.
    #[schema(example = 9)]
    pub(crate) total: u64,
    /// Milliseconds from the arrival of the request at its handler until the data were available.
    #[schema(example = 0.214)]
    pub(crate) query_ms: f64,
    /// The generation of the data; null before the first publish.
    #[schema(example = 7)]
    pub(crate) generation: Option<u64>,
    /// The reference instant of the data, without offset, in `timezone`; null before the first publish.
    #[schema(example = "2026-01-20T10:39:43")]
    pub(crate) as_of: Option<String>,
    /// The time zone of days and instants in the data; null before the first publish.
    #[schema(example = "UTC")]
    pub(crate) timezone: Option<String>,
    /// When the generation was published, UTC; null before the first publish.
    #[schema(example = "2026-01-21T03:00:05Z")]
    pub(crate) published_at: Option<String>,
}

impl Meta {
    /// Metadata of an answer from a generation, timed from `started` until now.
    pub(crate) fn new(
        count: u64,
        total: u64,
        published: Option<&Published>,
        started: Instant,
    ) -> Self {
        let shown = published.map(Published::shown_instants);
        Self {
            count,
            total,
            query_ms: round_micros(started.elapsed().as_secs_f64() * 1e3),
            generation: published.map(|published| published.manifest.generation),
            as_of: shown.map(|(as_of, _)| as_of.clone()),
            timezone: published.map(|published| published.manifest.timezone.name().to_owned()),
            published_at: shown.map(|(_, published_at)| published_at.clone()),
        }
    }

    /// Metadata of an answer about the service itself, which belongs to no generation.
    pub(crate) fn of_service(count: usize, total: u64, started: Instant) -> Self {
        Self::new(count as u64, total, None, started)
    }
}

/// To whole microseconds, in milliseconds.
fn round_micros(millis: f64) -> f64 {
    (millis * 1e3).round() / 1e3
}

/// An answer from a table.
#[derive(Debug)]
pub(crate) struct Answer {
    rendered: Arc<Rendered>,
    meta: Meta,
}

impl Answer {
    /// Wraps rendered data.
    pub(crate) fn new(rendered: Arc<Rendered>, published: &Published, started: Instant) -> Self {
        let meta = Meta::new(rendered.count, rendered.total, Some(published), started);
        Self { rendered, meta }
    }

    /// Rows that match, on this page or not.
    pub(crate) fn total(&self) -> u64 {
        self.meta.total
    }

    fn body(&self) -> serde_json::Result<Vec<u8>> {
        /// Room for the envelope.
        const ENVELOPE_BYTES: usize = 256;
        let mut body = Vec::with_capacity(self.rendered.json.len() + ENVELOPE_BYTES);
        body.extend_from_slice(b"{\"data\":");
        body.extend_from_slice(&self.rendered.json);
        body.extend_from_slice(b",\"meta\":");
        serde_json::to_writer(&mut body, &self.meta)?;
        body.push(b'}');
        Ok(body)
    }
}

impl Responder for Answer {
    type Body = BoxBody;

    fn respond_to(self, _request: &HttpRequest) -> HttpResponse {
        match self.body() {
            Ok(body) => HttpResponse::Ok().content_type(ContentType::json()).body(body),
            Err(error) => ApiError::Render(error).error_response(),
        }
    }
}

/// Renders a page's rows: a list of objects, or the first object alone (`null` without one).
///
/// # Errors
/// When a value cannot be written as JSON.
pub(crate) fn render(page: &Page, is_single: bool) -> serde_json::Result<Rendered> {
    let mut rows = page.rows.iter().map(|values| Row { fields: &page.fields, values });
    let json = if is_single {
        serde_json::to_vec(&rows.next())?
    } else {
        serde_json::to_vec(&rows.collect::<Vec<_>>())?
    };
    Ok(Rendered { json: Bytes::from(json), count: page.rows.len() as u64, total: page.total })
}

/// One row as an object.
struct Row<'a> {
    fields: &'a [&'static str],
    values: &'a [Value],
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(self.fields.len()))?;
        for (field, value) in self.fields.iter().zip(self.values) {
            object.serialize_entry(field, value)?;
        }
        object.end()
    }
}
