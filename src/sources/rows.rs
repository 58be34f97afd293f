//! The rows of a file: its records, or what its profile makes of them (see [`super::record`]).

use std::borrow::Cow;

use super::lookup::Lookups;
use super::profile::reading_of;
use super::raw::RawColumns;
use super::record::{Cells, Recipe};
use super::records::Records;
use super::source::SourceText;
use crate::domain::reading::Reading;
use crate::pipeline::Result;

/// A file whose header has been read.
pub(super) struct Rows<'a> {
    records: Records<'a>,
    /// The column of the raw frame for each column of the file, in file order.
    columns: Vec<String>,
    reading: Reading,
    /// What its profile makes of each record; `None` when records are rows.
    recipe: Option<Recipe>,
}

impl<'a> Rows<'a> {
    pub(super) fn open(file: SourceText<'a>, lookups: &Lookups) -> Result<Self> {
        let reading = reading_of(&file.verdict);
        let columns: Vec<String> =
            file.verdict.columns.iter().map(|column| column.column.clone()).collect();
        let recipe = Recipe::of(&columns, &reading, lookups);
        Ok(Self { records: Records::open(file)?, columns, reading, recipe })
    }

    /// How the values of the file are meant.
    pub(super) fn reading(&self) -> &Reading {
        &self.reading
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        self.records.name()
    }

    /// What is worth saying about what was read so far, a sentence each.
    pub(super) fn notes(&self) -> Vec<String> {
        self.recipe.iter().flat_map(|recipe| recipe.notes(self.name())).collect()
    }

    /// Appends the rows of at most so many records.
    pub(super) fn append_to(&mut self, raw: &mut RawColumns, max_records: usize) -> Result<()> {
        let Self { records, columns, recipe, .. } = self;
        let columns = match recipe {
            None => columns,
            Some(recipe) => recipe.columns(),
        };
        raw.add(columns);
        // For each column of the frame, the cell that fills it.
        let cells: Vec<Option<usize>> =
            raw.names.iter().map(|name| columns.iter().position(|column| column == name)).collect();
        match recipe {
            None => append_records(records, raw, &cells, max_records),
            Some(recipe) => append_made(records, recipe, raw, &cells, max_records),
        }
    }
}

/// Appends records as rows; `cells` says which cell fills each column of the frame.
fn append_records(
    records: &mut Records<'_>,
    raw: &mut RawColumns,
    cells: &[Option<usize>],
    max_records: usize,
) -> Result<()> {
    for _ in 0..max_records {
        if !records.advance()? {
            break;
        }
        for (builder, cell) in raw.builders.iter_mut().zip(cells) {
            builder.append_option(cell.and_then(|index| records.cell(index)));
        }
        raw.end_row(records.name(), records.line(), records.surplus());
    }
    Ok(())
}

/// Appends what a recipe makes of records.
fn append_made(
    records: &mut Records<'_>,
    recipe: &mut Recipe,
    raw: &mut RawColumns,
    cells: &[Option<usize>],
    max_records: usize,
) -> Result<()> {
    // Records whose orders may be filled from rows that follow.
    let mut waiting: Vec<(i64, Option<String>, Vec<String>)> = Vec::new();
    for _ in 0..max_records {
        if !records.advance()? {
            break;
        }
        let (line, surplus, texts) = (records.line(), records.surplus(), records.cells());
        if recipe.fills() {
            recipe.learn(&texts);
            waiting.push((line, surplus, texts.into_iter().map(Cow::into_owned).collect()));
        } else {
            append(raw, cells, recipe.rows(texts), records.name(), line, surplus.as_deref());
        }
    }
    for (line, surplus, texts) in waiting {
        let rows = recipe.rows(texts.into_iter().map(Cow::Owned).collect());
        append(raw, cells, rows, records.name(), line, surplus.as_deref());
    }
    Ok(())
}

/// Appends the rows of one record.
fn append(
    raw: &mut RawColumns,
    cells: &[Option<usize>],
    rows: Vec<Cells>,
    name: &str,
    line: i64,
    surplus: Option<&str>,
) {
    for row in rows {
        for (builder, cell) in raw.builders.iter_mut().zip(cells) {
            builder.append_option(cell.and_then(|index| row[index].as_deref()));
        }
        raw.end_row(name, line, surplus.map(str::to_owned));
    }
}
