//! What every request shares: the store, rendered answers, the tokens.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use secrecy::SecretString;
use utoipa::openapi::OpenApi;

use super::openapi;
use crate::store::GoldStore;

/// An answer's data, rendered once: what a table held cannot change under its physical name.
#[derive(Debug)]
pub struct Rendered {
    /// The JSON of `data`.
    pub json: Bytes,
    /// Rows in it.
    pub count: u64,
    /// Rows that match beyond the page.
    pub total: u64,
}

/// Weighs a rendered answer by its bytes.
#[derive(Debug, Clone)]
pub struct ByBytes;

impl Weighter<String, Arc<Rendered>> for ByBytes {
    fn weight(&self, key: &String, rendered: &Arc<Rendered>) -> u64 {
        (key.len() + rendered.json.len()) as u64 + 1
    }
}

/// Shared by all workers.
#[derive(Debug)]
pub struct State {
    /// Where answers come from.
    pub store: Arc<dyn GoldStore>,
    /// Rendered answers by physical table and query; `None` when switched off.
    pub rendered: Option<Cache<String, Arc<Rendered>, ByBytes>>,
    /// Asked of every request for data, when set.
    pub read_token: Option<SecretString>,
    /// The OpenAPI document, rendered.
    pub openapi: Bytes,
    /// Paths without parameters that have a route.
    pub fixed_paths: Vec<String>,
    /// When the application was built.
    pub started: Instant,
}

impl State {
    /// State over a store, with `cache_bytes` for rendered answers.
    ///
    /// # Errors
    /// When the document cannot be written as JSON.
    pub fn new(
        store: Arc<dyn GoldStore>,
        cache_bytes: u64,
        read_token: Option<SecretString>,
        document: &OpenApi,
    ) -> serde_json::Result<Self> {
        /// A typical answer; only sizes the cache's tables.
        const TYPICAL_BYTES: u64 = 2_048;
        let items = usize::try_from(cache_bytes / TYPICAL_BYTES).unwrap_or(usize::MAX);
        let rendered =
            (cache_bytes > 0).then(|| Cache::with_weighter(items.max(1), cache_bytes, ByBytes));
        let documented = document.paths.paths.keys().filter(|path| !path.contains('{')).cloned();
        let undocumented = ["/".to_owned(), "/openapi.json".to_owned()];
        Ok(Self {
            store,
            rendered,
            read_token,
            openapi: openapi::to_json(document)?.into(),
            fixed_paths: documented.chain(undocumented).collect(),
            started: Instant::now(),
        })
    }
}
