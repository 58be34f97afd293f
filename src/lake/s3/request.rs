//! Requests that object_store has no call for, signed and retried as its own are.

use std::time::Instant;

use backon::Retryable as _;
use bytes::Bytes;
use http::Method;
use object_store::Error;
use object_store::aws::AwsAuthorizer;
use object_store::client::{HttpError, HttpRequest};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;

use super::bucket::Bucket;
use crate::lake::error::is_transient;
use crate::retry;

/// The characters that a path does not escape: those that the signature does not.
const UNESCAPED_IN_PATH: AsciiSet =
    NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

impl Bucket {
    /// Sends a request for a key, or for the bucket when the key is empty, until it succeeds, fails for good,
    /// or attempts or time run out.
    pub(super) async fn request(
        &self,
        method: Method,
        key: &str,
        query: &[(&str, &str)],
        body: Bytes,
    ) -> object_store::Result<Bytes> {
        let options = &self.s3.options;
        let policy = retry::S3_REQUEST.with_max_retries(options.retries).backoff();
        let attempt = || self.request_once(method.clone(), key, query, body.clone());
        let (started, limit) = (Instant::now(), options.retry_timeout());
        attempt.retry(policy).when(|error| is_transient(error) && started.elapsed() < limit).await
    }

    async fn request_once(
        &self,
        method: Method,
        key: &str,
        query: &[(&str, &str)],
        body: Bytes,
    ) -> object_store::Result<Bytes> {
        let mut address = self.s3.options.bucket_address(&self.name);
        if !key.is_empty() {
            address = format!("{address}/{}", utf8_percent_encode(key, &UNESCAPED_IN_PATH));
        }
        let mut url = url::Url::parse(&address).map_err(generic)?;
        for (name, value) in query {
            url.query_pairs_mut().append_pair(name, value);
        }
        let mut request = HttpRequest::new(body.into());
        *request.method_mut() = method;
        *request.uri_mut() = url.as_str().parse::<http::Uri>().map_err(generic)?;
        let credential = self.store.credentials().get_credential().await?;
        AwsAuthorizer::new(&credential, "s3", &self.s3.options.region)
            .try_authorize(&mut request, None)?;
        let response = self.s3.http.send(request).await;
        let response = response.map_err(|failure| generic(HttpError::from(failure)))?;
        response.into_body().bytes().await.map_err(generic)
    }
}

pub(super) fn generic(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: "S3", source: source.into() }
}

pub(super) fn parse_xml<T: DeserializeOwned>(bytes: &[u8]) -> object_store::Result<T> {
    quick_xml::de::from_str(&String::from_utf8_lossy(bytes)).map_err(generic)
}
