//! The OpenAPI document: what all routes share is added here to what each route says of itself.

use utoipa::PartialSchema;
use utoipa::openapi::path::Paths;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, Content, Header, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr,
    Required, Response, ResponseBuilder,
};

use super::envelope::Meta;
use super::error::{PROBLEM_JSON, Problem};
use super::tags;

/// Names of the bearer schemes in the document.
const READ: &str = "read_token";
const ADMIN: &str = "admin_token";

const DESCRIPTION: &str = "Customer analytics for online shops, self-hosted. Amounts are in one currency, which `/kpis` names. \
    Timestamps in data are without offset, in the time zone that `meta.timezone` names. Every successful answer is `{\"data\": …, \
    \"meta\": …}`; every error is an `application/problem+json` document (RFC 9457). If the server \
    has a READ_TOKEN, routes that return data require it as a bearer token; routes below /admin \
    always require the ADMIN_TOKEN.";

/// Completes what the routes say of themselves to a whole document.
pub(crate) fn complete(collected: OpenApi) -> OpenApi {
    let mut components = collected.components.unwrap_or_default();
    // Unknown fields are refused; the document has never said so, and clients generated from it stay as
    // they are.
    if let Some(RefOr::T(utoipa::openapi::Schema::Object(body))) =
        components.schemas.get_mut("RefreshBody")
    {
        body.additional_properties = None;
    }
    components.schemas.insert("Meta".to_owned(), Meta::schema());
    components.schemas.insert("Problem".to_owned(), Problem::schema());
    for name in [READ, ADMIN] {
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.security_schemes.insert(name.to_owned(), bearer.into());
    }
    add_error_responses(&mut components);
    let mut paths = collected.paths;
    refer_to_errors(&mut paths);
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("goldsmith")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(DESCRIPTION))
                .license(Some(LicenseBuilder::new().name("MIT OR Apache-2.0").build())),
        )
        .tags(Some(
            tags::ALL
                .map(|(name, about)| TagBuilder::new().name(name).description(Some(about)).build()),
        ))
        .paths(paths)
        .components(Some(components))
        .security(Some([
            SecurityRequirement::default(),
            SecurityRequirement::new::<_, [&str; 0], &str>(READ, []),
        ]))
        .build()
}

/// A document as it is served, printed and committed.
///
/// # Errors
/// When it cannot be written as JSON.
pub(crate) fn to_json(document: &OpenApi) -> serde_json::Result<String> {
    Ok(document.to_pretty_json()? + "\n")
}

fn problem(description: &str) -> Response {
    ResponseBuilder::new()
        .description(description)
        .content(PROBLEM_JSON, Content::new(Some(Ref::from_schema_name("Problem"))))
        .build()
}

/// Adds the error responses that routes refer to by name.
fn add_error_responses(components: &mut Components) {
    let retry_after = Header::new(ObjectBuilder::new().schema_type(Type::Integer).build());
    let mut unavailable = problem(
        "Nothing is published, an earlier version published the generation without this table, or the serving store does not answer",
    );
    unavailable.headers.insert("Retry-After".to_owned(), retry_after.into());
    let shared = [
        ("BadRequest", problem("A parameter is unknown, repeated or not valid")),
        ("Unauthorized", problem("The server has a READ_TOKEN and the request does not carry it")),
        ("NotFound", problem("The customer, model, run or generation does not exist")),
        ("NotAdmin", problem("The request does not carry the admin token")),
        ("Unavailable", unavailable),
    ];
    for (name, response) in shared {
        components.responses.insert(name.to_owned(), response.into());
    }
}

/// Adds the shared error responses to the routes that are not table routes; those refer to them
/// already.
fn refer_to_errors(paths: &mut Paths) {
    for (path, item) in &mut paths.paths {
        let unauthorized = match path.as_str() {
            path if path.starts_with("/admin/") => "NotAdmin",
            "/events" | "/quality" => "Unauthorized",
            _ => continue,
        };
        let errors = [
            ("400", "BadRequest", true),
            ("401", unauthorized, true),
            ("404", "NotFound", path.contains('{')),
            ("503", "Unavailable", true),
        ];
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            if let Some(RefOr::T(body)) = &mut operation.request_body {
                body.required = Some(Required::False);
            }
            for (status, name, _) in errors.iter().filter(|(_, _, applies)| *applies) {
                let response = || Ref::from_response_name(*name).into();
                operation.responses.responses.entry((*status).to_owned()).or_insert_with(response);
            }
        }
    }
}
