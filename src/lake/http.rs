//! The HTTP client of S3 stores: watched, so that every attempt that fails in passing is in the log and
//! in a metric, and so that no answer carries a key into an error.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::BodyExt as _;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use reqwest::{Client, Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};

use super::error::MAY_PASS;
use crate::error_chain::describe;
use crate::metrics::count_retry;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Bytes a second that a connection has to take at least while something is sent.
const LEAST_PER_SECOND: u64 = 256 << 10;
/// What counts such attempts.
const WHAT: &str = "lake request";

/// Hands out clients that share their connections.
#[derive(Clone)]
pub struct InstrumentedClient {
    /// Gives up an answer it hears nothing of.
    client: Client,
    /// For what takes a while to send, during which nothing is heard.
    sender: Client,
    silence: Duration,
    /// What no text from outside may show.
    hidden: Arc<[SecretString]>,
}

impl fmt::Debug for InstrumentedClient {
    // Requests carry signatures: nothing of them is to be told by accident.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InstrumentedClient")
    }
}

impl InstrumentedClient {
    /// A client that gives up an answer it hears nothing of for so long, and shows none of these
    /// secrets, whoever repeats them.
    ///
    /// # Errors
    /// When this machine's certificates cannot be read.
    pub fn new(silence: Duration, hidden: &[SecretString]) -> reqwest::Result<Self> {
        let builder = || {
            Client::builder()
                .user_agent(concat!("goldsmith/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT.min(silence))
                // A signature is for one host.
                .redirect(reqwest::redirect::Policy::none())
        };
        let client = builder().read_timeout(silence).build()?;
        Ok(Self { client, sender: builder().build()?, silence, hidden: hidden.into() })
    }
}

impl HttpConnector for InstrumentedClient {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for InstrumentedClient {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        // Without the query: it may hold a signature.
        let told = format!("{} {}", parts.method, parts.uri.path());
        let url = parts.uri.to_string().parse().map_err(|e| unsent(HttpErrorKind::Unknown, e))?;
        let method = parts.method;
        let mut request = reqwest::Request::new(method.clone(), url);
        *request.headers_mut() = parts.headers;
        let length = body.content_length() as u64;
        let client = if length > LEAST_PER_SECOND {
            let sending = Duration::from_secs(length / LEAST_PER_SECOND);
            *request.timeout_mut() = Some(sending + self.silence);
            &self.sender
        } else {
            &self.client
        };
        *request.body_mut() = Some(match body.as_bytes() {
            Some(bytes) => bytes.clone().into(),
            None => reqwest::Body::wrap(body),
        });
        let answer = match client.execute(request).await {
            Ok(answer) => answer,
            Err(error) => {
                let error = broken(error);
                note(&told, cause(error.kind()), &describe(&error));
                return Err(error);
            }
        };
        let status = answer.status();
        if !status.is_success() {
            return Ok(self.refusal(&told, &method, answer).await);
        }
        if method == Method::POST {
            return self.good_or_refusal(&told, answer).await;
        }
        let (parts, body) = http::Response::<reqwest::Body>::from(answer).into_parts();
        let body = HttpResponseBody::new(body.map_err(move |error| {
            let error = broken(error);
            note(&told, cause(error.kind()), &describe(&error));
            error
        }));
        Ok(HttpResponse::from_parts(parts, body))
    }
}

impl InstrumentedClient {
    /// A refusal with its code and message for a body: the rest repeats what was asked, keys included. One
    /// that may pass has a status that object_store repeats the request after, and only such a one.
    async fn refusal(
        &self,
        told: &str,
        method: &Method,
        answer: reqwest::Response,
    ) -> HttpResponse {
        let status = answer.status();
        let headers = answer.headers().clone();
        let refused = Refused::read(&answer.text().await.unwrap_or_default());
        let (shown, said) = judge(status, method, refused.as_ref());
        let said = self.hide(said);
        if shown.is_server_error() {
            note(told, status.as_str(), &said);
        }
        let mut refusal = HttpResponse::new(said.into());
        *refusal.status_mut() = shown;
        *refusal.headers_mut() = headers;
        refusal
    }

    /// The answer to what takes a store long: it may have begun with a good status before it knew.
    async fn good_or_refusal(
        &self,
        told: &str,
        answer: reqwest::Response,
    ) -> Result<HttpResponse, HttpError> {
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await.map_err(|error| {
            let error = broken(error);
            note(told, cause(error.kind()), &describe(&error));
            error
        })?;
        let refused = Refused::read(&String::from_utf8_lossy(&body));
        let mut passed = match refused {
            None => {
                let mut good = HttpResponse::new(body.into());
                *good.status_mut() = status;
                good
            }
            Some(refused) => {
                let failed = StatusCode::INTERNAL_SERVER_ERROR;
                let (shown, said) = judge(failed, &Method::POST, Some(&refused));
                let said = self.hide(said);
                note(told, failed.as_str(), &said);
                let mut refusal = HttpResponse::new(said.into());
                *refusal.status_mut() = shown;
                refusal
            }
        };
        *passed.headers_mut() = headers;
        Ok(passed)
    }

    /// A text without our secrets.
    fn hide(&self, mut text: String) -> String {
        for secret in self.hidden.iter().map(ExposeSecret::expose_secret) {
            if !secret.is_empty() {
                text = text.replace(secret, "***");
            }
        }
        text
    }
}

/// What stores refuse with.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refused {
    code: String,
    #[serde(default)]
    message: String,
}

impl Refused {
    /// `None` for what is no refusal of an S3 store.
    fn read(text: &str) -> Option<Self> {
        let text = text.trim_start_matches('\u{feff}').trim_start();
        let text = match text.strip_prefix("<?xml") {
            Some(rest) => rest.split_once("?>")?.1.trim_start(),
            None => text,
        };
        if text.starts_with("<Error") { quick_xml::de::from_str(text).ok() } else { None }
    }
}

/// The status to pass on, a server's error if and only if it may pass, and what was said.
fn judge(status: StatusCode, method: &Method, refused: Option<&Refused>) -> (StatusCode, String) {
    /// Codes of refusals that may pass whatever their status is.
    const PASSING: [&str; 5] =
        ["InternalError", "OperationAborted", "RequestTimeout", "ServiceUnavailable", "SlowDown"];
    /// Statuses of servers' errors that stay.
    const LASTING: [StatusCode; 2] =
        [StatusCode::NOT_IMPLEMENTED, StatusCode::HTTP_VERSION_NOT_SUPPORTED];
    let mut said = match refused {
        Some(Refused { code, message }) if message.is_empty() => code.clone(),
        Some(Refused { code, message }) => format!("{code}, {message}"),
        None if status == StatusCode::NOT_IMPLEMENTED => "NotImplemented".to_owned(),
        None => "no reason is given".to_owned(),
    };
    // That there is no such object is only believed of who speaks as S3 does, where it can: something
    // on the way may answer the same.
    let is_of_another =
        status == StatusCode::NOT_FOUND && refused.is_none() && method != Method::HEAD;
    let may_pass = (status.is_server_error() && !LASTING.contains(&status))
        || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status)
        || refused.is_some_and(|refused| PASSING.contains(&refused.code.as_str()))
        || is_of_another;
    if may_pass {
        said = format!("{said} ({MAY_PASS})");
        let shown = if status.is_server_error() { status } else { StatusCode::BAD_GATEWAY };
        (shown, said)
    } else if status.is_server_error() {
        (StatusCode::BAD_REQUEST, said)
    } else {
        (status, said)
    }
}

/// An attempt that failed in passing: object_store tries again while tries are left.
fn note(told: &str, cause: &str, problem: &str) {
    count_retry(WHAT, cause);
    tracing::warn!(request = told, cause, problem, "a request to the lake failed in passing");
}

fn cause(kind: HttpErrorKind) -> &'static str {
    match kind {
        HttpErrorKind::Connect => "connect",
        HttpErrorKind::Timeout => "timeout",
        HttpErrorKind::Decode => "decode",
        _ => "interrupted",
    }
}

fn unsent<E: std::error::Error + Send + Sync + 'static>(
    kind: HttpErrorKind,
    error: E,
) -> HttpError {
    HttpError::new(kind, error)
}

/// What object_store makes of an error of its own client: it repeats what may be sent twice.
fn broken(error: reqwest::Error) -> HttpError {
    let kind = if error.is_timeout() {
        HttpErrorKind::Timeout
    } else if error.is_connect() {
        HttpErrorKind::Connect
    } else if error.is_builder() {
        HttpErrorKind::Unknown
    } else {
        HttpErrorKind::Interrupted
    };
    HttpError::new(kind, error.without_url())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, method: &Method, text: &str) -> (u16, String) {
        let refused = Refused::read(text);
        let status = StatusCode::from_u16(status).unwrap();
        let (shown, said) = judge(status, method, refused.as_ref());
        (shown.as_u16(), said)
    }

    fn of(code: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>m</Message>\
             <AWSAccessKeyId>K-00123</AWSAccessKeyId></Error>"
        )
    }

    #[test]
    fn what_may_pass_is_a_servers_error_and_nothing_else_is() {
        for (status, code, shown) in [
            (503, "SlowDown", 503),
            (500, "InternalError", 500),
            (429, "TooManyRequests", 502),
            (400, "RequestTimeout", 502),
            (409, "OperationAborted", 502),
            (400, "InvalidRequest", 400),
            (403, "InvalidAccessKeyId", 403),
            (404, "NoSuchKey", 404),
            (412, "PreconditionFailed", 412),
            (501, "NotImplemented", 400),
        ] {
            let (found, said) = judged(status, &Method::GET, &of(code));
            assert_eq!(found, shown, "{code}");
            assert_eq!(said.contains(MAY_PASS), found >= 500, "{said}");
            assert!(said.starts_with(&format!("{code}, m")) && !said.contains("00123"), "{said}");
        }
        // What something on the way says is no proof of absence.
        assert_eq!(judged(404, &Method::GET, "default backend - 404").0, 502);
        assert_eq!(judged(404, &Method::HEAD, "").0, 404);
        assert_eq!(judged(501, &Method::PUT, "").0, 400);
        assert_eq!(judged(502, &Method::PUT, "<html>").0, 502);
    }

    #[test]
    fn an_answer_that_lists_errors_is_no_refusal() {
        let deleted =
            "<DeleteResult><Error><Key>a</Key><Code>InternalError</Code></Error></DeleteResult>";
        assert!(Refused::read(deleted).is_none());
        assert!(Refused::read("").is_none());
    }
}
