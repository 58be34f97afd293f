//! The cache of rendered answers, bounded by their size in bytes.
//!
//! Keys hold the physical name of a table. The content behind a physical name never changes, so an
//! entry needs no invalidation.

use std::sync::Arc;

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

/// The data of an answer, rendered once.
#[derive(Debug)]
pub(crate) struct Rendered {
    /// The JSON of `data`.
    pub(crate) json: Bytes,
    /// Rows in it.
    pub(crate) count: u64,
    /// Rows that match, on this page or not.
    pub(crate) total: u64,
}

/// Weighs a rendered answer by its bytes.
#[derive(Debug, Clone)]
pub(crate) struct ByBytes;

impl Weighter<String, Arc<Rendered>> for ByBytes {
    fn weight(&self, key: &String, rendered: &Arc<Rendered>) -> u64 {
        (key.len() + rendered.json.len()) as u64 + 1
    }
}

/// Rendered answers by physical table and query.
pub(crate) type AnswerCache = Cache<String, Arc<Rendered>, ByBytes>;

/// A cache of at most `bytes`; `None` for 0, which switches it off.
pub(crate) fn with_capacity(bytes: u64) -> Option<AnswerCache> {
    /// A typical answer; only sizes the cache's index.
    const TYPICAL_BYTES: u64 = 2_048;
    let items = usize::try_from(bytes / TYPICAL_BYTES).unwrap_or(usize::MAX);
    (bytes > 0).then(|| Cache::with_weighter(items.max(1), bytes, ByBytes))
}
