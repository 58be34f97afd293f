//! The counters of this process, in the text format of Prometheus.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::{IntCounterVec, Opts, Registry, TextEncoder};

static ALL_RETRIES: AtomicU64 = AtomicU64::new(0);
static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);
static RETRIES: LazyLock<Option<IntCounterVec>> = LazyLock::new(|| {
    let what = Opts::new(
        "goldsmith_retries_total",
        "Transient failures that were retried, by kind of operation and cause.",
    );
    let counted = IntCounterVec::new(what, &["what", "cause"]).ok()?;
    REGISTRY.register(Box::new(counted.clone())).ok()?;
    Some(counted)
});

/// Counts the retry of a transient failure.
pub fn count_retry(what: &str, cause: &str) {
    ALL_RETRIES.fetch_add(1, Ordering::Relaxed);
    if let Some(retries) = RETRIES.as_ref() {
        retries.with_label_values(&[what, cause]).inc();
    }
}

/// How many transient failures were retried so far, of all kinds.
#[must_use]
pub fn retries() -> u64 {
    ALL_RETRIES.load(Ordering::Relaxed)
}

/// All counters, in the text format of Prometheus.
#[must_use]
pub fn metrics() -> String {
    LazyLock::force(&RETRIES);
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = TextEncoder::new().encode_utf8(&REGISTRY.gather(), &mut text);
    text
}
