//! The audit of a stored table: rows, keys, values, totals and indexes.

use futures::StreamExt;
use mongodb::bson::{Document, doc};
use mongodb::error::Error;
use mongodb::options::ReadConcern;

use super::client::MongoStore;
use super::connection::Connection;
use super::decode::{read_totals, whole};
use super::names::list_collections;
use super::queries;
use crate::domain::manifest::TableEntry;
use crate::domain::schema::Table;
use crate::store::{Audit, Result};

impl MongoStore {
    /// Audits a whole table; `None` when it does not exist.
    pub(super) async fn audit_table(
        &self,
        table: &Table,
        entry: &TableEntry,
    ) -> Result<Option<Audit>> {
        let action = format!("auditing {}", table.name);
        let physical = entry.physical_name();
        let (connection, _) = &self.inspected().await?;
        let list = || list_collections(connection, doc! { "name": physical });
        if self.short_command("listing collections", list).await?.is_empty() {
            return Ok(None);
        }
        let ask = |pipeline| self.aggregate(connection, physical, pipeline, &action);
        let found = ask(queries::audit(table)).await?.unwrap_or_default();
        let (rows, totals) = read_totals(table, ask(queries::totals(table.tally)).await?.as_ref());
        let columns = columns_of(table, ask(queries::other_keys(table)).await?.as_ref());
        let count = |key: &str| u64::try_from(whole(&found, key).unwrap_or(0)).unwrap_or(0);
        let wrong_values = table
            .columns
            .iter()
            .enumerate()
            .map(|(place, column)| (column.name.to_owned(), count(&format!("c{place}"))))
            .filter(|(_, wrong)| *wrong > 0)
            .collect();
        let indexes = async {
            let stored = connection.db.collection::<Document>(physical);
            stored.list_index_names().max_time(connection.max_time).await
        };
        let indexes = self.driver_read(&action, indexes).await?;
        Ok(Some(Audit {
            rows,
            columns,
            rows_without_own_key: count("unowned"),
            wrong_values,
            totals,
            missing_indexes: missing_indexes(table, entry.rows, &indexes),
        }))
    }

    /// The first document of an aggregation over a whole collection.
    async fn aggregate(
        &self,
        connection: &Connection,
        physical: &str,
        pipeline: Vec<Document>,
        action: &str,
    ) -> Result<Option<Document>> {
        let failed = |error: Error| self.failed(action, &error);
        let limit = self.inner.options.write_timeout;
        self.within(limit, action, async {
            let mut session = self.session(connection, action).await?;
            let mut found = connection
                .db
                .collection::<Document>(physical)
                .aggregate(pipeline)
                .read_concern(ReadConcern::local())
                .allow_disk_use(true)
                .max_time(limit)
                .session(&mut session)
                .await
                .map_err(failed)?;
            let first = found.stream(&mut session).next().await.transpose().map_err(failed)?;
            Ok(first)
        })
        .await
    }
}

/// The columns of the first document that deviates; those of the table when none does.
fn columns_of(table: &Table, deviating: Option<&Document>) -> Vec<String> {
    let Some(deviating) = deviating else {
        return table.columns.iter().map(|column| column.name.to_owned()).collect();
    };
    let keys = deviating.get_array("keys").map(Vec::as_slice).unwrap_or_default();
    let names = keys.iter().filter_map(|key| key.as_str());
    names.filter(|name| *name != "_id").map(str::to_owned).collect()
}

fn missing_indexes(table: &Table, rows: u64, stored: &[String]) -> Vec<String> {
    queries::indexes(table, rows)
        .iter()
        .filter_map(|index| index.get_str("name").ok())
        .filter(|name| !stored.iter().any(|index| index == name))
        .map(str::to_owned)
        .collect()
}
