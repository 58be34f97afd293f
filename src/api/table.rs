//! Routes that answer from one view of one table: registered and documented from their entry.

use actix_web::dev::{AppService, HttpServiceFactory};
use actix_web::{HttpRequest, guard, web};
use utoipa::openapi::RefOr;
use utoipa::openapi::path::Paths;
use utoipa::openapi::schema::Schema;
use utoipa_actix_web::OpenApiFactory;

use super::envelope::Answer;
use super::error::ApiError;
use super::extract::Reader;
use super::openapi::{self, RouteDoc};
use super::parameters::{self, ListOptions};
use super::problems::method_not_allowed;
use crate::domain::query::Query;
use crate::domain::rows::Value;
use crate::domain::schema::{Direction, View};

/// A route over one view.
#[derive(Debug, Clone, Copy)]
pub struct TableRoute {
    path: &'static str,
    tag: &'static str,
    summary: &'static str,
    view: View,
    shape: Shape,
    preset: Option<Preset>,
}

/// A condition that a route sets by itself, and the order it answers in when none is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Preset {
    /// The text column compared.
    pub column: &'static str,
    /// The value it has in every row.
    pub value: &'static str,
    /// The order.
    pub sort: (&'static str, Direction),
}

/// Whether the answer is a list or one object.
#[derive(Debug, Clone, Copy)]
enum Shape {
    List(ListOptions),
    One,
}

impl TableRoute {
    /// A list with paging, order and equality filters.
    #[must_use]
    pub fn list(path: &'static str, tag: &'static str, summary: &'static str, view: View) -> Self {
        Self { path, tag, summary, view, shape: Shape::List(ListOptions::default()), preset: None }
    }

    /// The only row of a table.
    #[must_use]
    pub fn one(path: &'static str, tag: &'static str, summary: &'static str, view: View) -> Self {
        Self { path, tag, summary, view, shape: Shape::One, preset: None }
    }

    /// The same list, accepting more.
    #[must_use]
    pub fn with(mut self, extras: ListOptions) -> Self {
        self.shape = Shape::List(extras);
        self
    }

    /// The same list, of the rows that meet a condition only.
    #[must_use]
    pub fn only(mut self, preset: Preset) -> Self {
        self.preset = Some(preset);
        self
    }

    async fn answer(self, reader: Reader, request: HttpRequest) -> Result<Answer, ApiError> {
        match self.shape {
            Shape::List(extras) => {
                let mut query = parameters::parse(self.view, extras, request.query_string())?;
                if let Some(Preset { column, value, sort: (by, direction) }) = self.preset {
                    if let Some(column) = self.view.column(column) {
                        query = query.with(column, Value::Text(value.to_owned()));
                    }
                    let own = self.view.column(by).map(|column| (column, direction));
                    query.sort = query.sort.or(own);
                }
                reader.list(&query).await
            }
            Shape::One => {
                refuse_parameters(&request)?;
                let found = reader.one(&Query::first(self.view, 1)).await?;
                found.ok_or_else(|| ApiError::NotFound(format!("{} has no row", self.view.name)))
            }
        }
    }
}

/// Refuses any query parameter, for routes that take none.
///
/// # Errors
/// [`ApiError::InvalidParameter`] naming the first one.
pub fn refuse_parameters(request: &HttpRequest) -> Result<(), ApiError> {
    let given = url::form_urlencoded::parse(request.query_string().as_bytes()).next();
    match given {
        None => Ok(()),
        Some((name, _)) => Err(ApiError::InvalidParameter {
            parameter: name.into_owned(),
            detail: "this route takes no parameters".to_owned(),
            valid: Vec::new(),
        }),
    }
}

/// Registers a handler for GET and HEAD; other methods are refused in our own words.
pub fn register<F, Args>(path: &str, handler: F, config: &mut AppService)
where
    F: actix_web::Handler<Args>,
    Args: actix_web::FromRequest + 'static,
    F::Output: actix_web::Responder + 'static,
{
    let readable = guard::Any(guard::Get()).or(guard::Head());
    web::resource(path)
        .route(web::route().guard(readable).to(handler))
        .default_service(web::to(method_not_allowed))
        .register(config);
}

impl HttpServiceFactory for TableRoute {
    fn register(self, config: &mut AppService) {
        let handler = move |reader: Reader, request: HttpRequest| self.answer(reader, request);
        register(self.path, handler, config);
    }
}

impl OpenApiFactory for TableRoute {
    fn paths(&self) -> Paths {
        let mut documented = RouteDoc::new(self.path, self.tag, self.summary, self.view);
        documented.is_list = matches!(self.shape, Shape::List(_));
        if let Shape::List(extras) = self.shape {
            documented.parameters = openapi::list_parameters(self.view, extras);
        }
        documented.paths()
    }

    fn schemas(&self, schemas: &mut Vec<(String, RefOr<Schema>)>) {
        openapi::add_schemas(self.view, schemas);
    }
}
