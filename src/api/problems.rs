//! Refusals that do not come from a handler wear the same body: unknown routes, wrong methods and
//! whatever the framework says by itself.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, HttpResponse, ResponseError, web};

use super::error::{ApiError, PROBLEM_JSON, READ_METHODS};
use super::state::State;

/// Answers what no service took: a path that no route has, or a method that its route does not
/// have.
///
/// # Errors
/// Always: one of the two refusals.
pub async fn not_taken(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    if let Some(methods) = state.methods(request.path()) {
        return Err(not_allowed(&request, methods));
    }
    Err(ApiError::NoSuchRoute(format!(
        "there is no route {}; /openapi.json and /docs/ list those there are",
        request.path()
    )))
}

/// Answers a method that a route for reading does not have.
///
/// # Errors
/// Always: that refusal.
pub async fn method_not_allowed(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    Err(not_allowed(&request, READ_METHODS))
}

fn not_allowed(request: &HttpRequest, methods: &str) -> ApiError {
    let (method, path) = (request.method(), request.path());
    let detail = format!("{method} is not possible on {path}; it answers {methods}");
    ApiError::MethodNotAllowed { detail, methods: methods.to_owned() }
}

/// One line in the log for a refusal: our failures as errors with their causes, others as
/// information.
fn log_refusal(response: &ServiceResponse) {
    let (method, path) = (response.request().method(), response.request().path());
    let status = response.status().as_u16();
    let refusal = response.response().error();
    let cause =
        refusal.and_then(|error| error.as_error::<ApiError>()).and_then(std::error::Error::source);
    let said = refusal.map(ToString::to_string).unwrap_or_default();
    if status >= StatusCode::INTERNAL_SERVER_ERROR.as_u16() {
        tracing::error!(%method, path, status, error = cause, "{said}");
    } else {
        tracing::info!(%method, path, status, "{said}");
    }
}

/// Gives every refusal that has no problem body one.
///
/// # Errors
/// Those of the services within, which answer for themselves.
pub async fn ensure_problem<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let response = next.call(request).await?.map_into_boxed_body();
    let status = response.status();
    let is_refusal = status.is_client_error() || status.is_server_error();
    let has_problem =
        response.headers().get(CONTENT_TYPE).is_some_and(|value| value == PROBLEM_JSON);
    if is_refusal {
        log_refusal(&response);
    }
    if !is_refusal || has_problem {
        return Ok(response);
    }
    let path = response.request().path().to_owned();
    let problem = ApiError::Framework(status, format!("the request for {path} was refused"));
    let mut wrapped = problem.error_response();
    for (name, value) in response.headers() {
        if !wrapped.headers().contains_key(name) && name != actix_web::http::header::CONTENT_LENGTH
        {
            wrapped.headers_mut().insert(name.clone(), value.clone());
        }
    }
    Ok(response.into_response(wrapped))
}
