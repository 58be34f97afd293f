//! Every refusal: one table of codes, statuses and titles, one body (RFC 9457).

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::store::StoreError;

/// Seconds after which asking again may help.
pub const RETRY_AFTER_SECS: u64 = 5;
/// The content type of a refusal.
pub const PROBLEM_JSON: &str = "application/problem+json";
/// The methods of routes for reading.
pub const READ_METHODS: &str = "GET, HEAD";

/// Why a request is not answered.
#[derive(Debug)]
pub enum ApiError {
    /// A parameter is unknown, repeated or has a value that does not fit.
    InvalidParameter {
        /// The parameter.
        parameter: String,
        /// What is wrong.
        detail: String,
        /// What would be right.
        valid: Vec<String>,
    },
    /// The resource does not exist.
    NotFound(String),
    /// No route has this path.
    NoSuchRoute(String),
    /// The route exists and has no such method.
    MethodNotAllowed {
        /// What was tried.
        detail: String,
        /// The methods it has.
        methods: String,
    },
    /// The token for reading is missing or wrong.
    Unauthorized,
    /// The admin token is missing or wrong.
    NotAdmin,
    /// A run could not begin.
    NotStarted(String),
    /// What is kept in the lake cannot be read.
    LakeAway(String),
    /// Something else that is going on has to end first.
    Conflict(String),
    /// The body cannot be read.
    BadBody(String),
    /// The body is too large.
    LargeBody,
    /// A key of a request stands for another request already.
    KeyReused(String),
    /// Nothing is published, or the table is empty.
    Unpublished(String),
    /// The store failed.
    Store(StoreError),
    /// StartedRun whether it can answer, it cannot: the store failed.
    Degraded(StoreError),
    /// The answer cannot be written as JSON.
    Render(serde_json::Error),
    /// A refusal of the framework.
    Framework(StatusCode, String),
}

/// The body of a refusal (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// URI of the kind of problem.
    #[schema(example = "urn:goldsmith:problem:invalid_parameter")]
    pub r#type: String,
    /// The kind in words.
    #[schema(example = "A parameter is not valid")]
    pub title: &'static str,
    /// The HTTP status.
    #[schema(example = 400)]
    pub status: u16,
    /// This occurrence in one sentence.
    #[schema(example = "limit: 5000 is more than 1000")]
    pub detail: String,
    /// The kind as a word, for programs.
    #[schema(example = "invalid_parameter")]
    pub code: &'static str,
    /// The parameter at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// What would have been valid.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub valid: Vec<String>,
}

impl ApiError {
    /// The one table: code, status, title.
    fn kind(&self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::InvalidParameter { .. } => {
                ("invalid_parameter", StatusCode::BAD_REQUEST, "A parameter is not valid")
            }
            Self::NotFound(_) => ("not_found", StatusCode::NOT_FOUND, "There is no such thing"),
            Self::NoSuchRoute(_) => {
                ("no_such_route", StatusCode::NOT_FOUND, "There is no such route")
            }
            Self::MethodNotAllowed { .. } => (
                "method_not_allowed",
                StatusCode::METHOD_NOT_ALLOWED,
                "The method is not allowed here",
            ),
            Self::Unauthorized | Self::NotAdmin => {
                ("unauthorized", StatusCode::UNAUTHORIZED, "A token is needed")
            }
            Self::Conflict(_) | Self::Store(StoreError::Locked(_)) => {
                ("conflict", StatusCode::CONFLICT, "Something else has to end first")
            }
            Self::Store(StoreError::NoGeneration(_)) => {
                ("not_found", StatusCode::NOT_FOUND, "There is no such thing")
            }
            Self::NotStarted(_) => {
                ("not_started", StatusCode::SERVICE_UNAVAILABLE, "The run could not begin")
            }
            Self::LakeAway(_) => {
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
                "The key stands for another request",
            ),
            Self::Unpublished(_) => (
                "not_published",
                StatusCode::SERVICE_UNAVAILABLE,
                "There is nothing to answer from yet",
            ),
            Self::Store(error) if error.is_away() => (
                "store_unavailable",
                StatusCode::SERVICE_UNAVAILABLE,
                "The serving store does not answer",
            ),
            Self::Degraded(_) => {
                ("degraded", StatusCode::SERVICE_UNAVAILABLE, "The serving store does not answer")
            }
            Self::Store(_) | Self::Render(_) => {
                ("internal", StatusCode::INTERNAL_SERVER_ERROR, "The answer could not be made")
            }
            Self::Framework(status, _) => {
                ("refused", *status, status.canonical_reason().unwrap_or("The request was refused"))
            }
        }
    }

    /// The sentence. Of the store's errors only the kind is told; the log has the causes.
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
            | Self::LakeAway(detail)
            | Self::Unpublished(detail)
            | Self::Framework(_, detail) => detail.clone(),
            Self::Unauthorized => {
                "send the header Authorization: Bearer TOKEN with the server's READ_TOKEN"
                    .to_owned()
            }
            Self::LargeBody => {
                "the body is larger than anything that can be asked for here".to_owned()
            }
            Self::NotAdmin => {
                "send the header Authorization: Bearer TOKEN with the server's ADMIN_TOKEN, or, where \
                 none is set, the token it printed when it started"
                    .to_owned()
            }
            Self::Store(error @ (StoreError::Locked(_) | StoreError::NoGeneration(_))) => {
                error.to_string()
            }
            Self::Store(error) if error.is_away() => {
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

    /// The body.
    #[must_use]
    pub fn problem(&self) -> Problem {
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
