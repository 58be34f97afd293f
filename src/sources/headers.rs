//! Headers as they are compared: without case, accents, blanks, hyphens, underscores and quotes.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// The part of a header that counts in comparisons.
pub(super) fn fold(header: &str) -> String {
    let letters = header.nfd().filter(|letter| !is_combining_mark(*letter) && !is_ignored(*letter));
    letters.flat_map(char::to_lowercase).collect()
}

fn is_ignored(letter: char) -> bool {
    letter.is_whitespace()
        || letter.is_control()
        || matches!(
            letter,
            '-' | '_'
                | '"'
                | '\''
                | '`'
                | '´'
                | '’'
                | '‘'
                | '“'
                | '”'
                | '«'
                | '»'
                | '‐'
                | '‑'
                | '–'
                | '—'
                | '\u{200b}'
                | '\u{200c}'
                | '\u{200d}'
                | '\u{2060}'
                | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_header_are_equal() {
        for header in ["id_client", "ID Client", " Id-Client ", "\"id\u{a0}client\"", "Ïd_Clïent"]
        {
            assert_eq!(fold(header), "idclient", "{header}");
        }
        assert_eq!(fold("Quantité"), fold("QUANTITE"));
        assert_ne!(fold("N° client"), fold("client"));
    }
}
