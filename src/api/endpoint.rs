//! A handler under a path of the URL table, together with its documentation.

use actix_web::dev::{AppService, HttpServiceFactory};
use actix_web::{FromRequest, Handler, Resource, Responder, guard, web};
use utoipa::openapi::RefOr;
use utoipa::openapi::path::Paths;
use utoipa::openapi::schema::Schema;
use utoipa_actix_web::OpenApiFactory;

/// The methods of routes for reading.
pub(crate) const READ_METHODS: &str = "GET, HEAD";

/// A handler with its documentation `D`: the type that `#[utoipa::path]` derives for a handler
/// (`__path_` and the handler's name), or a [`RouteDoc`](super::route_doc::RouteDoc).
pub(crate) struct Endpoint<D> {
    resource: Resource,
    docs: D,
}

/// Answers GET and HEAD. Other methods fall through to
/// [`not_found_or_not_allowed`](super::problems::not_found_or_not_allowed).
pub(crate) fn get<F, Args, D>(path: &'static str, handler: F, docs: D) -> Endpoint<D>
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    Endpoint { resource: readable(path, handler), docs }
}

/// Answers POST.
pub(crate) fn post<F, Args, D>(path: &'static str, handler: F, docs: D) -> Endpoint<D>
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    Endpoint { resource: web::resource(path).guard(guard::Post()).to(handler), docs }
}

/// A handler for GET and HEAD without documentation.
pub(crate) fn readable<F, Args>(path: &'static str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    web::resource(path).guard(guard::Any(guard::Get()).or(guard::Head())).to(handler)
}

impl<D> HttpServiceFactory for Endpoint<D> {
    fn register(self, config: &mut AppService) {
        self.resource.register(config);
    }
}

impl<D: OpenApiFactory> OpenApiFactory for Endpoint<D> {
    fn paths(&self) -> Paths {
        self.docs.paths()
    }

    fn schemas(&self, schemas: &mut Vec<(String, RefOr<Schema>)>) {
        self.docs.schemas(schemas);
    }
}
