//! CSV bytes into raw text columns, with the line every row came from.
//!
//! Owns headers, separators and everything that makes a whole file unusable. Judges no value:
//! that is the data sets' business.

use polars::prelude::*;

use crate::domain::manifest::SourceKind;
use crate::pipeline::{PipelineError, Result};

/// The file a row came from.
pub const SOURCE_FILE: &str = "source_file";
/// The line its record starts on; the header is line 1.
pub const LINE_NUMBER: &str = "line_number";
/// Whether the file writes decimals with a comma.
pub const DECIMAL_COMMA: &str = "~decimal_comma";
/// The cells beyond the header's columns, where any is filled; null in every row that fits.
pub const SURPLUS: &str = "surplus_cells";

/// A source file in memory.
#[derive(Debug, Clone, Copy)]
pub struct SourceBytes<'a> {
    /// Its name in the sources layer.
    pub name: &'a str,
    /// Its content.
    pub bytes: &'a [u8],
}

/// A column the contract knows: its name first, then every header it is accepted under.
pub struct Expected {
    /// The contract's name.
    pub name: &'static str,
    /// Accepted headers in order of preference, the contract's name first.
    pub accepted: &'static [&'static str],
    /// Whether a file without it is unusable.
    pub required: bool,
}

const fn required(accepted: &'static [&'static str]) -> Expected {
    Expected { name: accepted[0], accepted, required: true }
}
const fn optional(accepted: &'static [&'static str]) -> Expected {
    Expected { name: accepted[0], accepted, required: false }
}

const CLIENTS: &[Expected] = &[
    required(&["id_client", "client_id", "customer_id"]),
    required(&["nom", "name", "full_name"]),
    required(&["email", "mail"]),
    required(&["date_inscription", "subscription_date", "signup_date"]),
    required(&["pays", "country"]),
];

const ACHATS: &[Expected] = &[
    required(&["id_achat", "id_purchase", "purchase_id", "order_id"]),
    required(&["id_client", "client_id", "customer_id"]),
    required(&["date_achat", "purchase_date", "date", "timestamp"]),
    required(&["montant", "total", "amount"]),
    required(&["produit", "product", "item"]),
    optional(&["quantite", "quantity"]),
    optional(&["prix", "price", "unit_price"]),
];

/// The columns of a data set, in the order silver keeps them.
#[must_use]
pub fn expected(kind: SourceKind) -> &'static [Expected] {
    match kind {
        SourceKind::Clients => CLIENTS,
        SourceKind::Achats => ACHATS,
    }
}

/// Reads all files of one kind as one frame of texts: the contract's columns under the contract's
/// names, any other column under its own, then [`SOURCE_FILE`], [`LINE_NUMBER`],
/// [`DECIMAL_COMMA`] and [`SURPLUS`]. A cell a row does not have is null.
///
/// # Errors
/// [`PipelineError::BadSource`] for a file that is empty, not UTF-8, has a header and no rows,
/// lacks a required column, names a column twice or never closes a quotation.
pub fn read(kind: SourceKind, files: &[SourceBytes<'_>]) -> Result<DataFrame> {
    let opened = files.iter().map(|file| Opened::open(kind, *file)).collect::<Result<Vec<_>>>()?;

    let mut names: Vec<String> = expected(kind).iter().map(|c| c.name.to_owned()).collect();
    for name in opened.iter().flat_map(|file| &file.columns) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }

    let mut raw = RawColumns::new(&names);
    for file in &opened {
        file.append_to(&mut raw)?;
    }
    raw.finish()
}

/// A file whose header is understood.
struct Opened<'a> {
    name: &'a str,
    text: &'a str,
    separator: u8,
    /// The frame's column for each of the file's, in file order.
    columns: Vec<String>,
}

impl<'a> Opened<'a> {
    fn open(kind: SourceKind, file: SourceBytes<'a>) -> Result<Self> {
        let bad =
            |problem: String| PipelineError::BadSource { file: file.name.to_owned(), problem };
        let text = std::str::from_utf8(file.bytes).map_err(|error| {
            let before = &file.bytes[..error.valid_up_to()];
            let line = 1 + String::from_utf8_lossy(before).matches('\n').count();
            bad(format!("line {line} is not UTF-8 text; save the file as UTF-8"))
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.trim().is_empty() {
            return Err(bad("the file is empty".to_owned()));
        }
        let separator = guess_separator(text);

        let header = reader(text, separator)
            .headers()
            .map_err(|error| bad(format!("the header cannot be read: {error}")))?
            .clone();
        let columns = resolve_header(kind, &header).map_err(bad)?;
        Ok(Self { name: file.name, text, separator, columns })
    }

    fn append_to(&self, raw: &mut RawColumns) -> Result<()> {
        let bad =
            |problem: String| PipelineError::BadSource { file: self.name.to_owned(), problem };
        // For each of the frame's columns, the file's cell it is filled from.
        let cells: Vec<Option<usize>> = raw
            .names
            .iter()
            .map(|name| self.columns.iter().position(|column| column == name))
            .collect();
        let decimal_comma = self.separator == b';';

        let mut reader = reader(self.text, self.separator);
        let mut record = csv::StringRecord::new();
        let mut rows = 0_usize;
        let (mut last_line, mut last_start) = (1, 0);
        let mut lines = LineCounter::new(self.text);
        loop {
            let more = reader.read_record(&mut record).map_err(|error| {
                bad(format!("the row after line {last_line} cannot be read: {error}"))
            })?;
            if !more {
                break;
            }
            let start = record.position().map_or(0, csv::Position::byte);
            last_line = lines.line_of_record_at(start);
            last_start = usize::try_from(start).unwrap_or(usize::MAX);
            for (builder, cell) in raw.builders.iter_mut().zip(&cells) {
                builder.append_option(cell.and_then(|index| record.get(index)));
            }
            let beyond: Vec<&str> = record.iter().skip(self.columns.len()).collect();
            let is_surplus = beyond.iter().any(|cell| !cell.trim().is_empty());
            raw.source_file.append_value(self.name);
            raw.line_number.push(last_line);
            raw.decimal_comma.push(decimal_comma);
            raw.surplus.append_option(is_surplus.then(|| beyond.join(",")));
            rows += 1;
        }
        if rows == 0 {
            return Err(bad("the file has a header and no rows".to_owned()));
        }
        // A quotation that is never closed swallows the rest of the file into one record.
        let last_record = self.text.get(last_start..).unwrap_or_default().trim();
        let is_of_many_lines = last_record.contains(['\n', '\r']);
        if is_of_many_lines && self.text.matches('"').count() % 2 == 1 {
            return Err(bad(format!(
                "a quotation mark opened on line {last_line} is never closed"
            )));
        }
        Ok(())
    }
}

/// The separator that occurs more often in the header row outside quotation marks; a comma when
/// neither does.
fn guess_separator(text: &str) -> u8 {
    let (mut commas, mut semicolons, mut is_quoted) = (0, 0, false);
    for character in text.trim_start().chars() {
        match character {
            '"' => is_quoted = !is_quoted,
            '\n' | '\r' if !is_quoted => break,
            ',' if !is_quoted => commas += 1,
            ';' if !is_quoted => semicolons += 1,
            _ => {}
        }
    }
    if semicolons > commas { b';' } else { b',' }
}

/// Tells the line a record starts on. The parser's own count stops at the end of the record before,
/// which is not the same after empty lines and with `\r\n`.
struct LineCounter<'a> {
    text: &'a [u8],
    counted_to: usize,
    line: i64,
}

impl<'a> LineCounter<'a> {
    fn new(text: &'a str) -> Self {
        Self { text: text.as_bytes(), counted_to: 0, line: 1 }
    }

    /// The line of the first byte at or after `position` that ends no line. Positions ascend.
    fn line_of_record_at(&mut self, position: u64) -> i64 {
        let position = usize::try_from(position).unwrap_or(usize::MAX).min(self.text.len());
        let ends = self.text[position..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
        let start = position + ends.count();
        for index in self.counted_to..start {
            let is_end = match self.text[index] {
                b'\n' => true,
                b'\r' => self.text.get(index + 1) != Some(&b'\n'),
                _ => false,
            };
            self.line += i64::from(is_end);
        }
        self.counted_to = self.counted_to.max(start);
        self.line
    }
}

fn reader(text: &str, separator: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().delimiter(separator).flexible(true).from_reader(text.as_bytes())
}

/// Headers that a refusal shows of a file's.
const SHOWN: usize = 30;

/// The frame's column name for each header cell.
fn resolve_header(
    kind: SourceKind,
    header: &csv::StringRecord,
) -> std::result::Result<Vec<String>, String> {
    let headers: Vec<String> = header.iter().map(|cell| cell.trim().to_lowercase()).collect();
    for (index, name) in headers.iter().enumerate() {
        if !name.is_empty() && headers[..index].contains(name) {
            return Err(format!("the column {name} is there twice"));
        }
    }
    let mut columns: Vec<Option<&str>> = vec![None; headers.len()];
    for column in expected(kind) {
        let found = column
            .accepted
            .iter()
            .find_map(|accepted| headers.iter().position(|name| name == accepted));
        match found {
            Some(index) => columns[index] = Some(column.name),
            None if column.required => {
                return Err(format!(
                    "the required column {} is missing (accepted headers: {}; found: {})",
                    column.name,
                    column.accepted.join(", "),
                    headers[..headers.len().min(SHOWN)].join(", "),
                ));
            }
            None => {}
        }
    }
    let reserved = [SOURCE_FILE, LINE_NUMBER, super::checks::REASON, DECIMAL_COMMA, SURPLUS];
    let is_taken = |name: &str| {
        reserved.contains(&name) || expected(kind).iter().any(|column| column.name == name)
    };
    Ok(columns
        .into_iter()
        .zip(headers)
        .enumerate()
        .map(|(index, (canonical, header))| match canonical {
            Some(name) => name.to_owned(),
            None if header.is_empty() => format!("column_{}", index + 1),
            None if is_taken(&header) || header.starts_with('~') => format!("extra_{header}"),
            None => header,
        })
        .collect())
}

/// The columns under construction.
struct RawColumns {
    names: Vec<String>,
    builders: Vec<StringChunkedBuilder>,
    source_file: StringChunkedBuilder,
    line_number: Vec<i64>,
    decimal_comma: Vec<bool>,
    surplus: StringChunkedBuilder,
}

impl RawColumns {
    fn new(names: &[String]) -> Self {
        Self {
            names: names.to_vec(),
            builders: names
                .iter()
                .map(|name| StringChunkedBuilder::new(name.as_str().into(), 0))
                .collect(),
            source_file: StringChunkedBuilder::new(SOURCE_FILE.into(), 0),
            line_number: Vec::new(),
            decimal_comma: Vec::new(),
            surplus: StringChunkedBuilder::new(SURPLUS.into(), 0),
        }
    }

    fn finish(self) -> Result<DataFrame> {
        let mut columns: Vec<Column> =
            self.builders.into_iter().map(|builder| builder.finish().into_column()).collect();
        columns.push(self.source_file.finish().into_column());
        columns.push(Column::new(LINE_NUMBER.into(), self.line_number));
        columns.push(Column::new(DECIMAL_COMMA.into(), self.decimal_comma));
        columns.push(self.surplus.finish().into_column());
        Ok(DataFrame::new_infer_height(columns)?)
    }
}
