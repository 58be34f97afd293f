//! The pass over a whole file from its header on: encoding, quoting, rows, and what makes it unusable.

use std::io::{self, BufRead};

use memchr::{memchr, memchr_iter};

use super::encoding::Utf8Check;
use super::quoting::{MAX_ROW_BYTES, RowWalk, Unclosed};
use crate::domain::verdict::Quoting;

/// What the pass found.
pub(super) struct Scan {
    pub letters: Utf8Check,
    /// The line of the first byte that is not UTF-8.
    pub broken_line: Option<u64>,
    /// The line of the first zero byte.
    pub zero_line: Option<u64>,
    pub quoting: Quoting,
    /// The line that decided for backslashes.
    pub deciding_line: Option<u64>,
    /// The line of a quotation that was opened on the last line and not closed.
    pub cut_quotation: Option<u64>,
}

/// Looks at a text once, from the first byte of its header.
pub(super) struct Scanner {
    letters: Utf8Check,
    doubled: RowWalk,
    backslash: Option<RowWalk>,
    broken_line: Option<u64>,
    zero_line: Option<u64>,
}

impl Scanner {
    pub(super) fn new(separator: u8, width: usize, header_line: u64) -> Self {
        Self {
            letters: Utf8Check::new(),
            doubled: RowWalk::new(separator, width, header_line).skipping(),
            backslash: None,
            broken_line: None,
            zero_line: None,
        }
    }

    /// Looks at all of a text.
    ///
    /// # Errors
    /// That of the reader.
    pub(super) fn feed_all(&mut self, text: &mut dyn BufRead) -> io::Result<()> {
        loop {
            let part = text.fill_buf()?;
            if part.is_empty() || self.is_hopeless() {
                return Ok(());
            }
            self.feed(part);
            let length = part.len();
            text.consume(length);
        }
    }

    /// Whether no further byte can make the file readable.
    fn is_hopeless(&self) -> bool {
        let is_long = |walk: &RowWalk| walk.too_long.is_some();
        is_long(&self.doubled) && self.backslash.as_ref().is_none_or(is_long)
    }

    pub(super) fn feed(&mut self, part: &[u8]) {
        let line = self.doubled.line();
        let line_at = |at: usize| line + memchr_iter(b'\n', &part[..at]).count() as u64;
        if let Some(at) = self.letters.feed(part)
            && self.broken_line.is_none()
        {
            self.broken_line = Some(line_at(at));
        }
        if self.zero_line.is_none()
            && let Some(at) = memchr(0, part)
        {
            self.zero_line = Some(line_at(at));
        }
        if self.backslash.is_none() && memchr(b'\\', part).is_some() {
            self.doubled.stop_skipping();
            self.backslash = Some(self.doubled.with_backslash());
        }
        self.doubled.feed(part);
        if let Some(walk) = &mut self.backslash {
            walk.feed(part);
        }
    }

    /// What was found.
    ///
    /// # Errors
    /// Why the file cannot be read, in a sentence without its name.
    pub(super) fn finish(mut self) -> Result<Scan, String> {
        let doubled = self.doubled.finish();
        let escaped = self.backslash.take().map(|mut walk| (walk.finish(), walk));
        let deciding_line = escaped.as_ref().and_then(|(unclosed, walk)| {
            let is_whole = walk.too_long.is_none() && !matches!(unclosed, Unclosed::Since(_));
            is_whole.then(|| deciding_line(&self.doubled, doubled, walk)).flatten()
        });
        let (quoting, unclosed, walk) = match (deciding_line, escaped) {
            (Some(_), Some((unclosed, walk))) => (Quoting::Backslash, unclosed, walk),
            _ => (Quoting::Doubled, doubled, self.doubled),
        };
        if let Some(line) = walk.too_long {
            let mebibytes = MAX_ROW_BYTES >> 20;
            return Err(format!(
                "the row that starts on line {line} is longer than {mebibytes} MiB; perhaps a quotation \
                 mark is never closed there"
            ));
        }
        if let Unclosed::Since(line) = unclosed {
            return Err(format!("a quotation mark opened on line {line} is never closed"));
        }
        if walk.rows == 0 {
            return Err("the file has a header and no rows".to_owned());
        }
        Ok(Scan {
            letters: self.letters,
            broken_line: self.broken_line,
            zero_line: self.zero_line,
            quoting,
            deciding_line,
            cut_quotation: match unclosed {
                Unclosed::LastLine(line) => Some(line),
                Unclosed::No | Unclosed::Since(_) => None,
            },
        })
    }
}

/// The line that decides for backslashes, if anything does: one that fits the header only with them, or
/// whose cell would continue after its end without them.
fn deciding_line(doubled: &RowWalk, unclosed: Unclosed, escaped: &RowWalk) -> Option<u64> {
    if doubled.too_long.is_some() {
        return doubled.too_long;
    }
    if let Unclosed::Since(line) = unclosed {
        return doubled.escape_misfit.or(doubled.ragged).or(Some(line));
    }
    if escaped.misfits < doubled.misfits {
        return doubled.escape_misfit.or(doubled.ragged);
    }
    if escaped.misfits == doubled.misfits && escaped.ragged.is_none() {
        return doubled.ragged;
    }
    None
}
