//! Bytes into UTF-8 or another text that contains ASCII: decompression, byte order marks, UTF-16, and
//! the lines before the header. All of it streams; what is decompressed is bounded by what came in.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Read};

use encoding_rs::{CoderResult, Decoder, UTF_16BE, UTF_16LE, WINDOWS_1252};
use flate2::bufread::MultiGzDecoder;

use crate::domain::verdict::Encoding;

/// Bytes that are decompressed at a time, and those of text that are decoded at a time.
const BUFFER_BYTES: usize = 64 << 10;
/// Decompressed bytes that need no proportion to the compressed ones.
const FREE_BYTES: u64 = 64 << 20;
/// Beyond them: most bytes that one compressed byte may become. CSV files become 5 to 30; a gzip
/// stream cannot exceed 1 032.
const MAX_RATIO: u64 = 200;

/// The byte order mark of UTF-8.
pub(super) const UTF_8_MARK: &[u8] = b"\xef\xbb\xbf";

/// A source of bytes, read once.
pub(super) type Bytes<'a> = Box<dyn BufRead + Send + 'a>;

/// Whether there is nothing to see in these bytes of a cell.
pub(super) fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0))
}

/// Decompresses a gzip stream; what comes out of it is bounded.
pub(super) fn bounded_gzip(bytes: Bytes<'_>) -> Bytes<'_> {
    let decoder = MultiGzDecoder::new(Counted { inner: bytes, bytes: 0 });
    let bounded = Bounded { decoder, bytes: 0 };
    Box::new(BufReader::with_capacity(BUFFER_BYTES, bounded))
}

/// Makes UTF-8 of UTF-16; other texts stay as they are. A mark at the beginning is removed.
pub(super) fn transcode(
    mut bytes: Bytes<'_>,
    encoding: Encoding,
    has_mark: bool,
) -> io::Result<Bytes<'_>> {
    let decoder = match encoding {
        Encoding::Utf16Le => UTF_16LE.new_decoder_with_bom_removal(),
        Encoding::Utf16Be => UTF_16BE.new_decoder_with_bom_removal(),
        Encoding::Utf8 | Encoding::Windows1252 | Encoding::Mixed => {
            if has_mark {
                take(bytes.as_mut(), UTF_8_MARK.len())?;
            }
            return Ok(bytes);
        }
    };
    Ok(Box::new(Utf16 { inner: bytes, decoder, text: Vec::new(), position: 0, is_done: false }))
}

/// Makes one tab of every run of blanks between two cells; those at the ends of lines are removed.
pub(super) fn blanks_as_tabs(inner: Bytes<'_>) -> Bytes<'_> {
    let tabs = BlanksAsTabs { inner, is_line_start: true, is_pending: false };
    Box::new(BufReader::with_capacity(BUFFER_BYTES, tabs))
}

struct BlanksAsTabs<'a> {
    inner: Bytes<'a>,
    is_line_start: bool,
    /// Whether blanks were seen since the last cell of the line.
    is_pending: bool,
}

impl Read for BlanksAsTabs<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut written = 0;
        // A cell may need a tab before its first letter.
        while written + 1 < out.len() {
            let ready = self.inner.fill_buf()?;
            let Some(byte) = ready.first().copied() else { break };
            match byte {
                b' ' | b'\t' => self.is_pending = !self.is_line_start,
                b'\n' | b'\r' => {
                    (self.is_line_start, self.is_pending) = (true, false);
                    out[written] = byte;
                    written += 1;
                }
                byte => {
                    if self.is_pending {
                        out[written] = b'\t';
                        written += 1;
                    }
                    (self.is_line_start, self.is_pending) = (false, false);
                    out[written] = byte;
                    written += 1;
                }
            }
            self.inner.consume(1);
        }
        Ok(written)
    }
}

/// Reads so many bytes, fewer at the end.
pub(super) fn take(bytes: &mut dyn BufRead, count: usize) -> io::Result<Vec<u8>> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let ready = bytes.fill_buf()?;
        if ready.is_empty() {
            break;
        }
        let length = ready.len().min(count - taken.len());
        taken.extend_from_slice(&ready[..length]);
        bytes.consume(length);
    }
    Ok(taken)
}

/// Skips so many lines, however they end.
pub(super) fn skip_lines(text: &mut dyn BufRead, lines: u64) -> io::Result<()> {
    let mut left = lines;
    while left > 0 {
        let ready = text.fill_buf()?;
        if ready.is_empty() {
            return Ok(());
        }
        let Some(at) = memchr::memchr2(b'\n', b'\r', ready) else {
            let length = ready.len();
            text.consume(length);
            continue;
        };
        let is_return = ready[at] == b'\r';
        text.consume(at + 1);
        if is_return && text.fill_buf()?.first() == Some(&b'\n') {
            text.consume(1);
        }
        left -= 1;
    }
    Ok(())
}

/// The text of a cell in an encoding that contains ASCII; what is not a character becomes U+FFFD.
pub(super) fn decode(cell: &[u8], encoding: Encoding) -> Cow<'_, str> {
    match encoding {
        Encoding::Windows1252 => WINDOWS_1252.decode_without_bom_handling(cell).0,
        Encoding::Mixed => decode_any(cell),
        Encoding::Utf8 | Encoding::Utf16Le | Encoding::Utf16Be => match std::str::from_utf8(cell) {
            Ok(text) => text.into(),
            Err(_) => String::from_utf8_lossy(cell),
        },
    }
}

/// The text of a cell: UTF-8, else Windows-1252.
pub(super) fn decode_any(cell: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(cell) {
        Ok(text) => text.into(),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(cell).0,
    }
}

/// Counts the bytes that are taken from it.
struct Counted<'a> {
    inner: Bytes<'a>,
    bytes: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

impl BufRead for Counted<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.bytes += amount as u64;
        self.inner.consume(amount);
    }
}

/// Stops when the decompressed bytes are out of all proportion to the compressed ones.
struct Bounded<'a> {
    decoder: MultiGzDecoder<Counted<'a>>,
    bytes: u64,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.decoder.read(buffer)?;
        self.bytes += read as u64;
        let limit = FREE_BYTES + MAX_RATIO * self.decoder.get_ref().bytes;
        if self.bytes > limit {
            let problem = format!("it expands to more than {MAX_RATIO} times its size");
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
        Ok(read)
    }
}

/// UTF-16 as UTF-8; what is not a character becomes U+FFFD.
struct Utf16<'a> {
    inner: Bytes<'a>,
    decoder: Decoder,
    text: Vec<u8>,
    position: usize,
    is_done: bool,
}

impl BufRead for Utf16<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.position == self.text.len() && !self.is_done {
            let input = self.inner.fill_buf()?;
            let is_last = input.is_empty();
            self.text.resize(BUFFER_BYTES, 0);
            let (result, read, written, _) =
                self.decoder.decode_to_utf8(input, &mut self.text, is_last);
            self.inner.consume(read);
            self.text.truncate(written);
            self.position = 0;
            self.is_done = is_last && result == CoderResult::InputEmpty;
        }
        Ok(&self.text[self.position..])
    }

    fn consume(&mut self, amount: usize) {
        self.position += amount;
    }
}

impl Read for Utf16<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let ready = self.fill_buf()?;
        let amount = ready.len().min(buffer.len());
        buffer[..amount].copy_from_slice(&ready[..amount]);
        self.consume(amount);
        Ok(amount)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn inflated(bytes: &[u8]) -> io::Result<u64> {
        let mut inflated = bounded_gzip(Box::new(bytes));
        io::copy(&mut inflated, &mut io::sink())
    }

    #[test]
    fn a_stream_that_expands_beyond_all_proportion_is_refused() {
        let level = flate2::Compression::best();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
        encoder.write_all(&vec![b'0'; 4 << 20]).unwrap();
        let zeros = encoder.finish().unwrap();
        // Members in a row are one file.
        let bomb: Vec<u8> = std::iter::repeat_n(zeros, 32).flatten().collect();
        let error = inflated(&bomb).unwrap_err();
        assert!(error.to_string().contains("200 times"), "{error}");
    }

    #[test]
    fn members_of_a_stream_are_one_text_and_a_cut_one_is_an_error() {
        let whole = [gzip(b"a,b\n"), gzip(b"1,2\n")].concat();
        assert_eq!(inflated(&whole).unwrap(), 8);
        assert_eq!(
            inflated(&whole[..whole.len() - 9]).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }

    #[test]
    fn lines_are_skipped_however_they_end() {
        for (text, rest) in
            [("a\nb\nc", "c"), ("a\r\nb\r\nc", "c"), ("a\rb\rc", "c"), ("a\n\nc", "c"), ("a", "")]
        {
            // One byte at a time: line ends lie across buffers.
            let mut reader = BufReader::with_capacity(1, text.as_bytes());
            skip_lines(&mut reader, 2).unwrap();
            let mut left = String::new();
            reader.read_to_string(&mut left).unwrap();
            assert_eq!(left, rest, "{text:?}");
        }
    }
}
