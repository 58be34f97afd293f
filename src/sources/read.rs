//! Source files into frames of raw text, as their verdicts say.

use std::io::BufRead;

use polars::prelude::{AnyValue, DataFrame};

use super::detect::{Detected, detect};
use super::options::SourceOptions;
use super::order::{is_candidate, reading_order};
use super::raw::RawColumns;
use super::rows::Rows;
use super::source::SourceText;
use super::text::Bytes;
use crate::domain::data_set::{DataSet, PerDataSet};
use crate::pipeline::silver::columns::{LINE_NUMBER, SOURCE_FILE};
use crate::pipeline::{PipelineError, Result};

/// Reads all files of a data set into one frame of texts: the canonical columns, any other column
/// under its own name, then source_file, line_number, ~day_first, ~row_key and
/// surplus_cells. A cell that a
/// row does not have is null; rows without any filled cell are left out. Without files the frame has
/// no rows and all canonical columns.
///
/// # Errors
/// [`PipelineError::Unreadable`] for a file whose bytes cannot be read.
pub fn read(set: DataSet, files: Vec<SourceText<'_>>) -> Result<DataFrame> {
    let mut raw = RawColumns::new(set);
    for file in files {
        let mut rows = Rows::open(file)?;
        while rows.append_to(&mut raw, usize::MAX)? {}
    }
    raw.finish()
}

/// The filled cells of the first rows of a file with their columns, the line first.
///
/// # Errors
/// As [`read`].
pub fn first_rows(file: SourceText<'_>, rows: usize) -> Result<Vec<Vec<(String, String)>>> {
    let mut raw = RawColumns::new(file.verdict.data_set);
    Rows::open(file)?.append_to(&mut raw, rows)?;
    let frame = raw.finish()?;
    let is_shown = |name: &str| !name.starts_with('~') && name != SOURCE_FILE;
    let shown = |row: usize| -> Result<Vec<(String, String)>> {
        let mut cells = vec![];
        let columns = frame.columns().iter().filter(|column| is_shown(column.name()));
        for column in columns {
            let text = match column.get(row)? {
                AnyValue::String(text) => text.to_owned(),
                AnyValue::Int64(line) => line.to_string(),
                _ => continue,
            };
            let cell = (column.name().to_string(), text);
            if cell.0 == LINE_NUMBER { cells.insert(0, cell) } else { cells.push(cell) }
        }
        Ok(cells)
    };
    (0..frame.height()).map(shown).collect()
}

/// Detects and reads files in memory; those that are nothing known are left out.
///
/// # Errors
/// As [`detect`] and [`read`].
pub fn read_in_memory<B: AsRef<[u8]>>(
    files: &[(&str, B)],
    options: &SourceOptions,
) -> Result<PerDataSet<DataFrame>> {
    let mut texts = Vec::new();
    for (name, bytes) in files.iter().filter(|(name, _)| is_candidate(name)) {
        let bytes = bytes.as_ref();
        if let Detected::Table(verdict) = detect(name, &mut &*bytes, options, None)? {
            let bytes: Bytes<'_> = Box::new(bytes);
            texts.push(SourceText { name: (*name).to_owned(), verdict: *verdict, bytes });
        }
    }
    texts.sort_by(|a, b| reading_order(&a.name, &b.name));
    let mut by_set = PerDataSet::from_fn(|_| Vec::new());
    for text in texts {
        by_set[text.verdict.data_set].push(text);
    }
    let mut frames = PerDataSet::from_fn(|_| DataFrame::empty());
    for (set, texts) in by_set {
        frames[set] = read(set, texts)?;
    }
    Ok(frames)
}

/// Detects and reads a file of purchases, whatever its name; `open` opens it, twice.
///
/// # Errors
/// As [`detect`] and [`read`]; [`PipelineError::Unreadable`] when it cannot be opened.
pub fn read_purchases<'a>(
    name: &str,
    open: impl Fn() -> std::io::Result<Box<dyn BufRead + Send + 'a>>,
) -> Result<DataFrame> {
    let set = DataSet::Purchases;
    let opened =
        || open().map_err(|source| PipelineError::Unreadable { file: name.to_owned(), source });
    match detect(name, opened()?.as_mut(), &SourceOptions::default(), Some(set))? {
        Detected::Table(verdict) => {
            let text = SourceText { name: name.to_owned(), verdict: *verdict, bytes: opened()? };
            read(set, vec![text])
        }
        Detected::Unknown(problem) => {
            Err(PipelineError::BadSource { file: name.to_owned(), problem })
        }
    }
}
