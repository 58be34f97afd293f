//! The HTTP client of S3 stores: watched, so that every attempt that fails in passing is in the log and
//! in a metric, and so that no answer carries a key into an error.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::BodyExt as _;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use reqwest::{Client, StatusCode};

use super::error::MAY_PASS;
use crate::telemetry::{count_retry, sentence};

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// What counts such attempts.
const WHAT: &str = "lake request";

/// Hands out clients that share their connections.
#[derive(Clone)]
pub struct Watched {
    client: Client,
}

impl fmt::Debug for Watched {
    // Requests carry signatures: nothing of them is to be told by accident.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

impl Watched {
    /// A client that gives up an answer it hears nothing of for so long.
    ///
    /// # Errors
    /// When this machine's certificates cannot be read.
    pub fn new(silence: Duration) -> reqwest::Result<Self> {
        let client = Client::builder()
            .user_agent(concat!("goldsmith/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT.min(silence))
            .read_timeout(silence)
            // A signature is for one host.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { client })
    }
}

impl HttpConnector for Watched {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Watched {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        // Without the query: it may hold a signature.
        let told = format!("{} {}", parts.method, parts.uri.path());
        let url = parts.uri.to_string().parse().map_err(|e| unsent(HttpErrorKind::Unknown, e))?;
        let mut request = reqwest::Request::new(parts.method, url);
        *request.headers_mut() = parts.headers;
        *request.body_mut() = Some(match body.as_bytes() {
            Some(bytes) => bytes.clone().into(),
            None => reqwest::Body::wrap(body),
        });
        let answer = match self.client.execute(request).await {
            Ok(answer) => answer,
            Err(error) => {
                let error = broken(error);
                note(&told, cause(error.kind()), &sentence(&error));
                return Err(error);
            }
        };
        let status = answer.status();
        if status.is_client_error() || status.is_server_error() {
            return Ok(refusal(&told, answer).await);
        }
        let (parts, body) = http::Response::<reqwest::Body>::from(answer).into_parts();
        let body = HttpResponseBody::new(body.map_err(move |error| {
            let error = broken(error);
            note(&told, cause(error.kind()), &sentence(&error));
            error
        }));
        Ok(HttpResponse::from_parts(parts, body))
    }
}

/// A refusal with its code and message for a body: the rest repeats what was asked, keys included.
async fn refusal(told: &str, answer: reqwest::Response) -> HttpResponse {
    /// What stores answer with.
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Refused {
        code: String,
        #[serde(default)]
        message: String,
    }
    let status = answer.status();
    let headers = answer.headers().clone();
    let text = answer.text().await.unwrap_or_default();
    let mut said = match quick_xml::de::from_str::<Refused>(&text) {
        Ok(Refused { code, message }) if message.is_empty() => code,
        Ok(Refused { code, message }) => format!("{code}, {message}"),
        Err(_) => "no reason is given".to_owned(),
    };
    let may_pass = status.is_server_error()
        || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status);
    if may_pass {
        said = format!("{said} ({MAY_PASS})");
        note(told, status.as_str(), &said);
    }
    let mut refused = HttpResponse::new(said.into());
    *refused.status_mut() = status;
    *refused.headers_mut() = headers;
    refused
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

/// What object_store makes of an error of its own client. What is sent may be sent twice: every
/// request here gives the same when it is.
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
