//! Line numbers of CSV records as an editor counts them.

use std::collections::VecDeque;
use std::io::Read;

use memchr::memchr2_iter;

use super::text::Bytes;

/// A reader that records what the CSV parser does not report: where lines end.
pub(super) struct LineTracker<'a> {
    inner: Bytes<'a>,
    /// Bytes read so far.
    position: u64,
    /// Positions of `\r` and `\n` since the last record, and whether a line ends there.
    breaks: VecDeque<(u64, bool)>,
    /// Lines that ended before these positions.
    lines: i64,
    /// Where the last record starts.
    record_start: u64,
}

impl<'a> LineTracker<'a> {
    /// Reads a text that so many lines precede.
    pub(super) fn new(inner: Bytes<'a>, lines: i64) -> Self {
        Self { inner, position: 0, breaks: VecDeque::new(), lines, record_start: 0 }
    }

    /// Records bytes that are about to be handed to the parser.
    fn observe(&mut self, bytes: &[u8]) {
        if let Some((last, ends)) = self.breaks.back_mut()
            && *last + 1 == self.position
            && !*ends
        {
            // A `\r` at the end of the previous bytes ends a line, unless a `\n` follows.
            *ends = bytes.first() != Some(&b'\n');
        }
        for index in memchr2_iter(b'\n', b'\r', bytes) {
            // A `\r` at the end is decided when the next bytes are known.
            let next = bytes.get(index + 1);
            let ends = bytes[index] == b'\n' || next.is_some_and(|next| *next != b'\n');
            self.breaks.push_back((self.position + index as u64, ends));
        }
        self.position += bytes.len() as u64;
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
}

impl Read for LineTracker<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.observe(&buffer[..read]);
        Ok(read)
    }
}
