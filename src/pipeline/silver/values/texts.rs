//! Texts: one spelling for what looks the same, and the words that mean "nothing".

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization as _, is_nfc};

/// Words that databases and spreadsheets write for a missing value, in any column.
const MISSING: [&str; 5] = ["NULL", "N/A", "\\N", "NaN", "#N/A"];
/// The same in columns where they cannot be a name: Namibia and Mr Null are real.
const MISSING_UNLESS_NAMES: [&str; 4] = ["NA", "None", "Null", "null"];

/// The text without outer blanks, with one blank for each inner run, composed and without invisible
/// characters; `None` when nothing is left or it is a word for a missing value. Most texts need no
/// change and are not copied.
pub(crate) fn name(text: &str) -> Option<Cow<'_, str>> {
    let clean = collapsed(text);
    (!clean.is_empty() && !is_one_of(&clean, &MISSING)).then_some(clean)
}

/// Whether a text is one of these. Most texts are told apart by their first letter.
fn is_one_of(text: &str, missing: &[&str]) -> bool {
    matches!(text.as_bytes()[0], b'N' | b'n' | b'#' | b'\\') && missing.contains(&text)
}

/// The same for a cell that is no name, product or country.
pub(crate) fn value(text: &str) -> Option<Cow<'_, str>> {
    name(text).filter(|clean| !is_one_of(clean, &MISSING_UNLESS_NAMES))
}

fn collapsed(text: &str) -> Cow<'_, str> {
    let trimmed = text.trim();
    let mut after_blank = false;
    let is_clean = trimmed.bytes().all(|byte| {
        let is_blank = byte.is_ascii_whitespace();
        let is_clean = byte.is_ascii() && !(is_blank && (after_blank || byte != b' '));
        after_blank = is_blank;
        is_clean
    });
    if is_clean || is_clean_beyond_ascii(trimmed) {
        return trimmed.into();
    }
    let visible: Cow<'_, str> = if trimmed.contains(is_invisible) {
        trimmed.replace(is_invisible, "").into()
    } else {
        trimmed.into()
    };
    let composed =
        if is_nfc(&visible) { visible } else { visible.nfc().collect::<String>().into() };
    composed.split_whitespace().collect::<Vec<_>>().join(" ").into()
}

/// Whether nothing of a trimmed text needs to change, whatever its letters are.
fn is_clean_beyond_ascii(trimmed: &str) -> bool {
    let mut after_blank = false;
    let is_clean = trimmed.chars().all(|character| {
        let is_blank = character.is_whitespace();
        let is_clean = !(is_invisible(character) || is_blank && (after_blank || character != ' '));
        after_blank = is_blank;
        is_clean
    });
    is_clean && is_nfc(trimmed)
}

/// Characters without width: marks of byte order, joiners, direction marks, soft hyphens.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\0'
    )
}

/// What spellings of one text have in common: case and the form of apostrophes do not count.
pub(crate) fn folded(text: &str) -> String {
    text.to_lowercase().replace(['\u{2019}', '\u{2018}', '\u{02bc}', '`', '\u{b4}'], "'")
}

/// Whether an e-mail address looks usable: one @, no blank, and a domain of non-empty parts.
pub(crate) fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let mut parts = domain.split('.');
    !local.is_empty()
        && !text.contains(char::is_whitespace)
        && !domain.contains('@')
        && domain.contains('.')
        && parts.all(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_the_same_is_the_same() {
        for (text, expected) in [
            ("  green \t  TEA ", "green TEA"),
            ("Co\u{302}te d'Ivoire", "C\u{f4}te d'Ivoire"),
            ("Tea\u{200b}pot", "Teapot"),
            ("Ann \u{a0} Lee", "Ann Lee"),
            ("Gift set\r\nred", "Gift set red"),
            ("\u{feff}Mug", "Mug"),
        ] {
            assert_eq!(name(text).as_deref(), Some(expected), "{text:?}");
        }
        assert_eq!(folded("L\u{2019}Occitane"), folded("l'OCCITANE"));
    }

    #[test]
    fn words_for_nothing_are_missing() {
        for text in ["", "  ", "NULL", "N/A", "\\N", "NaN", "#N/A", "\u{200b}"] {
            assert_eq!(name(text), None, "{text:?}");
        }
        for text in ["NA", "None", "Null"] {
            assert_eq!(name(text).as_deref(), Some(text));
            assert_eq!(value(text), None, "{text}");
        }
    }

    #[test]
    fn addresses_are_doubtful_only_when_no_mail_can_reach_them() {
        for text in
            ["ann@x.io", "nora.o'dowd@example.ie", "ama+boutique@example.ci", "a!#$%&*@x.co.uk"]
        {
            assert!(is_email(text), "{text}");
        }
        for text in ["nope", "a@b", "a b@x.io", "a@b@x.io", "a@x..io", "a@.io", "a@x.", "@x.io"] {
            assert!(!is_email(text), "{text}");
        }
    }
}
