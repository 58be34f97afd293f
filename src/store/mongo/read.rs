//! Reading a page of a query. Tables never change, so a read needs no majority.

use futures::TryStreamExt;
use mongodb::bson::{RawDocumentBuf, doc};
use mongodb::error::Error;
use mongodb::options::ReadConcern;
use mongodb::{ClientSession, Collection};

use super::client::MongoStore;
use super::{documents, queries};
use crate::domain::manifest::TableEntry;
use crate::domain::query::Query;
use crate::store::{Page, Result, StoreError};

impl MongoStore {
    pub(super) async fn find_page(&self, entry: &TableEntry, query: &Query) -> Result<Page> {
        let physical = entry.physical_name();
        let action = format!("reading {}", query.view.table.name);
        let (connection, _) = &self.inspected().await?;
        let columns = query.view.columns();
        self.read(&action, async {
            let failed = |error: Error| self.failed(&action, &error);
            let collection = connection.db.collection::<RawDocumentBuf>(physical);
            let mut session = self.session(connection, &action).await?;
            let stored = if query.offset < entry.rows {
                self.rows(&collection, query, &mut session).await.map_err(failed)?
            } else {
                Vec::new()
            };
            let total = if query.is_unfiltered() {
                entry.rows
            } else if let Some(total) = query.total_from(stored.len()) {
                total
            } else {
                self.count(&collection, query, &mut session).await.map_err(failed)?
            };
            // A collection that does not exist reads as an empty one.
            let expected = entry.rows.saturating_sub(query.offset).min(u64::from(query.limit));
            let is_short = query.is_unfiltered() && (stored.len() as u64) < expected;
            let is_suspect = is_short || (total == 0 && entry.rows > 0);
            if is_suspect && self.is_empty(&collection, &mut session).await.map_err(failed)? {
                let table = physical.to_owned();
                return Err(StoreError::Removed { table, location: self.place() });
            }
            if is_short {
                let problem = format!("it holds fewer than {} rows", entry.rows);
                return Err(StoreError::Mismatch { table: physical.to_owned(), problem });
            }
            let rows: Result<Vec<_>> = stored
                .iter()
                .map(|document| documents::read_row(document, &columns, entry))
                .collect();
            let fields = columns.iter().map(|(field, _)| *field).collect();
            Ok(Page { fields, rows: rows?, total })
        })
        .await
    }

    async fn rows(
        &self,
        collection: &Collection<RawDocumentBuf>,
        query: &Query,
        session: &mut ClientSession,
    ) -> std::result::Result<Vec<RawDocumentBuf>, Error> {
        let mut find = collection
            .find(queries::filter(query))
            .limit(i64::from(query.limit))
            .batch_size(query.limit)
            .read_concern(ReadConcern::local())
            .max_time(self.inner.options.query_timeout);
        if query.offset > 0 {
            find = find.skip(query.offset);
        }
        if let Some(projection) = queries::projection(query) {
            find = find.projection(projection);
        }
        if let Some(sort) = queries::sort(query).filter(|_| !query.is_by_key()) {
            find = find.sort(sort).allow_disk_use(true);
        }
        let mut found = find.session(&mut *session).await?;
        let rows: Vec<_> = found.stream(session).try_collect().await?;
        Ok(rows)
    }

    async fn count(
        &self,
        collection: &Collection<RawDocumentBuf>,
        query: &Query,
        session: &mut ClientSession,
    ) -> std::result::Result<u64, Error> {
        collection
            .count_documents(queries::filter(query))
            .read_concern(ReadConcern::local())
            .max_time(self.inner.options.query_timeout)
            .session(session)
            .await
    }

    async fn is_empty(
        &self,
        collection: &Collection<RawDocumentBuf>,
        session: &mut ClientSession,
    ) -> std::result::Result<bool, Error> {
        let first = collection
            .find_one(doc! {})
            .sort(doc! { "_id": 1 })
            .read_concern(ReadConcern::local())
            .max_time(self.inner.options.query_timeout)
            .session(session);
        Ok(first.await?.is_none())
    }
}
