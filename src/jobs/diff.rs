//! How two stored generations differ, from their tables in the lake.

use super::error::RefreshError;
use super::generation_reader;
use crate::blocking::spawn_blocking;
use crate::catalogue;
use crate::domain::diff::{GenerationDiff, TableChange};
use crate::domain::manifest::{Manifest, Published, TableEntry};
use crate::domain::schema::Table;
use crate::lake::Lake;
use crate::pipeline::compare;
use crate::store::{GoldStore, StoreError};

/// Why two generations were not compared.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// One of them is not stored.
    #[error("there is no generation {0}; stored are {1}")]
    NoGeneration(u64, String),
    /// The store failed.
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
    let stored = store.generations().await?;
    let (earlier, later) = (find(&stored, from)?, find(&stored, to)?);
    let (kpis, migrations, tables) = (Vec::new(), Vec::new(), Vec::new());
    let mut diff = GenerationDiff { from, to, kpis, migrations, tables };
    for table in catalogue::ALL {
        add_table(&mut diff, lake, table, earlier, later).await?;
    }
    Ok(diff)
}

fn find(stored: &[Published], number: u64) -> Result<&Manifest, DiffError> {
    let found = stored.iter().find(|stored| stored.manifest.generation == number);
    found.map(|found| &found.manifest).ok_or_else(|| {
        let numbers: Vec<String> =
            stored.iter().map(|stored| stored.manifest.generation.to_string()).collect();
        DiffError::NoGeneration(number, numbers.join(", "))
    })
}

/// Adds how a table changed; one with equal content is not read.
async fn add_table(
    diff: &mut GenerationDiff,
    lake: &Lake,
    table: &'static Table,
    earlier: &Manifest,
    later: &Manifest,
) -> Result<(), DiffError> {
    let name = table.name;
    let (before, after) = (earlier.table(name), later.table(name));
    let rows = |entry: Option<&TableEntry>| entry.map_or(0, |entry| entry.rows);
    let unread = |added, removed| TableChange {
        table: name.to_owned(),
        rows_from: rows(before),
        rows_to: rows(after),
        added,
        removed,
        changed: 0,
    };
    if before.is_none() && after.is_none() {
        return Ok(());
    }
    let (Some(before), Some(after)) = (before, after) else {
        // A generation of another version may lack the table.
        diff.tables.push(unread(rows(after), rows(before)));
        return Ok(());
    };
    let is_kpis = name == catalogue::KPIS.name;
    let is_segments = name == catalogue::CUSTOMER_SEGMENTS.name;
    if before.content_hash == after.content_hash && !is_kpis && !is_segments {
        diff.tables.push(unread(0, 0));
        return Ok(());
    }
    let before = generation_reader::table(lake, before, None).await?;
    let after = generation_reader::table(lake, after, None).await?;
    let compared = spawn_blocking(move || {
        let change = compare::tables(table, &before, &after)?;
        let kpis = if is_kpis { compare::kpis(&before, &after)? } else { Vec::new() };
        let migrations = if is_segments { compare::segments(&before, &after)? } else { Vec::new() };
        Ok::<_, RefreshError>((change, kpis, migrations))
    });
    let (change, kpis, migrations) = compared.await?;
    diff.tables.push(change);
    diff.kpis.extend(kpis);
    diff.migrations.extend(migrations);
    Ok(())
}
