//! The store's handle: one driver client per runtime, time limits, and errors with their context.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use mongodb::ClientSession;
use mongodb::error::Error;
use parking_lot::Mutex;
use tokio::runtime::{self, Handle, RuntimeFlavor};
use tokio::sync::{Mutex as AsyncMutex, OnceCell};

use super::connection::{Connection, Deployment};
use super::errors::{is_permanent, is_unreachable, sentence};
use super::options::MongoOptions;
use super::pointer::PointerCache;
use crate::domain::schema::Catalogue;
use crate::store::{Cause, Result, StoreError};

/// The time a server has beyond its own limit to report that it ran out of time.
const SERVER_GRACE: Duration = Duration::from_secs(1);

/// Gold in MongoDB.
#[derive(Debug, Clone)]
pub struct MongoStore {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub options: MongoOptions,
    pub location: String,
    /// The tables and views that are served.
    pub catalogue: &'static Catalogue,
    /// The runtime of the client for threads without a runtime of their own.
    pub runtime: Handle,
    /// The client of each runtime.
    connections: Mutex<HashMap<runtime::Id, Connection>>,
    deployment: OnceCell<Deployment>,
    pub pointer: Mutex<PointerCache>,
    /// Held by the one request that reads the pointer.
    pub pointer_turn: AsyncMutex<()>,
}

impl MongoStore {
    /// A store that connects when first used.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when the connection string is malformed.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn open(options: MongoOptions, catalogue: &'static Catalogue) -> Result<Self> {
        let location = options.location().map_err(|problem| StoreError::Malformed {
            setting: "mongodb.uri (MONGODB_URI)",
            problem,
        })?;
        let inner = Inner {
            options,
            location,
            catalogue,
            runtime: Handle::current(),
            connections: Mutex::default(),
            deployment: OnceCell::new(),
            pointer: Mutex::default(),
            pointer_turn: AsyncMutex::new(()),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub(super) fn place(&self) -> String {
        self.inner.location.clone()
    }

    /// The client of this thread's runtime. Each worker of the server has a runtime of its own, and
    /// an answer that had to cross threads would double its latency. A client's connections are
    /// watched from the runtime it was made on.
    async fn connection(&self) -> Result<Connection> {
        let here = Handle::current();
        let is_own = here.runtime_flavor() == RuntimeFlavor::CurrentThread;
        let runtime = if is_own { here } else { self.inner.runtime.clone() };
        let known = self.inner.connections.lock().get(&runtime.id()).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let options = self.inner.options.clone();
        let opened = runtime.spawn(async move { Connection::open(&options).await });
        let opened = match opened.await {
            Ok(opened) => opened.map_err(|error| self.failed("connecting", &error))?,
            Err(stopped) => return Err(self.unavailable(stopped.into())),
        };
        // Another task may have made one meanwhile; one stays.
        Ok(self.inner.connections.lock().entry(runtime.id()).or_insert(opened).clone())
    }

    /// The client, and what its server supports.
    pub(super) async fn inspected(&self) -> Result<(Connection, Deployment)> {
        let connection = self.connection().await?;
        let inspect = || self.read("connecting", connection.inspect(&self.inner.location));
        let deployment = self.inner.deployment.get_or_try_init(inspect).await?;
        Ok((connection, *deployment))
    }

    /// A session whose reads are at least as new as the last read of the pointer, whichever member
    /// answers them: the tables of that generation exist there.
    pub(super) async fn session(
        &self,
        connection: &Connection,
        action: &str,
    ) -> Result<ClientSession> {
        let session = connection.client.start_session().await;
        let mut session = session.map_err(|error| self.failed(action, &error))?;
        if let Some(time) = self.inner.pointer.lock().operation_time() {
            session.advance_operation_time(time);
        }
        Ok(session)
    }

    /// Waits for a read no longer than it may take: a server that hangs never answers.
    pub(super) async fn read<T>(
        &self,
        action: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let options = &self.inner.options;
        let limit = options.query_timeout + options.server_selection_timeout;
        self.within(limit, action, work).await
    }

    pub(super) async fn within<T>(
        &self,
        limit: Duration,
        action: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        tokio::time::timeout(limit + SERVER_GRACE, work).await.unwrap_or_else(|_| {
            let problem = format!("{action} took longer than {} s", limit.as_secs_f64());
            Err(self.unavailable(problem.into()))
        })
    }

    /// Waits for one read of the driver.
    pub(super) async fn driver_read<T>(
        &self,
        action: &str,
        work: impl Future<Output = std::result::Result<T, Error>>,
    ) -> Result<T> {
        self.read(action, async { work.await.map_err(|error| self.failed(action, &error)) }).await
    }

    pub(super) fn unavailable(&self, source: Cause) -> StoreError {
        StoreError::Unavailable { location: self.place(), source }
    }

    /// An error of the driver with its context.
    pub(super) fn failed(&self, action: &str, error: &Error) -> StoreError {
        tracing::debug!(action, %error, "the store failed");
        let location = self.place();
        let source = sentence(error).into();
        if is_permanent(error) {
            StoreError::Unusable { location, source }
        } else if is_unreachable(error) {
            StoreError::Unavailable { location, source }
        } else {
            StoreError::Failed { action: action.to_owned(), location, source }
        }
    }

    /// Ends the client of the runtime that opened the store.
    pub(super) async fn shut_down(&self) {
        let mut connections = std::mem::take(&mut *self.inner.connections.lock());
        // The clients of serving threads ended with their runtimes: calling them would panic.
        let Some(connection) = connections.remove(&self.inner.runtime.id()) else { return };
        // Only the server's memory of idle sessions is at stake; it expires them by itself.
        let closed = connection.client.shutdown().immediate(true);
        let _ = tokio::time::timeout(SERVER_GRACE, closed).await;
    }
}
