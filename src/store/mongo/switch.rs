//! The one commit: manifest, pointer and the run's record, fenced against a process that lost its
//! lease.

use std::time::Duration;

use mongodb::bson::{self, DateTime, Document, doc};
use mongodb::error::Error;

use super::connection::{Connection, POINTER};
use super::documents::instant_to_bson;
use super::errors::{DUPLICATE_KEY, Fenced, code};
use crate::domain::manifest::Published;
use crate::failpoint::failpoint;

/// The driver's label of a commit with an unknown result.
const UNKNOWN_RESULT: &str = "UnknownTransactionCommitResult";
/// How often such a commit is retried, and after which delay.
const COMMIT_RETRIES: usize = 20;
const COMMIT_RETRY_DELAY: Duration = Duration::from_millis(250);

/// The changes of a switch.
pub(super) struct Changes {
    connection: Connection,
    token: i64,
    run: i64,
    generation: i64,
    manifest: Document,
    pointer: Document,
    record: Document,
}

impl Changes {
    /// The changes that make a generation the served one, by the holder of a token, in a run.
    ///
    /// # Errors
    /// When the generation cannot be written as a document.
    pub fn of(
        published: &Published,
        token: i64,
        run: i64,
        connection: &Connection,
    ) -> std::result::Result<Self, bson::error::Error> {
        let generation = i64::try_from(published.manifest.generation).unwrap_or(i64::MAX);
        let as_of = instant_to_bson(published.manifest.as_of);
        let published_at = instant_to_bson(published.published_at);
        Ok(Self {
            connection: connection.clone(),
            token,
            run,
            generation,
            manifest: doc! {
                "_id": generation,
                "fence": token,
                "as_of": as_of,
                "published_at": published_at,
                "published": bson::serialize_to_bson(published)?,
            },
            pointer: doc! { "$set": {
                "generation": generation, "as_of": as_of, "published_at": published_at,
                "switched_at": DateTime::now(),
            }, "$max": { "newest": generation } },
            record: doc! { "$set": { "generation": generation } },
        })
    }

    /// Makes the changes in one transaction.
    ///
    /// # Errors
    /// A custom [`Fenced`] where a fence is higher than the token.
    pub async fn apply_together(&self) -> std::result::Result<(), Error> {
        let mut session = self.connection.client.start_session().await?;
        session.start_transaction().await?;
        let (manifest, pointer, own) = self.filters();
        let manifests = self.connection.manifests();
        let keep = manifests.replace_one(manifest, &self.manifest).upsert(true);
        keep.session(&mut session).await.map_err(fenced_by_key)?;
        let pointers = self.connection.pointer();
        let point = pointers.update_one(pointer, self.pointer.clone());
        if point.session(&mut session).await?.matched_count == 0 {
            // Dropping the session aborts the transaction.
            return Err(Error::custom(Fenced));
        }
        let runs = self.connection.runs();
        runs.update_one(own, self.record.clone()).session(&mut session).await?;
        // Retried in the same session: in a new one this transaction, still open, would conflict.
        let mut retries = 0;
        loop {
            match session.commit_transaction().await {
                Err(error) if error.contains_label(UNKNOWN_RESULT) && retries < COMMIT_RETRIES => {
                    retries += 1;
                }
                committed => return committed,
            }
            tokio::time::sleep(COMMIT_RETRY_DELAY).await;
        }
    }

    /// Makes the changes one after the other, for a server without transactions. Each is fenced by
    /// itself; a manifest without its switch is not listed.
    ///
    /// # Errors
    /// A custom [`Fenced`] where a fence is higher than the token.
    pub async fn apply_in_turn(&self) -> std::result::Result<(), Error> {
        let (manifest, pointer, own) = self.filters();
        let pointers = self.connection.pointer();
        let current = pointers.find_one(pointer.clone()).await?;
        current.ok_or_else(|| Error::custom(Fenced))?;
        let manifests = self.connection.manifests();
        let keep = manifests.replace_one(manifest, &self.manifest).upsert(true);
        keep.await.map_err(fenced_by_key)?;
        failpoint!("kept");
        if pointers.update_one(pointer, self.pointer.clone()).await?.matched_count == 0 {
            return Err(Error::custom(Fenced));
        }
        self.connection.runs().update_one(own, self.record.clone()).await.map(drop)
    }

    /// Selects the manifest, if it is this holder's or an earlier one's; the pointer, while this
    /// holder's fence is in it; this run.
    fn filters(&self) -> (Document, Document, Document) {
        (
            doc! { "_id": self.generation, "fence": { "$lte": self.token } },
            doc! { "_id": POINTER, "fence": self.token },
            doc! { "_id": self.run },
        )
    }
}

/// A later holder's manifest is not matched, and a second one of its number cannot be inserted.
fn fenced_by_key(error: Error) -> Error {
    if code(&error) == Some(DUPLICATE_KEY) { Error::custom(Fenced) } else { error }
}
