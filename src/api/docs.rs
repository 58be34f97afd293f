//! The API's documentation, served: the OpenAPI document and a home page that links every route.

use std::fmt::Write as _;

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::Operation;

use super::error::ApiError;
use super::openapi::to_json;
use super::parameters::refuse_parameters;

/// Both, rendered once.
#[derive(Debug)]
pub(crate) struct Documentation {
    openapi: Bytes,
    home: Bytes,
}

impl Documentation {
    /// # Errors
    /// When the document cannot be written as JSON.
    pub(crate) fn of(document: &OpenApi) -> serde_json::Result<Self> {
        Ok(Self { openapi: to_json(document)?.into(), home: home_page(document).into() })
    }
}

/// Serves `/openapi.json`.
pub(crate) async fn openapi(
    documentation: web::Data<Documentation>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    refuse_parameters(&request)?;
    let body = documentation.openapi.clone();
    Ok(HttpResponse::Ok().content_type("application/json").body(body))
}

/// Serves `/`.
pub(crate) async fn home(documentation: web::Data<Documentation>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(documentation.home.clone())
}

/// Lists every documented route by group. Routes that need a path parameter, the admin token or
/// another method than GET are listed without a link.
fn home_page(document: &OpenApi) -> String {
    let mut groups = String::new();
    for tag in document.tags.iter().flatten() {
        let about = tag.description.as_deref().unwrap_or_default();
        let _ = writeln!(groups, "<h2>{about}</h2>\n<table>");
        let operations = document.paths.paths.iter().flat_map(|(path, item)| {
            let by_method = [("", &item.get), ("POST ", &item.post)];
            by_method.map(|(method, operation)| Some((path, method, operation.as_ref()?)))
        });
        for (path, method, operation) in operations.flatten() {
            if operation.tags.iter().flatten().eq([&tag.name]) {
                let _ = writeln!(groups, "{}", table_row(path, method, operation));
            }
        }
        groups.push_str("</table>\n");
    }
    format!(include_str!("home.html"), version = env!("CARGO_PKG_VERSION"), groups = groups)
}

fn table_row(path: &str, method: &str, operation: &Operation) -> String {
    let is_linked = method.is_empty() && !path.contains('{') && operation.security.is_none();
    let route = if is_linked {
        format!("<a href=\"{path}\"><code>{path}</code></a>")
    } else {
        format!("<code>{method}{path}</code>")
    };
    let summary = operation.summary.as_deref().unwrap_or_default();
    format!("<tr><td>{route}</td><td>{summary}</td></tr>")
}
