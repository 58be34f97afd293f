//! Errors that do not come from a handler get the same body: unknown routes, wrong methods and the
//! framework's own rejections.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ResourceDef, ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, HttpResponse, ResponseError, web};
use utoipa::openapi::OpenApi;

use super::endpoint::READ_METHODS;
use super::error::{ApiError, PROBLEM_JSON};

/// The methods that each route answers.
#[derive(Debug)]
pub(crate) struct RouteMethods(Vec<(ResourceDef, String)>);

impl RouteMethods {
    /// Those of the documented routes, and of undocumented ones for reading.
    pub(crate) fn new(document: &OpenApi, undocumented: &[&str]) -> Self {
        let documented = document.paths.paths.iter().map(|(path, item)| {
            let methods = [(item.get.is_some(), READ_METHODS), (item.post.is_some(), "POST")];
            let methods = methods.into_iter().filter(|(answers, _)| *answers);
            let methods: Vec<&str> = methods.map(|(_, methods)| methods).collect();
            (ResourceDef::new(path.as_str()), methods.join(", "))
        });
        let undocumented =
            undocumented.iter().map(|path| (ResourceDef::new(*path), READ_METHODS.to_owned()));
        Self(documented.chain(undocumented).collect())
    }

    /// The methods that a path answers; `None` when no route has it.
    fn of(&self, path: &str) -> Option<&str> {
        let (_, methods) = self.0.iter().find(|(route, _)| route.is_match(path))?;
        Some(methods)
    }
}

/// Answers a request that no route took: for its path, or for its method.
///
/// # Errors
/// Always: [`ApiError::NoSuchRoute`] or [`ApiError::MethodNotAllowed`].
pub(crate) async fn not_found_or_not_allowed(
    request: HttpRequest,
    routes: web::Data<RouteMethods>,
) -> Result<HttpResponse, ApiError> {
    let (method, path) = (request.method(), request.path());
    Err(match routes.of(path) {
        Some(methods) => ApiError::MethodNotAllowed {
            detail: format!("{method} is not possible on {path}; it answers {methods}"),
            methods: methods.to_owned(),
        },
        None => ApiError::NoSuchRoute(format!(
            "there is no route {path}; see /docs/ or /openapi.json for all routes"
        )),
    })
}

/// Logs one line for an error response: at error level with the causes for a 5xx, else at info.
fn log_error_response(response: &ServiceResponse) {
    let (method, path) = (response.request().method(), response.request().path());
    let status = response.status().as_u16();
    let error = response.response().error();
    let cause =
        error.and_then(|error| error.as_error::<ApiError>()).and_then(std::error::Error::source);
    let detail = error.map(ToString::to_string).unwrap_or_default();
    if response.status().is_server_error() {
        tracing::error!(%method, path, status, error = cause, "{detail}");
    } else {
        tracing::info!(%method, path, status, "{detail}");
    }
}

/// Middleware: gives every error response without a problem body one, and logs it.
///
/// # Errors
/// Those of the inner services.
pub(crate) async fn ensure_problem<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let response = next.call(request).await?.map_into_boxed_body();
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let has_problem =
        response.headers().get(CONTENT_TYPE).is_some_and(|value| value == PROBLEM_JSON);
    if is_error {
        log_error_response(&response);
    }
    if !is_error || has_problem {
        return Ok(response);
    }
    let path = response.request().path().to_owned();
    let problem = ApiError::Framework(status, format!("the request for {path} was rejected"));
    let mut wrapped = problem.error_response();
    for (name, value) in response.headers() {
        if !wrapped.headers().contains_key(name) && name != CONTENT_LENGTH {
            wrapped.headers_mut().insert(name.clone(), value.clone());
        }
    }
    Ok(response.into_response(wrapped))
}
