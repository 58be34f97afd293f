//! `/`: a short page that links every route, made from the OpenAPI document.

use std::fmt::Write as _;

use actix_web::{HttpResponse, route, web};
use utoipa::openapi::OpenApi;

/// The page, rendered once.
#[derive(Debug, Clone)]
pub struct HomePage(pub String);

impl HomePage {
    /// Links every documented route; those that need a parameter, a token of their own or another
    /// method than GET are shown without a link.
    #[must_use]
    pub fn of(document: &OpenApi) -> Self {
        let mut groups = String::new();
        for tag in document.tags.iter().flatten() {
            let about = tag.description.as_deref().unwrap_or_default();
            let _ = writeln!(groups, "<h2>{about}</h2>\n<table>");
            let operations = document.paths.paths.iter().flat_map(|(path, item)| {
                let of_methods = [("", &item.get), ("POST ", &item.post)];
                of_methods.map(|(method, operation)| Some((path, method, operation.as_ref()?)))
            });
            for (path, method, operation) in operations.flatten() {
                if !operation.tags.iter().flatten().eq([&tag.name]) {
                    continue;
                }
                let is_linked =
                    method.is_empty() && !path.contains('{') && operation.security.is_none();
                let shown = if is_linked {
                    format!("<a href=\"{path}\"><code>{path}</code></a>")
                } else {
                    format!("<code>{method}{path}</code>")
                };
                let summary = operation.summary.as_deref().unwrap_or_default();
                let _ = writeln!(groups, "<tr><td>{shown}</td><td>{summary}</td></tr>");
            }
            groups.push_str("</table>\n");
        }
        Self(format!(
            include_str!("home.html"),
            version = env!("CARGO_PKG_VERSION"),
            groups = groups
        ))
    }
}

/// `/`.
#[route("/", method = "GET", method = "HEAD")]
pub async fn serve(page: web::Data<HomePage>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(page.0.clone())
}
