//! `/`: a short page that links every route, made from the OpenAPI document.

use std::fmt::Write as _;

use actix_web::{HttpResponse, route, web};
use utoipa::openapi::OpenApi;

/// The page, rendered once.
#[derive(Debug, Clone)]
pub struct HomePage(pub String);

impl HomePage {
    /// Links every documented route; those that need a parameter are shown without a link.
    #[must_use]
    pub fn of(document: &OpenApi) -> Self {
        let mut rows = String::new();
        for (path, item) in &document.paths.paths {
            let summary =
                item.get.as_ref().and_then(|get| get.summary.as_deref()).unwrap_or_default();
            let shown = if path.contains('{') {
                format!("<code>{path}</code>")
            } else {
                format!("<a href=\"{path}\"><code>{path}</code></a>")
            };
            let _ = writeln!(rows, "<tr><td>{shown}</td><td>{summary}</td></tr>");
        }
        Self(format!(include_str!("home.html"), version = env!("CARGO_PKG_VERSION"), rows = rows))
    }
}

/// `/`.
#[route("/", method = "GET", method = "HEAD")]
pub async fn serve(page: web::Data<HomePage>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(page.0.clone())
}
