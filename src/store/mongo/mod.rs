//! The production store: immutable collections in one database, the pointer to the served
//! generation in another.
//!
//! This file implements the contracts, one call per method. Reading: [`client`], [`active`],
//! [`read`], [`audit`]. Publishing: [`publisher`] with a [`lease`], [`load`], [`switch`], [`views`],
//! [`sweep`]. Documents are made and read in [`documents`] and [`run_document`], queries in
//! [`queries`] and [`run_queries`].

mod active;
mod audit;
mod client;
mod commands;
mod connection;
mod decode;
mod documents;
mod errors;
mod identity;
mod lease;
mod load;
mod names;
mod options;
mod pointer;
mod publisher;
mod queries;
mod read;
mod run_document;
mod run_queries;
mod runs;
mod sweep;
mod switch;
mod views;

use std::sync::Arc;

use async_trait::async_trait;

pub use client::MongoStore;
pub use options::{MongoOptions, ReadPreference};

use super::verify::entry_of;
use super::{Audit, GoldStore, Page, Publisher, Result, RowSource};
use crate::domain::manifest::{Published, TableEntry};
use crate::domain::query::Query;
use crate::domain::schema::Table;
use crate::runs::{RunEnd, RunNotes, RunSpec};
use decode::read_manifest;
use names::{list_manifests, list_names};
use publisher::MongoPublisher;

#[async_trait]
impl GoldStore for MongoStore {
    fn location(&self) -> String {
        self.place()
    }

    async fn identity(&self) -> Result<String> {
        self.read_identity().await
    }

    async fn ping(&self) -> Result<()> {
        self.probe().await
    }

    async fn active(&self) -> Result<Option<Arc<Published>>> {
        self.cached_active().await
    }

    async fn generations(&self) -> Result<Vec<Published>> {
        let (connection, _) = &self.inspected().await?;
        let list = || list_manifests(connection);
        let stored = self.short_command("listing generations", list).await?;
        stored.into_iter().map(|stored| read_manifest(stored, connection)).collect()
    }

    async fn find(&self, published: &Published, query: &Query) -> Result<Page> {
        self.find_page(entry_of(published, query.view.table)?, query).await
    }

    async fn audit_names(&self, published: &Published) -> Result<Vec<String>> {
        let (connection, _) = &self.inspected().await?;
        let names = self.short_command("listing collections", || list_names(connection)).await?;
        let legacy_views = self.inner.catalogue.legacy_views;
        Ok(names::differences(queries::named_views(&published.manifest, legacy_views), &names))
    }

    async fn audit(&self, table: &'static Table, entry: &TableEntry) -> Result<Option<Audit>> {
        self.audit_table(entry.as_written(table), entry).await
    }

    async fn close(&self) {
        self.shut_down().await;
    }

    async fn publisher(&self, order: &RunSpec) -> Result<Box<dyn Publisher>> {
        let publisher = MongoPublisher::take(self, order).await?;
        self.invalidate();
        Ok(Box::new(publisher))
    }
}

#[async_trait]
impl Publisher for MongoPublisher {
    fn run(&self) -> u64 {
        self.run.unsigned_abs()
    }

    async fn note(&self, notes: &RunNotes) -> Result<()> {
        self.record_notes(notes).await
    }

    async fn cancel_requested(&self) -> Result<bool> {
        self.is_cancel_requested().await
    }

    async fn confirm_held(&self) -> Result<()> {
        self.confirm_lease().await
    }

    async fn forget_runs(&self, keep: u32) -> Result<()> {
        let forget = || runs::forget(&self.connection, keep);
        self.store.short_command("deleting old runs", forget).await
    }

    async fn active(&self) -> Result<Option<Published>> {
        self.active_generation().await
    }

    async fn has_table(&self, table: &'static Table, entry: &TableEntry) -> Result<bool> {
        self.is_complete(entry.as_written(table), entry).await
    }

    async fn write_table(
        &self,
        table: &'static Table,
        entry: &TableEntry,
        rows: RowSource,
    ) -> Result<bool> {
        self.load(entry.as_written(table), entry, rows).await
    }

    async fn activate(&self, published: &Published) -> Result<()> {
        self.serve(published).await
    }

    async fn repair_names(&self, published: &Published) -> Result<()> {
        self.point_views(published).await
    }

    async fn sweep(&self, keep: usize) -> Result<usize> {
        self.sweep_unused(keep).await
    }

    async fn end(self: Box<Self>, end: RunEnd) -> Result<()> {
        self.end_run(end).await
    }
}
