//! Frames of raw text, built row by row.

use polars::prelude::*;

use super::profile::known;
use crate::domain::data_set::DataSet;
use crate::pipeline::Result;
use crate::pipeline::silver::columns::{LINE_NUMBER, SOURCE_FILE, SURPLUS};

/// The columns of a raw frame under construction.
pub(super) struct RawColumns {
    pub(super) names: Vec<String>,
    pub(super) builders: Vec<StringChunkedBuilder>,
    source_file: StringChunkedBuilder,
    line_number: Vec<i64>,
    surplus: StringChunkedBuilder,
}

impl RawColumns {
    /// No rows of a data set, with its canonical columns.
    pub(super) fn new(set: DataSet) -> Self {
        let names = known(set).iter().map(|column| column.name.to_owned());
        let mut raw = Self {
            names: Vec::new(),
            builders: Vec::new(),
            source_file: StringChunkedBuilder::new(SOURCE_FILE.into(), 0),
            line_number: Vec::new(),
            surplus: StringChunkedBuilder::new(SURPLUS.into(), 0),
        };
        raw.add(&names.collect::<Vec<_>>());
        raw
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
        self.surplus.append_option(surplus);
    }

    pub(super) fn finish(self) -> Result<DataFrame> {
        let mut columns: Vec<Column> =
            self.builders.into_iter().map(|builder| builder.finish().into_column()).collect();
        columns.push(self.source_file.finish().into_column());
        columns.push(Column::new(LINE_NUMBER.into(), self.line_number));
        columns.push(self.surplus.finish().into_column());
        Ok(DataFrame::new_infer_height(columns)?)
    }
}
