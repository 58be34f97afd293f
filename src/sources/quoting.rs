//! The rows of a text as one way of quoting sees them: how many fit the header, and what does not.
//!
//! Follows the `csv` crate byte by byte, without keeping a byte: a quotation mark counts at the
//! beginning of a cell and within a quoted one, and `\r`, `\n` and both together end a row.

use memchr::{memchr, memchr_iter, memchr2, memchr3, memrchr2};

use super::text::is_blank;

/// Longest row, bytes: rows are held in memory one at a time.
pub(super) const MAX_ROW_BYTES: usize = 4 << 20;

/// Where in a row the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    RowStart,
    CellStart,
    Cell,
    Quoted,
    /// After a backslash in a quoted cell.
    Escaped,
    /// After a quotation mark in a quoted cell.
    Closed,
}

/// Walks over the rows of a text in parts.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools)] // each is a fact of its own about the bytes so far
pub(super) struct RowWalk {
    separator: u8,
    has_backslash: bool,
    /// Whether rows are not looked at that no way of quoting sees otherwise.
    skips: bool,
    /// Cells of the header.
    width: usize,
    state: State,
    is_header: bool,
    /// The line of the next byte.
    line: u64,
    after_return: bool,
    /// The line that the row starts on.
    row_line: u64,
    row_bytes: usize,
    cells: usize,
    /// The number of the last cell that holds something; 0 for none.
    filled: usize,
    is_cell_filled: bool,
    /// Whether a quotation mark after a backslash occurred in the row.
    row_has_escape: bool,
    last_byte: u8,
    quote_line: u64,
    /// Rows with a filled cell, the header apart; at least one where rows were skipped.
    pub rows: u64,
    /// Rows that have more or fewer cells than the header, but for those that were skipped.
    pub misfits: u64,
    /// The line of the first of them with a quotation mark after a backslash.
    pub escape_misfit: Option<u64>,
    /// The line of the first quoted cell that is closed by a quotation mark after a backslash and
    /// continues.
    pub ragged: Option<u64>,
    /// The line of a row that is longer than any row may be; the walk ends there.
    pub too_long: Option<u64>,
}

impl RowWalk {
    /// A walk that begins with the header.
    pub(super) fn new(separator: u8, width: usize, first_line: u64) -> Self {
        Self {
            separator,
            has_backslash: false,
            skips: false,
            width,
            state: State::RowStart,
            is_header: true,
            line: first_line,
            after_return: false,
            row_line: first_line,
            row_bytes: 0,
            cells: 0,
            filled: 0,
            is_cell_filled: false,
            row_has_escape: false,
            last_byte: 0,
            quote_line: first_line,
            rows: 0,
            misfits: 0,
            escape_misfit: None,
            ragged: None,
            too_long: None,
        }
    }

    /// The same walk, which does not look at rows without a quotation mark: what they hold matters only beside a
    /// walk with backslashes, and for both it is the same.
    pub(super) fn skipping(self) -> Self {
        Self { skips: true, ..self }
    }

    /// Looks at all rows from now on.
    pub(super) fn stop_skipping(&mut self) {
        self.skips = false;
    }

    /// The same walk where a backslash escapes a quotation mark, to be forked off before the first
    /// backslash.
    pub(super) fn with_backslash(&self) -> Self {
        Self { has_backslash: true, ..self.clone() }
    }

    /// The line of the next byte.
    pub(super) const fn line(&self) -> u64 {
        self.line
    }

    /// Whether the next byte begins a row.
    pub(super) fn is_row_start(&self) -> bool {
        self.state == State::RowStart
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while at < bytes.len() && self.too_long.is_none() {
            if self.skips && self.state == State::RowStart && self.rows > 0 {
                at += self.skip(&bytes[at..]);
                if at == bytes.len() {
                    return;
                }
            }
            let before = at;
            at = self.step(bytes, at);
            self.last_byte = bytes[at - 1];
            self.row_bytes += at - before;
            if self.row_bytes > MAX_ROW_BYTES {
                self.too_long = Some(self.row_line);
            }
            if self.state == State::RowStart {
                self.row_bytes = 0;
            }
        }
    }

    /// The length of the rows from here on that end with a line and have no quotation mark; the line of the
    /// next byte is then that of the row after them.
    fn skip(&mut self, bytes: &[u8]) -> usize {
        let near = &bytes[..bytes.len().min(MAX_ROW_BYTES)];
        let plain = memchr(b'"', near).map_or(near, |end| &near[..end]);
        let Some(last) = memrchr2(b'\n', b'\r', plain) else { return 0 };
        self.count_lines(&plain[..=last]);
        self.last_byte = plain[last];
        last + 1
    }

    /// Consumes at least a byte; gives the position of the next.
    fn step(&mut self, bytes: &[u8], at: usize) -> usize {
        let byte = bytes[at];
        match self.state {
            State::RowStart | State::CellStart => {
                if byte == b'"' {
                    self.start_row();
                    self.quote_line = self.line;
                    self.after_return = false;
                    self.state = State::Quoted;
                    at + 1
                } else {
                    self.cell(bytes, at)
                }
            }
            State::Cell => self.cell(bytes, at),
            State::Quoted => self.quoted(bytes, at),
            State::Escaped => {
                self.is_cell_filled = true;
                self.state = State::Quoted;
                self.count_lines(&bytes[at..=at]);
                at + 1
            }
            State::Closed if byte == b'"' => {
                self.is_cell_filled = true;
                self.state = State::Quoted;
                at + 1
            }
            State::Closed => {
                if byte != self.separator && !matches!(byte, b'\r' | b'\n') && self.row_has_escape {
                    self.ragged = self.ragged.or(Some(self.row_line));
                }
                self.cell(bytes, at)
            }
        }
    }

    /// The rest of a cell that is not quoted, and what ends it.
    fn cell(&mut self, bytes: &[u8], at: usize) -> usize {
        let rest = &bytes[at..];
        let Some(length) = memchr3(self.separator, b'\n', b'\r', rest) else {
            self.start_row();
            self.is_cell_filled |= !is_blank(rest);
            self.after_return = false;
            self.state = State::Cell;
            return bytes.len();
        };
        let end = rest[length];
        if self.state == State::RowStart && length == 0 && end != self.separator {
            // An empty line, or the second half of a line end.
            self.count_lines(&rest[..1]);
            return at + 1;
        }
        self.start_row();
        self.is_cell_filled |= !is_blank(&rest[..length]);
        self.end_cell();
        self.after_return &= length == 0;
        if end == self.separator {
            self.after_return = false;
            self.state = State::CellStart;
        } else {
            self.count_lines(&rest[length..=length]);
            self.end_row();
        }
        at + length + 1
    }

    /// The rest of a quoted cell up to a quotation mark or a backslash.
    fn quoted(&mut self, bytes: &[u8], at: usize) -> usize {
        let rest = &bytes[at..];
        let escape = if self.has_backslash { b'\\' } else { b'"' };
        let found = memchr2(b'"', escape, rest);
        let length = found.unwrap_or(rest.len());
        self.count_lines(&rest[..length]);
        self.is_cell_filled |= !is_blank(&rest[..length]);
        let Some(length) = found else { return bytes.len() };
        self.after_return = false;
        if rest[length] == b'"' {
            let before = if length > 0 { rest[length - 1] } else { self.last_byte };
            self.row_has_escape |= before == b'\\';
            self.state = State::Closed;
        } else {
            self.state = State::Escaped;
        }
        at + length + 1
    }

    fn start_row(&mut self) {
        if self.state == State::RowStart {
            self.row_line = self.line;
            self.state = State::CellStart;
        }
    }

    fn end_cell(&mut self) {
        self.cells += 1;
        if self.is_cell_filled {
            self.filled = self.cells;
        }
        self.is_cell_filled = false;
    }

    fn end_row(&mut self) {
        let fits =
            self.cells == self.width || (self.cells > self.width && self.filled <= self.width);
        if self.is_header {
            self.is_header = false;
        } else if self.filled > 0 {
            self.rows += 1;
            if !fits {
                self.misfits += 1;
                if self.row_has_escape {
                    self.escape_misfit = self.escape_misfit.or(Some(self.row_line));
                }
            }
        }
        (self.cells, self.filled, self.row_has_escape) = (0, 0, false);
        self.state = State::RowStart;
    }

    /// Counts lines as editors do: `\r`, `\n` and both together end one.
    fn count_lines(&mut self, bytes: &[u8]) {
        let Some(last) = bytes.last() else { return };
        if memchr2(b'\n', b'\r', bytes).is_some() {
            let newlines = memchr_iter(b'\n', bytes).count();
            let returns = memchr_iter(b'\r', bytes).count();
            let is_pair = |at: &usize| bytes.get(at + 1) == Some(&b'\n');
            let pairs = memchr_iter(b'\r', bytes).filter(is_pair).count();
            let across = usize::from(self.after_return && bytes[0] == b'\n');
            self.line += (newlines + returns - pairs - across) as u64;
        }
        self.after_return = *last == b'\r';
    }

    /// Ends the walk. A quotation that was opened on an earlier line than the last and never closed is
    /// given by its line; on the last line it is a row that was cut.
    pub(super) fn finish(&mut self) -> Unclosed {
        let is_open = matches!(self.state, State::Quoted | State::Escaped);
        let last_line = self.line - u64::from(matches!(self.last_byte, b'\n' | b'\r'));
        if self.state != State::RowStart {
            self.end_cell();
            self.end_row();
        }
        match () {
            () if !is_open => Unclosed::No,
            () if self.quote_line < last_line => Unclosed::Since(self.quote_line),
            () => Unclosed::LastLine(self.quote_line),
        }
    }
}

/// Whether a text ends within a quotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unclosed {
    No,
    /// One that was opened on this line, with others after it.
    Since(u64),
    /// One that was opened on the last line, this one.
    LastLine(u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(text: &str, width: usize, part: usize) -> (RowWalk, Unclosed) {
        let mut walk = RowWalk::new(b',', width, 1);
        for bytes in text.as_bytes().chunks(part) {
            walk.feed(bytes);
        }
        let unclosed = walk.finish();
        (walk, unclosed)
    }

    #[test]
    fn rows_and_lines_are_the_same_however_the_text_is_cut_into_parts() {
        let text = "a,b\r\n1,\"x\r\ny\"\r\n\r\n,\r\n2,\"q\"\"r\",\r3,4,5\n\"6\",7";
        for part in [1, 2, 3, 7, 100] {
            let (walk, unclosed) = walk(text, 2, part);
            assert_eq!((walk.rows, walk.misfits, walk.line), (4, 1, 8), "{part}");
            assert_eq!(unclosed, Unclosed::No);
        }
    }

    #[test]
    fn skipped_rows_count_as_lines() {
        let mixed = "a,b\n1,2\n3\n4,5\r\n6,7\n\n8,\"x\ny\"\n9,10\r\r\n11,\"12";
        let texts = [mixed, "a,b\r1,2\r3,4\r\r5,\"6\r\"\r7,8\r9"];
        for (text, part) in
            texts.into_iter().flat_map(|text| [1, 2, 3, 7, 100].map(|part| (text, part)))
        {
            let (mut all, mut skipping) =
                (RowWalk::new(b',', 2, 1), RowWalk::new(b',', 2, 1).skipping());
            for bytes in text.as_bytes().chunks(part) {
                all.feed(bytes);
                skipping.feed(bytes);
                assert_eq!(skipping.line, all.line, "{part}");
            }
            assert_eq!(skipping.finish(), all.finish());
            assert_eq!(skipping.row_line, all.row_line);
        }
    }

    #[test]
    fn a_quotation_that_is_never_closed_is_given_by_its_line() {
        assert_eq!(walk("a,b\n1,\"x\n2,3\n", 2, 4).1, Unclosed::Since(2));
        assert_eq!(walk("a,b\n1,2\n3,\"x\n", 2, 4).1, Unclosed::LastLine(3));
        assert_eq!(walk("a,b\n1,\"x\"", 2, 4).1, Unclosed::No);
    }
}
