//! Cells that a spreadsheet would take for a formula, in the CSV files that are written for people.
//!
//! A formula in an export may be an attack on the one who opens the file (OWASP, "CSV Injection"). An
//! apostrophe in front makes a text of it; [`restored`] undoes exactly what [`neutralised`] did.

use std::borrow::Cow;

/// A cell as it is written: with an apostrophe in front if it begins a formula. Plain numbers, signs
/// included, stay as they are.
#[must_use]
pub fn neutralised(cell: &str) -> Cow<'_, str> {
    let text = cell.trim_start_matches('\'');
    let is_marked = text.len() < cell.len();
    if begins_formula(text) && (is_marked || !is_number(text)) {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

/// The cell that [`neutralised`] made this one of.
#[must_use]
pub fn restored(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if begins_formula(rest.trim_start_matches('\'')) => rest,
        _ => cell,
    }
}

/// Whether what is seen first may begin a formula.
fn begins_formula(text: &str) -> bool {
    let is_unseen = |letter: char| letter.is_whitespace() || letter.is_control();
    let seen = text.trim_start_matches(is_unseen);
    seen.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']) || text.starts_with(['\t', '\r'])
}

/// Whether a text has a sign, digits and what stands between them, and nothing else.
fn is_number(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']);
    text.len() - digits.len() <= 1
        && digits.starts_with(|first: char| first.is_ascii_digit())
        && digits.chars().all(|letter| letter.is_ascii_digit() || matches!(letter, '.' | ',' | ' '))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn formulas_are_marked_and_numbers_are_not() {
        for cell in
            ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", " =1", "\t=1", "-", "＝1", "'=1"]
        {
            assert_eq!(neutralised(cell), format!("'{cell}"), "{cell:?}");
        }
        for cell in
            ["", "-3.00", "+33 6 12 34", "a=b", "'12", "O'Brien", "12-3", "1=1", "-1 234,50"]
        {
            assert_eq!(neutralised(cell), cell, "{cell:?}");
        }
        assert_eq!(restored("'12"), "'12", "an apostrophe of the shop's own");
    }

    proptest! {
        #[test]
        fn reading_back_undoes_exactly_what_writing_did(cell in "['=+\\-@ \t0-9a,.＝]{0,8}|\\PC{0,12}") {
            let written = neutralised(&cell).into_owned();
            prop_assert_eq!(restored(&written), &cell);
            prop_assert!(!begins_formula(&written) || is_number(&written), "{:?}", written);
        }
    }
}
