//! What every request shares: the store, rendered answers, the tokens.

use std::sync::Arc;
use std::time::Instant;

use actix_web::dev::ResourceDef;
use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use secrecy::SecretString;
use utoipa::openapi::OpenApi;

use super::error::READ_METHODS;
use super::events::Feed;
use super::openapi;
use crate::store::{GoldStore, RunControl};

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

/// What requests have to carry.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// StartedRun of every request for data, when set.
    pub read: Option<SecretString>,
    /// StartedRun of every admin request.
    pub admin: SecretString,
}

/// Shared by all workers.
#[derive(Debug)]
pub struct State {
    /// Where answers come from.
    pub store: Arc<dyn GoldStore>,
    /// What starts and stops runs.
    pub operator: Arc<dyn RunControl>,
    /// What happens, for who listens.
    pub feed: Arc<Feed>,
    /// Rendered answers by physical table and query; `None` when switched off.
    pub rendered: Option<Cache<String, Arc<Rendered>, ByBytes>>,
    /// Who may do what.
    pub tokens: Tokens,
    /// The OpenAPI document, rendered.
    pub openapi: Bytes,
    /// Paths that have a route, with the methods they answer.
    routes: Vec<(ResourceDef, String)>,
    /// When the application was built.
    pub started: Instant,
}

impl State {
    /// State over a store and an operator, with `cache_bytes` for rendered answers.
    ///
    /// # Errors
    /// When the document cannot be written as JSON.
    pub fn new(
        store: Arc<dyn GoldStore>,
        operator: Arc<dyn RunControl>,
        cache_bytes: u64,
        tokens: Tokens,
        document: &OpenApi,
    ) -> serde_json::Result<Self> {
        /// A typical answer; only sizes the cache's tables.
        const TYPICAL_BYTES: u64 = 2_048;
        let items = usize::try_from(cache_bytes / TYPICAL_BYTES).unwrap_or(usize::MAX);
        let rendered =
            (cache_bytes > 0).then(|| Cache::with_weighter(items.max(1), cache_bytes, ByBytes));
        let documented = document.paths.paths.iter().map(|(path, item)| {
            let is_read = item.get.is_some();
            let methods = [(is_read, READ_METHODS), (item.post.is_some(), "POST")];
            let methods = methods.into_iter().filter(|(answers, _)| *answers);
            let methods: Vec<&str> = methods.map(|(_, methods)| methods).collect();
            (ResourceDef::new(path.as_str()), methods.join(", "))
        });
        let undocumented =
            ["/", "/openapi.json"].map(|path| (ResourceDef::new(path), READ_METHODS.to_owned()));
        Ok(Self {
            store,
            operator,
            feed: Arc::default(),
            rendered,
            tokens,
            openapi: openapi::to_json(document)?.into(),
            routes: documented.chain(undocumented).collect(),
            started: Instant::now(),
        })
    }

    /// The methods that a path answers; `None` when no route has it.
    #[must_use]
    pub fn methods(&self, path: &str) -> Option<&str> {
        let (_, methods) = self.routes.iter().find(|(route, _)| route.is_match(path))?;
        Some(methods)
    }
}
