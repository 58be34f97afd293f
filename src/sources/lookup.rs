//! Files that other files take columns from: the orders of Olist's items, the customers of its orders.

use std::collections::HashMap;
use std::sync::Arc;

use super::raw::RawColumns;
use super::record::Cells;
use super::rows::Rows;
use super::source::SourceText;
use crate::domain::reading::LookupTable;
use crate::pipeline::Result;

/// Lookup tables by name.
pub(super) type Lookups = HashMap<String, Arc<Lookup>>;

/// One table: its rows by key.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    /// Its columns, named by their headers in lower case, the key apart.
    pub(super) columns: Vec<String>,
    /// The cells of each row by the text of its key; of equal keys the last counts.
    pub(super) rows: HashMap<String, Cells>,
}

/// Reads the files that are lookup tables.
///
/// # Errors
/// When a file cannot be read.
pub(super) fn read_lookups(files: Vec<(LookupTable, SourceText<'_>)>) -> Result<Lookups> {
    let mut lookups: HashMap<String, Lookup> = HashMap::new();
    for (table, file) in files {
        let headers: Vec<String> =
            file.verdict.columns.iter().map(|column| column.header.to_lowercase()).collect();
        let names: Vec<String> =
            file.verdict.columns.iter().map(|column| column.column.clone()).collect();
        let mut raw = RawColumns::new(file.verdict.data_set);
        Rows::open(file, &Lookups::new())?.append_to(&mut raw, usize::MAX)?;
        let frame = raw.finish()?;
        let Some(key) = headers.iter().position(|header| *header == table.key) else { continue };
        let lookup = lookups.entry(table.name).or_default();
        if lookup.columns.is_empty() {
            let is_other = |(index, _): &(usize, &String)| *index != key;
            let others = headers.iter().enumerate().filter(is_other);
            lookup.columns = others.map(|(_, header)| header.clone()).collect();
        }
        let keys = frame.column(&names[key])?.str()?;
        let cells = lookup.columns.iter().map(|header| {
            let index = headers.iter().position(|other| other == header);
            index.map(|index| Ok(frame.column(&names[index])?.str()?.clone())).transpose()
        });
        let cells = cells.collect::<Result<Vec<_>>>()?;
        for (row, key) in keys.iter().enumerate() {
            let Some(key) = key.map(str::trim).filter(|key| !key.is_empty()) else { continue };
            let cell = |column: &Option<polars::prelude::StringChunked>| {
                column.as_ref()?.get(row).map(str::to_owned)
            };
            lookup.rows.insert(key.to_owned(), cells.iter().map(cell).collect());
        }
    }
    Ok(lookups.into_iter().map(|(name, lookup)| (name, Arc::new(lookup))).collect())
}
