//! Reading the pointer to the served generation: one request reads, the others share what it found.

use std::sync::Arc;
use std::time::Duration;

use mongodb::ClientSession;
use mongodb::bson::{Document, Timestamp as ClusterTime, doc};
use tokio::sync::MutexGuard;

use super::client::MongoStore;
use super::connection::{Connection, POINTER};
use super::decode::{read_manifest, whole};
use super::pointer::FAILURE_COOLDOWN;
use crate::domain::manifest::Published;
use crate::error_chain::describe;
use crate::store::{Result, StoreError};

const ACTION: &str = "reading the active generation";

/// What one read of the pointer found.
struct Found {
    active: Option<Arc<Published>>,
    pointer: Option<Document>,
    operation_time: Option<ClusterTime>,
}

impl MongoStore {
    /// The served generation: cached for a moment, else read.
    pub(super) async fn cached_active(&self) -> Result<Option<Arc<Published>>> {
        if let Some(recent) = self.recent() {
            return recent;
        }
        let _turn = self.pointer_turn().await?;
        // Another request may have read it while this one waited.
        if let Some(recent) = self.recent() {
            return recent;
        }
        self.refresh_pointer().await
    }

    /// Reads the pointer whether or not it is cached, except right after a failure.
    pub(super) async fn probe(&self) -> Result<()> {
        let _turn = self.pointer_turn().await?;
        // A read may have failed while this request waited.
        match self.failed_within(FAILURE_COOLDOWN) {
            Some(error) => Err(error),
            None => self.refresh_pointer().await.map(drop),
        }
    }

    /// Makes the next request read the pointer again.
    pub(super) fn invalidate(&self) {
        self.inner.pointer.lock().invalidate();
    }

    fn failed_within(&self, ago: Duration) -> Option<StoreError> {
        let problem = self.inner.pointer.lock().failed_within(ago).map(str::to_owned)?;
        Some(self.unavailable(problem.into()))
    }

    /// What the last read found, if it is recent enough.
    fn recent(&self) -> Option<Result<Option<Arc<Published>>>> {
        if let Some(error) = self.failed_within(FAILURE_COOLDOWN) {
            return Some(Err(error));
        }
        let cache = self.inner.pointer.lock();
        cache.is_fresh().then(|| Ok(cache.active()))
    }

    /// Waits for the turn to read; while reads fail, no request waits for another one's.
    async fn pointer_turn(&self) -> Result<MutexGuard<'_, ()>> {
        match (self.inner.pointer_turn.try_lock(), self.failed_within(Duration::MAX)) {
            (Ok(turn), _) => Ok(turn),
            (Err(_), Some(error)) => Err(error),
            (Err(_), None) => Ok(self.inner.pointer_turn.lock().await),
        }
    }

    /// Reads the pointer, and the manifest if the pointer moved; notes the outcome.
    async fn refresh_pointer(&self) -> Result<Option<Arc<Published>>> {
        let version = self.inner.pointer.lock().version();
        let limit = self.inner.options.server_selection_timeout;
        let found = self.within(limit, ACTION, self.find_active(limit)).await;
        let mut cache = self.inner.pointer.lock();
        match found {
            Ok(Found { active, pointer, operation_time }) => {
                if cache.record(version, active.clone(), pointer, operation_time) {
                    tracing::info!(store = self.place(), "the serving store answers again");
                }
                Ok(active)
            }
            Err(error) => {
                let problem = reason(&error);
                // Only outages are remembered; any other error is found anew by each request.
                if cache.record_failure(error.is_outage().then(|| problem.clone())) {
                    tracing::info!(store = self.place(), problem, "the serving store fails");
                }
                Err(error)
            }
        }
    }

    async fn find_active(&self, limit: Duration) -> Result<Found> {
        let (connection, _) = &self.inspected().await?;
        // Never older than the last read, whichever member answers this one.
        let mut session = self.session(connection, ACTION).await?;
        let pointer = connection
            .served
            .collection::<Document>(POINTER)
            .find_one(doc! { "_id": POINTER })
            .max_time(limit)
            .session(&mut session)
            .await
            .map_err(|error| self.failed(ACTION, &error))?;
        let active = match generation_in(pointer.as_ref(), connection)? {
            None => None,
            Some(generation) => {
                let known = self.inner.pointer.lock().generation_of(pointer.as_ref());
                match known {
                    Some(known) => Some(known),
                    None => Some(self.manifest(connection, generation, &mut session).await?),
                }
            }
        };
        Ok(Found { active, pointer, operation_time: session.operation_time() })
    }

    async fn manifest(
        &self,
        connection: &Connection,
        generation: i64,
        session: &mut ClientSession,
    ) -> Result<Arc<Published>> {
        let manifest = connection
            .served
            .collection::<Document>(connection.manifests().name())
            .find_one(doc! { "_id": generation })
            .max_time(self.inner.options.query_timeout)
            .session(session)
            .await
            .map_err(|error| self.failed(ACTION, &error))?;
        // Swept between the two reads, or removed by another program.
        let manifest = manifest.ok_or_else(|| StoreError::Removed {
            table: format!("the manifest of generation {generation}"),
            location: self.place(),
        })?;
        Ok(Arc::new(read_manifest(manifest, connection)?))
    }
}

/// The generation that a pointer names; `None` before the first publish.
fn generation_in(pointer: Option<&Document>, connection: &Connection) -> Result<Option<i64>> {
    let Some(pointer) = pointer.filter(|pointer| pointer.contains_key("generation")) else {
        return Ok(None);
    };
    let generation = whole(pointer, "generation").ok_or_else(|| StoreError::Decode {
        table: format!("{}.{POINTER}", connection.ops.name()),
        column: "generation".to_owned(),
        ty: "integer",
        key: POINTER.to_owned(),
    })?;
    Ok(Some(generation))
}

/// The error without the sentence that [`StoreError::Unavailable`] adds again.
fn reason(error: &StoreError) -> String {
    match error {
        StoreError::Unavailable { source, .. } | StoreError::Unusable { source, .. } => {
            source.to_string()
        }
        other => describe(other),
    }
}
