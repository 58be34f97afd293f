//! Publishing a generation: every table from the lake to the store, then the switch.

use tokio_util::sync::CancellationToken;

use super::steps::Steps;
use super::{RefreshError, Refresher, Result};
use crate::catalogue;
use crate::domain::manifest::{Manifest, Published, TableEntry};
use crate::domain::schema::Table;
use crate::domain::time::Timestamp;
use crate::jobs::{Step, generation_reader};
use crate::runs::Flow;
use crate::store::{Publisher, Reached, RowsError, StoreError};

impl Refresher {
    /// Brings every table of a committed generation from the lake to the store, then switches.
    pub(super) async fn publish(
        &self,
        publisher: &dyn Publisher,
        manifest: &Manifest,
        steps: &mut Steps<'_>,
    ) -> Result<(usize, usize)> {
        let observer = steps.observer;
        let reached = |point: &str| observer.reached(point);
        steps.start(Step::Publish, manifest.tables.len()).await?;
        let (mut written, mut reused) = (0, 0);
        let mut flow = Flow { rows_in: Some(0), rows_out: Some(0), bytes: Some(0) };
        for entry in &manifest.tables {
            steps.go_on()?;
            let table = table_of(manifest, entry)?;
            let write = async || {
                Ok(!publisher.has_table(table, entry).await?
                    && self.publish_table(publisher, table, entry, &reached, steps.cancel).await?)
            };
            add(&mut flow.rows_in, entry.rows);
            // A server that does not answer does not hold up who cancels; what was written is swept.
            let is_written = tokio::select! {
                is_written = steps.again("writing a table", write) => is_written?,
                () = steps.cancel.cancelled() => return Err(RefreshError::Cancelled),
            };
            if is_written {
                written += 1;
                add(&mut flow.rows_out, entry.rows);
                add(&mut flow.bytes, entry.files.iter().map(|file| file.size_bytes).sum());
            } else {
                reused += 1;
            }
            steps.observer.advanced(Step::Publish, table.name);
            steps.observer.reached(&format!("publish:{}", table.name));
        }
        steps.go_on()?;
        steps.observer.reached("switch");
        let next = Published::new(manifest.clone(), Timestamp::now());
        // From here on it is done, or was not possible: who cancels now comes too late.
        let switch = async || Ok(publisher.activate(&next, &reached).await?);
        steps.insist("switching to the generation", switch).await?;
        steps.observer.reached("switched");
        let store = self.store.location();
        let summary = format!("{written} tables written, {reused} unchanged, to {store}");
        steps.finish(Step::Publish, &summary, flow).await;
        Ok((written, reused))
    }

    async fn publish_table(
        &self,
        publisher: &dyn Publisher,
        table: &'static Table,
        entry: &TableEntry,
        reached: Reached<'_>,
        cancel: &CancellationToken,
    ) -> Result<bool> {
        let batches = generation_reader::batches(&self.lake, entry, table).await?;
        // An error among the rows undoes the writing.
        let cancel = cancel.clone();
        let rows = batches.map(move |batch| {
            if cancel.is_cancelled() {
                return Err(RowsError::Cancelled);
            }
            batch.map_err(|error| RowsError::Failed(error.into()))
        });
        match publisher.write_table(table, entry, Box::new(rows), reached).await {
            Err(StoreError::Cancelled) => Err(RefreshError::Cancelled),
            written => Ok(written?),
        }
    }

    /// Brings back what of the active generation is missing in the store: tables that somebody
    /// dropped, names that an earlier run did not get to.
    pub(super) async fn repair(
        &self,
        publisher: &dyn Publisher,
        active: &Published,
        cancel: &CancellationToken,
    ) -> Result<()> {
        for entry in &active.manifest.tables {
            let table = table_of(&active.manifest, entry)?;
            if !publisher.has_table(table, entry).await? {
                tracing::warn!(table = table.name, "a table is missing and written again");
                self.publish_table(publisher, table, entry, &|_| {}, cancel).await?;
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
