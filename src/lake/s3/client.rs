//! An S3 store: its shared HTTP client, and a client and what is known of each bucket.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use object_store::ClientOptions;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};

use super::options::S3Options;
use crate::lake::error::{LakeError, Result};
use crate::lake::http::InstrumentedClient;

/// An S3 store. What is found out about its buckets is kept for as long as this lives.
pub struct S3 {
    pub(super) options: S3Options,
    pub(super) http: InstrumentedClient,
    buckets: Mutex<HashMap<String, BucketState>>,
}

/// What is known of a bucket.
#[derive(Clone, Default)]
pub(super) struct BucketState {
    /// Whether a probe has shown that conditional writes work.
    pub(super) has_conditional_writes: bool,
    /// Its client, which keeps temporary credentials.
    pub(super) store: Option<Arc<AmazonS3>>,
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3").field("options", &self.options).finish_non_exhaustive()
    }
}

impl S3 {
    /// Does not connect yet.
    ///
    /// # Errors
    /// [`LakeError::Object`] when this machine's certificates cannot be read.
    pub fn new(options: S3Options) -> Result<Self> {
        let keys = options.keys.iter().flat_map(|(id, secret)| [id.clone(), secret.clone()]);
        let secrets: Vec<SecretString> = keys.chain(options.session_token.clone()).collect();
        let http = InstrumentedClient::new(options.request_timeout, &secrets);
        let http = http.map_err(|source| LakeError::Object {
            action: "prepare a client for",
            path: "S3".to_owned(),
            source: object_store::Error::Generic { store: "S3", source: source.into() },
        })?;
        Ok(Self { options, http, buckets: Mutex::default() })
    }

    /// The client of a bucket.
    pub(super) fn store(&self, bucket: &str) -> Result<Arc<AmazonS3>> {
        if let Some(store) = self.state(bucket).store {
            return Ok(store);
        }
        let store = Arc::new(self.build(bucket).map_err(|source| LakeError::Object {
            action: "prepare a client for",
            path: format!("s3://{bucket}"),
            source,
        })?);
        self.update(bucket, |state| state.store = Some(Arc::clone(&store)));
        Ok(store)
    }

    fn build(&self, bucket: &str) -> object_store::Result<AmazonS3> {
        let options = &self.options;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(&options.region)
            .with_virtual_hosted_style_request(options.virtual_hosted_style)
            // The settings decide whether the endpoint may use plain HTTP.
            .with_allow_http(true)
            .with_client_options(ClientOptions::new())
            .with_http_connector(self.http.clone())
            .with_retry(options.retry_config());
        if let Some((id, secret)) = &options.keys {
            builder = builder
                .with_access_key_id(id.expose_secret())
                .with_secret_access_key(secret.expose_secret());
        }
        if let Some(token) = &options.session_token {
            builder = builder.with_token(token.expose_secret());
        }
        for (name, value) in &options.identity {
            if let Ok(key) = name.parse::<AmazonS3ConfigKey>() {
                builder = builder.with_config(key, value);
            }
        }
        if let Some(endpoint) = options.endpoint_for(bucket) {
            builder = builder.with_endpoint(endpoint);
        }
        builder.build()
    }

    pub(super) fn state(&self, bucket: &str) -> BucketState {
        self.buckets.lock().get(bucket).cloned().unwrap_or_default()
    }

    pub(super) fn update(&self, bucket: &str, change: impl FnOnce(&mut BucketState)) {
        change(self.buckets.lock().entry(bucket.to_owned()).or_default());
    }
}
