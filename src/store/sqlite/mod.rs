//! The embedded store: one SQLite file in WAL mode, so that readers never wait for a publish.
//!
//! This file implements [`GoldStore`], one call per method: connections are in [`pool`], the cached
//! pointer in [`active`], reads in [`read`], publishing in [`publisher`], records of runs in
//! [`runs`], statement texts in [`sql`], values in [`values`].

mod active;
mod audit;
mod connection;
mod identity;
mod pool;
mod publisher;
mod read;
mod runs;
mod sql;
mod values;

use std::sync::Arc;

use async_trait::async_trait;

pub use pool::SqliteStore;

use super::verify::entry_of;
use super::{Audit, GoldStore, Page, Publisher, Result};
use crate::domain::manifest::{Published, TableEntry};
use crate::domain::query::Query;
use crate::domain::schema::Table;
use crate::runs::RunSpec;

#[async_trait]
impl GoldStore for SqliteStore {
    fn location(&self) -> String {
        self.place()
    }

    async fn identity(&self) -> Result<String> {
        self.read_identity().await
    }

    async fn ping(&self) -> Result<()> {
        self.run("a ping", |connection| {
            Ok(connection.query_row("SELECT count(*) FROM goldsmith_active", [], |_| Ok(()))?)
        })
        .await
    }

    /// Answers in microseconds without leaving the thread: at most it compares a counter in shared
    /// memory, and reads the file only after a commit.
    async fn active(&self) -> Result<Option<Arc<Published>>> {
        self.cached_active()
    }

    async fn generations(&self) -> Result<Vec<Published>> {
        self.run("listing generations", |connection| read::generations(connection)).await
    }

    async fn find(&self, published: &Published, query: &Query) -> Result<Page> {
        let table = query.view.table;
        let entry = entry_of(published, table)?.clone();
        let query = query.clone();
        let action = format!("reading {}", table.name);
        self.run(&action, move |connection| read::find(connection, &entry, &query)).await
    }

    async fn publisher(&self, order: &RunSpec) -> Result<Box<dyn Publisher>> {
        Ok(Box::new(publisher::SqlitePublisher::take(self, *order).await?))
    }

    async fn audit_names(&self, published: &Published) -> Result<Vec<String>> {
        let expected = sql::stable_views(&published.manifest, self.catalogue().legacy_views);
        self.run("auditing the views", |connection| audit::audit_names(connection, expected)).await
    }

    async fn audit(&self, table: &'static Table, entry: &TableEntry) -> Result<Option<Audit>> {
        let physical = entry.physical_name().to_owned();
        let table = entry.as_written(table);
        let action = format!("auditing {}", table.name);
        self.run(&action, move |connection| audit::audit(connection, table, &physical)).await
    }
}
