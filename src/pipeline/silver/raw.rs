//! Raw rows by file, and columns of values read from them.
//!
//! A column means one thing in a file: its cells are judged together, file by file.

use std::ops::Range;

use polars::prelude::*;

use super::columns::{DAY_FIRST, LINE_NUMBER, ROW_KEY, SOURCE_FILE};
use super::values::amounts::{AmountColumn, AmountForm, Amounts};
use super::values::date_forms::DateOrder;
use super::values::dates::{DateColumn, DateForm, DateProblem};
use super::values::identifiers::{Identifier, IdentifierVotes, read};
use super::values::texts;
use crate::pipeline::{PipelineError, Result};

/// The rows of the files of a data set.
pub(super) struct Raw {
    /// Columns of text, source_file and line_number.
    pub(super) frame: DataFrame,
    /// The files, in reading order.
    pub(super) files: Vec<FileRows>,
}

/// The rows of one file.
pub(super) struct FileRows {
    pub(super) name: String,
    pub(super) rows: Range<usize>,
    /// The order of day and month where no cell shows it; `None` when nothing is known of the file.
    pub(super) date_order: Option<DateOrder>,
    /// Whether id_achat may identify rows rather than orders.
    pub(super) has_row_key: bool,
}

/// A column of values, one entry per row.
pub(super) struct Values<T> {
    pub(super) cells: T,
    /// Whether each cell is empty.
    pub(super) blanks: Vec<bool>,
    /// Sentences about how files were read, where that is not plain.
    pub(super) notes: Vec<String>,
}

/// What a cell of an identifier column is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum IdCell {
    /// The shop's own number.
    Number(i64),
    /// Any other text that identifies.
    Text(String),
    /// Nothing.
    Blank,
    /// A word for "no customer".
    Guest,
    /// Something that identifies nothing.
    Invalid,
}

impl Raw {
    /// Takes a frame as `sources::read` makes it.
    pub(super) fn new(frame: DataFrame) -> Result<Self> {
        let mut files: Vec<FileRows> = Vec::new();
        let day_first = frame.column(DAY_FIRST)?.bool()?;
        let row_key = frame.column(ROW_KEY)?.bool()?;
        for (row, name) in frame.column(SOURCE_FILE)?.str()?.iter().enumerate() {
            let name = name.unwrap_or_default();
            match files.last_mut() {
                Some(file) if file.name == name => file.rows.end = row + 1,
                _ => files.push(FileRows {
                    name: name.to_owned(),
                    rows: row..row + 1,
                    date_order: (day_first.get(row) == Some(true)).then_some(DateOrder::DayFirst),
                    has_row_key: row_key.get(row) == Some(true),
                }),
            }
        }
        Ok(Self { frame, files })
    }

    pub(super) fn height(&self) -> usize {
        self.frame.height()
    }

    /// The texts of a column.
    pub(super) fn cells(&self, column: &str) -> Result<&StringChunked> {
        Ok(self.frame.column(column)?.str()?)
    }

    /// The line of a row in its file.
    pub(super) fn line(&self, row: usize) -> i64 {
        let lines = self.frame.column(LINE_NUMBER).and_then(|lines| lines.i64().cloned());
        lines.ok().and_then(|lines| lines.get(row)).unwrap_or(0)
    }

    /// The position of the file that a row is of.
    pub(super) fn file_of(&self, row: usize) -> usize {
        self.files.partition_point(|file| file.rows.end <= row)
    }

    /// A column cleaned as a name, product or country.
    pub(super) fn names(&self, column: &str) -> Result<StringChunked> {
        let cells = self.cells(column)?;
        Ok(cells.iter().map(|cell| cell.and_then(texts::name)).collect())
    }

    /// A column cleaned as any other text.
    pub(super) fn texts(&self, column: &str) -> Result<StringChunked> {
        let cells = self.cells(column)?;
        Ok(cells.iter().map(|cell| cell.and_then(texts::value)).collect())
    }

    /// Instants in microseconds. `fallback` is the order of day and month
    /// that counts before the file's own where no cell shows it.
    ///
    /// # Errors
    /// [`PipelineError::BadSource`] for a file whose dates contradict each other.
    pub(super) fn dates(
        &self,
        column: &str,
        fallback: Option<DateOrder>,
    ) -> Result<Values<Vec<Option<i64>>>> {
        let cells = self.cells(column)?;
        let (mut values, mut blanks, mut notes) = (Vec::new(), Vec::new(), Vec::new());
        let mut cells_left = cells.iter();
        for file in &self.files {
            let mut dates = DateColumn::default();
            for cell in cells_left.by_ref().take(file.rows.len()) {
                let cell = cell.and_then(texts::value);
                blanks.push(cell.is_none());
                dates.push(cell.as_deref());
            }
            let read = dates.finish(fallback.or(file.date_order));
            let (read, form) = read.map_err(|problem| self.date_error(column, file, problem))?;
            values.extend(read);
            notes.extend(self.date_note(column, file, form));
        }
        Ok(Values { cells: values, blanks, notes })
    }

    /// What is worth saying about how the dates of a file were read.
    fn date_note(&self, column: &str, file: &FileRows, form: DateForm) -> Option<String> {
        if form.is_serial {
            return Some(format!(
                "{}: {column} holds a spreadsheet's numbers of days since 1899-12-30",
                file.name
            ));
        }
        match form.order? {
            (DateOrder::MonthFirst, Some(row)) => Some(format!(
                "{}: {column} is written month first, as {} shows",
                file.name,
                self.shown(column, file.rows.start + row)
            )),
            (DateOrder::MonthFirst, None) => {
                Some(format!("{}: {column} is read month first, as the settings say", file.name))
            }
            (DateOrder::DayFirst, _) => None,
        }
    }

    /// A cell with its line, for messages.
    pub(super) fn shown(&self, column: &str, row: usize) -> String {
        let cell = self.cells(column).ok().and_then(|cells| cells.get(row)).unwrap_or_default();
        format!("line {} \"{}\"", self.line(row), cell.trim())
    }

    fn date_error(&self, column: &str, file: &FileRows, problem: DateProblem) -> PipelineError {
        let shown = |row: usize| self.shown(column, file.rows.start + row);
        let problem = match problem {
            DateProblem::Contradiction { day_first, month_first } => format!(
                "{column} is written in both orders: {} can only be day first, {} only month first; correct the dates or split the file",
                shown(day_first),
                shown(month_first)
            ),
            DateProblem::Undecided { row } => format!(
                "nothing shows whether day or month comes first in {column}, for example {}; set sources.date_order = \"day_first\" or \"month_first\"",
                shown(row)
            ),
        };
        PipelineError::BadSource { file: file.name.clone(), problem }
    }

    /// Amounts of all files, rows counted from the first one.
    pub(super) fn amounts(&self, column: &str) -> Result<Values<Amounts>> {
        let cells = self.cells(column)?;
        let (mut all, mut blanks, mut notes) = (Amounts::default(), Vec::new(), Vec::new());
        let mut cells_left = cells.iter();
        for file in &self.files {
            let start = file.rows.start;
            let mut amounts = AmountColumn::default();
            for cell in cells_left.by_ref().take(file.rows.len()) {
                let cell = cell.and_then(texts::value);
                blanks.push(cell.is_none());
                amounts.push(cell.as_deref());
            }
            let read = amounts.finish();
            all.values.extend(read.values);
            all.ambiguous.extend(read.ambiguous.iter().map(|(row, value)| (start + row, *value)));
            all.currencies.extend(read.currencies.iter().map(|(row, code)| (start + row, *code)));
            notes.extend(self.amount_note(column, file, &read.form));
        }
        Ok(Values { cells: all, blanks, notes })
    }

    /// What is worth saying about how the amounts of a file were read.
    fn amount_note(&self, column: &str, file: &FileRows, form: &AmountForm) -> Option<String> {
        let ((point, points), (comma, commas)) = (form.point?, form.comma?);
        let rarer = if commas <= points { comma } else { point };
        Some(format!(
            "{}: {column} is written with both decimal signs, {points} with a point and {commas} with a comma, for example {}",
            file.name,
            self.shown(column, file.rows.start + rarer)
        ))
    }

    /// Identifiers; `guest_texts` are the lower-case words for "none". Rows that `is_counted` leaves out do
    /// not decide what a column holds.
    pub(super) fn identifiers(
        &self,
        column: &str,
        guest_texts: &[&str],
        is_counted: impl Fn(usize) -> bool,
    ) -> Result<Vec<IdCell>> {
        let cells = self.cells(column)?;
        let mut identifiers = Vec::with_capacity(cells.len());
        for file in &self.files {
            let start = identifiers.len();
            let mut votes = IdentifierVotes::default();
            for cell in cells.iter().skip(start).take(file.rows.len()) {
                let row = identifiers.len();
                let cell = cell.and_then(texts::value);
                let read_cell = match cell.as_deref() {
                    None => IdCell::Blank,
                    Some(text) if is_guest(text, guest_texts) => IdCell::Guest,
                    Some(text) => {
                        let identifier = read(text);
                        if is_counted(row) {
                            votes.count(&identifier);
                        }
                        match identifier {
                            Identifier::Number(number) => IdCell::Number(number),
                            Identifier::Text(text) => IdCell::Text(text.into_owned()),
                            Identifier::Shortened => IdCell::Invalid,
                        }
                    }
                };
                identifiers.push(read_cell);
            }
            if votes.are_numbers() {
                for cell in &mut identifiers[start..] {
                    let is_other = |text: &str| !text.bytes().all(|byte| byte.is_ascii_digit());
                    if matches!(cell, IdCell::Text(text) if is_other(text)) {
                        *cell = IdCell::Invalid;
                    }
                }
            }
        }
        Ok(identifiers)
    }
}

/// Whether a cell is one of these words, in any case.
fn is_guest(cell: &str, words: &[&str]) -> bool {
    cell.len() <= 12 && words.contains(&cell.to_lowercase().as_str())
}

impl IdCell {
    /// Whether it identifies something.
    pub(super) fn is_identifier(&self) -> bool {
        match self {
            Self::Number(_) => true,
            Self::Text(text) => !text.parse::<f64>().is_ok_and(|number| number <= 0.0),
            _ => false,
        }
    }

    /// The text that the shop shows; `None` where nothing is identified.
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Number(number) => Some(number.to_string()),
            Self::Text(text) => Some(text.clone()),
            _ => None,
        }
    }
}
