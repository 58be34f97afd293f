//! Frames of raw text, built row by row.

use polars::prelude::*;

use super::profile::known;
use crate::domain::data_set::DataSet;
use crate::pipeline::Result;
use crate::pipeline::silver::columns::{LINE_NUMBER, SOURCE_FILE, SURPLUS};

/// The columns of a raw frame under construction.
pub(super) struct RawColumns {
    set: DataSet,
    pub(super) names: Vec<String>,
    pub(super) builders: Vec<StringChunkedBuilder>,
    source_file: StringChunkedBuilder,
    line_number: Vec<i64>,
    /// The rows with cells beyond the header, and those cells.
    surplus: Vec<(usize, String)>,
}

impl RawColumns {
    /// No rows of a data set.
    pub(super) fn new(set: DataSet) -> Self {
        Self {
            set,
            names: Vec::new(),
            builders: Vec::new(),
            source_file: StringChunkedBuilder::new(SOURCE_FILE.into(), 0),
            line_number: Vec::new(),
            surplus: Vec::new(),
        }
    }

    /// The number of rows so far.
    pub(super) fn height(&self) -> usize {
        self.line_number.len()
    }

    /// Adds the columns that do not exist yet; they are null in the rows so far.
    pub(super) fn add(&mut self, names: &[String]) {
        for name in names {
            if self.names.contains(name) {
                continue;
            }
            let mut builder = StringChunkedBuilder::new(name.as_str().into(), 0);
            for _ in &self.line_number {
                builder.append_null();
            }
            self.names.push(name.clone());
            self.builders.push(builder);
        }
    }

    /// Ends a row whose cells the builders have.
    pub(super) fn end_row(&mut self, file: &str, line: i64, surplus: Option<String>) {
        self.source_file.append_value(file);
        self.line_number.push(line);
        self.surplus.extend(surplus.map(|cells| (self.line_number.len() - 1, cells)));
    }

    /// The canonical columns, then the others in the order in which files have them.
    pub(super) fn finish(self) -> Result<DataFrame> {
        let height = self.line_number.len();
        let mut read: Vec<Column> =
            self.builders.into_iter().map(|builder| builder.finish().into_column()).collect();
        let mut columns = Vec::with_capacity(read.len());
        for canonical in known(self.set) {
            let index = read.iter().position(|column| column.name() == canonical.name);
            let empty = || Column::full_null(canonical.name.into(), height, &DataType::String);
            columns.push(index.map_or_else(empty, |index| read.remove(index)));
        }
        columns.append(&mut read);
        columns.push(self.source_file.finish().into_column());
        columns.push(Column::new(LINE_NUMBER.into(), self.line_number));
        let mut surplus = StringChunkedBuilder::new(SURPLUS.into(), 0);
        if self.surplus.is_empty() {
            columns.push(Column::full_null(SURPLUS.into(), height, &DataType::String));
        } else {
            let mut cells = self.surplus.into_iter().peekable();
            for row in 0..height {
                let is_next = |(at, _): &(usize, String)| *at == row;
                surplus.append_option(cells.next_if(is_next).map(|(_, cells)| cells));
            }
            columns.push(surplus.finish().into_column());
        }
        Ok(DataFrame::new_infer_height(columns)?)
    }
}
