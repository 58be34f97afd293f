//! CSV bytes into raw text columns, with the line every row came from. Files are read from their
//! beginning, never held as a whole.
//!
//! Owns headers, separators and everything that makes a whole file unusable. Judges no value:
//! that is the data sets' business.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{BufRead, Read};

use memchr::{memchr_iter, memchr3_iter};
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

/// A source file, read once from its beginning.
pub struct SourceText<'a> {
    /// Its name in the sources layer.
    pub name: String,
    /// Its content.
    pub text: Box<dyn BufRead + Send + 'a>,
}

impl<'a> SourceText<'a> {
    /// A file that is in memory.
    #[must_use]
    pub fn of(name: &str, bytes: &'a [u8]) -> Self {
        Self { name: name.to_owned(), text: Box::new(bytes) }
    }
}

/// A column the contract knows: its name first, then every header it is accepted under.
pub struct Expected {
    /// The contract's name.
    pub name: &'static str,
    /// ParamSpec headers in order of preference, the contract's name first.
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
/// lacks a required column, names a column twice or never closes a quotation,
/// [`PipelineError::Unreadable`] for one whose bytes cannot be had.
pub fn read(kind: SourceKind, files: Vec<SourceText<'_>>) -> Result<DataFrame> {
    let mut raw = RawColumns::new(expected(kind));
    for file in files {
        Opened::open(kind, file)?.append_to(&mut raw)?;
    }
    raw.finish()
}

/// Bytes within which the header row has to end.
const MOST_HEAD_BYTES: usize = 1 << 20;
/// Bytes the parser asks for at a time.
const BUFFER_BYTES: usize = 64 << 10;

/// A file whose header is understood.
struct Opened<'a> {
    name: String,
    separator: u8,
    /// The frame's column for each of the file's, in file order.
    columns: Vec<String>,
    reader: csv::Reader<Observed<'a>>,
}

impl<'a> Opened<'a> {
    fn open(kind: SourceKind, file: SourceText<'a>) -> Result<Self> {
        let SourceText { name, mut text } = file;
        let head = read_head(text.as_mut())
            .map_err(|source| PipelineError::Unreadable { file: name.clone(), source })?;
        let bad = |problem: String| PipelineError::BadSource { file: name.clone(), problem };
        let rest = head.trim_ascii_start();
        if head.len() + BOM.len() >= MOST_HEAD_BYTES && header_row(rest).len() == rest.len() {
            let most = MOST_HEAD_BYTES >> 20;
            return Err(bad(format!("no header row ends within the first {most} MiB")));
        }
        if rest.is_empty() {
            return Err(bad("the file is empty".to_owned()));
        }
        let separator = guess_separator(&head);
        let observed = Observed::new(Box::new(std::io::Cursor::new(head).chain(text)));
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(separator)
            .flexible(true)
            .buffer_capacity(BUFFER_BYTES)
            .from_reader(observed);
        let header = match reader.headers() {
            Ok(header) => header.clone(),
            Err(error) => {
                return Err(unreadable(&name, error, reader.get_ref(), |error| {
                    format!("the header cannot be read: {error}")
                }));
            }
        };
        let columns = resolve_header(kind, &header).map_err(bad)?;
        Ok(Self { name, separator, columns, reader })
    }

    fn append_to(mut self, raw: &mut RawColumns) -> Result<()> {
        let bad = |problem: String| PipelineError::BadSource { file: self.name.clone(), problem };
        raw.add(&self.columns);
        // For each of the frame's columns, the file's cell it is filled from.
        let cells: Vec<Option<usize>> = raw
            .names
            .iter()
            .map(|name| self.columns.iter().position(|column| column == name))
            .collect();
        let decimal_comma = self.separator == b';';

        let mut record = csv::StringRecord::new();
        let mut rows = 0_usize;
        let mut last_line = 1;
        loop {
            let more = match self.reader.read_record(&mut record) {
                Ok(more) => more,
                Err(error) => {
                    return Err(unreadable(&self.name, error, self.reader.get_ref(), |error| {
                        format!("the row after line {last_line} cannot be read: {error}")
                    }));
                }
            };
            if !more {
                break;
            }
            let start = record.position().map_or(0, csv::Position::byte);
            last_line = self.reader.get_mut().line_of_record_at(start);
            for (builder, cell) in raw.builders.iter_mut().zip(&cells) {
                builder.append_option(cell.and_then(|index| record.get(index)));
            }
            let beyond: Vec<&str> = record.iter().skip(self.columns.len()).collect();
            let is_surplus = beyond.iter().any(|cell| !cell.trim().is_empty());
            raw.source_file.append_value(&self.name);
            raw.line_number.push(last_line);
            raw.decimal_comma.push(decimal_comma);
            raw.surplus.append_option(is_surplus.then(|| beyond.join(",")));
            rows += 1;
        }
        if rows == 0 {
            return Err(bad("the file has a header and no rows".to_owned()));
        }
        // A quotation that is never closed swallows the rest of the file into one record.
        let observed = self.reader.get_ref();
        if observed.is_record_of_many_lines() && observed.quotes % 2 == 1 {
            return Err(bad(format!(
                "a quotation mark opened on line {last_line} is never closed"
            )));
        }
        Ok(())
    }
}

/// What became of a file whose next record cannot be had.
fn unreadable(
    name: &str,
    error: csv::Error,
    observed: &Observed<'_>,
    told: impl FnOnce(&csv::Error) -> String,
) -> PipelineError {
    let file = name.to_owned();
    if let Some(line) = observed.broken_line {
        let problem = format!("line {line} is not UTF-8 text; save the file as UTF-8");
        return PipelineError::BadSource { file, problem };
    }
    if !matches!(error.kind(), csv::ErrorKind::Io(_)) {
        return PipelineError::BadSource { file, problem: told(&error) };
    }
    let source = match error.into_kind() {
        csv::ErrorKind::Io(source) => source,
        other => std::io::Error::other(format!("{other:?}")),
    };
    PipelineError::Unreadable { file, source }
}

/// The mark some programs put before UTF-8 text.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// The file up to the end of its header row at least, without the mark before it.
fn read_head(text: &mut dyn BufRead) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    loop {
        let ready = text.fill_buf()?;
        if ready.is_empty() {
            break;
        }
        let taken = ready.len().min(BUFFER_BYTES);
        head.extend_from_slice(&ready[..taken]);
        text.consume(taken);
        if head.len() >= MOST_HEAD_BYTES {
            break;
        }
        if head.len() >= BOM.len() {
            let rest = head.strip_prefix(BOM).unwrap_or(&head).trim_ascii_start();
            if header_row(rest).len() < rest.len() {
                break;
            }
        }
    }
    if head.starts_with(BOM) {
        head.drain(..BOM.len());
    }
    Ok(head)
}

/// Everything before the first line end outside quotation marks.
fn header_row(text: &[u8]) -> &[u8] {
    let mut is_quoted = false;
    let end = text.iter().position(|byte| {
        is_quoted ^= *byte == b'"';
        matches!(byte, b'\n' | b'\r') && !is_quoted
    });
    &text[..end.unwrap_or(text.len())]
}

/// The separator that occurs more often in the header row outside quotation marks; a comma when
/// neither does.
fn guess_separator(text: &[u8]) -> u8 {
    let (mut commas, mut semicolons, mut is_quoted) = (0, 0, false);
    for byte in header_row(text.trim_ascii_start()) {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => commas += 1,
            b';' if !is_quoted => semicolons += 1,
            _ => {}
        }
    }
    if semicolons > commas { b';' } else { b',' }
}

/// Passes a file on to the parser and keeps what the parser does not tell: where lines end, how many
/// quotation marks there are, and which line is no text.
struct Observed<'a> {
    inner: Box<dyn BufRead + Send + 'a>,
    /// Bytes passed on.
    position: u64,
    /// Positions of `\r` and `\n` from the last record on, and whether a line ends there.
    breaks: VecDeque<(u64, bool)>,
    /// Lines that ended before those.
    lines: i64,
    /// Lines that ended with `\n` so far, as editors count them.
    newlines: i64,
    /// Quotation marks.
    quotes: u64,
    /// The position after the last byte that is no space.
    ink_end: u64,
    /// Where the last record starts.
    record_start: u64,
    /// Bytes of a character whose rest has not been read.
    character: Vec<u8>,
    /// The first line that is not UTF-8.
    broken_line: Option<i64>,
}

impl<'a> Observed<'a> {
    fn new(inner: Box<dyn BufRead + Send + 'a>) -> Self {
        Self {
            inner,
            position: 0,
            breaks: VecDeque::new(),
            lines: 0,
            newlines: 0,
            quotes: 0,
            ink_end: 0,
            record_start: 0,
            character: Vec::new(),
            broken_line: None,
        }
    }

    /// Looks at bytes that are about to be passed on.
    fn observe(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.check_text(bytes)?;
        if let Some((last, ends)) = self.breaks.back_mut()
            && *last + 1 == self.position
            && !*ends
        {
            // A `\r` at the end of what came before ends a line, unless a `\n` follows.
            *ends = bytes.first() != Some(&b'\n');
        }
        for index in memchr3_iter(b'\n', b'\r', b'"', bytes) {
            let position = self.position + index as u64;
            match bytes[index] {
                b'"' => self.quotes += 1,
                b'\n' => {
                    self.newlines += 1;
                    self.breaks.push_back((position, true));
                }
                // The last byte is judged when the next one is known.
                _ => {
                    let next = bytes.get(index + 1);
                    self.breaks.push_back((position, next.is_some_and(|next| *next != b'\n')));
                }
            }
        }
        if let Some(index) = bytes.iter().rposition(|byte| !byte.is_ascii_whitespace()) {
            self.ink_end = self.position + index as u64 + 1;
        }
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Refuses what is not UTF-8; a character may go on in the next bytes.
    fn check_text(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let carried = self.character.len();
        let whole: Cow<'_, [u8]> = if carried == 0 {
            bytes.into()
        } else {
            [std::mem::take(&mut self.character), bytes.to_vec()].concat().into()
        };
        let is_end = bytes.is_empty();
        if let Err(error) = std::str::from_utf8(&whole) {
            if error.error_len().is_some() || is_end {
                let before = &whole[..error.valid_up_to()];
                let ends = memchr_iter(b'\n', before).count();
                self.broken_line =
                    Some(1 + self.newlines + i64::try_from(ends).unwrap_or(i64::MAX));
                return Err(std::io::ErrorKind::InvalidData.into());
            }
            self.character = whole[error.valid_up_to()..].to_vec();
        }
        Ok(())
    }

    /// The line of the first byte at or after `position` that ends no line. Positions ascend, and what
    /// they are of has been read. (The parser's own count stops at the end of the record before, which
    /// is not the same after empty lines and with `\r\n`.)
    fn line_of_record_at(&mut self, position: u64) -> i64 {
        self.record_start = position;
        while let Some((at, ends)) = self.breaks.front().copied()
            && at <= self.record_start
        {
            if at == self.record_start {
                self.record_start += 1;
            }
            self.lines += i64::from(ends);
            self.breaks.pop_front();
        }
        1 + self.lines
    }

    /// Whether the last record goes over a line end.
    fn is_record_of_many_lines(&self) -> bool {
        self.breaks.front().is_some_and(|(at, _)| *at < self.ink_end)
    }
}

impl Read for Observed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.observe(&buffer[..read])?;
        Ok(read)
    }
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
    fn new(expected: &[Expected]) -> Self {
        let names = expected.iter().map(|column| column.name.to_owned());
        let mut raw = Self {
            names: Vec::new(),
            builders: Vec::new(),
            source_file: StringChunkedBuilder::new(SOURCE_FILE.into(), 0),
            line_number: Vec::new(),
            decimal_comma: Vec::new(),
            surplus: StringChunkedBuilder::new(SURPLUS.into(), 0),
        };
        raw.add(&names.collect::<Vec<_>>());
        raw
    }

    /// Adds the columns that are not there yet; the rows so far have nothing in them.
    fn add(&mut self, names: &[String]) {
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
