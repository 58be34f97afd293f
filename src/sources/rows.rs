//! The rows of a CSV file, as its verdict says, with the line every row comes from.
//!
//! Files are read as streams, never held as a whole. What a profile makes of a record is in
//! [`super::record`].

use std::borrow::Cow;

use super::lines::LineTracker;
use super::lookup::Lookups;
use super::profile::reading_of;
use super::raw::RawColumns;
use super::record::{Cells, Recipe};
use super::source::SourceText;
use super::text::{blanks_as_tabs, decode, decompress, is_blank, skip_lines, transcode};
use crate::domain::reading::Reading;
use crate::domain::verdict::{Encoding, Quoting};
use crate::pipeline::{PipelineError, Result};

/// Bytes the parser asks for at a time.
const BUFFER_BYTES: usize = 64 << 10;

/// A file whose header has been read.
pub(super) struct Rows<'a> {
    name: String,
    encoding: Encoding,
    /// The column of the raw frame for each column of the file, in file order.
    columns: Vec<String>,
    reading: Reading,
    /// What its profile makes of each record; `None` when records are rows.
    recipe: Option<Recipe>,
    reader: csv::Reader<LineTracker<'a>>,
    record: csv::ByteRecord,
}

impl<'a> Rows<'a> {
    pub(super) fn open(file: SourceText<'a>, lookups: &Lookups) -> Result<Self> {
        let reading = reading_of(&file.verdict);
        let SourceText { name, verdict, bytes } = file;
        let unreadable = |source| PipelineError::Unreadable { file: name.clone(), source };
        let bytes = decompress(bytes, verdict.compression);
        let mut text = transcode(bytes, verdict.encoding, verdict.has_mark).map_err(unreadable)?;
        let lines_before = verdict.header_line.saturating_sub(1);
        skip_lines(text.as_mut(), lines_before).map_err(unreadable)?;
        let lines = i64::try_from(lines_before).unwrap_or(i64::MAX);
        let escape = (verdict.quoting == Quoting::Backslash).then_some(b'\\');
        let mut separator = u8::try_from(verdict.separator).unwrap_or(b',');
        if separator == b' ' {
            // Cells stand apart by any number of blanks.
            (text, separator) = (blanks_as_tabs(text), b'\t');
        }
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(separator)
            .escape(escape)
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(BUFFER_BYTES)
            .from_reader(LineTracker::new(text, lines));
        let mut record = csv::ByteRecord::new();
        if verdict.header_line > 0 {
            reader.read_byte_record(&mut record).map_err(|error| read_error(&name, error))?;
        }
        let columns: Vec<String> =
            verdict.columns.into_iter().map(|column| column.column).collect();
        Ok(Self {
            name,
            encoding: verdict.encoding,
            recipe: Recipe::of(&columns, &reading, lookups),
            columns,
            reading,
            reader,
            record,
        })
    }

    /// How the values of the file are meant.
    pub(super) fn reading(&self) -> &Reading {
        &self.reading
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What is worth saying about what was read so far, a sentence each.
    pub(super) fn notes(&self) -> Vec<String> {
        self.recipe.iter().flat_map(|recipe| recipe.notes(&self.name)).collect()
    }

    /// Appends the rows of at most so many records.
    pub(super) fn append_to(&mut self, raw: &mut RawColumns, max_records: usize) -> Result<()> {
        let columns = match &self.recipe {
            None => &self.columns,
            Some(recipe) => recipe.columns(),
        };
        raw.add(columns);
        // For each column of the frame, the cell that fills it.
        let cells: Vec<Option<usize>> =
            raw.names.iter().map(|name| columns.iter().position(|column| column == name)).collect();
        // Records whose orders may be filled from rows that follow.
        let mut waiting: Vec<(i64, Option<String>, Vec<String>)> = Vec::new();
        for _ in 0..max_records {
            let more = self.reader.read_byte_record(&mut self.record);
            if !more.map_err(|error| read_error(&self.name, error))? {
                break;
            }
            let start = self.record.position().map_or(0, csv::Position::byte);
            let line = self.reader.get_mut().line_of_record_at(start);
            // What a spreadsheet leaves below its last row is not a row.
            if self.record.iter().all(is_blank) {
                continue;
            }
            let surplus = self.surplus();
            if let Some(recipe) = &mut self.recipe {
                let texts = self.record.iter().take(self.columns.len());
                let texts = texts.map(|cell| decode(without_zeros(cell), self.encoding));
                let texts: Vec<Cow<'_, str>> = texts.collect();
                if recipe.fills() {
                    recipe.learn(&texts);
                    let texts = texts.into_iter().map(Cow::into_owned).collect();
                    waiting.push((line, surplus, texts));
                } else {
                    append(raw, &cells, recipe.rows(texts), &self.name, line, surplus.as_deref());
                }
                continue;
            }
            for (builder, cell) in raw.builders.iter_mut().zip(&cells) {
                let cell = cell.and_then(|index| self.record.get(index));
                builder.append_option(cell.map(|cell| decode(without_zeros(cell), self.encoding)));
            }
            raw.end_row(&self.name, line, surplus);
        }
        if let Some(recipe) = &mut self.recipe {
            for (line, surplus, texts) in waiting {
                let rows = recipe.rows(texts.into_iter().map(Cow::Owned).collect());
                append(raw, &cells, rows, &self.name, line, surplus.as_deref());
            }
        }
        Ok(())
    }

    /// The cells beyond the header if any of them is filled.
    fn surplus(&self) -> Option<String> {
        if self.record.len() <= self.columns.len() {
            return None;
        }
        let beyond = || self.record.iter().skip(self.columns.len());
        let texts = beyond().map(|cell| decode(cell, self.encoding));
        beyond().any(|cell| !is_blank(cell)).then(|| texts.collect::<Vec<_>>().join(","))
    }
}

/// Appends the rows of one record; `cells` says which cell fills each column of the frame.
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

/// A cell without the zeros around it, as padded fields have them.
fn without_zeros(cell: &[u8]) -> &[u8] {
    let Some(start) = cell.iter().position(|byte| *byte != 0) else { return &[] };
    let end = cell.iter().rposition(|byte| *byte != 0).map_or(start, |end| end + 1);
    &cell[start..end]
}

/// Why the next row cannot be read: the parser refuses none, so it is the bytes.
fn read_error(name: &str, error: csv::Error) -> PipelineError {
    let source = match error.into_kind() {
        csv::ErrorKind::Io(source) => source,
        other => std::io::Error::other(format!("{other:?}")),
    };
    PipelineError::Unreadable { file: name.to_owned(), source }
}
