//! How an S3 store is reached, and how its requests are retried.

use std::time::Duration;

use object_store::{BackoffConfig, RetryConfig};
use secrecy::SecretString;

use crate::retry;

/// How an S3 store is reached.
#[derive(Debug, Clone)]
pub struct S3Options {
    /// Its address, with a scheme and without a slash at the end; `None` for AWS.
    pub endpoint: Option<String>,
    /// Access key and secret key; `None` for the identity of the machine.
    pub keys: Option<(SecretString, SecretString)>,
    /// The session token of temporary keys.
    pub session_token: Option<SecretString>,
    /// The region.
    pub region: String,
    /// Whether buckets are named in the host.
    pub virtual_hosted_style: bool,
    /// How the machine's identity is found, by AWS's names in lower case.
    pub identity: Vec<(&'static str, String)>,
    /// Whether missing buckets are created.
    pub create_buckets: bool,
    /// Longest wait for a response, or for more of it.
    pub request_timeout: Duration,
    /// Retries of one request.
    pub retries: usize,
}

impl S3Options {
    /// A request is not retried after this time.
    pub(super) fn retry_timeout(&self) -> Duration {
        3 * self.request_timeout
    }

    pub(super) fn retry_config(&self) -> RetryConfig {
        RetryConfig {
            backoff: BackoffConfig {
                init_backoff: retry::S3_REQUEST.first_delay,
                max_backoff: retry::S3_REQUEST.max_delay,
                base: retry::S3_REQUEST.factor.into(),
            },
            max_retries: self.retries,
            retry_timeout: self.retry_timeout(),
        }
    }

    /// The address of a bucket.
    pub(super) fn bucket_address(&self, bucket: &str) -> String {
        let Self { endpoint, region, virtual_hosted_style, .. } = self;
        match (endpoint, virtual_hosted_style) {
            (Some(endpoint), true) => in_host(endpoint, bucket),
            (Some(endpoint), false) => format!("{endpoint}/{bucket}"),
            (None, true) => format!("https://{bucket}.s3.{region}.amazonaws.com"),
            (None, false) => format!("https://s3.{region}.amazonaws.com/{bucket}"),
        }
    }

    /// The endpoint that object_store takes for a bucket.
    pub(super) fn endpoint_for(&self, bucket: &str) -> Option<String> {
        let endpoint = self.endpoint.as_ref()?;
        let is_in_host = self.virtual_hosted_style;
        Some(if is_in_host { in_host(endpoint, bucket) } else { endpoint.clone() })
    }
}

/// `https://bucket.host/…`
fn in_host(endpoint: &str, bucket: &str) -> String {
    endpoint.replacen("://", &format!("://{bucket}."), 1)
}
