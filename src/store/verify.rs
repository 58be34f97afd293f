//! What is stored, compared with the manifest: the same rules for every store.

use super::error::{Result, StoreError};
use crate::domain::manifest::{Published, TableEntry, Totals};
use crate::domain::schema::Table;

/// Compares the rows and totals found in the store with those of the manifest.
pub(super) fn verify_stored(
    table: &Table,
    entry: &TableEntry,
    rows: u64,
    totals: Option<Totals>,
) -> Result<()> {
    let mismatch =
        |problem: String| Err(StoreError::Mismatch { table: table.name.to_owned(), problem });
    if rows != entry.rows {
        return mismatch(format!("{rows} rows instead of {}", entry.rows));
    }
    if let (Some(found), Some(expected)) = (totals, entry.totals)
        && !found.agrees_with(expected, Totals::HALF_CENT)
    {
        return mismatch(format!("totals {found:?} instead of {expected:?}"));
    }
    Ok(())
}

/// The entry of a table in a generation.
pub(super) fn entry_of<'p>(published: &'p Published, table: &Table) -> Result<&'p TableEntry> {
    published.manifest.table(table.name).ok_or_else(|| StoreError::Mismatch {
        table: table.name.to_owned(),
        problem: format!("generation {} has no such table", published.manifest.generation),
    })
}
