//! The identity of the store: a random id in `<database>_ops.identity`, created once. Backups keep it.

use mongodb::bson::{Document, doc};
use mongodb::error::Error;
use mongodb::options::ReturnDocument;

use super::client::MongoStore;
use super::connection::Connection;
use crate::store::identity::new_identity;
use crate::store::{Result, StoreError};

/// The `_id` of the only document.
const ID: &str = "store";

impl MongoStore {
    pub(super) async fn read_identity(&self) -> Result<String> {
        let (connection, _) = &self.inspected().await?;
        let candidate = new_identity();
        let read = || read_or_create(connection, &candidate);
        let stored = self.short_command("reading the store's identity", read).await?;
        stored.get_str("identity").map(str::to_owned).map_err(|source| StoreError::Failed {
            action: "reading the store's identity".to_owned(),
            location: self.place(),
            source: source.into(),
        })
    }
}

/// Reads first, so that a user who may only read needs no more once it exists.
async fn read_or_create(
    connection: &Connection,
    candidate: &str,
) -> std::result::Result<Document, Error> {
    let identities = connection.ops.collection::<Document>("identity");
    let only = || doc! { "_id": ID };
    if let Some(stored) = identities.find_one(only()).max_time(connection.max_time).await? {
        return Ok(stored);
    }
    let created = identities
        .find_one_and_update(only(), doc! { "$setOnInsert": { "identity": candidate } })
        .upsert(true)
        .return_document(ReturnDocument::After)
        .max_time(connection.max_time)
        .await?;
    Ok(created.unwrap_or_default())
}
