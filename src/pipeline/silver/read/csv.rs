//! CSV files into raw columns, with the line every row comes from.
//!
//! Owns everything that makes a whole file unusable. Files are read as streams, never held as a
//! whole.

use std::io::Read as _;

use super::columns::RawColumns;
use super::header::{check_head, guess_separator, read_head, resolve_header};
use super::lines::LineTracker;
use super::source::SourceText;
use crate::pipeline::silver::columns::SourceColumn;
use crate::pipeline::{PipelineError, Result};

/// Bytes the parser asks for at a time.
const BUFFER_BYTES: usize = 64 << 10;

/// A file whose header was understood.
pub(super) struct CsvFile<'a> {
    name: String,
    separator: u8,
    /// The column of the raw frame for each column of the file, in file order.
    columns: Vec<String>,
    reader: csv::Reader<LineTracker<'a>>,
}

impl<'a> CsvFile<'a> {
    pub(super) fn open(known: &[SourceColumn], file: SourceText<'a>) -> Result<Self> {
        let SourceText { name, mut text } = file;
        let head = read_head(text.as_mut())
            .map_err(|source| PipelineError::Unreadable { file: name.clone(), source })?;
        let bad = |problem: String| PipelineError::BadSource { file: name.clone(), problem };
        check_head(&head).map_err(bad)?;
        let separator = guess_separator(&head);
        let tracker = LineTracker::new(Box::new(std::io::Cursor::new(head).chain(text)));
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(separator)
            .flexible(true)
            .buffer_capacity(BUFFER_BYTES)
            .from_reader(tracker);
        let header = match reader.headers() {
            Ok(header) => header.clone(),
            Err(error) => {
                return Err(read_error(&name, error, reader.get_ref(), |error| {
                    format!("the header cannot be read: {error}")
                }));
            }
        };
        let columns = resolve_header(known, &header).map_err(bad)?;
        Ok(Self { name, separator, columns, reader })
    }

    pub(super) fn append_to(mut self, raw: &mut RawColumns) -> Result<()> {
        let bad = |problem: String| PipelineError::BadSource { file: self.name.clone(), problem };
        raw.add(&self.columns);
        // For each column of the frame, the cell of the file that fills it.
        let cells: Vec<Option<usize>> = raw
            .names
            .iter()
            .map(|name| self.columns.iter().position(|column| column == name))
            .collect();
        let decimal_comma = self.separator == b';';

        let mut record = csv::StringRecord::new();
        let mut rows = 0_usize;
        let mut last_line = 1;
        loop {
            let more = match self.reader.read_record(&mut record) {
                Ok(more) => more,
                Err(error) => {
                    return Err(read_error(&self.name, error, self.reader.get_ref(), |error| {
                        format!("the row after line {last_line} cannot be read: {error}")
                    }));
                }
            };
            if !more {
                break;
            }
            let start = record.position().map_or(0, csv::Position::byte);
            last_line = self.reader.get_mut().line_of_record_at(start);
            for (builder, cell) in raw.builders.iter_mut().zip(&cells) {
                builder.append_option(cell.and_then(|index| record.get(index)));
            }
            let beyond: Vec<&str> = record.iter().skip(self.columns.len()).collect();
            let is_surplus = beyond.iter().any(|cell| !cell.trim().is_empty());
            raw.source_file.append_value(&self.name);
            raw.line_number.push(last_line);
            raw.decimal_comma.push(decimal_comma);
            raw.surplus.append_option(is_surplus.then(|| beyond.join(",")));
            rows += 1;
        }
        if rows == 0 {
            return Err(bad("the file has a header and no rows".to_owned()));
        }
        // A quotation that is never closed swallows the rest of the file into one record.
        let tracker = self.reader.get_ref();
        if tracker.is_record_multiline() && tracker.quotes % 2 == 1 {
            return Err(bad(format!(
                "a quotation mark opened on line {last_line} is never closed"
            )));
        }
        Ok(())
    }
}

/// Why the next record cannot be read: the text is not UTF-8, the CSV is malformed (`describe` says
/// how), or the bytes could not be read.
fn read_error(
    name: &str,
    error: csv::Error,
    tracker: &LineTracker<'_>,
    describe: impl FnOnce(&csv::Error) -> String,
) -> PipelineError {
    let file = name.to_owned();
    if let Some(line) = tracker.broken_line {
        let problem = format!("line {line} is not UTF-8 text; save the file as UTF-8");
        return PipelineError::BadSource { file, problem };
    }
    if !matches!(error.kind(), csv::ErrorKind::Io(_)) {
        return PipelineError::BadSource { file, problem: describe(&error) };
    }
    let source = match error.into_kind() {
        csv::ErrorKind::Io(source) => source,
        other => std::io::Error::other(format!("{other:?}")),
    };
    PipelineError::Unreadable { file, source }
}
