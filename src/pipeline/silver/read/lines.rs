//! Line numbers of CSV records as an editor counts them, and the check that text is UTF-8.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{BufRead, Read};

use memchr::{memchr_iter, memchr3_iter};

/// A reader that records what the CSV parser does not report: where lines end, how many quotation
/// marks there are, and which line is not UTF-8.
pub(super) struct LineTracker<'a> {
    inner: Box<dyn BufRead + Send + 'a>,
    /// Bytes read so far.
    position: u64,
    /// Positions of `\r` and `\n` since the last record, and whether a line ends there.
    breaks: VecDeque<(u64, bool)>,
    /// Lines that ended before these positions.
    lines: i64,
    /// Lines that ended with `\n` so far, as editors count them.
    newlines: i64,
    /// Quotation marks so far.
    pub(super) quotes: u64,
    /// The position after the last byte that is not white space.
    content_end: u64,
    /// Where the last record starts.
    record_start: u64,
    /// The bytes of a character that is not complete yet.
    partial_character: Vec<u8>,
    /// The first line that is not UTF-8.
    pub(super) broken_line: Option<i64>,
}

impl<'a> LineTracker<'a> {
    pub(super) fn new(inner: Box<dyn BufRead + Send + 'a>) -> Self {
        Self {
            inner,
            position: 0,
            breaks: VecDeque::new(),
            lines: 0,
            newlines: 0,
            quotes: 0,
            content_end: 0,
            record_start: 0,
            partial_character: Vec::new(),
            broken_line: None,
        }
    }

    /// Records bytes that are about to be handed to the parser.
    fn observe(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.check_text(bytes)?;
        if let Some((last, ends)) = self.breaks.back_mut()
            && *last + 1 == self.position
            && !*ends
        {
            // A `\r` at the end of the previous bytes ends a line, unless a `\n` follows.
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
                // A `\r` at the end is decided when the next bytes are known.
                _ => {
                    let next = bytes.get(index + 1);
                    self.breaks.push_back((position, next.is_some_and(|next| *next != b'\n')));
                }
            }
        }
        if let Some(index) = bytes.iter().rposition(|byte| !byte.is_ascii_whitespace()) {
            self.content_end = self.position + index as u64 + 1;
        }
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Rejects text that is not UTF-8; a character may continue in the next bytes.
    fn check_text(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let carried = self.partial_character.len();
        let whole: Cow<'_, [u8]> = if carried == 0 {
            bytes.into()
        } else {
            [std::mem::take(&mut self.partial_character), bytes.to_vec()].concat().into()
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
            self.partial_character = whole[error.valid_up_to()..].to_vec();
        }
        Ok(())
    }

    /// The line of the first byte at or after `position` that does not end a line. Positions must
    /// ascend and have been read. (The parser counts up to the end of the previous record, which
    /// differs after empty lines and with `\r\n`.)
    pub(super) fn line_of_record_at(&mut self, position: u64) -> i64 {
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

    /// Whether the last record spans several lines.
    pub(super) fn is_record_multiline(&self) -> bool {
        self.breaks.front().is_some_and(|(at, _)| *at < self.content_end)
    }
}

impl Read for LineTracker<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.observe(&buffer[..read])?;
        Ok(read)
    }
}
