//! An error response of an S3 store as a typed error: its status and code, and whether it is transient.

use http::{HeaderMap, StatusCode};
use object_store::client::{HttpError, HttpErrorKind, HttpResponse};
use reqwest::Method;

use crate::error_chain::chain;

/// The body of an error response.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ErrorBody {
    code: String,
    #[serde(default)]
    message: String,
}

impl ErrorBody {
    /// `None` for what is not an error of an S3 store.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim_start_matches('\u{feff}').trim_start();
        let text = match text.strip_prefix("<?xml") {
            Some(rest) => rest.split_once("?>")?.1.trim_start(),
            None => text,
        };
        if text.starts_with("<Error") { quick_xml::de::from_str(text).ok() } else { None }
    }
}

/// A request that an S3 store refused. Of the response's body it keeps code and message: the rest repeats
/// the request, keys included.
#[derive(Debug, thiserror::Error)]
#[error("{status}: {text}")]
pub(super) struct Refusal {
    status: StatusCode,
    headers: HeaderMap,
    code: String,
    text: String,
    is_transient: bool,
}

impl Refusal {
    pub(super) fn new(
        status: StatusCode,
        headers: HeaderMap,
        method: &Method,
        body: Option<ErrorBody>,
    ) -> Self {
        let is_transient = is_transient(status, method, body.as_ref());
        let (code, text) = match body {
            Some(ErrorBody { code, message }) if message.is_empty() => (code.clone(), code),
            Some(ErrorBody { code, message }) => {
                let text = format!("{code}, {message}");
                (code, text)
            }
            None if status == StatusCode::NOT_IMPLEMENTED => {
                ("NotImplemented".to_owned(), "NotImplemented".to_owned())
            }
            None => (String::new(), "the response gives no reason".to_owned()),
        };
        Self { status, headers, code, text, is_transient }
    }

    /// The same, with its text passed through `redact`.
    pub(super) fn redacted(mut self, redact: impl FnOnce(String) -> String) -> Self {
        self.text = redact(self.text);
        self
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn is_transient(&self) -> bool {
        self.is_transient
    }

    /// Whether object_store makes the right error of the status alone: of a missing object, a failed
    /// condition, a missing permission, a redirect. Of a missing bucket or upload it would make that of a
    /// missing object.
    pub(super) fn is_expressed_by_status(&self) -> bool {
        const BY_STATUS: [StatusCode; 5] = [
            StatusCode::UNAUTHORIZED,
            StatusCode::FORBIDDEN,
            StatusCode::NOT_FOUND,
            StatusCode::CONFLICT,
            StatusCode::PRECONDITION_FAILED,
        ];
        const NOT_OBJECTS: [&str; 2] = ["NoSuchBucket", "NoSuchUpload"];
        !self.is_transient
            && (BY_STATUS.contains(&self.status) || self.status.is_redirection())
            && !NOT_OBJECTS.contains(&self.code.as_str())
    }

    pub(super) fn into_response(self) -> HttpResponse {
        let mut response = HttpResponse::new(self.text.into());
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

impl From<Box<Refusal>> for HttpError {
    /// With a kind that object_store repeats the request after if and only if the refusal is transient.
    fn from(refusal: Box<Refusal>) -> Self {
        let kind =
            if refusal.is_transient { HttpErrorKind::Request } else { HttpErrorKind::Unknown };
        Self::new_boxed(kind, refusal)
    }
}

/// Whether an S3 store refused with this code.
pub(super) fn has_code(error: &object_store::Error, code: &str) -> bool {
    chain(error)
        .any(|cause| cause.downcast_ref::<Refusal>().is_some_and(|refusal| refusal.code == code))
}

fn is_transient(status: StatusCode, method: &Method, body: Option<&ErrorBody>) -> bool {
    /// Codes that are transient whatever their status is.
    const TRANSIENT_CODES: [&str; 5] =
        ["InternalError", "OperationAborted", "RequestTimeout", "ServiceUnavailable", "SlowDown"];
    /// Server errors that a retry does not change.
    const PERMANENT: [StatusCode; 2] =
        [StatusCode::NOT_IMPLEMENTED, StatusCode::HTTP_VERSION_NOT_SUPPORTED];
    // A 404 counts as a missing object only with the body of an S3 store, where a response has one: a
    // proxy that has lost its backend answers 404 too.
    let is_by_proxy = status == StatusCode::NOT_FOUND && body.is_none() && method != Method::HEAD;
    (status.is_server_error() && !PERMANENT.contains(&status))
        || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status)
        || body.is_some_and(|body| TRANSIENT_CODES.contains(&body.code.as_str()))
        || is_by_proxy
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, method: &Method, text: &str) -> Refusal {
        let status = StatusCode::from_u16(status).unwrap();
        Refusal::new(status, HeaderMap::new(), method, ErrorBody::parse(text))
    }

    fn body_of(code: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>m</Message>\
             <AWSAccessKeyId>K-00123</AWSAccessKeyId></Error>"
        )
    }

    #[test]
    fn object_store_repeats_transient_refusals_and_no_others() {
        for (status, code, is_transient, is_passed_on) in [
            (503, "SlowDown", true, false),
            (500, "InternalError", true, false),
            (429, "TooManyRequests", true, false),
            (400, "RequestTimeout", true, false),
            (409, "OperationAborted", true, false),
            (400, "InvalidRequest", false, false),
            (403, "InvalidAccessKeyId", false, true),
            (404, "NoSuchKey", false, true),
            (404, "NoSuchBucket", false, false),
            (404, "NoSuchUpload", false, false),
            (412, "PreconditionFailed", false, true),
            (501, "NotImplemented", false, false),
        ] {
            let refusal = refused(status, &Method::GET, &body_of(code));
            assert_eq!(refusal.is_transient(), is_transient, "{code}");
            assert_eq!(refusal.is_expressed_by_status(), is_passed_on, "{code}");
            let text = refusal.to_string();
            assert!(text.contains(&format!(": {code}, m")) && !text.contains("00123"), "{text}");
            let error = HttpError::from(Box::new(refusal));
            assert_eq!(error.kind() == HttpErrorKind::Request, is_transient, "{code}");
            let error = object_store::Error::Generic { store: "S3", source: error.into() };
            assert!(has_code(&error, code) && !has_code(&error, "Other"), "{code}");
            assert_eq!(super::super::error::is_transient(&error), is_transient, "{code}");
        }
        // What a proxy answers does not prove that an object is missing.
        assert!(refused(404, &Method::GET, "default backend - 404").is_transient());
        assert!(!refused(404, &Method::HEAD, "").is_transient());
        assert!(!refused(501, &Method::PUT, "").is_transient());
        assert!(refused(502, &Method::PUT, "<html>").is_transient());
    }

    #[test]
    fn a_response_that_lists_errors_is_not_a_refusal() {
        let deleted =
            "<DeleteResult><Error><Key>a</Key><Code>InternalError</Code></Error></DeleteResult>";
        assert!(ErrorBody::parse(deleted).is_none());
        assert!(ErrorBody::parse("").is_none());
    }
}
