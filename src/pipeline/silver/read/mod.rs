//! Source files into frames of raw text.
//!
//! Does not validate values: the rules of each data set do. Another file format needs a reader
//! beside [`csv`] that fills the same [`RawColumns`].

mod columns;
mod csv;
mod header;
mod lines;
mod source;

pub use source::SourceText;

use self::columns::RawColumns;
use self::csv::CsvFile;
use polars::prelude::DataFrame;

use super::columns::SourceColumn;
use crate::pipeline::Result;

/// Reads all files of a data set into one frame of texts: the known columns under their contract
/// names, any other column under its own, then source_file, line_number, ~decimal_comma and
/// surplus_cells. A cell that a row does not have is null.
///
/// # Errors
/// [`crate::pipeline::PipelineError::BadSource`] for a file that is empty, not UTF-8, has a header
/// and no rows, lacks a required column, names a column twice or never closes a quotation;
/// [`crate::pipeline::PipelineError::Unreadable`] for one whose bytes cannot be read.
pub(super) fn read(known: &[SourceColumn], files: Vec<SourceText<'_>>) -> Result<DataFrame> {
    let mut raw = RawColumns::new(known);
    for file in files {
        CsvFile::open(known, file)?.append_to(&mut raw)?;
    }
    raw.finish()
}
