//! Frames of raw text, put together from the rows of files.

use std::borrow::Cow;

use polars::prelude::*;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::profile::known;
use crate::domain::data_set::DataSet;
use crate::pipeline::Result;
use crate::pipeline::silver::columns::{LINE_NUMBER, SOURCE_FILE, SURPLUS};

/// Rows of a file, column by column.
pub(super) struct RawRows {
    columns: Vec<StringChunkedBuilder>,
    lines: Vec<i64>,
    /// The rows with cells beyond the header, and those cells.
    surplus: Vec<(usize, String)>,
}

impl RawRows {
    /// No rows of these columns.
    pub(super) fn new(columns: &[String]) -> Self {
        let builder = |name: &String| StringChunkedBuilder::new(name.as_str().into(), 0);
        let columns = columns.iter().map(builder).collect();
        Self { columns, lines: Vec::new(), surplus: Vec::new() }
    }

    /// Adds a row whose record starts on a line; `cell` gives the text of a column.
    pub(super) fn push<'c>(
        &mut self,
        line: i64,
        surplus: Option<String>,
        cell: impl Fn(usize) -> Option<Cow<'c, str>>,
    ) {
        for (index, column) in self.columns.iter_mut().enumerate() {
            column.append_option(cell(index));
        }
        self.surplus.extend(surplus.map(|cells| (self.lines.len(), cells)));
        self.lines.push(line);
    }
}

/// The columns of a raw frame under construction.
pub(super) struct RawColumns {
    set: DataSet,
    columns: Vec<StringChunked>,
    source_file: StringChunked,
    line_number: Vec<i64>,
    surplus: Vec<(usize, String)>,
}

impl RawColumns {
    /// No rows of a data set.
    pub(super) fn new(set: DataSet) -> Self {
        Self {
            set,
            columns: Vec::new(),
            source_file: StringChunked::full_null(SOURCE_FILE.into(), 0),
            line_number: Vec::new(),
            surplus: Vec::new(),
        }
    }

    /// The number of rows so far.
    pub(super) fn height(&self) -> usize {
        self.line_number.len()
    }

    /// Adds rows of a file. Columns that only the file or only the rows so far have are null in the others.
    pub(super) fn append(&mut self, file: &str, rows: RawRows) -> Result<()> {
        let (before, height) = (self.height(), rows.lines.len());
        let mut added: Vec<StringChunked> =
            rows.columns.into_iter().map(StringChunkedBuilder::finish).collect();
        for column in &mut self.columns {
            match added.iter().position(|other| other.name() == column.name()) {
                Some(index) => column.append_owned(added.remove(index))?,
                None => column.append_owned(StringChunked::full_null("".into(), height))?,
            }
        }
        self.surplus.extend(rows.surplus.into_iter().map(|(row, cells)| (before + row, cells)));
        self.line_number.extend(rows.lines);
        self.source_file.append_owned(StringChunked::full("".into(), file, height))?;
        for column in added {
            // Joined tables may have columns of one name: the first counts.
            if self.columns.iter().any(|other| other.name() == column.name()) {
                continue;
            }
            let mut whole = StringChunked::full_null(column.name().clone(), before);
            whole.append_owned(column)?;
            self.columns.push(whole);
        }
        Ok(())
    }

    /// The canonical columns, then the others in the order in which files have them.
    pub(super) fn finish(self) -> Result<DataFrame> {
        let height = self.height();
        // Columns without any text share their cells.
        let empty = StringChunked::full_null("".into(), height);
        let mut read = self.columns;
        let mut columns = Vec::with_capacity(read.len());
        for canonical in known(self.set) {
            let index = read.iter().position(|column| column.name() == canonical.name);
            let column = index.map_or_else(|| empty.clone(), |index| read.remove(index));
            columns.push(column.with_name(canonical.name.into()));
        }
        columns.append(&mut read);
        columns.push(self.source_file);
        let whole = |column: StringChunked| column.rechunk().into_owned().into_column();
        let mut columns: Vec<Column> = columns.into_par_iter().map(whole).collect();
        columns.push(Column::new(LINE_NUMBER.into(), self.line_number));
        let surplus = if self.surplus.is_empty() {
            empty
        } else {
            let mut cells = self.surplus.into_iter().peekable();
            let is_at = |row: usize| move |(at, _): &(usize, String)| *at == row;
            let mut surplus = StringChunkedBuilder::new(SURPLUS.into(), height);
            for row in 0..height {
                surplus.append_option(cells.next_if(is_at(row)).map(|(_, cells)| cells));
            }
            surplus.finish()
        };
        columns.push(surplus.with_name(SURPLUS.into()).into_column());
        Ok(DataFrame::new_infer_height(columns)?)
    }
}
