//! What only an S3 store needs: clients that share their connections, buckets that are looked for and
//! created, the probe of conditional writes, and uploads that a killed process left unfinished.
//!
//! Everything else of a layer in a bucket goes through object_store, as for any other.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable as _};
use bytes::Bytes;
use futures::future::join_all;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, AwsAuthorizer};
use object_store::client::{HttpConnector, HttpError, HttpRequest};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, Error, ObjectStore as _, ObjectStoreExt as _, PutMode,
    RetryConfig,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::error::is_passing;
use super::http::InstrumentedClient;
use super::{LakeError, ObjectMeta, Result, keys};
use crate::error_chain::describe;

/// Before a request that failed in passing is made again; each pause is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// However often it has failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How an S3 store is reached.
#[derive(Debug, Clone)]
pub struct S3Options {
    /// Where it answers, with a scheme and without a slash at the end; `None` for AWS.
    pub endpoint: Option<String>,
    /// Access key and secret key; `None`: who the machine is decides.
    pub keys: Option<(SecretString, SecretString)>,
    /// Belongs to keys that are valid for a time.
    pub session_token: Option<SecretString>,
    /// The region.
    pub region: String,
    /// Whether buckets are named in the host.
    pub virtual_hosted_style: bool,
    /// Where else keys come from, by the names AWS has for it, in lower case.
    pub identity: Vec<(&'static str, String)>,
    /// Whether missing buckets are created.
    pub create_buckets: bool,
    /// Longest wait for an answer, or for more of one.
    pub request: Duration,
    /// Tries of one request after the first.
    pub retries: usize,
}

impl S3Options {
    /// A request that has failed for so long is not tried again.
    fn longest(&self) -> Duration {
        3 * self.request
    }
}

/// An S3 store; what is found out about its buckets is kept as long as this lives.
pub struct S3 {
    options: S3Options,
    http: InstrumentedClient,
    found: Mutex<HashMap<String, Found>>,
}

/// What is known of a bucket.
#[derive(Clone, Default)]
struct Found {
    /// Whether it has been seen to refuse to overwrite what was to be created.
    honours_conditions: bool,
    /// Its client, with the credentials it was given for a time.
    store: Option<Arc<AmazonS3>>,
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3").field("options", &self.options).finish_non_exhaustive()
    }
}

impl S3 {
    /// A store reached so; nothing is asked of it yet.
    ///
    /// # Errors
    /// [`LakeError::Object`] when there can be no client.
    pub fn new(options: S3Options) -> Result<Self> {
        let keys = options.keys.iter().flat_map(|(id, secret)| [id.clone(), secret.clone()]);
        let hidden: Vec<SecretString> = keys.chain(options.session_token.clone()).collect();
        let http = InstrumentedClient::new(options.request, &hidden).map_err(|source| {
            LakeError::Object {
                action: "prepare a client for",
                path: "S3".to_owned(),
                source: Error::Generic { store: "S3", source: Box::new(source) },
            }
        })?;
        Ok(Self { options, http, found: Mutex::default() })
    }

    /// A bucket of it.
    ///
    /// # Errors
    /// [`LakeError::Object`] when the options contradict each other.
    pub fn bucket(self: &Arc<Self>, name: &str, prefix: &str) -> Result<Bucket> {
        if let Some(store) = self.found(name).store {
            let (s3, name) = (Arc::clone(self), name.to_owned());
            return Ok(Bucket { s3, store, name, prefix: prefix.to_owned() });
        }
        let options = &self.options;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(name)
            .with_region(&options.region)
            .with_virtual_hosted_style_request(options.virtual_hosted_style)
            // Whether that is allowed was decided with the settings.
            .with_allow_http(true)
            .with_client_options(ClientOptions::new())
            .with_http_connector(self.http.clone())
            .with_retry(RetryConfig {
                backoff: BackoffConfig {
                    init_backoff: FIRST_PAUSE,
                    max_backoff: LONGEST_PAUSE,
                    base: 2.0,
                },
                max_retries: options.retries,
                // No more tries after it; one that is under way has its own limit.
                retry_timeout: options.longest(),
            });
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
        if let Some(endpoint) = &options.endpoint {
            builder = builder.with_endpoint(if options.virtual_hosted_style {
                in_host(endpoint, name)
            } else {
                endpoint.clone()
            });
        }
        let store = builder.build().map_err(|source| LakeError::Object {
            action: "prepare a client for",
            path: format!("s3://{name}"),
            source,
        })?;
        let store = Arc::new(store);
        self.note(name, |found| found.store = Some(Arc::clone(&store)));
        let (s3, name) = (Arc::clone(self), name.to_owned());
        Ok(Bucket { s3, store, name, prefix: prefix.to_owned() })
    }

    /// The address of a bucket.
    fn address(&self, bucket: &str) -> String {
        let S3Options { endpoint, region, virtual_hosted_style, .. } = &self.options;
        match (endpoint, virtual_hosted_style) {
            (Some(endpoint), true) => in_host(endpoint, bucket),
            (Some(endpoint), false) => format!("{endpoint}/{bucket}"),
            (None, true) => format!("https://{bucket}.s3.{region}.amazonaws.com"),
            (None, false) => format!("https://s3.{region}.amazonaws.com/{bucket}"),
        }
    }

    fn found(&self, bucket: &str) -> Found {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.get(bucket).cloned().unwrap_or_default()
    }

    fn note(&self, bucket: &str, change: impl FnOnce(&mut Found)) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        change(found.entry(bucket.to_owned()).or_default());
    }
}

/// `https://bucket.host/…`
fn in_host(endpoint: &str, bucket: &str) -> String {
    endpoint.replacen("://", &format!("://{bucket}."), 1)
}

/// A prefix of a bucket.
#[derive(Clone)]
pub struct Bucket {
    s3: Arc<S3>,
    store: Arc<AmazonS3>,
    name: String,
    prefix: String,
}

/// What a path keeps as it is: what the signature keeps.
const KEPT_IN_PATH: AsciiSet =
    NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

impl Bucket {
    /// Its objects, by their whole keys.
    #[must_use]
    pub fn store(&self) -> Arc<AmazonS3> {
        Arc::clone(&self.store)
    }

    fn failed(&self, action: &'static str, source: Error) -> LakeError {
        let path = format!("s3://{}/{}", self.name, self.prefix);
        LakeError::Object { action, path: path.trim_end_matches('/').to_owned(), source }
    }

    /// Asks something that object_store has no word for, again while it fails in passing.
    async fn ask(
        &self,
        method: http::Method,
        key: &str,
        query: &[(&str, &str)],
        body: Bytes,
    ) -> object_store::Result<Bytes> {
        let patience = ExponentialBuilder::new()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .with_max_times(self.s3.options.retries)
            .with_jitter();
        let attempt = || self.ask_once(method.clone(), key, query, body.clone());
        let (started, limit) = (Instant::now(), self.s3.options.longest());
        attempt.retry(patience).when(|error| is_passing(error) && started.elapsed() < limit).await
    }

    async fn ask_once(
        &self,
        method: http::Method,
        key: &str,
        query: &[(&str, &str)],
        body: Bytes,
    ) -> object_store::Result<Bytes> {
        let mut address = self.s3.address(&self.name);
        if !key.is_empty() {
            address = format!("{address}/{}", utf8_percent_encode(key, &KEPT_IN_PATH));
        }
        let mut url = url::Url::parse(&address).map_err(|error| generic(error.into()))?;
        for (name, value) in query {
            url.query_pairs_mut().append_pair(name, value);
        }
        let mut request = HttpRequest::new(body.into());
        *request.method_mut() = method;
        *request.uri_mut() =
            url.as_str().parse().map_err(|error: http::uri::InvalidUri| generic(error.into()))?;
        let credential = self.store.credentials().get_credential().await?;
        AwsAuthorizer::new(&credential, "s3", &self.s3.options.region)
            .try_authorize(&mut request, None)?;
        let client = self.s3.http.connect(&ClientOptions::new())?;
        let told = |error: HttpError| generic(error.into());
        let answer = client.execute(request).await.map_err(told)?;
        let status = answer.status();
        let said = answer.into_body().bytes().await.map_err(told)?;
        if status.is_success() {
            return Ok(said);
        }
        let refused = Refused { status, said: String::from_utf8_lossy(&said).into_owned() };
        Err(generic(refused.into()))
    }

    /// Looks whether the bucket is there, and creates it where that is wanted.
    ///
    /// # Errors
    /// [`LakeError::NoBucket`], [`LakeError::Object`].
    pub async fn prepare(&self, place: &str) -> Result<()> {
        let prefix = format!("{}/", self.prefix);
        let query =
            [("list-type", "2"), ("max-keys", "1"), ("prefix", prefix.trim_start_matches('/'))];
        let looked = self.ask(http::Method::GET, "", &query, Bytes::new()).await;
        match looked.and_then(|page| read_page(&page)) {
            Ok(_) => {}
            Err(error) if !says(&error, "NoSuchBucket") => {
                return Err(self.failed("look into", error));
            }
            Err(_) if !self.s3.options.create_buckets => {
                let (place, bucket) = (place.to_owned(), self.name.clone());
                return Err(LakeError::NoBucket { place, bucket });
            }
            Err(_) => self.create().await?,
        }
        Ok(())
    }

    async fn create(&self) -> Result<()> {
        /// Where a bucket is created when nobody says where.
        const SOMEWHERE: &str = "us-east-1";
        let region = &self.s3.options.region;
        let body = if region == SOMEWHERE || self.s3.options.endpoint.is_some() {
            String::new()
        } else {
            format!(
                "<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint>\
                 </CreateBucketConfiguration>"
            )
        };
        match self.ask(http::Method::PUT, "", &[], body.into()).await {
            Ok(_) => {
                tracing::info!(bucket = self.name, "created a bucket");
                Ok(())
            }
            // Somebody was quicker.
            Err(error) if says(&error, "BucketAlreadyOwnedByYou") => Ok(()),
            Err(error) => Err(self.failed("create", error)),
        }
    }

    /// Whether the store has been seen to refuse to overwrite what was to be created.
    #[must_use]
    pub fn honours_conditions(&self) -> bool {
        self.s3.found(&self.name).honours_conditions
    }

    /// Finds out, unless that is known, whether the store refuses to overwrite what was to be created:
    /// of several writers of one key exactly one has to win, and one that comes later has to lose. A
    /// store that does not is told of in the log, and asked again by the next run.
    ///
    /// # Errors
    /// [`LakeError::Object`].
    pub async fn probe(&self) -> Result<()> {
        /// Of one key at once.
        const WRITERS: usize = 8;
        if self.honours_conditions() {
            return Ok(());
        }
        let mut random = [0; 8];
        // A probe that meets another's by chance only finds a worse store.
        let _ = getrandom::fill(&mut random);
        let key = self.key(&keys::probe(&hex::encode(random)));
        let key = &Path::from(key);
        let create = || async {
            let put = self.store.put_opts(
                key,
                Bytes::from_static(b"probe").into(),
                PutMode::Create.into(),
            );
            match put.await {
                // Written, or by a store that does not know what is asked of it.
                Ok(_) | Err(Error::NotImplemented { .. }) => Ok(true),
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
                Err(error) if says(&error, "NotImplemented") => Ok(true),
                Err(error) => Err(error),
            }
        };
        let probe = async {
            let at_once = join_all((0..WRITERS).map(|_| create())).await;
            let winners = at_once.into_iter().filter(|won| !matches!(won, Ok(false)));
            let winners = winners.collect::<object_store::Result<Vec<bool>>>()?.len();
            // The answer to the one that won may have been lost.
            Ok(winners <= 1 && !create().await?)
        };
        let honours = probe.await;
        // Left over, it is removed by the next vacuum.
        let _ = self.store.delete(key).await;
        let honours = honours.map_err(|error| self.failed("probe", error))?;
        if !honours {
            tracing::warn!(
                bucket = self.name,
                "the store ignores conditions of writes: what keeps two runs apart is the serving \
                 store's lease alone"
            );
        }
        self.s3.note(&self.name, |found| found.honours_conditions = honours);
        Ok(())
    }

    /// Names of the objects and of the folders directly beneath the prefix.
    ///
    /// # Errors
    /// [`LakeError::Object`].
    pub async fn level(&self) -> Result<(Vec<String>, Vec<String>)> {
        let (objects, folders) = self.list_keys("", "/").await?;
        Ok((objects.into_iter().map(|object| object.path).collect(), folders))
    }

    /// Everything in a folder beneath the prefix, by its path in the layer.
    ///
    /// # Errors
    /// [`LakeError::Object`].
    pub async fn list(&self, folder: &str) -> Result<Vec<ObjectMeta>> {
        Ok(self.list_keys(folder, "").await?.0)
    }

    /// Objects in a folder, and folders where there is a delimiter. (object_store's own listing fails as
    /// a whole on a key that is no path of its, whoever put it there.)
    async fn list_keys(
        &self,
        folder: &str,
        delimiter: &str,
    ) -> Result<(Vec<ObjectMeta>, Vec<String>)> {
        let prefix = if self.prefix.is_empty() { String::new() } else { self.key("") };
        let within = if folder.is_empty() { prefix.clone() } else { format!("{prefix}{folder}/") };
        let (mut objects, mut folders) = (Vec::new(), Vec::new());
        let mut token = String::new();
        loop {
            let mut query =
                vec![("list-type", "2"), ("encoding-type", "url"), ("prefix", within.as_str())];
            if !delimiter.is_empty() {
                query.push(("delimiter", delimiter));
            }
            if !token.is_empty() {
                query.push(("continuation-token", &token));
            }
            let page = self.ask(http::Method::GET, "", &query, Bytes::new()).await;
            let page = page.and_then(|page| read_page(&page));
            let page = page.map_err(|error| self.failed("list", error))?;
            for object in &page.contents {
                let Some(path) = decode_key(&object.key) else { continue };
                let Some(path) = path.strip_prefix(&prefix) else { continue };
                // What ends in a slash is how consoles show a folder.
                if !path.is_empty() && !path.ends_with('/') {
                    objects.push(object.stamp(path));
                }
            }
            let folder = |common: &Common| -> Option<String> {
                let key = decode_key(&common.prefix)?;
                let name = key.strip_prefix(&prefix)?.trim_end_matches('/');
                (!name.is_empty()).then(|| name.to_owned())
            };
            folders.extend(page.common_prefixes.iter().filter_map(folder));
            match page.next_continuation_token {
                Some(next) if page.is_truncated => token = next,
                _ => return Ok((objects, folders)),
            }
        }
    }

    /// The whole key of a path of the layer.
    fn key(&self, path: &str) -> String {
        if self.prefix.is_empty() { path.to_owned() } else { format!("{}/{path}", self.prefix) }
    }

    /// Uploads in parts that were begun and neither finished nor given up, beneath the prefix.
    async fn unfinished(&self) -> Result<Vec<Unfinished>> {
        let mut all = Vec::new();
        let prefix = self.key("");
        let (mut key_marker, mut upload_marker) = (String::new(), String::new());
        loop {
            let mut query = vec![("uploads", ""), ("prefix", prefix.as_str())];
            if !key_marker.is_empty() {
                query.push(("key-marker", &key_marker));
                query.push(("upload-id-marker", &upload_marker));
            }
            let page = self.ask(http::Method::GET, "", &query, Bytes::new()).await;
            let page = page.and_then(|page| read_xml::<Uploads>(&page));
            let page = page.map_err(|error| self.failed("list unfinished uploads in", error))?;
            all.extend(page.upload.into_iter().filter(|upload| upload.key.starts_with(&prefix)));
            match (page.is_truncated, page.next_key_marker) {
                (true, Some(next)) if !next.is_empty() => {
                    key_marker = next;
                    upload_marker = page.next_upload_id_marker.unwrap_or_default();
                }
                _ => return Ok(all),
            }
        }
    }

    /// Gives up uploads that were left unfinished, if `is_ours` says of the path they were to have
    /// that a run writes such, unless it `is_dry`. Returns how many there are.
    ///
    /// # Errors
    /// [`LakeError::Object`].
    pub async fn sweep_unfinished(
        &self,
        is_ours: impl Fn(&str) -> bool,
        is_dry: bool,
    ) -> Result<usize> {
        let unfinished = match self.unfinished().await {
            Ok(unfinished) => unfinished,
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => {
                // Not every store and every user can.
                tracing::debug!(error = describe(&error), "unfinished uploads are left alone");
                return Ok(0);
            }
        };
        let prefix = self.key("");
        let path = |upload: &Unfinished| upload.key.strip_prefix(&prefix).is_some_and(&is_ours);
        let ours: Vec<Unfinished> = unfinished.into_iter().filter(path).collect();
        for upload in ours.iter().filter(|_| !is_dry) {
            self.give_up(upload).await?;
        }
        Ok(ours.len())
    }

    /// Gives up an upload. One that is gone already is as good.
    async fn give_up(&self, upload: &Unfinished) -> Result<()> {
        let query = [("uploadId", upload.upload_id.as_str())];
        match self.ask(http::Method::DELETE, &upload.key, &query, Bytes::new()).await {
            Err(error) if !says(&error, "NoSuchUpload") => {
                Err(self.failed("give up an unfinished upload in", error))
            }
            _ => Ok(()),
        }
    }
}

fn generic(source: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::Generic { store: "S3", source }
}

fn read_xml<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> object_store::Result<T> {
    let text = String::from_utf8_lossy(bytes);
    quick_xml::de::from_str(&text).map_err(|error| generic(error.into()))
}

/// A key as listings write it: as a form does, a space as `+` (Amazon, MinIO), or as `%20` (Ceph).
fn decode_key(key: &str) -> Option<String> {
    let key = key.replace('+', " ");
    percent_decode_str(&key).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// A refusal of what we asked by ourselves.
#[derive(Debug, thiserror::Error)]
#[error("{status}: {said}")]
struct Refused {
    status: http::StatusCode,
    said: String,
}

/// Whether an error's causes name this code of S3.
#[must_use]
pub fn says(error: &Error, code: &str) -> bool {
    let first: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |error| error.source())
        .any(|cause| cause.to_string().contains(code))
}

/// An upload in parts that is not finished.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Unfinished {
    /// The whole key it was to have.
    key: String,
    upload_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default)]
    contents: Vec<Listed>,
    #[serde(default)]
    common_prefixes: Vec<Common>,
    #[serde(default)]
    is_truncated: bool,
    next_continuation_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    key: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    last_modified: String,
}

impl Listed {
    fn stamp(&self, path: &str) -> ObjectMeta {
        let written_at = self.last_modified.parse().map_or(0, jiff::Timestamp::as_microsecond);
        ObjectMeta { path: path.to_owned(), size_bytes: self.size, written_at }
    }
}

/// A page of a listing, which only an S3 store answers with.
fn read_page(bytes: &[u8]) -> object_store::Result<Page> {
    if !String::from_utf8_lossy(bytes).contains("<ListBucketResult") {
        return Err(generic("what answers there is no S3 store".into()));
    }
    read_xml(bytes)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Common {
    prefix: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Uploads {
    #[serde(default)]
    upload: Vec<Unfinished>,
    #[serde(default)]
    is_truncated: bool,
    next_key_marker: Option<String>,
    next_upload_id_marker: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_of_every_store_name_the_same_keys() {
        for (listed, key) in [
            ("sources/clients+2024.csv", "sources/clients 2024.csv"),
            ("sources/clients%202024.csv", "sources/clients 2024.csv"),
            ("sources%2Fa%2Bb.csv", "sources/a+b.csv"),
            ("%C3%A9t%C3%A9%25.csv", "été%.csv"),
        ] {
            assert_eq!(decode_key(listed).as_deref(), Some(key));
        }
        assert_eq!(decode_key("%FF"), None);
    }
}
