//! The rows of a CSV file, as its verdict says, with the line every row comes from.
//!
//! Files are read as streams, never held as a whole.

use super::lines::LineTracker;
use super::profile;
use super::raw::RawColumns;
use super::source::SourceText;
use super::text::{decode, decompress, is_blank, skip_lines, transcode};
use crate::domain::verdict::{Encoding, Quoting};
use crate::pipeline::{PipelineError, Result};

/// Bytes the parser asks for at a time.
const BUFFER_BYTES: usize = 64 << 10;

/// A file whose header has been read.
pub(super) struct Rows<'a> {
    name: String,
    encoding: Encoding,
    is_day_first: bool,
    has_row_key: bool,
    /// The column of the raw frame for each column of the file, in file order.
    columns: Vec<String>,
    reader: csv::Reader<LineTracker<'a>>,
    record: csv::ByteRecord,
}

impl<'a> Rows<'a> {
    pub(super) fn open(file: SourceText<'a>) -> Result<Self> {
        let SourceText { name, verdict, bytes } = file;
        let unreadable = |source| PipelineError::Unreadable { file: name.clone(), source };
        let bytes = decompress(bytes, verdict.compression);
        let mut text = transcode(bytes, verdict.encoding, verdict.has_mark).map_err(unreadable)?;
        let lines_before = verdict.header_line.saturating_sub(1);
        skip_lines(text.as_mut(), lines_before).map_err(unreadable)?;
        let lines = i64::try_from(lines_before).unwrap_or(i64::MAX);
        let escape = (verdict.quoting == Quoting::Backslash).then_some(b'\\');
        let separator = u8::try_from(verdict.separator).unwrap_or(b',');
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(separator)
            .escape(escape)
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(BUFFER_BYTES)
            .from_reader(LineTracker::new(text, lines));
        let mut record = csv::ByteRecord::new();
        reader.read_byte_record(&mut record).map_err(|error| read_error(&name, error))?;
        Ok(Self {
            name,
            encoding: verdict.encoding,
            is_day_first: profile::is_day_first(&verdict),
            has_row_key: profile::has_row_key(&verdict),
            columns: verdict.columns.into_iter().map(|column| column.column).collect(),
            reader,
            record,
        })
    }

    /// Appends at most so many rows; whether there may be more.
    pub(super) fn append_to(&mut self, raw: &mut RawColumns, max_rows: usize) -> Result<bool> {
        raw.add(&self.columns);
        // For each column of the frame, the cell of the file that fills it.
        let cells: Vec<Option<usize>> = raw
            .names
            .iter()
            .map(|name| self.columns.iter().position(|column| column == name))
            .collect();
        let mut rows = 0;
        while rows < max_rows {
            let more = self.reader.read_byte_record(&mut self.record);
            if !more.map_err(|error| read_error(&self.name, error))? {
                return Ok(false);
            }
            let start = self.record.position().map_or(0, csv::Position::byte);
            let line = self.reader.get_mut().line_of_record_at(start);
            // What a spreadsheet leaves below its last row is not a row.
            if self.record.iter().all(is_blank) {
                continue;
            }
            for (builder, cell) in raw.builders.iter_mut().zip(&cells) {
                let cell = cell.and_then(|index| self.record.get(index));
                builder.append_option(cell.map(|cell| decode(without_zeros(cell), self.encoding)));
            }
            raw.source_file.append_value(&self.name);
            raw.line_number.push(line);
            raw.day_first.push(self.is_day_first);
            raw.row_key.push(self.has_row_key);
            raw.surplus.append_option(self.surplus());
            rows += 1;
        }
        Ok(true)
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
