//! The one commit: manifest, pointer and the run's record, fenced against a holder that was
//! overtaken.

use std::time::Duration;

use mongodb::bson::{self, DateTime, Document, doc};
use mongodb::error::Error;

use super::POINTER;
use super::commands::Fenced;
use super::connection::{Connection, DUPLICATE_KEY, code};
use super::documents::instant_to_bson;
use crate::domain::manifest::Published;
use crate::store::Reached;

/// How a commit is marked of which nothing is known.
const COMMIT_UNKNOWN: &str = "UnknownTransactionCommitResult";
/// How often such a commit is asked for again, and after what time.
const COMMITS: usize = 20;
const BETWEEN_COMMITS: Duration = Duration::from_millis(250);

/// What a switch changes.
pub struct Changes {
    connection: Connection,
    token: i64,
    number: i64,
    generation: i64,
    manifest: Document,
    pointer: Document,
    run: Document,
}

impl Changes {
    /// The changes that serve a generation: by the holder of a token, in the run of a number.
    ///
    /// # Errors
    /// When it cannot be written as a document.
    pub fn of(
        published: &Published,
        token: i64,
        number: i64,
        connection: &Connection,
    ) -> std::result::Result<Self, bson::error::Error> {
        let generation = i64::try_from(published.manifest.generation).unwrap_or(i64::MAX);
        let as_of = instant_to_bson(published.manifest.as_of);
        let published_at = instant_to_bson(published.published_at);
        Ok(Self {
            connection: connection.clone(),
            token,
            number,
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
            run: doc! { "$set": { "generation": generation } },
        })
    }

    /// Makes the changes in one transaction.
    ///
    /// # Errors
    /// A custom [`Fenced`] where a fence is higher than ours.
    pub async fn apply_together(&self) -> std::result::Result<(), Error> {
        let mut session = self.connection.client.start_session().await?;
        session.start_transaction().await?;
        let (older, fenced, own) = self.filters();
        let manifests = self.connection.manifests();
        let keep = manifests.replace_one(older, &self.manifest).upsert(true);
        keep.session(&mut session).await.map_err(overtaken_by_key)?;
        let pointers = self.connection.pointer();
        let point = pointers.update_one(fenced, self.pointer.clone());
        if point.session(&mut session).await?.matched_count == 0 {
            // Dropping the session aborts the transaction.
            return Err(Error::custom(Fenced));
        }
        let runs = self.connection.runs();
        runs.update_one(own, self.run.clone()).session(&mut session).await?;
        // StartedRun again in the same session: a new one would meet this transaction, still open.
        let mut tries = 0;
        loop {
            match session.commit_transaction().await {
                Err(error) if error.contains_label(COMMIT_UNKNOWN) && tries < COMMITS => tries += 1,
                committed => return committed,
            }
            tokio::time::sleep(BETWEEN_COMMITS).await;
        }
    }

    /// Makes the changes one after the other where there are no transactions. Each is fenced by
    /// itself; a manifest whose switch did not follow is not listed.
    ///
    /// # Errors
    /// A custom [`Fenced`] where a fence is higher than ours.
    pub async fn apply_in_turn(&self, reached: Reached<'_>) -> std::result::Result<(), Error> {
        let (older, fenced, own) = self.filters();
        let pointers = self.connection.pointer();
        let pointer = pointers.find_one(fenced.clone()).await?;
        pointer.ok_or_else(|| Error::custom(Fenced))?;
        let manifests = self.connection.manifests();
        let keep = manifests.replace_one(older, &self.manifest).upsert(true);
        keep.await.map_err(overtaken_by_key)?;
        reached("kept");
        if pointers.update_one(fenced, self.pointer.clone()).await?.matched_count == 0 {
            return Err(Error::custom(Fenced));
        }
        self.connection.runs().update_one(own, self.run.clone()).await.map(drop)
    }

    /// Our manifest or an earlier holder's of the same number, the pointer while the fence is ours,
    /// our run.
    fn filters(&self) -> (Document, Document, Document) {
        (
            doc! { "_id": self.generation, "fence": { "$lte": self.token } },
            doc! { "_id": POINTER, "fence": self.token },
            doc! { "_id": self.number },
        )
    }
}

/// A later holder's manifest is not replaced, and a second one of its number cannot be inserted.
fn overtaken_by_key(error: Error) -> Error {
    if code(&error) == Some(DUPLICATE_KEY) { Error::custom(Fenced) } else { error }
}
