//! How two generations that are kept differ, from their tables in the lake.

use crate::blocking::spawn_blocking;
use crate::catalogue;
use crate::domain::diff::{GenerationDiff, TableChange};
use crate::domain::manifest::{Manifest, TableEntry};
use crate::lake::Lake;
use crate::pipeline::compare;
use crate::store::{GoldStore, StoreError};

use super::generation_reader;
use super::refresh::RefreshError;

/// Why two generations were not compared.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// One of them is not kept.
    #[error("there is no generation {0}; kept are {1}")]
    NoGeneration(u64, String),
    /// The store cannot say what is kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A table cannot be read.
    #[error(transparent)]
    Table(#[from] RefreshError),
}

/// Compares two generations.
///
/// # Errors
/// [`DiffError`].
pub async fn diff(
    store: &dyn GoldStore,
    lake: &Lake,
    from: u64,
    to: u64,
) -> Result<GenerationDiff, DiffError> {
    let kept = store.generations().await?;
    let find = |number: u64| -> Result<&Manifest, DiffError> {
        let found = kept.iter().find(|kept| kept.manifest.generation == number);
        found.map(|found| &found.manifest).ok_or_else(|| {
            let numbers: Vec<String> =
                kept.iter().map(|kept| kept.manifest.generation.to_string()).collect();
            DiffError::NoGeneration(number, numbers.join(", "))
        })
    };
    let (earlier, later) = (find(from)?, find(to)?);
    let mut diff =
        GenerationDiff { from, to, kpis: Vec::new(), migrations: Vec::new(), tables: Vec::new() };
    for table in catalogue::ALL {
        let name = table.name;
        let (was, is) = (earlier.table(name), later.table(name));
        let rows = |entry: Option<&TableEntry>| entry.map_or(0, |entry| entry.rows);
        let unread = |added, removed| TableChange {
            table: name.to_owned(),
            rows_from: rows(was),
            rows_to: rows(is),
            added,
            removed,
            changed: 0,
        };
        let (Some(was), Some(is)) = (was, is) else {
            // A table that one of them, of another version, does not have.
            diff.tables.push(unread(rows(is), rows(was)));
            continue;
        };
        let is_told = [catalogue::KPIS.name, catalogue::CUSTOMER_SEGMENTS.name].contains(&name);
        if was.content_hash == is.content_hash && !is_told {
            diff.tables.push(unread(0, 0));
            continue;
        }
        let (was, is) = (
            generation_reader::table(lake, was, None).await?,
            generation_reader::table(lake, is, None).await?,
        );
        let compared = spawn_blocking(move || {
            let change = compare::tables(table, &was, &is)?;
            let kpis =
                if name == catalogue::KPIS.name { compare::kpis(&was, &is)? } else { Vec::new() };
            let migrations = if name == catalogue::CUSTOMER_SEGMENTS.name {
                compare::segments(&was, &is)?
            } else {
                Vec::new()
            };
            Ok::<_, RefreshError>((change, kpis, migrations))
        });
        let (change, kpis, migrations) = compared.await?;
        diff.tables.push(change);
        diff.kpis.extend(kpis);
        diff.migrations.extend(migrations);
    }
    Ok(diff)
}
