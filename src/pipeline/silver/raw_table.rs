//! What cleaning takes: the rows of source files as texts.

use std::ops::Range;

use polars::prelude::DataFrame;

use crate::domain::reading::Reading;

/// The rows of the files of one data set.
#[derive(Debug, Clone, Default)]
pub struct RawTable {
    /// The canonical columns and those of the files as texts, then source_file, line_number and
    /// surplus_cells.
    pub frame: DataFrame,
    /// The files that have rows, in reading order.
    pub files: Vec<RawFile>,
    /// What reading found worth saying, a sentence each.
    pub notes: Vec<String>,
}

/// A file and its rows.
#[derive(Debug, Clone)]
pub struct RawFile {
    /// Its name.
    pub name: String,
    /// Its rows in the frame.
    pub rows: Range<usize>,
    /// How its values are meant.
    pub reading: Reading,
    /// What its columns are known by.
    pub known_by: KnownBy,
    /// The name of its profile.
    pub profile: String,
    /// When it was exported, as far as its name says.
    pub date: Option<FileDate>,
}

/// Year, month and day of an export; 0 for what is not known.
pub type FileDate = (i16, i8, i8);

/// What the columns of a file are known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownBy {
    /// The names that the older systems used.
    Goldsmith,
    /// The settings.
    Mapping,
    /// The profile of another system.
    Profile,
}
