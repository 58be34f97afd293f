//! Raw rows by file, and columns of values read from them.
//!
//! A column means one thing in a file: its cells are judged together, file by file.

use std::ops::Range;

use polars::prelude::*;

use super::columns::{LINE_NUMBER, ROW_KIND, RowKind, SOURCE_FILE};
use super::layer::CleaningRules;
use super::raw_table::{KnownBy, RawFile, RawTable};
use super::values::amounts::{AmountColumn, AmountForm, Amounts};
use super::values::countries::country_name;
use super::values::dates::{DateColumn, DateForm, DateProblem, DateStyle};
use super::values::identifiers::{Identifier, IdentifierVotes, read};
use super::values::texts;
use crate::domain::file_rows::{ColumnForm, ValueForm};
use crate::domain::reading::{DateOrder, DecimalSign, Reading};
use crate::domain::zone::Zone;
use crate::pipeline::{PipelineError, Result};

/// The rows of the files of a data set.
pub(super) struct Raw {
    /// Columns of text, source_file and line_number.
    pub(super) frame: DataFrame,
    /// The files, in reading order.
    pub(super) files: Vec<RawFile>,
    /// What reading found worth saying.
    pub(super) notes: Vec<String>,
    /// Where the shop is.
    zone: Zone,
    /// Whether leading zeros of identifiers do not count.
    integer_ids: bool,
    /// What separates decimals where a column does not show it.
    decimal_sign: Option<DecimalSign>,
}

/// A column of values, one entry per row.
pub(super) struct Values<T> {
    pub(super) cells: T,
    /// Whether each cell is empty.
    pub(super) blanks: Vec<bool>,
    /// Sentences about how files were read, where that is not plain.
    pub(super) notes: Vec<String>,
    /// How each file was read, with the position of the file.
    pub(super) forms: Vec<(usize, ColumnForm)>,
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
    /// Takes a table as `sources::read` makes it.
    pub(super) fn new(table: RawTable, rules: &CleaningRules) -> Self {
        let RawTable { frame, files, notes } = table;
        let CleaningRules { timezone, integer_ids, decimal_sign, .. } = rules;
        let (integer_ids, decimal_sign) = (*integer_ids, *decimal_sign);
        Self { frame, files, notes, zone: timezone.clone(), integer_ids, decimal_sign }
    }

    /// Puts the rows into another order: that of these files, each with the ranges of rows that it is made of.
    pub(super) fn rearrange(
        &mut self,
        files: impl Iterator<Item = (Vec<Range<usize>>, RawFile)>,
    ) -> Result<()> {
        let (mut frame, mut rearranged) = (self.frame.clear(), Vec::new());
        for (ranges, file) in files {
            let start = frame.height();
            for rows in ranges {
                let offset = i64::try_from(rows.start).unwrap_or(i64::MAX);
                frame.vstack_mut(&self.frame.slice(offset, rows.len()))?;
            }
            rearranged.push(RawFile { rows: start..frame.height(), ..file });
        }
        frame.rechunk_mut();
        (self.frame, self.files) = (frame, rearranged);
        Ok(())
    }

    pub(super) fn height(&self) -> usize {
        self.frame.height()
    }

    /// The texts of a column that only some files have; `None` where none has it.
    pub(super) fn cells_if_any(&self, column: &str) -> Result<Option<&StringChunked>> {
        match self.frame.column(column) {
            Ok(column) => Ok(Some(column.str()?)),
            Err(_) => Ok(None),
        }
    }

    /// What each row is; empty where every row is just what its amount says.
    pub(super) fn kinds(&self) -> Result<Vec<Option<RowKind>>> {
        let cells = self.cells_if_any(ROW_KIND)?;
        let kinds = cells.into_iter().flat_map(StringChunked::iter);
        Ok(kinds.map(|cell| cell.and_then(|cell| cell.parse().ok())).collect())
    }

    /// The countries of rows; codes by their English short names where the file has codes.
    pub(super) fn countries(&self) -> Result<StringChunked> {
        let mut names = self.names("pays")?;
        if self.files.iter().any(|file| file.reading.iso_countries) {
            let name = |(row, cell): (usize, Option<&str>)| {
                let cell = cell?;
                let has_codes = self.files[self.file_of(row)].reading.iso_countries;
                let by_code = has_codes.then(|| country_name(cell)).flatten();
                Some(by_code.unwrap_or(cell).to_owned())
            };
            names = names.iter().enumerate().map(name).collect();
        }
        Ok(names)
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
        if cells.null_count() == cells.len() {
            return Ok(cells.clone());
        }
        Ok(cells.iter().map(|cell| cell.and_then(texts::name)).collect())
    }

    /// A column cleaned as any other text.
    pub(super) fn texts(&self, column: &str) -> Result<StringChunked> {
        let cells = self.cells(column)?;
        if cells.null_count() == cells.len() {
            return Ok(cells.clone());
        }
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
        let (mut values, mut blanks) = (Vec::new(), Vec::new());
        let (mut notes, mut forms) = (Vec::new(), Vec::new());
        let mut cells_left = cells.iter();
        for (position, file) in self.files.iter().enumerate() {
            let mut dates = DateColumn::new(self.date_style(column, file));
            for cell in cells_left.by_ref().take(file.rows.len()) {
                let cell = cell.and_then(texts::value);
                blanks.push(cell.is_none());
                dates.push(cell.as_deref());
            }
            let mut read = dates.finish(fallback.or(file.reading.date_order));
            let mut elsewhere = None;
            if let Err(DateProblem::Undecided { .. }) = read
                && let Some((order, proof)) = self.order_elsewhere(column, position)?
            {
                elsewhere = Some((order, proof));
                read = self.date_column(column, file)?.finish(Some(order));
            }
            let (read, form) = read.map_err(|problem| self.date_error(column, file, problem))?;
            values.extend(read);
            let form = match elsewhere {
                None => {
                    notes.extend(self.date_note(column, file, form));
                    self.date_form(column, file, form)
                }
                Some((order, proof)) => {
                    let proof = format!("as {proof} shows; no cell of its own does");
                    let text = order_text(order);
                    notes.push(format!("{}: {column} is read {text}, {proof}", file.name));
                    Some(ColumnForm { column: column.to_owned(), form: order_form(order), proof })
                }
            };
            forms.extend(form.map(|form| (position, form)));
        }
        Ok(Values { cells: values, blanks, notes, forms })
    }

    fn date_style(&self, column: &str, file: &RawFile) -> DateStyle {
        let Reading { two_digit_years, utc, .. } = &file.reading;
        let is_utc = utc.iter().any(|utc| utc == column);
        DateStyle { two_digit_years: *two_digit_years, is_utc, zone: self.zone.clone() }
    }

    /// The cells of a column in the rows of a file.
    fn date_column(&self, column: &str, file: &RawFile) -> Result<DateColumn> {
        let mut dates = DateColumn::new(self.date_style(column, file));
        let cells = self.cells(column)?.iter().skip(file.rows.start).take(file.rows.len());
        cells.for_each(|cell| dates.push(cell.and_then(texts::value).as_deref()));
        Ok(dates)
    }

    /// The order of day and month that something else than the column shows, and what shows it: another column
    /// of the file, else the same column of another file with the same profile.
    fn order_elsewhere(
        &self,
        column: &str,
        position: usize,
    ) -> Result<Option<(DateOrder, String)>> {
        let file = &self.files[position];
        let is_other = |other: &&Column| {
            let name = other.name().as_str();
            name != column && !name.starts_with('~') && name != SOURCE_FILE && other.str().is_ok()
        };
        for other in self.frame.columns().iter().filter(is_other) {
            if let Some((order, row)) = self.date_column(other.name(), file)?.proof() {
                let shown = self.shown(other.name(), file.rows.start + row);
                return Ok(Some((order, format!("its column {}, {shown},", other.name()))));
            }
        }
        let same = self.files.iter().enumerate().filter(|(index, other)| {
            // Files that the settings map may be of different systems.
            *index != position && other.profile == file.profile && file.known_by != KnownBy::Mapping
        });
        for (_, other) in same {
            if let Some((order, row)) = self.date_column(column, other)?.proof() {
                let shown = self.shown(column, other.rows.start + row);
                return Ok(Some((order, format!("{}, {shown},", other.name))));
            }
        }
        Ok(None)
    }

    /// What is worth saying about how the dates of a file were read.
    fn date_note(&self, column: &str, file: &RawFile, form: DateForm) -> Option<String> {
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
                let why = match file.reading.date_order {
                    Some(DateOrder::MonthFirst) => "exports of its system are",
                    _ => "the settings say",
                };
                Some(format!("{}: {column} is read month first, as {why}", file.name))
            }
            (DateOrder::DayFirst, _) => None,
        }
    }

    /// How the dates of a file were read, where day and month could be confused.
    fn date_form(&self, column: &str, file: &RawFile, form: DateForm) -> Option<ColumnForm> {
        let (form, proof) = if form.is_serial {
            (ValueForm::SpreadsheetDays, String::new())
        } else {
            let (order, proof) = form.order?;
            let proof = match proof {
                Some(row) => format!("as {} shows", self.shown(column, file.rows.start + row)),
                None => "as the settings or the profile say; no cell shows it".to_owned(),
            };
            (order_form(order), proof)
        };
        Some(ColumnForm { column: column.to_owned(), form, proof })
    }

    /// How the amounts of a file were read, where cells show it.
    fn amount_form(&self, column: &str, file: &RawFile, form: &AmountForm) -> Option<ColumnForm> {
        let shown = |row: usize| self.shown(column, file.rows.start + row);
        let (form, proof) = match (form.point, form.comma) {
            (Some((row, _)), None) => (ValueForm::DecimalPoint, format!("as {} shows", shown(row))),
            (None, Some((row, _))) => (ValueForm::DecimalComma, format!("as {} shows", shown(row))),
            (Some((point, points)), Some((comma, commas))) => {
                let (point, comma) = (shown(point), shown(comma));
                let proof = format!("{points} times as {point} and {commas} times as {comma}");
                (ValueForm::BothDecimalSigns, proof)
            }
            (None, None) => return None,
        };
        Some(ColumnForm { column: column.to_owned(), form, proof })
    }

    /// A cell with its line, for messages.
    pub(super) fn shown(&self, column: &str, row: usize) -> String {
        let cell = self.cells(column).ok().and_then(|cells| cells.get(row)).unwrap_or_default();
        match cell.trim() {
            "" => format!("line {}", self.line(row)),
            cell => format!("line {} \"{cell}\"", self.line(row)),
        }
    }

    fn date_error(&self, column: &str, file: &RawFile, problem: DateProblem) -> PipelineError {
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
        if cells.null_count() == cells.len() {
            let cells = Amounts { values: vec![None; self.height()], ..Amounts::default() };
            let (notes, forms) = (Vec::new(), Vec::new());
            return Ok(Values { cells, blanks: vec![true; self.height()], notes, forms });
        }
        let (mut all, mut blanks) = (Amounts::default(), Vec::new());
        let (mut notes, mut forms) = (Vec::new(), Vec::new());
        let mut cells_left = cells.iter();
        for (position, file) in self.files.iter().enumerate() {
            let start = file.rows.start;
            let mut amounts = AmountColumn::default();
            for cell in cells_left.by_ref().take(file.rows.len()) {
                let cell = cell.and_then(texts::value);
                blanks.push(cell.is_none());
                amounts.push(cell.as_deref());
            }
            let read = amounts.finish(self.decimal_sign);
            all.values.extend(read.values);
            all.ambiguous.extend(read.ambiguous.iter().map(|(row, value)| (start + row, *value)));
            all.currencies.extend(read.currencies.iter().map(|(row, code)| (start + row, *code)));
            notes.extend(self.amount_note(column, file, &read.form));
            forms.extend(self.amount_form(column, file, &read.form).map(|form| (position, form)));
        }
        Ok(Values { cells: all, blanks, notes, forms })
    }

    /// What is worth saying about how the amounts of a file were read.
    fn amount_note(&self, column: &str, file: &RawFile, form: &AmountForm) -> Option<String> {
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
                let is_integer = self.integer_ids || file.reading.integer_ids;
                let cell = cell.as_deref().map(|text| without_zeros(text, is_integer));
                let read_cell = match cell {
                    None => IdCell::Blank,
                    Some(text) if is_guest(text, guest_texts, &file.reading) => IdCell::Guest,
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
                for (index, cell) in identifiers[start..].iter_mut().enumerate() {
                    let is_other = |text: &str| !text.bytes().all(|byte| byte.is_ascii_digit());
                    if matches!(cell, IdCell::Text(text) if is_other(text) && is_counted(start + index))
                    {
                        *cell = IdCell::Invalid;
                    }
                }
            }
        }
        Ok(identifiers)
    }
}

fn order_text(order: DateOrder) -> &'static str {
    match order {
        DateOrder::DayFirst => "day first",
        DateOrder::MonthFirst => "month first",
    }
}

fn order_form(order: DateOrder) -> ValueForm {
    match order {
        DateOrder::DayFirst => ValueForm::DayFirst,
        DateOrder::MonthFirst => ValueForm::MonthFirst,
    }
}

/// A number without its leading zeros, where they do not count.
fn without_zeros(cell: &str, is_integer: bool) -> &str {
    let digits = cell.trim_start_matches('0');
    let is_number = !digits.is_empty() && cell.bytes().all(|byte| byte.is_ascii_digit());
    if is_integer && is_number { digits } else { cell }
}

/// Whether a cell is one of these words or of the profile's, in any case.
fn is_guest(cell: &str, usual: &[&str], reading: &Reading) -> bool {
    if !cell.starts_with('0') && cell.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    (cell.len() <= 12 && usual.contains(&cell.to_lowercase().as_str()))
        || reading.guests.iter().any(|guest| guest.eq_ignore_ascii_case(cell))
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
