//! What the handlers share: the store, the control of runs, the cache and the tokens.

use std::sync::Arc;
use std::time::Instant;

use secrecy::SecretString;

use super::cache::{self, AnswerCache};
use super::feed::Feed;
use crate::runs::RunControl;
use crate::store::{GoldStore, StoreError};

/// The bearer tokens that requests have to carry.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    /// Required by routes that show data; `None` leaves them open.
    pub(crate) read: Option<SecretString>,
    /// Required by every admin route.
    pub(crate) admin: SecretString,
}

/// Shared by all workers.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) store: Arc<dyn GoldStore>,
    /// Starts and cancels runs.
    pub(crate) run_control: Arc<dyn RunControl<Error = StoreError>>,
    /// The newest runs, polled once for all clients of `/events`.
    pub(crate) feed: Arc<Feed>,
    /// Rendered answers; `None` when the cache is switched off.
    pub(crate) rendered: Option<AnswerCache>,
    pub(crate) tokens: Tokens,
    /// When the application was built.
    pub(crate) started: Instant,
}

impl State {
    /// State with a cache of at most `cache_bytes`.
    pub(crate) fn new(
        store: Arc<dyn GoldStore>,
        run_control: Arc<dyn RunControl<Error = StoreError>>,
        cache_bytes: u64,
        tokens: Tokens,
    ) -> Self {
        Self {
            store,
            run_control,
            feed: Arc::default(),
            rendered: cache::with_capacity(cache_bytes),
            tokens,
            started: Instant::now(),
        }
    }
}
