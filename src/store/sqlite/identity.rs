//! The identity of the store, in `goldsmith_identity`.

use rusqlite::OptionalExtension as _;

use super::pool::SqliteStore;
use super::sql;
use crate::store::Result;
use crate::store::identity::new_identity;

impl SqliteStore {
    pub(super) async fn read_identity(&self) -> Result<String> {
        let candidate = new_identity();
        self.run("reading the store's identity", move |connection| {
            let stored: Option<String> =
                connection.query_row(sql::IDENTITY, [], |row| row.get(0)).optional()?;
            if let Some(stored) = stored {
                return Ok(stored);
            }
            // Of two processes one creates it, and both read it.
            connection.execute(sql::CREATE_IDENTITY, [candidate])?;
            Ok(connection.query_row(sql::IDENTITY, [], |row| row.get(0))?)
        })
        .await
    }
}
