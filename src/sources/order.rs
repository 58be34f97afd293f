//! Which files are looked at, and in which order files are read: it decides which row is the later.

use std::cmp::Ordering;

use crate::pipeline::silver::FileDate;

/// Ends of names that tables have.
const TABLE_ENDS: [&str; 6] = ["csv", "tsv", "txt", "gz", "xlsx", "parquet"];

/// Whether a file is looked at, by its name: not a hidden one, and with the end of a table or none.
#[must_use]
pub fn is_candidate(name: &str) -> bool {
    let end = name.rsplit_once('.').map(|(_, end)| end.to_lowercase());
    !is_hidden(name) && end.is_none_or(|end| TABLE_ENDS.contains(&end.as_str()))
}

/// Whether a name is that of a hidden file, of a spreadsheet program's lock, or of what Windows leaves in folders.
#[must_use]
pub fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || name.starts_with("~$") || ["Thumbs.db", "desktop.ini"].contains(&name)
}

/// The order in which two files of a data set are read: by the date in the name, those without one
/// first, then by name, where numbers count as numbers. Time stamps do not count: copying changes them.
#[must_use]
pub fn reading_order(a: &str, b: &str) -> Ordering {
    date_in(a).cmp(&date_in(b)).then_with(|| natural_order(stem(a), stem(b))).then_with(|| a.cmp(b))
}

/// A name without its last end: `achats` comes before `achats2`.
fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// The latest date in a name: `2026-03-31`, `2026_03`, `20260331`, `31.03.2026`, `2026`.
pub(super) fn date_in(name: &str) -> Option<FileDate> {
    let parts = number_parts(name);
    let single = parts.iter().filter_map(|part| date_in_digits(part.digits));
    let pairs = parts.windows(2).filter(|pair| pair[1].is_joined).filter_map(|pair| {
        let (first, second) = (pair[0].digits, pair[1].digits);
        (first.len() == 4 && second.len() <= 2).then(|| date(first, second, "")).flatten()
    });
    let triples = parts.windows(3).filter(|three| three[1].is_joined && three[2].is_joined);
    let triples = triples.filter_map(|three| {
        let [a, b, c] = [three[0].digits, three[1].digits, three[2].digits];
        match (a.len(), b.len(), c.len()) {
            (4, 1..=2, 1..=2) => date(a, b, c),
            // Day first, unless only month first makes a date.
            (1..=2, 1..=2, 4) => date(c, b, a).or_else(|| date(c, a, b)),
            _ => None,
        }
    });
    single.chain(pairs).chain(triples).max()
}

/// Digits in a name.
struct NumberPart<'a> {
    digits: &'a str,
    /// Whether only one sign of those in dates stands between the digits before and these.
    is_joined: bool,
}

fn number_parts(name: &str) -> Vec<NumberPart<'_>> {
    let mut parts: Vec<NumberPart<'_>> = Vec::new();
    let mut last_end = None;
    let mut start = None;
    for (at, letter) in name.char_indices().chain([(name.len(), ' ')]) {
        match (letter.is_ascii_digit(), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                let between = last_end.map(|end: usize| &name[end..from]);
                let is_joined = between.is_some_and(|text| ["-", "_", ".", " "].contains(&text));
                parts.push(NumberPart { digits: &name[from..at], is_joined });
                (start, last_end) = (None, Some(at));
            }
            _ => {}
        }
    }
    parts
}

/// The date that digits without signs between them are.
fn date_in_digits(digits: &str) -> Option<FileDate> {
    match digits.len() {
        4 => date(digits, "", ""),
        6 => date(&digits[..4], &digits[4..], ""),
        // With a time of day behind it or without.
        8 | 12 | 14 => date(&digits[..4], &digits[4..6], &digits[6..8])
            .or_else(|| date(&digits[4..8], &digits[2..4], &digits[..2])),
        _ => None,
    }
}

/// A date of its parts, from the year on; `None` for one that no calendar has.
fn date(year: &str, month: &str, day: &str) -> Option<FileDate> {
    /// Years that are not a number of something else.
    const YEARS: std::ops::RangeInclusive<i16> = 1970..=2100;
    let part = |text: &str, most: i8| match text {
        "" => Some(0),
        text => text.parse().ok().filter(|number| (1..=most).contains(number)),
    };
    let year = year.parse().ok().filter(|year| YEARS.contains(year))?;
    Some((year, part(month, 12)?, part(day, 31)?))
}

/// Compares names with numbers in them as people do: `file2` before `file10`.
fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (text_a, text_b) = (split_digits(a), split_digits(b));
        let by_text = text_a.0.cmp(text_b.0);
        if by_text != Ordering::Equal || (text_a.1.is_empty() && text_b.1.is_empty()) {
            return by_text;
        }
        let (number_a, rest_a) = split_text(text_a.1);
        let (number_b, rest_b) = split_text(text_b.1);
        let significant = |digits: &str| digits.trim_start_matches('0').to_owned();
        let (value_a, value_b) = (significant(number_a), significant(number_b));
        let by_number = value_a.len().cmp(&value_b.len()).then_with(|| value_a.cmp(&value_b));
        if by_number != Ordering::Equal {
            return by_number;
        }
        (a, b) = (rest_a, rest_b);
    }
}

/// What precedes the first digit, and the rest.
fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|letter: char| letter.is_ascii_digit()).unwrap_or(text.len()))
}

/// The digits that a text begins with, and the rest.
fn split_text(text: &str) -> (&str, &str) {
    text.split_at(text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_in_names_are_found_in_the_usual_spellings() {
        for (name, date) in [
            ("achats_2026-03-31.csv", Some((2026, 3, 31))),
            ("orders_20260331_101500.csv", Some((2026, 3, 31))),
            ("order_2026-01-02_101500.csv", Some((2026, 1, 2))),
            ("export 31.03.2026.csv", Some((2026, 3, 31))),
            ("export-03-31-2026.csv", Some((2026, 3, 31))),
            ("achats_2026-03.csv", Some((2026, 3, 0))),
            ("achats_202603.csv", Some((2026, 3, 0))),
            ("achats2026.csv", Some((2026, 0, 0))),
            ("from 2026-01-01 to 2026-03-31.csv", Some((2026, 3, 31))),
            ("orders-20260331101500.csv", Some((2026, 3, 31))),
            ("orders_export_1.csv", None),
            ("orders_9999.csv", None),
            ("orders_20261399.csv", None),
        ] {
            assert_eq!(date_in(name), date, "{name}");
        }
    }

    #[test]
    fn later_files_are_read_later() {
        let mut names = [
            "achats_2026-10-01.csv",
            "b_2026-09-01.csv",
            "z_01-01-2027.csv",
            "achats10.csv",
            "achats2.csv",
            "achats.csv",
            "achats02.csv",
        ];
        names.sort_by(|a, b| reading_order(a, b));
        assert_eq!(
            names,
            [
                "achats.csv",
                "achats02.csv",
                "achats2.csv",
                "achats10.csv",
                "b_2026-09-01.csv",
                "achats_2026-10-01.csv",
                "z_01-01-2027.csv",
            ]
        );
    }

    #[test]
    fn tables_are_looked_at_and_hidden_files_are_not() {
        for name in
            ["orders_export.csv", "A.TSV", "a.b.txt", "x.csv.gz", "a.xlsx", "b.Parquet", "export"]
        {
            assert!(is_candidate(name), "{name}");
        }
        for name in [".DS_Store", ".hidden.csv", "ground_truth.json", "a.csv.bak", "a.xls"] {
            assert!(!is_candidate(name), "{name}");
        }
    }
}
