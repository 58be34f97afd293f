//! Notifies others of the end of a run: signed webhooks, and a Metabase that should sync its
//! database.

use std::time::Duration;

use backon::Retryable as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sha2::Sha256;

use crate::domain::time::Timestamp;
use crate::error_chain::describe;
use crate::retry;
use crate::runs::{RunQuery, RunRecord, RunState, RunSummary};
use crate::store::GoldStore;

/// The header with the time of the signature, seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "X-Goldsmith-Timestamp";
/// The header with `sha256=` and the HMAC-SHA256 of timestamp, full stop and body, hexadecimal.
pub const SIGNATURE_HEADER: &str = "X-Goldsmith-Signature";
/// The longest wait for a response.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A Metabase, with its credentials.
#[derive(Debug, Clone)]
pub struct MetabaseOptions {
    /// Its base URL.
    pub url: String,
    /// Its number for the serving database.
    pub database_id: u32,
    /// An API key made in its settings, or its `MB_API_KEY`.
    pub api_key: Option<SecretString>,
}

/// What is notified of the end of a run.
#[derive(Debug, Clone, Default)]
pub struct NotifyOptions {
    /// The addresses of webhooks, which may hold credentials.
    pub urls: Vec<SecretString>,
    /// Signs what is sent to them.
    pub secret: Option<SecretString>,
    /// The Metabase whose database is to be synced.
    pub metabase: Option<MetabaseOptions>,
}

/// Notifies others of the end of runs.
#[derive(Debug, Clone, Default)]
pub struct Notifier(NotifyOptions);

/// The body of a webhook.
#[derive(Debug, Serialize)]
struct Message {
    /// `run.` and the state: `run.succeeded`, `run.failed`, …
    event: String,
    #[serde(flatten)]
    run: RunSummary,
}

impl Message {
    fn of(record: &RunRecord) -> Self {
        let run = RunSummary::from(record);
        Self { event: format!("run.{}", run.state), run }
    }
}

/// Why a notification was not delivered. Addresses are left out: they may hold credentials.
#[derive(Debug, thiserror::Error)]
enum NotifyError {
    #[error("no response")]
    Unreachable(#[source] reqwest::Error),
    #[error("the response was {0}")]
    Refused(StatusCode),
}

impl NotifyError {
    /// Whether a retry may help.
    fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(error) => !error.is_builder(),
            Self::Refused(status) => {
                status.is_server_error()
                    || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(status)
            }
        }
    }
}

impl Notifier {
    /// Sends nothing yet.
    #[must_use]
    pub fn new(options: NotifyOptions) -> Self {
        Self(options)
    }

    /// Sends how a run ended. Transient failures are retried; a notification that could not be
    /// delivered is logged.
    pub async fn notify(&self, store: &dyn GoldStore, run: u64) {
        let NotifyOptions { urls, metabase, .. } = &self.0;
        if urls.is_empty() && metabase.is_none() {
            return;
        }
        let record = match store.runs(RunQuery::one(run)).await {
            Ok(page) => page.runs.into_iter().next(),
            Err(error) => {
                let error = describe(&error);
                tracing::warn!(run, error, "the run could not be read; no notification was sent");
                return;
            }
        };
        let Some(record) = record else { return };
        // Made only here: it reads the machine's certificates. A redirect would carry the API key to
        // another host, and its page says nothing about delivery.
        let client = match Client::builder().redirect(Policy::none()).build() {
            Ok(client) => client,
            Err(error) => {
                let error = describe(&error);
                tracing::warn!(run, error, "there is no HTTP client; no notification was sent");
                return;
            }
        };
        let body = serde_json::to_string(&Message::of(&record)).unwrap_or_default();
        let webhooks = urls.iter().enumerate().map(async |(place, url)| {
            let name = format!("address {} of notify.urls", place + 1);
            deliver(&name, run, || self.webhook(&client, url, &body)).await;
        });
        let has_switched = record.state == RunState::Succeeded && record.generation.is_some();
        let metabase = async {
            if let Some(metabase) = metabase.as_ref().filter(|_| has_switched) {
                deliver("Metabase", run, || sync(&client, metabase)).await;
            }
        };
        futures::join!(futures::future::join_all(webhooks), metabase);
    }

    fn webhook(&self, client: &Client, url: &SecretString, body: &str) -> RequestBuilder {
        let timestamp = (Timestamp::now().0 / 1_000_000).to_string();
        let mut request = client
            .post(url.expose_secret())
            .header("Content-Type", "application/json")
            .header(TIMESTAMP_HEADER, &timestamp);
        if let Some(secret) = &self.0.secret {
            let signature = sign(secret, &timestamp, body);
            request = request.header(SIGNATURE_HEADER, format!("sha256={signature}"));
        }
        request.body(body.to_owned())
    }
}

async fn deliver(name: &str, run: u64, request: impl Fn() -> RequestBuilder) {
    let send = || async {
        // Built anew for each attempt, so that its timestamp and signature are current.
        let sent = request().timeout(TIMEOUT).send().await;
        let status = sent.map_err(|error| NotifyError::Unreachable(error.without_url()))?.status();
        if status.is_success() { Ok(()) } else { Err(NotifyError::Refused(status)) }
    };
    let delivered = send
        .retry(retry::NOTIFICATION.backoff())
        .when(NotifyError::is_transient)
        .notify(|error, _| {
            tracing::warn!(run, error = describe(error), "{name} was not notified; retrying");
        })
        .await;
    if let Err(error) = delivered {
        let error = describe(&error);
        tracing::warn!(run, error, "{name} was not notified of the end of the run");
    }
}

fn sync(client: &Client, metabase: &MetabaseOptions) -> RequestBuilder {
    let MetabaseOptions { url, database_id, api_key } = metabase;
    let mut request = client
        .post(format!("{url}/api/notify/db/{database_id}"))
        .header("Content-Type", "application/json");
    if let Some(key) = api_key {
        // The first takes keys made in Metabase's settings, the second its MB_API_KEY.
        for header in ["X-API-KEY", "X-METABASE-APIKEY"] {
            request = request.header(header, key.expose_secret());
        }
    }
    request.body("{}")
}

/// HMAC-SHA256 (RFC 2104) of timestamp, full stop and body, hexadecimal.
fn sign(secret: &SecretString, timestamp: &str, body: &str) -> String {
    // A key may have any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else {
        return String::new();
    };
    mac.update(format!("{timestamp}.{body}").as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::{RefreshRequest, RunEnd, RunSpec, RunTrigger};

    #[test]
    fn a_signature_is_what_openssl_computes() {
        // printf '1760000000.{"a":1}' | openssl dgst -sha256 -hmac secret
        let signature = sign(&"secret".to_owned().into(), "1760000000", r#"{"a":1}"#);
        assert_eq!(signature, "b6c2583f8204bec09d6388c3b4ef4be121e880606c4f1b491d6f295dc76b09c9");
    }

    #[test]
    fn the_body_of_a_webhook_is_this_json() {
        let spec = RunSpec::refresh(RunTrigger::Schedule, RefreshRequest::default());
        let mut record = RunRecord::starting(12, &spec, "shop:4711".to_owned());
        record.end(&RunEnd::Succeeded);
        record.started_at = Timestamp::parse("2026-01-21T03:00:00").unwrap();
        record.ended_at = Timestamp::parse("2026-01-21T03:00:05.25");
        (record.before, record.generation) = (Some(6), Some(7));
        record.quality = Some(crate::runs::RunQuality::default());
        assert_eq!(
            serde_json::to_string(&Message::of(&record)).unwrap(),
            concat!(
                r#"{"event":"run.succeeded","run":12,"kind":"refresh","trigger":"schedule","#,
                r#""state":"succeeded","started_at":"2026-01-21T03:00:00Z","#,
                r#""ended_at":"2026-01-21T03:00:05.25Z","generation_before":6,"generation":7,"#,
                r#""outcome":"published","error":null,"#,
                r#""quality":{"clients":{"read":0,"valid":0,"rejected":0},"#,
                r#""achats":{"read":0,"valid":0,"rejected":0},"rejected":{},"warnings":{}}}"#,
            )
        );
    }
}
