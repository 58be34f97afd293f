//! Telling others that a run has ended: webhooks, signed, and a Metabase that should look again.

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
use crate::runs::{RunQuality, RunQuery, RunRecord, RunState};
use crate::store::GoldStore;

/// When a message was signed, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "X-Goldsmith-Timestamp";
/// `sha256=` and the HMAC-SHA256 of time stamp, full stop and body, hexadecimal.
pub const SIGNATURE_HEADER: &str = "X-Goldsmith-Signature";
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A Metabase, and what lets one in.
#[derive(Debug, Clone)]
pub struct Metabase {
    /// Where it answers.
    pub url: String,
    /// Its number for the serving database.
    pub database_id: u32,
    /// Its key for programs.
    pub api_key: Option<SecretString>,
}

/// Who is notified of the end of a run.
#[derive(Debug, Clone, Default)]
pub struct NotifyOptions {
    /// The addresses of webhooks, which may hold credentials.
    pub urls: Vec<SecretString>,
    /// Signs what is sent to them.
    pub secret: Option<SecretString>,
    /// The Metabase that is to read new data.
    pub metabase: Option<Metabase>,
}

/// Tells others that runs have ended.
#[derive(Debug, Clone, Default)]
pub struct Notifier {
    client: Client,
    urls: Vec<SecretString>,
    secret: Option<SecretString>,
    metabase: Option<Metabase>,
}

/// What a webhook gets.
#[derive(Debug, Serialize)]
struct Message<'a> {
    /// `run.succeeded`, `run.failed`, …
    event: String,
    run: u64,
    kind: &'static str,
    trigger: &'static str,
    state: &'static str,
    started_at: String,
    ended_at: Option<String>,
    generation_before: Option<u64>,
    generation: Option<u64>,
    /// `published` or `unchanged`, of a refresh that succeeded.
    outcome: Option<&'static str>,
    error: Option<&'a str>,
    quality: Option<&'a RunQuality>,
}

impl<'a> Message<'a> {
    fn of(record: &'a RunRecord) -> Self {
        let utc = |instant: Timestamp| format!("{instant}Z");
        Self {
            event: format!("run.{}", record.state.as_str()),
            run: record.run,
            kind: record.kind.as_str(),
            trigger: record.trigger.as_str(),
            state: record.state.as_str(),
            started_at: utc(record.started_at),
            ended_at: record.ended_at.map(utc),
            generation_before: record.before,
            generation: record.generation,
            outcome: record.outcome(),
            error: record.error.as_deref(),
            quality: record.quality.as_ref(),
        }
    }
}

/// Why somebody was not told. Addresses are not repeated: they may hold what lets one in.
#[derive(Debug, thiserror::Error)]
enum NotifyError {
    #[error("it cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("it answered {0}")]
    Refused(StatusCode),
}

impl NotifyError {
    /// Whether telling again may help.
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
    /// One that tells these webhooks, signed with the secret, and this Metabase.
    #[must_use]
    pub fn new(options: NotifyOptions) -> Self {
        let NotifyOptions { urls, secret, metabase } = options;
        // Elsewhere nobody is to get what lets one in here, and a page one is sent to has heard nothing.
        let client = Client::builder().redirect(Policy::none()).build().unwrap_or_default();
        Self { client, urls, secret, metabase }
    }

    /// Tells everybody how a run ended, each again a few times while that fails in passing. Who cannot
    /// be told is named in the log.
    pub async fn tell(&self, store: &dyn GoldStore, run: u64) {
        if self.urls.is_empty() && self.metabase.is_none() {
            return;
        }
        let record = match store.runs(RunQuery::one(run)).await {
            Ok(page) => page.runs.into_iter().next(),
            Err(error) => {
                tracing::warn!(run, error = describe(&error), "nobody was told how the run ended");
                return;
            }
        };
        let Some(record) = record else { return };
        let body = serde_json::to_string(&Message::of(&record)).unwrap_or_default();
        let hooks = self.urls.iter().enumerate().map(async |(place, url)| {
            let name = format!("address {} of notify.urls", place + 1);
            self.deliver(&name, run, || self.hook(url, &body)).await;
        });
        let looks_again = record.state == RunState::Succeeded && record.generation.is_some();
        let metabase = async {
            if let Some(metabase) = self.metabase.as_ref().filter(|_| looks_again) {
                self.deliver("Metabase", run, || self.look_again(metabase)).await;
            }
        };
        futures::join!(futures::future::join_all(hooks), metabase);
    }

    async fn deliver(&self, name: &str, run: u64, request: impl Fn() -> RequestBuilder) {
        let send = || async {
            // Signed anew each time, so that the time stamp is that of this try.
            let sent = request().timeout(PATIENCE).send().await;
            let status =
                sent.map_err(|error| NotifyError::Unreachable(error.without_url()))?.status();
            if status.is_success() { Ok(()) } else { Err(NotifyError::Refused(status)) }
        };
        let told = send
            .retry(retry::NOTIFICATION.backoff())
            .when(NotifyError::is_transient)
            .notify(|error, _| {
                tracing::warn!(run, error = describe(error), "{name} was not told; trying again");
            })
            .await;
        if let Err(error) = told {
            tracing::warn!(run, error = describe(&error), "{name} was not told how the run ended");
        }
    }

    fn hook(&self, url: &SecretString, body: &str) -> RequestBuilder {
        let timestamp = (Timestamp::now().0 / 1_000_000).to_string();
        let mut request = self
            .client
            .post(url.expose_secret())
            .header("Content-Type", "application/json")
            .header(TIMESTAMP_HEADER, &timestamp);
        if let Some(secret) = &self.secret {
            let signature = sign(secret, &timestamp, body);
            request = request.header(SIGNATURE_HEADER, format!("sha256={signature}"));
        }
        request.body(body.to_owned())
    }

    fn look_again(&self, metabase: &Metabase) -> RequestBuilder {
        let Metabase { url, database_id, api_key } = metabase;
        let mut request = self
            .client
            .post(format!("{url}/api/notify/db/{database_id}"))
            .header("Content-Type", "application/json");
        if let Some(key) = api_key {
            // The one is for keys made in Metabase's settings, the other for its own MB_API_KEY.
            for header in ["X-API-KEY", "X-METABASE-APIKEY"] {
                request = request.header(header, key.expose_secret());
            }
        }
        request.body("{}")
    }
}

/// HMAC-SHA256 (RFC 2104) of time stamp, full stop and body, hexadecimal.
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

    #[test]
    fn a_signature_is_what_openssl_makes_of_it() {
        // printf '1760000000.{"a":1}' | openssl dgst -sha256 -hmac secret
        let made = sign(&"secret".to_owned().into(), "1760000000", r#"{"a":1}"#);
        assert_eq!(made, "b6c2583f8204bec09d6388c3b4ef4be121e880606c4f1b491d6f295dc76b09c9");
    }
}
