//! A text cut into blocks of whole rows, which can be parsed beside one another.

use std::io::{self, Read as _};

use super::quoting::RowWalk;
use super::text::Bytes;

/// Bytes of a block, as far as its last row allows.
pub(super) const BLOCK_BYTES: usize = 2 << 20;
/// Bytes by which a block grows while it ends within a row.
const MORE_BYTES: usize = 64 << 10;

/// Whole rows of a text.
pub(super) struct Block {
    /// Where it stands among the blocks, from 0.
    pub(super) index: usize,
    pub(super) bytes: Vec<u8>,
    /// The lines before it.
    pub(super) lines_before: u64,
}

/// The blocks of a text, in order.
pub(super) struct Blocks<'a> {
    text: Bytes<'a>,
    walk: RowWalk,
    block_bytes: usize,
    /// What was read of the next block.
    rest: Vec<u8>,
    is_done: bool,
    count: usize,
}

impl<'a> Blocks<'a> {
    /// Cuts a text as `walk`, which stands at its beginning, sees its rows.
    pub(super) fn new(text: Bytes<'a>, walk: RowWalk, block_bytes: usize) -> Self {
        Self { text, walk, block_bytes, rest: Vec::new(), is_done: false, count: 0 }
    }

    fn read(&mut self) -> io::Result<Option<Block>> {
        let lines_before = self.walk.line() - 1;
        let mut bytes = std::mem::take(&mut self.rest);
        let (mut walked, mut wanted) = (0, self.block_bytes);
        while !self.is_done {
            let missing = wanted.saturating_sub(bytes.len()).max(1);
            self.is_done = self.text.by_ref().take(missing as u64).read_to_end(&mut bytes)? == 0;
            let end =
                if self.is_done { bytes.len() } else { walked + end_of_lines(&bytes[walked..]) };
            self.walk.feed(&bytes[walked..end]);
            walked = end;
            if self.walk.too_long.is_some() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a row is too long"));
            }
            if walked > 0 && self.walk.is_row_start() {
                self.rest = bytes.split_off(walked);
                break;
            }
            wanted = bytes.len() + MORE_BYTES.min(self.block_bytes);
        }
        self.count += 1;
        let block = Block { index: self.count - 1, bytes, lines_before };
        Ok(Some(block).filter(|block| !block.bytes.is_empty()))
    }
}

/// The length of the lines that surely end within these bytes.
fn end_of_lines(bytes: &[u8]) -> usize {
    let is_end = |at: &usize| match bytes[*at] {
        b'\n' => true,
        // A newline after it would be of the same end.
        b'\r' => bytes.get(at + 1).is_some_and(|next| *next != b'\n'),
        _ => false,
    };
    (0..bytes.len()).rev().find(is_end).map_or(0, |at| at + 1)
}

impl Iterator for Blocks<'_> {
    type Item = io::Result<Block>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done && self.rest.is_empty() {
            return None;
        }
        let read = self.read().transpose();
        if matches!(read, Some(Err(_))) {
            (self.is_done, self.rest) = (true, Vec::new());
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(text: &str, block_bytes: usize) -> Vec<(String, u64)> {
        let walk = RowWalk::new(b',', 2, 1).skipping();
        let blocks = Blocks::new(Box::new(text.as_bytes()), walk, block_bytes);
        let text = |block: io::Result<Block>| {
            let Block { bytes, lines_before, .. } = block.unwrap();
            (String::from_utf8(bytes).unwrap(), lines_before)
        };
        blocks.map(text).collect()
    }

    #[test]
    fn blocks_end_with_rows() {
        let text = "a,b\n1,\"x\n\ny\"\r\n2,z\r3,\"\"\"\n\"";
        let whole =
            |cut: Vec<(String, u64)>| cut.into_iter().map(|(text, _)| text).collect::<String>();
        for block_bytes in 1..text.len() + 2 {
            assert_eq!(whole(blocks(text, block_bytes)), text);
        }
        let expected = [
            ("a,b\n".to_owned(), 0),
            ("1,\"x\n\ny\"\r\n".to_owned(), 1),
            ("2,z\r".to_owned(), 4),
            ("3,\"\"\"\n\"".to_owned(), 5),
        ];
        assert_eq!(blocks(text, 1), expected);
        let expected = [("a,b\n1,\"x\n\ny\"\r\n2,z\r3,\"\"\"\n\"".to_owned(), 0)];
        assert_eq!(blocks(text, 100), expected);
        assert_eq!(
            blocks("a,b\n1,2\n3,4\n", 5),
            [("a,b\n".into(), 0), ("1,2\n".into(), 1), ("3,4\n".into(), 2)]
        );
        assert_eq!(
            blocks("a,b\r1,2\r3,4", 5),
            [("a,b\r".into(), 0), ("1,2\r".into(), 1), ("3,4".into(), 2)]
        );
        assert!(blocks("", 5).is_empty());
    }
}
