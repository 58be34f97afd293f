//! Corrected rows: CSV files of rejects that the shop has corrected, matched to the records of source
//! files by the hash of the file and the line.
//!
//! A spreadsheet may have saved them anew: encoding and separator are found out. Empty cells stay
//! empty; columns that a file of corrections lacks stay as the source has them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use encoding_rs::{UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::headers::fold;
use crate::domain::formula::restored;
use crate::domain::rejects::{LINE, OWN_COLUMNS, SHA_256, SURPLUS};
use crate::domain::verdict::FileColumn;

/// The records of one file that are corrected, by the line they start on.
pub type Corrections = BTreeMap<i64, Correction>;

/// What takes the place of the cells of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Correction {
    /// The cells in the order of the file's columns; `None` for those that stay.
    pub cells: Vec<Option<String>>,
    /// Cells beyond the header.
    pub surplus: Option<String>,
    /// The file of corrections that it is from.
    pub from: String,
}

/// A row of a file of corrections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrectedRow {
    /// The SHA-256 of the source file that it is about.
    pub sha256: String,
    /// The line that the record starts on.
    pub line: i64,
    /// Headers of the source, how many equal ones precede, and the cells.
    cells: Vec<(String, usize, String)>,
    surplus: Option<String>,
}

/// Reads a file of corrections.
///
/// # Errors
/// A sentence without the file's name.
pub fn parse(bytes: &[u8]) -> Result<Vec<CorrectedRow>, String> {
    let text = decoded(bytes);
    let text = text.trim_start_matches(['\r', '\n']);
    let text = match text.strip_prefix("sep=") {
        Some(rest) => rest.split_once('\n').map_or("", |(_, rest)| rest),
        None => text,
    };
    let header = text.lines().next().unwrap_or_default();
    let counts =
        [',', ';', '\t', '|'].map(|separator| (header.matches(separator).count(), separator));
    let separator = counts.into_iter().max_by_key(|(count, _)| *count).map_or(',', |most| most.1);
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(u8::try_from(separator).unwrap_or(b','))
        .flexible(true)
        .from_reader(text.as_bytes());
    let unreadable = |error: csv::Error| format!("it cannot be read as CSV: {error}");
    let header: Vec<String> = reader
        .headers()
        .map_err(unreadable)?
        .iter()
        .map(|cell| restored(cell).to_owned())
        .collect();
    let position = |name: &str| header.iter().position(|cell| fold(cell) == fold(name));
    let (Some(hash), Some(line)) = (position(SHA_256), position(LINE)) else {
        return Err(format!(
            "it lacks the columns {SHA_256} and {LINE} of a CSV file of rejects, which say what its rows correct"
        ));
    };
    let surplus = position(SURPLUS);
    let own: Vec<usize> = OWN_COLUMNS.iter().filter_map(|name| position(name)).collect();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(unreadable)?;
        let cell = |index: usize| record.get(index).map(restored).unwrap_or_default();
        if record.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        let number = cell(line).trim();
        let number = number.parse().map_err(|_| {
            let at = record.position().map_or(0, csv::Position::line);
            format!("line {at}: {LINE} is not a number: \"{number}\"")
        })?;
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        let mut cells = Vec::new();
        for (index, name) in header.iter().enumerate().filter(|(index, _)| !own.contains(index)) {
            let before = seen.entry(name).or_default();
            // Spreadsheets leave out cells at the end of a row: those stay as they are.
            if record.get(index).is_some() {
                cells.push((name.clone(), *before, cell(index).to_owned()));
            }
            *before += 1;
        }
        let beyond = surplus.map(cell).filter(|cell| !cell.trim().is_empty());
        rows.push(CorrectedRow {
            sha256: cell(hash).trim().to_lowercase(),
            line: number,
            cells,
            surplus: beyond.map(str::to_owned),
        });
    }
    Ok(rows)
}

impl CorrectedRow {
    /// A header that none of these columns has, or more of them than there are.
    #[must_use]
    pub fn unknown_header(&self, columns: &[FileColumn]) -> Option<&str> {
        let is_unknown = |(header, number, cell): &&(String, usize, String)| {
            let same = columns.iter().filter(|column| column.header.trim() == header.trim());
            same.count() <= *number && !cell.trim().is_empty()
        };
        self.cells.iter().find(is_unknown).map(|(header, ..)| header.as_str())
    }

    /// The correction of a record of a file with these columns.
    #[must_use]
    pub fn correction(&self, columns: &[FileColumn], from: &str) -> Correction {
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        let cells = columns.iter().map(|column| {
            let before = seen.entry(&column.header).or_default();
            let same = |(header, number, _): &&(String, usize, String)| {
                header.trim() == column.header.trim() && number == before
            };
            let cell = self.cells.iter().find(same).map(|(_, _, cell)| cell.clone());
            *before += 1;
            cell
        });
        Correction { cells: cells.collect(), surplus: self.surplus.clone(), from: from.to_owned() }
    }
}

impl Correction {
    /// Leaves cells alone that a spreadsheet shortened, as `1.9E+18`: they correct nothing.
    pub(super) fn without_shortened<'a>(
        mut self,
        original: impl Fn(usize) -> Option<Cow<'a, str>>,
    ) -> Self {
        for (index, cell) in self.cells.iter_mut().enumerate() {
            if cell.as_deref().is_some_and(is_shortened)
                && original(index).is_some_and(|original| !is_shortened(&original))
            {
                *cell = None;
            }
        }
        self
    }
}

/// Whether a cell is a number as spreadsheets shorten long ones.
fn is_shortened(cell: &str) -> bool {
    let cell = cell.trim().replace(',', ".");
    cell.contains("E+") && cell.parse::<f64>().is_ok()
}

/// The text of bytes: by their mark, as UTF-8 if they are, else as Windows-1252.
fn decoded(bytes: &[u8]) -> Cow<'_, str> {
    let encoding = match bytes {
        [0xff, 0xfe, ..] => UTF_16LE,
        [0xfe, 0xff, ..] => UTF_16BE,
        _ if std::str::from_utf8(bytes).is_ok() => UTF_8,
        _ => WINDOWS_1252,
    };
    encoding.decode(bytes).0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(headers: &[&str]) -> Vec<FileColumn> {
        let column = |header: &&str| FileColumn {
            header: (*header).to_owned(),
            column: (*header).to_owned(),
        };
        headers.iter().map(column).collect()
    }

    #[test]
    fn cells_are_matched_by_header_and_by_which_of_equal_headers_they_are_below() {
        let csv = "sep=;\nline_number;Note;source_sha256;date;Note;gone\n\
            7;first;AB;'=1;second;x\n\n9;only;AB\n";
        let rows = parse(csv.as_bytes()).unwrap();
        assert_eq!((rows.len(), rows[0].line, rows[0].sha256.as_str()), (2, 7, "ab"));
        let columns = columns(&["date", "Note", "amount", "Note"]);
        let cells = |row: usize| rows[row].correction(&columns, "a.csv").cells;
        let texts = |cells: &[Option<&str>]| -> Vec<Option<String>> {
            cells.iter().map(|cell| cell.map(str::to_owned)).collect()
        };
        assert_eq!(cells(0), texts(&[Some("=1"), Some("first"), None, Some("second")]));
        assert_eq!(cells(1), texts(&[None, Some("only"), None, None]), "short rows change no more");
    }

    #[test]
    fn what_is_no_file_of_corrections_is_refused_in_a_sentence() {
        for (csv, sentence) in [
            ("a,b\n1,2\n", "it lacks the columns source_sha256 and line_number"),
            ("", "it lacks the columns"),
            ("source_sha256,line_number\nab,one\n", "line 2: line_number is not a number: \"one\""),
        ] {
            let problem = parse(csv.as_bytes()).unwrap_err();
            assert!(problem.starts_with(sentence), "{problem}");
        }
    }

    #[test]
    fn a_number_that_a_spreadsheet_shortened_corrects_nothing() {
        let correction = Correction {
            cells: vec![Some("1.9E+18".to_owned()), Some("1.9E+18".to_owned())],
            ..Correction::default()
        };
        let original =
            |index: usize| Some(Cow::Borrowed(["1900000000000000001", "1.9E+18"][index]));
        let cells = correction.without_shortened(original).cells;
        assert_eq!(cells, [None, Some("1.9E+18".to_owned())]);
    }
}
