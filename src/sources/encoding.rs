//! Which encoding the bytes of a file allow: by mark, by where zeros lie, by whether they are UTF-8.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding as Legacy, WINDOWS_1252};

use super::text::UTF_8_MARK;
use crate::domain::verdict::Encoding;

/// Bytes with other letters than ASCII that the guess among legacy encodings is made of.
const GUESS_BYTES: usize = 64 << 10;

/// The encoding that the first bytes of a file decide, and whether by a mark.
pub(super) fn of_prefix(prefix: &[u8]) -> Option<(Encoding, bool)> {
    /// Fewer bytes prove nothing.
    const MIN_BYTES: usize = 16;
    if prefix.starts_with(UTF_8_MARK) {
        return Some((Encoding::Utf8, true));
    }
    if prefix.starts_with(b"\xff\xfe") {
        return Some((Encoding::Utf16Le, true));
    }
    if prefix.starts_with(b"\xfe\xff") {
        return Some((Encoding::Utf16Be, true));
    }
    // Latin text in UTF-16 is a zero in nearly every second byte, and none in the others.
    let zeros = |parity: usize| {
        prefix.iter().enumerate().filter(|(at, byte)| at % 2 == parity && **byte == 0).count()
    };
    let (even, odd) = (zeros(0), zeros(1));
    let nearly_half = prefix.len() * 2 / 5;
    match () {
        () if prefix.len() < MIN_BYTES => None,
        () if even == 0 && odd > nearly_half => Some((Encoding::Utf16Le, false)),
        () if odd == 0 && even > nearly_half => Some((Encoding::Utf16Be, false)),
        () => None,
    }
}

/// Checks a text in parts for being UTF-8.
pub(super) struct Utf8Check {
    /// The bytes of a character that is not complete yet.
    partial: Vec<u8>,
    /// Sequences that are not UTF-8.
    broken: u64,
    /// Characters of several bytes.
    characters: u64,
    guess: EncodingDetector,
    guess_bytes: usize,
}

impl Utf8Check {
    pub(super) fn new() -> Self {
        Self {
            partial: Vec::new(),
            broken: 0,
            characters: 0,
            guess: EncodingDetector::new(Iso2022JpDetection::Deny),
            guess_bytes: 0,
        }
    }

    /// Checks the next part of the text; gives the position within it of the first byte that is not
    /// UTF-8.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.partial.is_empty() && bytes.is_ascii() {
            return None;
        }
        if self.guess_bytes < GUESS_BYTES {
            let length = bytes.len().min(GUESS_BYTES - self.guess_bytes);
            self.guess.feed(&bytes[..length], false);
            self.guess_bytes += length;
        }
        if self.partial.is_empty() && simdutf8::basic::from_utf8(bytes).is_ok() {
            self.characters += count_characters(bytes);
            return None;
        }
        let carried = self.partial.len();
        let whole = [std::mem::take(&mut self.partial), bytes.to_vec()].concat();
        let (mut rest, mut at, mut first) = (&whole[..], 0, None);
        loop {
            let Err(error) = std::str::from_utf8(rest) else {
                self.characters += count_characters(rest);
                return first;
            };
            let valid = error.valid_up_to();
            self.characters += count_characters(&rest[..valid]);
            let Some(length) = error.error_len() else {
                self.partial = rest[valid..].to_vec();
                return first;
            };
            self.broken += 1;
            first = first.or(Some((at + valid).saturating_sub(carried)));
            at += valid + length;
            rest = &rest[valid + length..];
        }
    }

    /// Whether the text ends within a character, as a file that was cut does.
    pub(super) fn ends_within_character(&self) -> bool {
        !self.partial.is_empty()
    }

    /// The encoding, after the last part.
    pub(super) fn encoding(&self) -> Encoding {
        if self.broken == 0 {
            // What is left of a single letter in a text that has no others is rather a letter.
            let is_letter = self.characters == 0 && self.ends_within_character();
            return if is_letter { Encoding::Windows1252 } else { Encoding::Utf8 };
        }
        // By accident, letters of Windows-1252 are seldom a character of UTF-8.
        if self.characters > self.broken { Encoding::Mixed } else { Encoding::Windows1252 }
    }

    /// The legacy encoding that the letters look like, if it is not Windows-1252.
    pub(super) fn other_guess(&self) -> Option<&'static Legacy> {
        let guess = self.guess.guess(None, Utf8Detection::Deny);
        (guess != WINDOWS_1252).then_some(guess)
    }
}

/// Characters of several bytes in a valid text.
fn count_characters(text: &[u8]) -> u64 {
    text.iter().filter(|byte| **byte >= 0xc0).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(parts: &[&[u8]]) -> Utf8Check {
        let mut check = Utf8Check::new();
        for part in parts {
            check.feed(part);
        }
        check
    }

    #[test]
    fn bytes_that_allow_no_utf8_are_windows_1252() {
        assert_eq!(checked(&[b"Th\xe9i\xe8re"]).encoding(), Encoding::Windows1252);
        assert_eq!(checked(&["Théière".as_bytes()]).encoding(), Encoding::Utf8);
        let (first, second) = "Th\u{e9}".as_bytes().split_at(3);
        assert_eq!(checked(&[first, second]).encoding(), Encoding::Utf8);
        assert_eq!(checked(&["Théière, thé".as_bytes(), b"Th\xe9 "]).encoding(), Encoding::Mixed);
        assert_eq!(checked(&["é".as_bytes(), &"é".as_bytes()[..1]]).encoding(), Encoding::Utf8);
        assert_eq!(Utf8Check::new().feed(b"ab\xe9c"), Some(2));
    }

    #[test]
    fn marks_and_zeros_decide_utf16() {
        let text = "id_client;nom;email";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(of_prefix(&little), Some((Encoding::Utf16Le, false)));
        assert_eq!(of_prefix(&big), Some((Encoding::Utf16Be, false)));
        assert_eq!(
            of_prefix(&[b"\xff\xfe", &little[..]].concat()),
            Some((Encoding::Utf16Le, true))
        );
        assert_eq!(of_prefix(text.as_bytes()), None);
        assert_eq!(of_prefix(&[0; 64]), None);
    }
}
