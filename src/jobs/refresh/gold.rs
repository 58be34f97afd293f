//! Gold: the tables that need no model, and writing all tables once models have scored.

use std::fmt::Write as _;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::plan::NewGeneration;
use super::refresher::Refresher;
use super::steps::Steps;
use super::write::WRITERS;
use crate::blocking::compute;
use crate::domain::digest::sha256_hex;
use crate::domain::files::TableFile;
use crate::domain::manifest::TableEntry;
use crate::domain::schema::Table;
use crate::failpoint::failpoint;
use crate::jobs::error::Result;
use crate::lake::Layer;
use crate::lake::keys::Folder;
use crate::pipeline::gold::{self, Aggregates, GoldTable};
use crate::pipeline::silver::Silver;
use crate::runs::{Flow, RunQuality, Step};

impl Refresher {
    /// Computes the tables that need no model.
    pub(super) async fn make_gold(
        &self,
        new: &NewGeneration,
        silver: Silver,
        steps: &mut Steps<'_>,
    ) -> Result<Aggregates> {
        steps.start(Step::Gold, 1).await?;
        let rows_in =
            RunQuality::from(&silver.report).data_sets.values().map(|rows| rows.valid).sum();
        let (rows, as_of) = (silver.valid, new.request.as_of);
        let aggregates = compute(move || gold::aggregate(&rows, as_of)).await?;
        let rows_out = aggregates.base.fact.height() as u64;
        let flow = Flow { rows_in: Some(rows_in), rows_out: Some(rows_out), bytes: None };
        steps.finish(Step::Gold, &format!("as of {}", aggregates.base.as_of), flow).await;
        failpoint!("gold");
        Ok(aggregates)
    }

    /// Writes all tables; their entries in the same order.
    pub(super) async fn write_tables(
        &self,
        folder: Folder,
        tables: Vec<GoldTable>,
        steps: &Steps<'_>,
    ) -> Result<Vec<TableEntry>> {
        let mut entries = Vec::with_capacity(tables.len());
        let writes = tables.into_iter().map(|table| self.write_table(folder, table, steps));
        let mut written = stream::iter(writes).buffered(WRITERS);
        while let Some(entry) = written.try_next().await? {
            steps.observer.advanced(Step::Proof, &entry.name);
            entries.push(entry);
        }
        Ok(entries)
    }

    async fn write_table(
        &self,
        folder: Folder,
        built: GoldTable,
        steps: &Steps<'_>,
    ) -> Result<TableEntry> {
        let GoldTable { table, frame, totals } = built;
        let rows = frame.height() as u64;
        let file =
            self.write_frame(Layer::Gold, folder.gold_table(table.name), frame, steps).await?;
        let hash = content_hash(table, std::slice::from_ref(&file));
        Ok(TableEntry::new(table, rows, hash, vec![file], totals))
    }
}

/// Hash of a table's declaration and files: a store keeps rows and indexes, both must be the same.
fn content_hash(table: &Table, files: &[TableFile]) -> String {
    let mut text = format!("{:?} {:?} {:?}", table.key, table.order, table.access);
    for column in table.columns {
        let (name, ty) = (column.name, column.ty);
        let _ = write!(text, " {name}:{ty:?}:{}:{}", column.nullable, column.indexed);
    }
    for file in files {
        text.push_str(&file.sha256);
    }
    sha256_hex(text.as_bytes())
}
