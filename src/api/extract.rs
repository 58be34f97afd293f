//! Extractors that authorise: a handler that takes a [`Reader`], a [`Listener`] or an [`Admin`] runs
//! only for a request with the right token.

use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpRequest, web};
use bytes::Bytes;
use constant_time_eq::constant_time_eq;
use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;

use super::cache::Rendered;
use super::envelope::{Answer, Meta, render};
use super::error::ApiError;
use super::feed::Feed;
use super::state::State;
use crate::domain::manifest::Published;
use crate::domain::query::Query;
use crate::runs::RunControl;
use crate::store::{GoldStore, StoreError};

/// The right to read one generation, resolved once per request, so that no answer mixes two.
#[derive(Debug)]
pub(crate) struct Reader {
    state: web::Data<State>,
    published: Arc<Published>,
    started: Instant,
}

impl FromRequest for Reader {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let started = Instant::now();
        let state = request.app_data::<web::Data<State>>().cloned();
        let is_allowed = state.as_ref().is_some_and(|state| may_read(state, request));
        Box::pin(async move {
            let Some(state) = state.filter(|_| is_allowed) else {
                return Err(ApiError::Unauthorized);
            };
            let published = state.store.active().await?.ok_or_else(|| {
                ApiError::Unpublished(
                    "nothing has been published yet; run goldsmith refresh".to_owned(),
                )
            })?;
            Ok(Self { state, published, started })
        })
    }
}

/// Whether the request carries this bearer token. Compares in constant time.
fn carries(request: &HttpRequest, token: &SecretString) -> bool {
    let sent = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map_or("", |(_, sent)| sent.trim());
    constant_time_eq(sent.as_bytes(), token.expose_secret().as_bytes())
}

/// The right to follow events, also before anything is published.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) store: Arc<dyn GoldStore>,
    /// Cancelled when the process is asked to stop.
    pub(crate) stopping: CancellationToken,
    pub(crate) feed: Arc<Feed>,
}

impl FromRequest for Listener {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let state = request.app_data::<web::Data<State>>().filter(|state| may_read(state, request));
        ready(state.ok_or(ApiError::Unauthorized).map(|state| Self {
            store: Arc::clone(&state.store),
            stopping: state.run_control.stopping(),
            feed: Arc::clone(&state.feed),
        }))
    }
}

/// Whether the request carries the read token, if one is set.
pub(crate) fn may_read(state: &State, request: &HttpRequest) -> bool {
    state.tokens.read.as_ref().is_none_or(|token| carries(request, token))
}

/// The right to operate the service. A test walks the URL table and fails for an admin handler that
/// does not take one.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) store: Arc<dyn GoldStore>,
    /// Starts and cancels runs.
    pub(crate) run_control: Arc<dyn RunControl<Error = StoreError>>,
    /// When the request arrived.
    pub(crate) started: Instant,
}

impl FromRequest for Admin {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let state = request.app_data::<web::Data<State>>();
        let state = state.filter(|state| carries(request, &state.tokens.admin));
        ready(state.ok_or(ApiError::NotAdmin).map(|state| Self {
            store: Arc::clone(&state.store),
            run_control: Arc::clone(&state.run_control),
            started: Instant::now(),
        }))
    }
}

impl Reader {
    /// The generation.
    pub(crate) fn published(&self) -> &Published {
        &self.published
    }

    /// Metadata of an answer about the generation as a whole.
    pub(crate) fn meta(&self, count: usize) -> Meta {
        Meta::new(count as u64, count as u64, Some(&self.published), self.started)
    }

    /// The rows a query matches, as a list.
    ///
    /// # Errors
    /// [`ApiError::Unpublished`] for a table that the generation does not have, [`ApiError::Store`].
    pub(crate) async fn list(&self, query: &Query) -> Result<Answer, ApiError> {
        let rendered = self.rendered(query, false).await?;
        Ok(Answer::new(rendered, &self.published, self.started))
    }

    /// The one row a query matches; `None` when there is none.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub(crate) async fn one(&self, query: &Query) -> Result<Option<Answer>, ApiError> {
        let rendered = self.rendered(query, true).await?;
        Ok((rendered.count > 0).then(|| Answer::new(rendered, &self.published, self.started)))
    }

    /// The one row of `query`, with the rows of `more` as a list under `field`, which may be empty;
    /// `None` when there is no such row.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub(crate) async fn one_with(
        &self,
        query: &Query,
        field: &str,
        more: &Query,
    ) -> Result<Option<Answer>, ApiError> {
        let one = self.rendered(query, true).await?;
        if one.count == 0 {
            return Ok(None);
        }
        let has_more = self.published.manifest.table(more.view.table.name).is_some();
        let list = if has_more {
            self.rendered(more, false).await?.json.clone()
        } else {
            Bytes::from("[]")
        };
        let mut json = one.json.strip_suffix(b"}").unwrap_or(&one.json).to_vec();
        json.extend_from_slice(format!(",\"{field}\":").as_bytes());
        json.extend_from_slice(&list);
        json.push(b'}');
        let both = Arc::new(Rendered { json: json.into(), count: one.count, total: one.total });
        Ok(Some(Answer::new(both, &self.published, self.started)))
    }

    async fn rendered(&self, query: &Query, is_single: bool) -> Result<Arc<Rendered>, ApiError> {
        /// Room for the key of a typical query.
        const KEY_BYTES: usize = 160;
        let table = query.view.table.name;
        let Some(entry) = self.published.manifest.table(table) else {
            return Err(ApiError::Unpublished(format!(
                "generation {} was published by a version without {table}; a forced refresh makes it",
                self.published.manifest.generation
            )));
        };
        if entry.rows == 0 {
            let json = if is_single { "null" } else { "[]" };
            return Ok(Arc::new(Rendered { json: json.into(), count: 0, total: 0 }));
        }
        let mut key = String::with_capacity(KEY_BYTES);
        key.push_str(entry.physical_name());
        key.push(if is_single { '1' } else { 'n' });
        query.write_key(&mut key);
        let cache = self.state.rendered.as_ref();
        if let Some(rendered) = cache.and_then(|cache| cache.get(&key)) {
            return Ok(rendered);
        }
        let page = self.state.store.find(&self.published, query).await?;
        let rendered = Arc::new(render(&page, is_single)?);
        // Answers without rows are not cached: a client could fill the cache with made-up filters.
        if let Some(cache) = cache.filter(|_| rendered.count > 0) {
            cache.insert(key, Arc::clone(&rendered));
        }
        Ok(rendered)
    }
}
