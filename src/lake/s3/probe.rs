//! The probe of conditional writes: some stores accept the condition and ignore it.

use bytes::Bytes;
use futures::future::join_all;
use object_store::path::Path;
use object_store::{Error, ObjectStore as _, ObjectStoreExt as _, PutMode};

use super::bucket::Bucket;
use crate::lake::error::Result;
use crate::lake::keys;
use crate::lake::refusal::has_code;

/// Concurrent writers of one key.
const WRITERS: usize = 8;

impl Bucket {
    /// Whether a probe has shown that conditional writes work.
    pub(crate) fn has_conditional_writes(&self) -> bool {
        self.s3.state(&self.name).has_conditional_writes
    }

    /// Finds out, unless that is known, whether the store honours the condition to create and not to
    /// overwrite: of concurrent writers of one key exactly one must succeed, and a later one must fail. A
    /// store that ignores it is logged, and probed again by the next run.
    pub(crate) async fn probe(&self) -> Result<()> {
        if self.has_conditional_writes() {
            return Ok(());
        }
        let key = Path::from(self.key(&keys::probe(rand::random())));
        let honoured = self.probe_with(&key).await;
        // If this fails, the next vacuum removes it.
        let _ = self.store.delete(&key).await;
        let honoured = honoured.map_err(|error| self.failed("probe", error))?;
        if !honoured {
            tracing::warn!(
                bucket = self.name,
                "the store ignores conditional writes: only the serving store's lease keeps two runs \
                 apart"
            );
        }
        self.s3.update(&self.name, |state| state.has_conditional_writes = honoured);
        Ok(())
    }

    async fn probe_with(&self, key: &Path) -> object_store::Result<bool> {
        let writes = join_all((0..WRITERS).map(|_| self.create_once(key))).await;
        let writes = writes.into_iter().collect::<object_store::Result<Vec<bool>>>()?;
        let winners = writes.into_iter().filter(|has_written| *has_written).count();
        // None when the response to the winner was lost.
        Ok(winners <= 1 && !self.create_once(key).await?)
    }

    /// Whether the object was written, also by a store that does not support the condition.
    async fn create_once(&self, key: &Path) -> object_store::Result<bool> {
        let content = Bytes::from_static(b"probe").into();
        match self.store.put_opts(key, content, PutMode::Create.into()).await {
            Ok(_) | Err(Error::NotImplemented { .. }) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
            Err(error) if has_code(&error, "NotImplemented") => Ok(true),
            Err(error) => Err(error),
        }
    }
}
