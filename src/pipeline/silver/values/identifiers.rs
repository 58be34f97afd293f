//! Identifiers: texts that have stable numbers.
//!
//! A shop's own numbers stay themselves. Any other text gets a number from its SHA-256: the same in
//! every run and on every engine.

use std::borrow::Cow;
use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::pipeline::{PipelineError, Result};

/// Numbers from here up to twice as much stand for texts of customers: JSON keeps them exact.
const CUSTOMER_TEXTS: i64 = 1 << 52;
/// Bits of the hash in the number of a customer's text.
const CUSTOMER_BITS: u32 = 52;
/// The share of a column's cells that are digits from which on other characters are an error.
const DIGITS_SHARE: f64 = 0.99;

/// What one cell is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identifier<'a> {
    /// A canonical positive integer.
    Number(i64),
    /// Any other text.
    Text(Cow<'a, str>),
    /// A number that a spreadsheet shortened to `1.9E+18`: its digits are lost.
    Shortened,
}

/// Reads a trimmed cell: undoes what spreadsheets put around numbers (`="11"`, `'12`, `13.0`).
pub(crate) fn read(cell: &str) -> Identifier<'_> {
    if let Some(number) = canonical(cell) {
        return Identifier::Number(number);
    }
    let formula = cell.strip_prefix("=\"").and_then(|inner| inner.strip_suffix('"'));
    let bare = formula.or_else(|| cell.strip_prefix('\'')).unwrap_or(cell).trim();
    let whole = match bare.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0') => {
            whole
        }
        _ => bare,
    };
    match canonical(whole) {
        Some(number) => Identifier::Number(number),
        None if is_shortened(bare) => Identifier::Shortened,
        None if is_digits(whole) => Identifier::Text(whole.into()),
        None if bare.contains('@') => Identifier::Text(bare.to_lowercase().into()),
        None => Identifier::Text(bare.into()),
    }
}

/// A positive integer without leading zeros; those that stand for texts are not.
fn canonical(text: &str) -> Option<i64> {
    let is_canonical = is_digits(text) && !text.starts_with('0');
    let number: i64 = is_canonical.then(|| text.parse().ok())??;
    (!(CUSTOMER_TEXTS..2 * CUSTOMER_TEXTS).contains(&number)).then_some(number)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `1.9E+18`
fn is_shortened(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['E', 'e']) else { return false };
    let (whole, fraction) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, "0"));
    let power = exponent.strip_prefix('+').unwrap_or_default();
    whole.len() == 1 && is_digits(whole) && is_digits(fraction) && is_digits(power)
}

/// Which cells of a column are identifiers, judged over the whole column.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct IdentifierVotes {
    digits: u64,
    others: u64,
}

impl IdentifierVotes {
    /// Counts a filled cell.
    pub(crate) fn count(&mut self, identifier: &Identifier<'_>) {
        match identifier {
            Identifier::Number(_) => self.digits += 1,
            Identifier::Text(text) if is_digits(text) => self.digits += 1,
            _ => self.others += 1,
        }
    }

    /// Whether the column holds numbers, so that other characters are an error.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn are_numbers(self) -> bool {
        self.digits as f64 >= DIGITS_SHARE * (self.digits + self.others) as f64
    }
}

/// The number of a customer's identifier: itself, or 2^52 plus 52 bits of the text's SHA-256.
/// `salt` stands before the text.
pub(crate) fn customer_number(text: &str, salt: &str) -> i64 {
    canonical(text).unwrap_or_else(|| {
        let bits = leading_bits(&[salt, text]) >> (u64::BITS - CUSTOMER_BITS);
        CUSTOMER_TEXTS + i64::try_from(bits).unwrap_or(0)
    })
}

/// Checks that no two texts of customers have one number.
///
/// # Errors
/// [`PipelineError::SameNumber`] with two texts.
pub(crate) fn check_collisions<'a>(texts: impl Iterator<Item = &'a str>, salt: &str) -> Result<()> {
    let mut seen: HashMap<&str, i64> = HashMap::new();
    let mut texts_of: HashMap<i64, &str> = HashMap::new();
    for text in texts {
        if seen.contains_key(text) {
            continue;
        }
        let number = customer_number(text, salt);
        seen.insert(text, number);
        if let Some(other) = texts_of.insert(number, text) {
            return Err(PipelineError::SameNumber {
                texts: (other.to_owned(), text.to_owned()),
                number,
            });
        }
    }
    Ok(())
}

/// The number of an order's identifier: itself, or 63 bits of the text's SHA-256.
pub(crate) fn order_number(text: &str) -> i64 {
    canonical(text).unwrap_or_else(|| hashed_number(&[text]))
}

/// The number of a line after the first of an order.
pub(crate) fn line_number(order: &str, line: i64) -> i64 {
    hashed_number(&[order, "\u{1f}", &line.to_string()])
}

/// A positive number from texts: 63 bits of their SHA-256.
pub(crate) fn hashed_number(texts: &[&str]) -> i64 {
    i64::try_from(leading_bits(texts) >> 1).unwrap_or(1).max(1)
}

/// The first 64 bits of the SHA-256 of texts, one after the other.
fn leading_bits(texts: &[&str]) -> u64 {
    let mut hasher = Sha256::new();
    for text in texts {
        hasher.update(text.as_bytes());
    }
    let digest = hasher.finalize();
    digest.iter().take(8).fold(0, |bits, byte| bits << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_themselves_whatever_a_spreadsheet_put_around_them() {
        for (cell, number) in [
            ("11", 11),
            ("=\"11\"", 11),
            ("'12", 12),
            ("13.0", 13),
            ("17850.00", 17_850),
            ("9007199254740992", 9_007_199_254_740_992),
            ("9223372036854775807", i64::MAX),
        ] {
            assert_eq!(read(cell), Identifier::Number(number), "{cell}");
        }
    }

    #[test]
    fn other_texts_stay_texts() {
        for (cell, text) in [
            ("0010", "0010"),
            ("'0010", "0010"),
            ("0010.0", "0010"),
            ("9223372036854775808", "9223372036854775808"),
            ("4503599627370497", "4503599627370497"),
            ("cus_N0001xQ", "cus_N0001xQ"),
            ("Ann@X.io", "ann@x.io"),
            ("#1001", "#1001"),
            ("1.5", "1.5"),
            ("-3", "-3"),
            ("0", "0"),
        ] {
            assert_eq!(read(cell), Identifier::Text(text.into()), "{cell}");
        }
        for cell in ["1.9E+18", "1,9e+18", "2E+9"] {
            assert_eq!(read(cell), Identifier::Shortened, "{cell}");
        }
    }

    /// Computed with Python: `2**52 + (int(sha256(text).hexdigest(), 16) >> 204)`.
    #[test]
    fn texts_have_the_numbers_of_the_contract() {
        assert_eq!(customer_number("cus_N0001xQ", ""), 8_342_445_798_200_766);
        assert_eq!(customer_number("0010", ""), 4_697_724_596_015_358);
        assert_eq!(customer_number("alba.rouvier@example.org", ""), 5_223_733_800_507_500);
        assert_eq!(customer_number("42", ""), 42);
        assert_ne!(customer_number("0010", "x"), customer_number("0010", ""));
        assert!(order_number("9223372036854775808") > 0);
        assert_eq!(order_number("7"), 7);
        assert_ne!(line_number("7", 2), line_number("7", 3));
    }

    #[test]
    fn a_column_of_digits_has_no_other_texts() {
        let mut votes = IdentifierVotes::default();
        (0..99).for_each(|_| votes.count(&read("7")));
        votes.count(&read("seven"));
        assert!(votes.are_numbers());
        votes.count(&read("eight"));
        assert!(!votes.are_numbers());
        let mut codes = IdentifierVotes::default();
        codes.count(&read("007"));
        assert!(codes.are_numbers(), "leading zeros are digits");
    }
}
