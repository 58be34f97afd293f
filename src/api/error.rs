//! Every error of the API: one table of codes, statuses and titles, one body (RFC 9457).

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::store::StoreError;

/// Seconds after which a client should retry.
const RETRY_AFTER_SECS: u64 = 5;
/// The content type of an error response.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// Why a request failed.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// A parameter is unknown, repeated or not valid.
    InvalidParameter {
        parameter: String,
        /// What is wrong.
        detail: String,
        /// What would be valid.
        valid: Vec<String>,
    },
    /// The resource does not exist.
    NotFound(String),
    /// No route has this path.
    NoSuchRoute(String),
    /// The route exists and does not have this method.
    MethodNotAllowed { detail: String, methods: String },
    /// The read token is missing or wrong.
    Unauthorized,
    /// The admin token is missing or wrong.
    NotAdmin,
    /// A run could not be started.
    NotStarted(String),
    /// A stored generation cannot be read from the lake.
    LakeUnavailable(String),
    /// Another run has to end first.
    Conflict(String),
    /// The body cannot be read.
    BadBody(String),
    /// The body is too large.
    LargeBody,
    /// An idempotency key was used for another request before.
    KeyReused(String),
    /// Nothing is published, or not this table.
    Unpublished(String),
    /// The store failed.
    Store(StoreError),
    /// The readiness probe found that the store fails.
    Degraded(StoreError),
    /// The answer cannot be written as JSON.
    Render(serde_json::Error),
    /// The framework rejected the request.
    Framework(StatusCode, String),
}

/// The body of an error response (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// URI of the kind of problem.
    #[schema(example = "urn:goldsmith:problem:invalid_parameter")]
    pub(crate) r#type: String,
    /// The kind of problem in words.
    #[schema(example = "A parameter is not valid")]
    pub(crate) title: &'static str,
    /// The HTTP status.
    #[schema(example = 400)]
    pub(crate) status: u16,
    /// This occurrence in one sentence.
    #[schema(example = "limit: 5000 is more than 1000")]
    pub(crate) detail: String,
    /// The kind of problem as a code, for programs.
    #[schema(example = "invalid_parameter")]
    pub(crate) code: &'static str,
    /// The parameter that is not valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parameter: Option<String>,
    /// What would be valid.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) valid: Vec<String>,
}

impl ApiError {
    /// The table of codes, statuses and titles.
    fn kind(&self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::InvalidParameter { .. } => {
                ("invalid_parameter", StatusCode::BAD_REQUEST, "A parameter is not valid")
            }
            Self::NotFound(_) => ("not_found", StatusCode::NOT_FOUND, "Not found"),
            Self::NoSuchRoute(_) => ("no_such_route", StatusCode::NOT_FOUND, "Route not found"),
            Self::MethodNotAllowed { .. } => {
                ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")
            }
            Self::Unauthorized | Self::NotAdmin => {
                ("unauthorized", StatusCode::UNAUTHORIZED, "A valid token is required")
            }
            Self::Conflict(_) | Self::Store(StoreError::Locked(_)) => {
                ("conflict", StatusCode::CONFLICT, "Another run has to end first")
            }
            Self::Store(StoreError::NoGeneration(_)) => {
                ("not_found", StatusCode::NOT_FOUND, "Not found")
            }
            Self::NotStarted(_) => {
                ("not_started", StatusCode::SERVICE_UNAVAILABLE, "The run could not be started")
            }
            Self::LakeUnavailable(_) => {
                ("lake_unavailable", StatusCode::SERVICE_UNAVAILABLE, "The lake cannot be read")
            }
            Self::BadBody(_) => {
                ("invalid_body", StatusCode::BAD_REQUEST, "The body cannot be read")
            }
            Self::LargeBody => {
                ("large_body", StatusCode::PAYLOAD_TOO_LARGE, "The body is too large")
            }
            Self::KeyReused(_) => (
                "key_reused",
                StatusCode::UNPROCESSABLE_ENTITY,
                "The idempotency key was used for another request",
            ),
            Self::Unpublished(_) => {
                ("not_published", StatusCode::SERVICE_UNAVAILABLE, "No data is published yet")
            }
            Self::Store(error) if error.is_outage() => (
                "store_unavailable",
                StatusCode::SERVICE_UNAVAILABLE,
                "The serving store does not answer",
            ),
            Self::Degraded(_) => {
                ("degraded", StatusCode::SERVICE_UNAVAILABLE, "The serving store does not answer")
            }
            Self::Store(_) | Self::Render(_) => {
                ("internal", StatusCode::INTERNAL_SERVER_ERROR, "Internal error")
            }
            Self::Framework(status, _) => (
                "refused",
                *status,
                status.canonical_reason().unwrap_or("The request was rejected"),
            ),
        }
    }

    /// One sentence. It never holds the causes of a store's error; the log has them.
    fn detail(&self) -> String {
        match self {
            Self::InvalidParameter { parameter, detail, .. } => format!("{parameter}: {detail}"),
            Self::NotFound(detail)
            | Self::NoSuchRoute(detail)
            | Self::MethodNotAllowed { detail, .. }
            | Self::Conflict(detail)
            | Self::NotStarted(detail)
            | Self::KeyReused(detail)
            | Self::BadBody(detail)
            | Self::LakeUnavailable(detail)
            | Self::Unpublished(detail)
            | Self::Framework(_, detail) => detail.clone(),
            Self::Unauthorized => {
                "send the header Authorization: Bearer TOKEN with the server's READ_TOKEN"
                    .to_owned()
            }
            Self::LargeBody => {
                "the body is larger than any valid request of this route".to_owned()
            }
            Self::NotAdmin => {
                "send the header Authorization: Bearer TOKEN with the server's ADMIN_TOKEN, or, where \
                 none is set, the token it printed when it started"
                    .to_owned()
            }
            Self::Store(error @ (StoreError::Locked(_) | StoreError::NoGeneration(_))) => {
                error.to_string()
            }
            Self::Store(error) if error.is_outage() => {
                "the serving store does not answer; the server's log says why".to_owned()
            }
            Self::Degraded(_) => {
                "degraded: the serving store does not answer; the server's log says why".to_owned()
            }
            Self::Store(_) | Self::Render(_) => {
                "the stored data could not be read; the server's log says why".to_owned()
            }
        }
    }

    /// The body of the response.
    fn problem(&self) -> Problem {
        let (code, status, title) = self.kind();
        let (parameter, valid) = match self {
            Self::InvalidParameter { parameter, valid, .. } => {
                (Some(parameter.clone()), valid.clone())
            }
            _ => (None, Vec::new()),
        };
        Problem {
            r#type: format!("urn:goldsmith:problem:{code}"),
            title,
            status: status.as_u16(),
            detail: self.detail(),
            code,
            parameter,
            valid,
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail())
    }
}

impl std::error::Error for ApiError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) | Self::Degraded(error) => Some(error),
            Self::Render(error) => Some(error),
            _ => None,
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.kind().1
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Self::MethodNotAllowed { methods, .. } = self {
            response.insert_header((ALLOW, methods.as_str()));
        }
        match self.status_code() {
            StatusCode::SERVICE_UNAVAILABLE => {
                response.insert_header((RETRY_AFTER, RETRY_AFTER_SECS));
            }
            StatusCode::UNAUTHORIZED => {
                response.insert_header((WWW_AUTHENTICATE, "Bearer"));
            }
            _ => {}
        }
        response.content_type(PROBLEM_JSON).json(self.problem())
    }
}

impl From<serde_json::Error> for ApiError {
    fn from(error: serde_json::Error) -> Self {
        Self::Render(error)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
