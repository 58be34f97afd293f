//! The records of a CSV file, as its verdict says, with the line each starts on.
//!
//! Files are read as streams, one record after the other or in blocks, never held as a
//! whole, unless a profile fills orders from rows that follow. Corrected records take the place of those of the
//! file. What records mean is not known here: see [`super::rows`] and [`super::rejects`].

use std::borrow::Cow;
use std::io::{self, Read as _};

use rayon::iter::{ParallelBridge as _, ParallelIterator as _};

use super::blocks::{Block, Blocks};
use super::container::unpack;
use super::corrections::{Correction, Corrections};
use super::lines::LineTracker;
use super::quoting::RowWalk;
use super::source::SourceText;
use super::text::{Bytes, UTF_8_MARK, blanks_as_tabs, decode, is_blank, skip_lines, transcode};
use crate::domain::verdict::{Encoding, Quoting};
use crate::pipeline::{PipelineError, Result};

/// Bytes the parser asks for at a time.
const BUFFER_BYTES: usize = 64 << 10;

/// How the records of a file are written.
#[derive(Debug, Clone, Copy)]
struct Form {
    encoding: Encoding,
    /// Cells that the header has.
    width: usize,
    separator: u8,
    escape: Option<u8>,
    has_header: bool,
}

/// The text of a file, open at its header.
pub(super) struct OpenText<'a> {
    name: String,
    form: Form,
    text: Bytes<'a>,
    lines_before: u64,
    corrections: Corrections,
}

/// Records of a file, after its header.
pub(super) struct Records<'a> {
    name: String,
    form: Form,
    reader: csv::Reader<LineTracker<'a>>,
    record: csv::ByteRecord,
    line: i64,
    corrections: Corrections,
    /// What takes the place of the cells of the present record.
    correction: Option<Correction>,
}

impl<'a> OpenText<'a> {
    pub(super) fn of(file: SourceText<'a>) -> Result<Self> {
        let SourceText { name, verdict, bytes, corrections } = file;
        let unreadable = |source| PipelineError::Unreadable { file: name.clone(), source };
        let bytes =
            unpack(bytes, verdict.container, verdict.sheet.as_deref()).map_err(unreadable)?;
        let mut text = transcode(bytes, verdict.encoding, verdict.has_mark).map_err(unreadable)?;
        let lines_before = verdict.header_line.saturating_sub(1);
        skip_lines(text.as_mut(), lines_before).map_err(unreadable)?;
        let mut separator = u8::try_from(verdict.separator).unwrap_or(b',');
        if separator == b' ' {
            // Cells stand apart by any number of blanks.
            (text, separator) = (blanks_as_tabs(text), b'\t');
        }
        let form = Form {
            encoding: verdict.encoding,
            width: verdict.columns.len(),
            separator,
            escape: (verdict.quoting == Quoting::Backslash).then_some(b'\\'),
            has_header: verdict.header_line > 0,
        };
        Ok(Self { name, form, text, lines_before, corrections })
    }

    /// The file's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its records, one after the other.
    pub(super) fn records(self) -> Result<Records<'a>> {
        let Self { name, form, text, lines_before, corrections } = self;
        Records::of(name, form, text, lines_before, corrections)
    }

    /// Reads its records in blocks, several at a time; gives what `read` makes of each block, in order.
    ///
    /// # Errors
    /// That of `read`, or when the bytes cannot be read.
    pub(super) fn in_blocks<T: Send>(
        self,
        block_bytes: usize,
        read: impl Fn(&mut Records<'_>) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let Self { name, form, text, lines_before, corrections } = self;
        let walk = RowWalk::new(form.separator, form.width, lines_before + 1);
        let walk = if form.escape.is_some() { walk.with_backslash() } else { walk.skipping() };
        let of_block = |block: io::Result<Block>| {
            let unreadable = |source| PipelineError::Unreadable { file: name.clone(), source };
            let Block { index, bytes, lines_before } = block.map_err(unreadable)?;
            let form = Form { has_header: form.has_header && index == 0, ..form };
            let first = i64::try_from(lines_before).unwrap_or(i64::MAX);
            // Lines of other blocks do no harm: no record of this one starts on them.
            let lines = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
            let corrections = corrections.range(first..first.saturating_add(lines + 2));
            let corrections = corrections.map(|(line, other)| (*line, other.clone())).collect();
            // The parser takes a mark at the beginning for that of a file.
            let is_marked = index > 0 && bytes.starts_with(UTF_8_MARK);
            let empty_line: &[u8] = if is_marked { b"\n" } else { b"" };
            let text: Bytes<'_> = Box::new(empty_line.chain(io::Cursor::new(bytes)));
            let lines_before = lines_before - u64::from(is_marked);
            let mut records = Records::of(name.clone(), form, text, lines_before, corrections)?;
            Ok((index, read(&mut records)?))
        };
        let blocks = Blocks::new(text, walk, block_bytes).par_bridge();
        let mut parts = blocks.map(of_block).collect::<Result<Vec<(usize, T)>>>()?;
        parts.sort_unstable_by_key(|(index, _)| *index);
        Ok(parts.into_iter().map(|(_, part)| part).collect())
    }
}

impl<'a> Records<'a> {
    fn of(
        name: String,
        form: Form,
        text: Bytes<'a>,
        lines_before: u64,
        corrections: Corrections,
    ) -> Result<Self> {
        let lines = i64::try_from(lines_before).unwrap_or(i64::MAX);
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(form.separator)
            .escape(form.escape)
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(BUFFER_BYTES)
            .from_reader(LineTracker::new(text, lines));
        let mut record = csv::ByteRecord::new();
        if form.has_header {
            reader.read_byte_record(&mut record).map_err(|error| read_error(&name, error))?;
        }
        Ok(Self { name, form, reader, record, line: 0, corrections, correction: None })
    }

    /// The file's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Goes to the next record with a filled cell; whether there is one. What a spreadsheet leaves below its
    /// last row is not a record, nor is one whose correction is empty.
    pub(super) fn advance(&mut self) -> Result<bool> {
        loop {
            match self.step()? {
                None => return Ok(false),
                Some(true) => return Ok(true),
                Some(false) => {}
            }
        }
    }

    /// Goes to the next record; whether it has a filled cell, `None` at the end.
    pub(super) fn step(&mut self) -> Result<Option<bool>> {
        let more = self.reader.read_byte_record(&mut self.record);
        if !more.map_err(|error| read_error(&self.name, error))? {
            return Ok(None);
        }
        let start = self.record.position().map_or(0, csv::Position::byte);
        self.line = self.reader.get_mut().line_of_record_at(start);
        self.correction = self
            .corrections
            .remove(&self.line)
            .map(|correction| correction.without_shortened(|index| self.original(index)));
        let is_blank_cell = |index| is_blank(self.cell(index).unwrap_or_default().as_bytes());
        let is_empty = match &self.correction {
            None => self.record.iter().all(is_blank),
            Some(correction) => {
                correction.surplus.is_none() && (0..self.form.width).all(is_blank_cell)
            }
        };
        Ok(Some(!is_empty))
    }

    /// The line that the present record starts on.
    pub(super) fn line(&self) -> i64 {
        self.line
    }

    /// The correction that was applied to the present record.
    pub(super) fn correction(&self) -> Option<&Correction> {
        self.correction.as_ref()
    }

    /// The corrections of records that have not been met so far.
    pub(super) fn corrections_left(&self) -> &Corrections {
        &self.corrections
    }

    /// A cell of the present record; `None` where it has none.
    pub(super) fn cell(&self, index: usize) -> Option<Cow<'_, str>> {
        if let Some(correction) = &self.correction
            && let Some(cell) = correction.cells.get(index).and_then(Option::as_deref)
        {
            return Some(Cow::Borrowed(cell));
        }
        self.original(index)
    }

    /// A cell of the present record as the file has it.
    pub(super) fn original(&self, index: usize) -> Option<Cow<'_, str>> {
        self.record.get(index).map(|cell| decode(without_zeros(cell), self.form.encoding))
    }

    /// The cells of the present record up to the last one of the header.
    pub(super) fn cells(&self) -> Vec<Cow<'_, str>> {
        let width = self.form.width.min(match &self.correction {
            None => self.record.len(),
            Some(_) => self.form.width,
        });
        (0..width).map(|index| self.cell(index).unwrap_or_default()).collect()
    }

    /// The cells beyond the header if any of them is filled.
    pub(super) fn surplus(&self) -> Option<String> {
        match &self.correction {
            Some(correction) => correction.surplus.clone(),
            None => self.original_surplus(),
        }
    }

    /// The same as the file has them.
    pub(super) fn original_surplus(&self) -> Option<String> {
        if self.record.len() <= self.form.width {
            return None;
        }
        let beyond = || self.record.iter().skip(self.form.width);
        let texts = beyond().map(|cell| decode(cell, self.form.encoding));
        beyond().any(|cell| !is_blank(cell)).then(|| texts.collect::<Vec<_>>().join(","))
    }
}

/// A cell without the zeros around it, as padded fields have them.
fn without_zeros(cell: &[u8]) -> &[u8] {
    let Some(start) = cell.iter().position(|byte| *byte != 0) else { return &[] };
    let end = cell.iter().rposition(|byte| *byte != 0).map_or(start, |end| end + 1);
    &cell[start..end]
}

/// Why the next record cannot be read: the parser refuses none, so it is the bytes.
fn read_error(name: &str, error: csv::Error) -> PipelineError {
    let source = match error.into_kind() {
        csv::ErrorKind::Io(source) => source,
        other => std::io::Error::other(format!("{other:?}")),
    };
    PipelineError::Unreadable { file: name.to_owned(), source }
}
