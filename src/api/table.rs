//! Routes that answer from one view of one table, served and documented from its catalogue entry.

use actix_web::HttpRequest;
use actix_web::dev::{AppService, HttpServiceFactory};
use utoipa::openapi::RefOr;
use utoipa::openapi::path::Paths;
use utoipa::openapi::schema::Schema;
use utoipa_actix_web::OpenApiFactory;

use super::endpoint::readable;
use super::envelope::Answer;
use super::error::ApiError;
use super::extract::Reader;
use super::parameters::{self, ListOptions, refuse_parameters};
use super::route_doc::RouteDoc;
use crate::domain::query::Query;
use crate::domain::rows::Value;
use crate::domain::schema::{Direction, View};

/// A route over one view.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TableRoute {
    path: &'static str,
    tag: &'static str,
    summary: &'static str,
    view: View,
    shape: Shape,
    preset: Option<Preset>,
}

/// A filter that a route always applies, and its default order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Preset {
    /// The text column that is compared.
    pub(crate) column: &'static str,
    /// The value it has in every row.
    pub(crate) value: &'static str,
    /// The order when the request asks for none.
    pub(crate) sort: (&'static str, Direction),
}

/// Whether the answer is a list or one object.
#[derive(Debug, Clone, Copy)]
enum Shape {
    List(ListOptions),
    One,
}

impl TableRoute {
    /// A list with paging, order and equality filters.
    pub(crate) fn list(
        path: &'static str,
        tag: &'static str,
        summary: &'static str,
        view: View,
    ) -> Self {
        Self { path, tag, summary, view, shape: Shape::List(ListOptions::default()), preset: None }
    }

    /// The only row of a table.
    pub(crate) fn one(
        path: &'static str,
        tag: &'static str,
        summary: &'static str,
        view: View,
    ) -> Self {
        Self { path, tag, summary, view, shape: Shape::One, preset: None }
    }

    /// The same list, with `{field}_min` and `{field}_max`.
    pub(crate) fn with_ranges(self) -> Self {
        self.with_options(|options| options.ranges = true)
    }

    /// The same list, with `q` to search these columns.
    pub(crate) fn with_search(self, columns: &'static [&'static str]) -> Self {
        self.with_options(|options| options.search = columns)
    }

    fn with_options(mut self, change: impl FnOnce(&mut ListOptions)) -> Self {
        if let Shape::List(options) = &mut self.shape {
            change(options);
        }
        self
    }

    /// The same list, restricted to the rows of a preset.
    pub(crate) fn only(mut self, preset: Preset) -> Self {
        self.preset = Some(preset);
        self
    }

    async fn answer(self, reader: Reader, request: HttpRequest) -> Result<Answer, ApiError> {
        match self.shape {
            Shape::List(options) => {
                let query = parameters::parse(self.view, options, request.query_string())?;
                reader.list(&self.restricted(query)).await
            }
            Shape::One => {
                refuse_parameters(&request)?;
                let row = reader.one(&Query::first(self.view, 1)).await?;
                row.ok_or_else(|| ApiError::NotFound(format!("{} has no row", self.view.name)))
            }
        }
    }

    /// A query with the route's preset applied.
    fn restricted(self, mut query: Query) -> Query {
        if let Some(Preset { column, value, sort: (by, direction) }) = self.preset {
            if let Some(column) = self.view.column(column) {
                query = query.with(column, Value::Text(value.to_owned()));
            }
            let default = self.view.column(by).map(|column| (column, direction));
            query.sort = query.sort.or(default);
        }
        query
    }

    fn docs(self) -> RouteDoc {
        let Self { path, tag, summary, view, .. } = self;
        match self.shape {
            Shape::List(options) => RouteDoc::list(path, tag, summary, view, options),
            Shape::One => RouteDoc::one(path, tag, summary, view),
        }
    }
}

impl HttpServiceFactory for TableRoute {
    fn register(self, config: &mut AppService) {
        let handler = move |reader: Reader, request: HttpRequest| self.answer(reader, request);
        readable(self.path, handler).register(config);
    }
}

impl OpenApiFactory for TableRoute {
    fn paths(&self) -> Paths {
        self.docs().paths()
    }

    fn schemas(&self, schemas: &mut Vec<(String, RefOr<Schema>)>) {
        self.docs().schemas(schemas);
    }
}
