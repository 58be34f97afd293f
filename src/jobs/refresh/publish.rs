//! Publish: every table of a committed generation from the lake to the store, then the switch.

use tokio_util::sync::CancellationToken;

use super::refresher::Refresher;
use super::steps::Steps;
use crate::catalogue;
use crate::domain::manifest::{Manifest, Published, TableEntry};
use crate::domain::schema::Table;
use crate::domain::time::Timestamp;
use crate::failpoint::failpoint;
use crate::jobs::error::{RefreshError, Result};
use crate::jobs::generation_reader;
use crate::runs::{Flow, Step};
use crate::store::{Publisher, RowsError};

impl Refresher {
    /// Writes the tables that the store does not have and switches to the generation. Returns how many
    /// tables were written, and how many the store had already.
    pub(super) async fn publish(
        &self,
        manifest: &Manifest,
        steps: &mut Steps<'_>,
    ) -> Result<(usize, usize)> {
        steps.start(Step::Publish, manifest.tables.len()).await?;
        let (mut written, mut reused) = (0, 0);
        let mut flow = Flow { rows_in: Some(0), rows_out: Some(0), bytes: Some(0) };
        for entry in &manifest.tables {
            steps.check_cancelled()?;
            let table = table_of(manifest, entry)?;
            add(&mut flow.rows_in, entry.rows);
            if self.write_if_missing(table, entry, steps).await? {
                written += 1;
                add(&mut flow.rows_out, entry.rows);
                add(&mut flow.bytes, entry.files.iter().map(|file| file.size_bytes).sum());
            } else {
                reused += 1;
            }
            steps.observer.advanced(Step::Publish, table.name);
            failpoint!("publish:{}", table.name);
        }
        steps.check_cancelled()?;
        failpoint!("switch");
        let next = Published::new(manifest.clone(), Timestamp::now());
        // From here on the run either switches or fails: cancelling comes too late.
        let switch = async || Ok(steps.publisher.activate(&next).await?);
        steps.retry_uncancelled("switching to the generation", switch).await?;
        failpoint!("switched");
        let store = self.store.location();
        let summary = format!("{written} tables written, {reused} unchanged, to {store}");
        steps.finish(Step::Publish, &summary, flow).await;
        Ok((written, reused))
    }

    async fn write_if_missing(
        &self,
        table: &'static Table,
        entry: &TableEntry,
        steps: &Steps<'_>,
    ) -> Result<bool> {
        let publisher = steps.publisher;
        let write = async || {
            Ok(!publisher.has_table(table, entry).await?
                && self.publish_table(publisher, table, entry, steps.cancel).await?)
        };
        // A server that hangs does not delay cancelling; what was written is swept later.
        tokio::select! {
            written = steps.retry("writing a table", write) => written,
            () = steps.cancel.cancelled() => Err(RefreshError::Cancelled),
        }
    }

    async fn publish_table(
        &self,
        publisher: &dyn Publisher,
        table: &'static Table,
        entry: &TableEntry,
        cancel: &CancellationToken,
    ) -> Result<bool> {
        let batches = generation_reader::batches(&self.lake, entry, table).await?;
        let cancel = cancel.clone();
        // An error among the rows undoes the writing.
        let rows = batches.map(move |batch| {
            if cancel.is_cancelled() {
                return Err(RowsError::Cancelled);
            }
            batch.map_err(|error| RowsError::Failed(error.into()))
        });
        Ok(publisher.write_table(table, entry, Box::new(rows)).await?)
    }

    /// Writes again what the store has lost of the active generation: tables that were dropped, views that
    /// an earlier run did not get to.
    pub(super) async fn repair(
        &self,
        publisher: &dyn Publisher,
        active: &Published,
        cancel: &CancellationToken,
    ) -> Result<()> {
        for entry in &active.manifest.tables {
            let table = table_of(&active.manifest, entry)?;
            if !publisher.has_table(table, entry).await? {
                tracing::warn!(table = table.name, "the store has lost a table; writing it again");
                self.publish_table(publisher, table, entry, cancel).await?;
            }
        }
        if !self.store.audit_names(active).await?.is_empty() {
            publisher.repair_names(active).await?;
        }
        Ok(())
    }
}

fn table_of(manifest: &Manifest, entry: &TableEntry) -> Result<&'static Table> {
    catalogue::by_name(&entry.name).ok_or_else(|| RefreshError::UnknownTable {
        generation: manifest.generation,
        table: entry.name.clone(),
    })
}

fn add(sum: &mut Option<u64>, more: u64) {
    *sum.get_or_insert(0) += more;
}
