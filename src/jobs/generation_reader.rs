//! Reads a generation from the lake: its tables and its silver, as its manifest lists them.

use polars::prelude::DataFrame;

use super::error::{RefreshError, Result};
use crate::blocking::spawn_blocking;
use crate::domain::data_set::{DataSet, PerDataSet};
use crate::domain::files::{SilverFiles, TableFile};
use crate::domain::manifest::TableEntry;
use crate::domain::rows::Batch;
use crate::domain::schema::Table;
use crate::lake::reading::Fetched;
use crate::lake::{Lake, Layer, parquet};
use crate::pipeline::rows;
use crate::pipeline::silver::{Silver, lines, partition};

async fn fetch_all(lake: &Lake, layer: Layer, files: &[TableFile]) -> Result<Vec<Fetched>> {
    let mut fetched = Vec::with_capacity(files.len());
    for file in files {
        fetched.push(lake.fetch(layer, file).await?);
    }
    Ok(fetched)
}

/// All parts in one frame, in order.
fn stack(parts: impl IntoIterator<Item = Result<DataFrame>>) -> Result<DataFrame> {
    let mut all: Option<DataFrame> = None;
    for part in parts {
        let part = part?;
        match &mut all {
            None => all = Some(part),
            Some(all) => {
                all.vstack_mut(&part)?;
            }
        }
    }
    Ok(all.unwrap_or_default())
}

/// A table as it was written; with `columns` only these.
///
/// # Errors
/// When a file is missing or damaged, or cannot be read.
pub async fn table(
    lake: &Lake,
    entry: &TableEntry,
    columns: Option<&'static [&'static str]>,
) -> Result<DataFrame> {
    let files = fetch_all(lake, Layer::Gold, &entry.files).await?;
    spawn_blocking(move || {
        stack(files.iter().map(|file| Ok(parquet::decode(file, None, columns)?)))
    })
    .await
}

/// The rows of a table with the columns they were written with, batch by batch. The iterator blocks: it must be consumed on a blocking thread. No
/// more than a row group is in memory.
///
/// # Errors
/// As [`table`].
pub async fn batches(
    lake: &Lake,
    entry: &TableEntry,
    table: &'static Table,
) -> Result<impl Iterator<Item = Result<Batch>> + Send + use<>> {
    let files = fetch_all(lake, Layer::Gold, &entry.files).await?;
    let table = entry.as_written(table);
    Ok(files.into_iter().flat_map(move |file| {
        let (groups, broken) = match parquet::row_groups(&file) {
            Ok(groups) => (groups, None),
            Err(error) => (Vec::new(), Some(Err(error.into()))),
        };
        let batches = groups.into_iter().flat_map(move |group| {
            let batches = parquet::decode(&file, Some(group), None)
                .and_then(|frame| rows::batches(&frame, table));
            let (batches, broken) = match batches {
                Ok(batches) => (Some(batches), None),
                Err(error) => (None, Some(Err(error.into()))),
            };
            let batches = batches.into_iter().flatten();
            batches.map(|batch| batch.map_err(RefreshError::from)).chain(broken)
        });
        batches.chain(broken)
    }))
}

/// Silver of a generation as it was written, with the columns that earlier versions did not write.
///
/// # Errors
/// As [`table`].
pub async fn silver(lake: &Lake, files: &SilverFiles) -> Result<Silver> {
    let report = lake.get_file(Layer::Silver, &files.report).await?;
    let report = serde_json::from_slice(&report).map_err(|source| RefreshError::Json {
        path: lake.locate(Layer::Silver, &files.report.path),
        source,
    })?;
    let mut fetched = Vec::new();
    for files in files.data_sets.values() {
        let valid = fetch_all(lake, Layer::Silver, &files.valid).await?;
        let rejected = fetch_all(lake, Layer::Silver, files.rejected.as_slice()).await?;
        fetched.push((valid, rejected));
    }
    spawn_blocking(move || {
        let decode = |files: Vec<Fetched>| -> Result<Vec<DataFrame>> {
            files.iter().map(|file| Ok(parquet::decode(file, None, None)?)).collect()
        };
        let (mut valid, mut rejected) = (PerDataSet::default(), PerDataSet::default());
        for (set, (rows, rejects)) in DataSet::ALL.iter().zip(fetched) {
            valid[*set] = lines::complete(*set, partition::join(*set, decode(rows)?)?)?;
            rejected[*set] = stack(decode(rejects)?.into_iter().map(Ok))?;
        }
        Ok(Silver { valid, rejected, report })
    })
    .await
}
