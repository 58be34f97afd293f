//! The OpenAPI document: what table routes say of themselves, from their entries.

use actix_web::{App, HttpRequest, HttpResponse, route, web};
use serde_json::json;
use utoipa::PartialSchema;
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem,
    Paths, PathsBuilder,
};
use utoipa::openapi::schema::{Array, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, Content, Header, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr,
    Required, Response, ResponseBuilder, ResponsesBuilder,
};
use utoipa_actix_web::AppExt;

use super::envelope::Meta;
use super::error::{ApiError, PROBLEM_JSON, Problem};
use super::parameters::{
    DEFAULT_LIMIT, ListOptions, MAX_LIMIT, MAX_SEARCH_CHARS, ParamSpec, Role, accepted, sortable,
};
use super::state::State;
use super::table::refuse_parameters;
use crate::domain::query::Comparison;
use crate::domain::schema::{Column, ColumnType, View};

/// How data write an instant: UTC without offset, a fraction only where there is one.
const INSTANT_PATTERN: &str = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?$";

/// The groups of routes, in the order they are shown.
const TAGS: [(&str, &str); 7] = [
    ("headline", "The figures to start with"),
    ("revenue", "Revenue by country, product, period and cohort"),
    ("customers", "Customers and what they bought"),
    ("models", "Segments, churn and lifetime value, and how far to trust them"),
    ("health", "For people and for probes"),
    ("older names", "The names and fields that existing dashboards use"),
    (super::admin::TAG, "For operators: runs, generations, going back"),
];

/// Names of the bearer schemes in the document.
const READ: &str = "read_token";
const ADMIN: &str = "admin_token";

/// The whole document.
#[must_use]
pub fn document() -> OpenApi {
    let (_, collected) = App::new().into_utoipa_app().configure(super::routes).split_for_parts();
    let mut components = collected.components.unwrap_or_default();
    components.schemas.insert("Meta".to_owned(), Meta::schema());
    components.schemas.insert("Problem".to_owned(), Problem::schema());
    for name in [READ, ADMIN] {
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.security_schemes.insert(name.to_owned(), bearer.into());
    }
    add_problem_responses(&mut components);
    let mut paths = collected.paths;
    add_refusals(&mut paths);
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("goldsmith")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(
                    "Customer analytics that a shop can run by itself. Money is EUR. Timestamps in \
                     data are UTC without offset. Every answer is `{\"data\": …, \"meta\": …}`, every \
                     refusal an `application/problem+json` (RFC 9457). When the server has a \
                     READ_TOKEN, routes that show data want it as a bearer token; routes below \
                     /admin always want the ADMIN_TOKEN.",
                ))
                .license(Some(LicenseBuilder::new().name("MIT OR Apache-2.0").build())),
        )
        .tags(Some(TAGS.map(|(name, about)| {
            TagBuilder::new().name(name).description(Some(about)).build()
        })))
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
pub fn to_json(document: &OpenApi) -> serde_json::Result<String> {
    Ok(document.to_pretty_json()? + "\n")
}

/// `/openapi.json`.
///
/// # Errors
/// [`ApiError::InvalidParameter`] for any parameter.
#[route("/openapi.json", method = "GET", method = "HEAD")]
pub async fn serve(
    state: web::Data<State>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    refuse_parameters(&request)?;
    Ok(HttpResponse::Ok().content_type("application/json").body(state.openapi.clone()))
}

fn problem(description: &str) -> Response {
    ResponseBuilder::new()
        .description(description)
        .content(PROBLEM_JSON, Content::new(Some(Ref::from_schema_name("Problem"))))
        .build()
}

/// The refusals every table route shares, by the name the routes refer to them with.
fn add_problem_responses(components: &mut Components) {
    let retry_after = Header::new(ObjectBuilder::new().schema_type(Type::Integer).build());
    let mut unavailable =
        problem("Nothing is published, the table is empty or the serving store does not answer");
    unavailable.headers.insert("Retry-After".to_owned(), retry_after.into());
    let shared = [
        ("BadRequest", problem("A parameter is unknown, repeated or not valid")),
        ("Unauthorized", problem("The server has a READ_TOKEN and the request does not carry it")),
        ("NotFound", problem("There is no such customer, model, run or generation")),
        ("NotAdmin", problem("The request does not carry the admin token")),
        ("Unavailable", unavailable),
    ];
    for (name, response) in shared {
        components.responses.insert(name.to_owned(), response.into());
    }
}

/// What the routes refuse that are not table routes.
fn add_refusals(paths: &mut Paths) {
    for (path, item) in &mut paths.paths {
        let unauthorized = match path.as_str() {
            path if path.starts_with("/admin/") => "NotAdmin",
            "/events" => "Unauthorized",
            _ => continue,
        };
        let refusals = [
            ("400", "BadRequest", true),
            ("401", unauthorized, true),
            ("404", "NotFound", path.contains('{')),
            ("503", "Unavailable", true),
        ];
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            if let Some(RefOr::T(body)) = &mut operation.request_body {
                body.required = Some(Required::False);
            }
            for (status, name, _) in refusals.iter().filter(|(_, _, applies)| *applies) {
                let refusal = || Ref::from_response_name(*name).into();
                operation.responses.responses.entry((*status).to_owned()).or_insert_with(refusal);
            }
        }
    }
}

/// A table route as the document shows it.
pub struct RouteDoc {
    path: &'static str,
    tag: &'static str,
    summary: &'static str,
    view: View,
    /// The schema of a row: the view's, unless the route shows more.
    pub schema: &'static str,
    /// Whether `data` is a list.
    pub is_list: bool,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
}

impl RouteDoc {
    /// A route without parameters that answers one object.
    #[must_use]
    pub fn new(path: &'static str, tag: &'static str, summary: &'static str, view: View) -> Self {
        Self { path, tag, summary, view, schema: view.name, is_list: false, parameters: Vec::new() }
    }

    /// The route's entry under `paths`.
    #[must_use]
    pub fn paths(self) -> Paths {
        PathsBuilder::new()
            .path(self.path, PathItem::new(HttpMethod::Get, self.operation()))
            .build()
    }

    fn operation(&self) -> Operation {
        let row = Ref::from_schema_name(self.schema);
        let data: RefOr<Schema> = if self.is_list { Array::new(row).into() } else { row.into() };
        let body = ObjectBuilder::new()
            .property("data", data)
            .required("data")
            .property("meta", Ref::from_schema_name("Meta"))
            .required("meta")
            .build();
        let answer = ResponseBuilder::new()
            .description(self.view.table.grain)
            .content("application/json", Content::new(Some(body)));
        let mut responses = ResponsesBuilder::new()
            .response("200", answer)
            .response("400", Ref::from_response_name("BadRequest"))
            .response("401", Ref::from_response_name("Unauthorized"))
            .response("503", Ref::from_response_name("Unavailable"));
        if self.path.contains('{') {
            responses = responses.response("404", Ref::from_response_name("NotFound"));
        }
        let name = self.path.trim_start_matches('/').replace(['/', '{', '}'], "_");
        let mut operation = OperationBuilder::new()
            .tag(self.tag)
            .summary(Some(self.summary))
            .description(Some(format!(
                "Answers from `{}`: {}.",
                self.view.table.name, self.view.table.grain
            )))
            .operation_id(Some(name.replace("__", "_").trim_end_matches('_').to_owned()))
            .responses(responses);
        for parameter in &self.parameters {
            operation = operation.parameter(parameter.clone());
        }
        operation.build()
    }
}

/// The parameters of a list, from the same entries that parse them.
#[must_use]
pub fn list_parameters(view: View, extras: ListOptions) -> Vec<Parameter> {
    accepted(view, extras).iter().map(|accepted| query_parameter(view, accepted)).collect()
}

/// The customer's number in a path.
#[must_use]
pub fn id_parameter() -> Parameter {
    path_parameter("id", "The customer's id_client", ColumnType::Int)
}

/// A value in a path.
#[must_use]
pub fn path_parameter(name: &str, description: &str, ty: ColumnType) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(scalar(ty)))
        .build()
}

fn query_parameter(view: View, accepted: &ParamSpec) -> Parameter {
    let (description, schema) = match accepted.role {
        Role::Limit => (
            "Most rows to answer".to_owned(),
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .minimum(Some(1))
                .maximum(Some(MAX_LIMIT))
                .default(Some(json!(DEFAULT_LIMIT))),
        ),
        Role::Offset => (
            "Rows to skip".to_owned(),
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
                .minimum(Some(0))
                .default(Some(json!(0))),
        ),
        Role::Sort => (
            "Order of the rows; the key breaks ties, in the same direction, and null sorts below every value".to_owned(),
            ObjectBuilder::new().schema_type(Type::String).enum_values(Some(
                sortable(view).into_iter().flat_map(|field| {
                    [field.to_owned(), format!("{field}:asc"), format!("{field}:desc")]
                }),
            )),
        ),
        Role::Search(columns) => (
            format!("Text that {} contains, regardless of case", columns.join(" or ")),
            ObjectBuilder::new().schema_type(Type::String).max_length(Some(MAX_SEARCH_CHARS)),
        ),
        Role::Filter(column, comparison) => {
            let relation = match comparison {
                Comparison::Equal => "equal to",
                Comparison::AtLeast => "at least",
                Comparison::AtMost => "at most",
            };
            let shown = accepted.name.trim_end_matches("_min").trim_end_matches("_max");
            let name = if comparison == Comparison::Equal { accepted.name.as_str() } else { shown };
            (format!("Only rows whose {name} is {relation} this"), scalar(column.ty))
        }
    };
    ParameterBuilder::new()
        .name(accepted.name.clone())
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

/// The schema of a scalar type; a list is one of texts.
fn scalar(ty: ColumnType) -> ObjectBuilder {
    let builder = ObjectBuilder::new();
    match ty {
        ColumnType::Int => builder
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64))),
        ColumnType::Float | ColumnType::Money => builder
            .schema_type(Type::Number)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Double))),
        ColumnType::Bool => builder.schema_type(Type::Boolean),
        ColumnType::Text | ColumnType::TextList => builder.schema_type(Type::String),
        ColumnType::Date => builder
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Date))),
        ColumnType::Timestamp => builder
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))),
    }
}

fn column_schema(column: &Column) -> Schema {
    if column.ty == ColumnType::TextList {
        let mut list = Array::new(ObjectBuilder::new().schema_type(Type::String));
        list.description = Some(column.doc.to_owned());
        if column.nullable {
            list.schema_type = [Type::Array, Type::Null].into_iter().collect();
        }
        return Schema::Array(list);
    }
    let mut schema = scalar(column.ty).description(Some(column.doc)).build();
    if column.ty == ColumnType::Timestamp {
        // The format's RFC 3339 wants an offset, which parameters may have and data do not.
        schema.format = None;
        schema.pattern = Some(INSTANT_PATTERN.to_owned());
    }
    if column.nullable
        && let utoipa::openapi::schema::SchemaType::Type(ty) = &schema.schema_type
    {
        schema.schema_type = [ty.clone(), Type::Null].into_iter().collect();
    }
    Schema::Object(schema)
}

/// Adds the schema of a view's rows under the view's name.
pub fn add_schemas(view: View, schemas: &mut Vec<(String, RefOr<Schema>)>) {
    let mut row = ObjectBuilder::new().description(Some(view.table.grain));
    for (field, column) in view.columns() {
        row = row.property(field, column_schema(column)).required(field);
    }
    schemas.push((view.name.to_owned(), Schema::Object(row.build()).into()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_route_belongs_to_a_group_that_is_shown() {
        let document = document();
        let known: BTreeSet<&str> = TAGS.iter().map(|(name, _)| *name).collect();
        for (path, item) in &document.paths.paths {
            let operations: Vec<_> = [&item.get, &item.post].into_iter().flatten().collect();
            assert!(!operations.is_empty(), "{path}");
            for operation in operations {
                let tags = operation.tags.clone().unwrap_or_default();
                assert_eq!(tags.len(), 1, "{path}");
                assert!(known.contains(tags[0].as_str()), "{path} is in {}", tags[0]);
            }
        }
    }

    #[test]
    fn operations_have_names_of_their_own_and_every_reference_leads_somewhere() {
        let document = serde_json::to_value(document()).unwrap();
        let mut names = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let name = operation["operationId"].as_str().unwrap();
                assert!(names.insert(name.to_owned()), "{method} {path} repeats {name}");
            }
        }
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer} leads nowhere");
        }
    }
}
