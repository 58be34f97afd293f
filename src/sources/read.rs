//! Source files into frames of raw text, as their verdicts say.

use std::collections::HashMap;
use std::io::BufRead;
use std::sync::Arc;

use super::blocks::BLOCK_BYTES;
use super::detect::{Detected, detect};
use super::lookup::{Lookup, Lookups};
use super::options::SourceOptions;
use super::order::{date_in, is_candidate, reading_order};
use super::raw::RawColumns;
use super::rows::Rows;
use super::source::SourceText;
use super::text::Bytes;
use crate::domain::data_set::{DataSet, PerDataSet};
use crate::domain::reading::LookupTable;
use crate::domain::verdict::Verdict;
use crate::pipeline::silver::{KnownBy, RawFile, RawTable};
use crate::pipeline::{PipelineError, Result};

/// Reads all files of a data set into one frame of texts: the canonical columns, any other column
/// under its own name, then source_file, line_number and surplus_cells. A cell that a row does not
/// have is null; records without any filled cell are left out. Without files the frame has no rows
/// and all canonical columns. Files that are only for joins have no rows.
///
/// # Errors
/// [`PipelineError::Unreadable`] for a file whose bytes cannot be read, [`PipelineError::BadSource`] for
/// one that needs another file of its export.
pub fn read(set: DataSet, files: Vec<SourceText<'_>>) -> Result<RawTable> {
    let (mut tables, mut with_rows) = (Vec::new(), Vec::new());
    for file in files {
        match &file.verdict.reading.table {
            // Customers are rows when customers are read.
            Some(table) if set == DataSet::Purchases => tables.push((table.clone(), file)),
            _ => with_rows.push(file),
        }
    }
    let lookups = read_lookups(tables)?;
    let mut raw = RawColumns::new(set);
    let (mut files, mut notes) = (Vec::new(), Vec::new());
    for file in with_rows {
        let joins = &file.verdict.reading.joins;
        if let Some(join) = joins.iter().find(|join| !lookups.contains_key(&join.table)) {
            let problem = format!(
                "it takes columns from the file with {} of the same export, which is not there",
                join.table
            );
            return Err(PipelineError::BadSource { file: file.name, problem });
        }
        let known_by = match file.verdict.profile.as_str() {
            Verdict::GOLDSMITH => KnownBy::Goldsmith,
            Verdict::MAPPED => KnownBy::Mapping,
            _ => KnownBy::Profile,
        };
        let profile = file.verdict.profile.clone();
        let rows = Rows::open(file, &lookups)?;
        let date = date_in(rows.name());
        let (name, reading) = (rows.name().to_owned(), rows.reading().clone());
        let start = raw.height();
        notes.extend(rows.append_to(&mut raw, BLOCK_BYTES)?);
        let rows = start..raw.height();
        if !rows.is_empty() {
            files.push(RawFile { name, rows, reading, known_by, profile, date });
        }
    }
    Ok(RawTable { frame: raw.finish()?, files, notes })
}

/// Reads the files of every data set.
///
/// # Errors
/// As [`read`].
pub fn read_all(texts: PerDataSet<Vec<SourceText<'_>>>) -> Result<PerDataSet<RawTable>> {
    let mut tables = PerDataSet::from_fn(|_| RawTable::default());
    for (set, texts) in texts {
        tables[set] = read(set, texts)?;
    }
    Ok(tables)
}

/// Reads the files that are lookup tables.
///
/// # Errors
/// When a file cannot be read.
fn read_lookups(files: Vec<(LookupTable, SourceText<'_>)>) -> Result<Lookups> {
    let mut lookups: HashMap<String, Lookup> = HashMap::new();
    for (table, file) in files {
        let headers: Vec<String> =
            file.verdict.columns.iter().map(|column| column.header.to_lowercase()).collect();
        let names: Vec<String> =
            file.verdict.columns.iter().map(|column| column.column.clone()).collect();
        let mut raw = RawColumns::new(file.verdict.data_set);
        Rows::open(file, &Lookups::new())?.append_to(&mut raw, BLOCK_BYTES)?;
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

/// Whether a file is read for a data set: it has rows of it, or purchases take columns from it.
#[must_use]
pub fn is_read_for(set: DataSet, verdict: &Verdict) -> bool {
    verdict.data_set == set || (set == DataSet::Purchases && verdict.reading.table.is_some())
}

/// The profile whose sales a file holds; `None` for one without sales, and for one that the operator
/// maps: what it holds is meant to be read.
#[must_use]
pub fn system_of_sales(verdict: &Verdict) -> Option<&str> {
    let holds_sales = verdict.data_set == DataSet::Purchases && verdict.profile != Verdict::MAPPED;
    holds_sales.then_some(verdict.profile.as_str())
}

/// Detects and reads files in memory; those that are nothing known are left out.
///
/// # Errors
/// As [`detect`] and [`read`].
pub fn read_in_memory<B: AsRef<[u8]>>(
    files: &[(&str, B)],
    options: &SourceOptions,
) -> Result<PerDataSet<RawTable>> {
    let mut known = Vec::new();
    for (name, bytes) in files.iter().filter(|(name, _)| is_candidate(name)) {
        let bytes = bytes.as_ref();
        if let Detected::Table(verdict) = detect(name, &mut &*bytes, options, None)? {
            known.push((*name, *verdict, bytes));
        }
    }
    known.sort_by(|(a, ..), (b, ..)| reading_order(a, b));
    let by_set = PerDataSet::from_fn(|set| {
        let of_set = known.iter().filter(|(_, verdict, _)| is_read_for(set, verdict));
        let mut texts = Vec::new();
        for (name, verdict, bytes) in of_set {
            let bytes: Bytes<'_> = Box::new(*bytes);
            texts.push(SourceText::new(*name, verdict.clone(), bytes));
        }
        texts
    });
    read_all(by_set)
}

/// Detects and reads a file of purchases, whatever its name; `open` opens it, twice.
///
/// # Errors
/// As [`detect`] and [`read`]; [`PipelineError::Unreadable`] when it cannot be opened.
pub fn read_purchases<'a>(
    name: &str,
    open: impl Fn() -> std::io::Result<Box<dyn BufRead + Send + 'a>>,
) -> Result<RawTable> {
    let set = DataSet::Purchases;
    let opened =
        || open().map_err(|source| PipelineError::Unreadable { file: name.to_owned(), source });
    match detect(name, opened()?.as_mut(), &SourceOptions::default(), Some(set))? {
        Detected::Table(verdict) => read(set, vec![SourceText::new(name, *verdict, opened()?)]),
        Detected::Unknown(problem) => {
            Err(PipelineError::BadSource { file: name.to_owned(), problem })
        }
    }
}
