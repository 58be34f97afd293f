//! The HTTP client of S3 stores. It logs and counts every failed attempt that is transient, and keeps
//! access keys out of every error.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use http_body_util::BodyExt as _;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use reqwest::{Client, Method};
use secrecy::{ExposeSecret, SecretString};

use super::refusal::{ErrorBody, Refusal};
use crate::error_chain::describe;
use crate::metrics::count_retry;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A slower upload is given up, bytes per second.
const MIN_UPLOAD_RATE: u64 = 256 << 10;
/// The label of failed attempts in the metric.
const METRIC_LABEL: &str = "lake request";

/// A client that all buckets of a store share, with its connections.
#[derive(Clone)]
pub struct InstrumentedClient {
    /// Gives up a response that sends nothing for the timeout.
    client: Client,
    /// For large uploads: nothing is received while they are sent.
    uploader: Client,
    timeout: Duration,
    /// What no text from outside may show.
    secrets: Arc<[SecretString]>,
}

impl fmt::Debug for InstrumentedClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InstrumentedClient").finish_non_exhaustive()
    }
}

/// Why a request has no usable response.
pub(super) enum RequestFailure {
    Refused(Box<Refusal>),
    Http(HttpError),
}

impl From<RequestFailure> for HttpError {
    fn from(failure: RequestFailure) -> Self {
        match failure {
            RequestFailure::Refused(refusal) => refusal.into(),
            RequestFailure::Http(error) => error,
        }
    }
}

impl InstrumentedClient {
    /// A client that gives up a response which sends nothing for `timeout`, and removes these secrets from
    /// everything it reports.
    ///
    /// # Errors
    /// When this machine's certificates cannot be read.
    pub fn new(timeout: Duration, secrets: &[SecretString]) -> reqwest::Result<Self> {
        let builder = || {
            Client::builder()
                .user_agent(concat!("goldsmith/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_TIMEOUT.min(timeout))
                // A signature is valid for one host.
                .redirect(reqwest::redirect::Policy::none())
        };
        let client = builder().read_timeout(timeout).build()?;
        Ok(Self { client, uploader: builder().build()?, timeout, secrets: secrets.into() })
    }

    /// Sends a request once. Every refusal is an error here, with its code.
    pub(super) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, RequestFailure> {
        // Without the query: it may hold a signature.
        let label = format!("{} {}", request.method(), request.uri().path());
        let method = request.method().clone();
        let (client, request) = self.prepare(request).map_err(RequestFailure::Http)?;
        let response = client.execute(request).await.map_err(|error| failed(&label, error))?;
        let status = response.status();
        if !status.is_success() {
            let headers = response.headers().clone();
            let body = ErrorBody::parse(&response.text().await.unwrap_or_default());
            return Err(self.refused(&label, Refusal::new(status, headers, &method, body)));
        }
        if method == Method::POST {
            return self.without_late_error(&label, response).await;
        }
        let (parts, body) = http::Response::<reqwest::Body>::from(response).into_parts();
        let body = HttpResponseBody::new(body.map_err(move |error| {
            let error = classify(error);
            record(&label, cause_of(error.kind()), &describe(&error));
            error
        }));
        Ok(HttpResponse::from_parts(parts, body))
    }

    fn prepare(&self, request: HttpRequest) -> Result<(&Client, reqwest::Request), HttpError> {
        let (parts, body) = request.into_parts();
        let url = parts.uri.to_string().parse();
        let url =
            url.map_err(|error: url::ParseError| HttpError::new(HttpErrorKind::Unknown, error))?;
        let mut request = reqwest::Request::new(parts.method, url);
        *request.headers_mut() = parts.headers;
        let length = body.content_length() as u64;
        let client = if length > MIN_UPLOAD_RATE {
            let upload = Duration::from_secs(length / MIN_UPLOAD_RATE);
            *request.timeout_mut() = Some(upload + self.timeout);
            &self.uploader
        } else {
            &self.client
        };
        *request.body_mut() = Some(match body.as_bytes() {
            Some(bytes) => bytes.clone().into(),
            None => reqwest::Body::wrap(body),
        });
        Ok((client, request))
    }

    /// The response to a POST, read whole: completing an upload or deleting many objects takes a store
    /// long, so it may send a good status first and an error in the body. object_store reads these bodies
    /// whole too, but knows only two of the codes, and neither counts nor logs the attempt.
    async fn without_late_error(
        &self,
        label: &str,
        response: reqwest::Response,
    ) -> Result<HttpResponse, RequestFailure> {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.map_err(|error| failed(label, error))?;
        if let Some(error) = ErrorBody::parse(&String::from_utf8_lossy(&body)) {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            let refusal = Refusal::new(status, headers, &Method::POST, Some(error));
            return Err(self.refused(label, refusal));
        }
        let mut response = HttpResponse::new(body.into());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }

    fn refused(&self, label: &str, refusal: Refusal) -> RequestFailure {
        let refusal = refusal.redacted(|text| self.redact(text));
        if refusal.is_transient() {
            record(label, refusal.status().as_str(), &refusal.to_string());
        }
        RequestFailure::Refused(Box::new(refusal))
    }

    fn redact(&self, mut text: String) -> String {
        for secret in self.secrets.iter().map(ExposeSecret::expose_secret) {
            if !secret.is_empty() {
                text = text.replace(secret, "***");
            }
        }
        text
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
        match self.send(request).await {
            Ok(response) => Ok(response),
            Err(RequestFailure::Refused(refusal)) if refusal.is_expressed_by_status() => {
                Ok(refusal.into_response())
            }
            Err(failure) => Err(failure.into()),
        }
    }
}

/// Logs and counts a failed attempt that is transient. object_store repeats it while attempts are left.
fn record(label: &str, cause: &str, problem: &str) {
    count_retry(METRIC_LABEL, cause);
    tracing::warn!(request = label, cause, problem, "transient failure of a lake request");
}

fn failed(label: &str, error: reqwest::Error) -> RequestFailure {
    let error = classify(error);
    record(label, cause_of(error.kind()), &describe(&error));
    RequestFailure::Http(error)
}

fn cause_of(kind: HttpErrorKind) -> &'static str {
    match kind {
        HttpErrorKind::Connect => "connect",
        HttpErrorKind::Timeout => "timeout",
        HttpErrorKind::Decode => "decode",
        _ => "interrupted",
    }
}

/// The kinds object_store gives errors of its own client: it repeats a request where that is safe.
fn classify(error: reqwest::Error) -> HttpError {
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
