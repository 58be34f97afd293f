//! The OpenAPI description of a route that answers from a table, derived from its catalogue entry.

use serde_json::json;
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem,
    Paths, PathsBuilder,
};
use utoipa::openapi::schema::{Array, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{Content, Ref, RefOr, Required, ResponseBuilder, ResponsesBuilder};
use utoipa_actix_web::OpenApiFactory;

use super::parameters::{
    DEFAULT_LIMIT, ListOptions, MAX_LIMIT, MAX_SEARCH_CHARS, ParamSpec, Role, accepted, sortable,
};
use crate::domain::query::Comparison;
use crate::domain::schema::{Column, ColumnType, View};

/// How data write an instant: without offset, a fraction only where there is one.
const INSTANT_PATTERN: &str = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?$";

/// What the document says of one route over a view.
#[derive(Clone)]
pub(crate) struct RouteDoc {
    path: &'static str,
    tag: &'static str,
    summary: &'static str,
    view: View,
    is_list: bool,
    parameters: Vec<Parameter>,
    /// The schema of a row: the view's, unless the route shows more.
    row_schema: &'static str,
    /// Schemas besides the view's.
    more_schemas: Vec<(String, RefOr<Schema>)>,
}

impl RouteDoc {
    /// A route without parameters that answers one object.
    pub(crate) fn one(
        path: &'static str,
        tag: &'static str,
        summary: &'static str,
        view: View,
    ) -> Self {
        let (parameters, more_schemas) = (Vec::new(), Vec::new());
        let row_schema = view.name;
        Self { path, tag, summary, view, is_list: false, parameters, row_schema, more_schemas }
    }

    /// A route that answers a list, with the parameters of lists.
    pub(crate) fn list(
        path: &'static str,
        tag: &'static str,
        summary: &'static str,
        view: View,
        options: ListOptions,
    ) -> Self {
        let specs = accepted(view, options);
        let parameters = specs.iter().map(|spec| query_parameter(view, spec)).collect();
        Self { is_list: true, parameters, ..Self::one(path, tag, summary, view) }
    }

    /// The same route with a value in its path.
    pub(crate) fn with_path_parameter(
        mut self,
        name: &str,
        description: &str,
        ty: ColumnType,
    ) -> Self {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some(description))
            .schema(Some(scalar(ty)))
            .build();
        self.parameters.insert(0, parameter);
        self
    }

    /// The same route with rows of another schema, which refers to that of `view`.
    pub(crate) fn with_row_schema(
        mut self,
        name: &'static str,
        schema: Schema,
        view: View,
    ) -> Self {
        self.row_schema = name;
        add_schema(view, &mut self.more_schemas);
        self.more_schemas.push((name.to_owned(), schema.into()));
        self
    }

    fn operation(&self) -> Operation {
        let row = Ref::from_schema_name(self.row_schema);
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
                "Reads the table `{}`: {}.",
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

impl OpenApiFactory for RouteDoc {
    fn paths(&self) -> Paths {
        let item = PathItem::new(HttpMethod::Get, self.operation());
        PathsBuilder::new().path(self.path, item).build()
    }

    fn schemas(&self, schemas: &mut Vec<(String, RefOr<Schema>)>) {
        add_schema(self.view, schemas);
        schemas.extend(self.more_schemas.iter().cloned());
    }
}

fn query_parameter(view: View, accepted: &ParamSpec) -> Parameter {
    let (description, schema) = match accepted.role {
        Role::Limit => (
            "Maximum number of rows".to_owned(),
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .minimum(Some(1))
                .maximum(Some(MAX_LIMIT))
                .default(Some(json!(DEFAULT_LIMIT))),
        ),
        Role::Offset => (
            "Number of rows to skip".to_owned(),
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
                .minimum(Some(0))
                .default(Some(json!(0))),
        ),
        Role::Sort => (
            "Order of the rows. The key breaks ties, in the same direction; null sorts below every value".to_owned(),
            ObjectBuilder::new().schema_type(Type::String).enum_values(Some(
                sortable(view).into_iter().flat_map(|field| {
                    [field.to_owned(), format!("{field}:asc"), format!("{field}:desc")]
                }),
            )),
        ),
        Role::Search(columns) => (
            format!("Text that {} contains, ignoring case", columns.join(" or ")),
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
            (format!("Only rows where {name} is {relation} this value"), scalar(column.ty))
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

/// The schema of a scalar, or of one element of a list of texts.
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

/// The schema of a column's values; those of added columns may be null, since generations of
/// earlier versions lack them.
fn column_schema(column: &Column) -> Schema {
    let may_be_null = column.nullable || column.is_added;
    let description = if column.is_added {
        format!("{}. Null in generations of earlier versions", column.doc)
    } else {
        column.doc.to_owned()
    };
    if column.ty == ColumnType::TextList {
        let mut list = Array::new(ObjectBuilder::new().schema_type(Type::String));
        list.description = Some(description);
        if may_be_null {
            list.schema_type = [Type::Array, Type::Null].into_iter().collect();
        }
        return Schema::Array(list);
    }
    let mut schema = scalar(column.ty).description(Some(description)).build();
    if column.ty == ColumnType::Timestamp {
        // The `date-time` format (RFC 3339) requires an offset. Parameters may have one; data do not.
        schema.format = None;
        schema.pattern = Some(INSTANT_PATTERN.to_owned());
    }
    if may_be_null && let utoipa::openapi::schema::SchemaType::Type(ty) = &schema.schema_type {
        schema.schema_type = [ty.clone(), Type::Null].into_iter().collect();
    }
    Schema::Object(schema)
}

/// Adds the schema of a view's rows under the view's name.
fn add_schema(view: View, schemas: &mut Vec<(String, RefOr<Schema>)>) {
    let mut row = ObjectBuilder::new().description(Some(view.table.grain));
    for (field, column) in view.columns() {
        row = row.property(field, column_schema(column)).required(field);
    }
    schemas.push((view.name.to_owned(), Schema::Object(row.build()).into()));
}
