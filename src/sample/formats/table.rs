//! Tables of text: columns with what stands under them, and the notations of amounts and dates.

use crate::domain::time::Timestamp;
use crate::sample::spec::SampleError;

/// A header and the cell that a row has under it.
pub(super) type Column<T> = (&'static str, fn(&T) -> String);

/// Writes a header and a line per row.
///
/// # Errors
/// [`SampleError::Csv`].
pub(super) fn write<T>(
    separator: u8,
    columns: &[Column<T>],
    rows: impl IntoIterator<Item = T>,
) -> Result<Vec<u8>, SampleError> {
    let mut writer = csv::WriterBuilder::new().delimiter(separator).from_writer(Vec::new());
    writer.write_record(columns.iter().map(|(header, _)| header))?;
    for row in rows {
        writer.write_record(columns.iter().map(|(_, cell)| cell(&row)))?;
    }
    writer.into_inner().map_err(|error| SampleError::Csv(error.into_error().into()))
}

/// `-1245.90`
pub(super) fn plain(cents: i64) -> String {
    signed(cents, "", '.')
}

/// `-1245,90`
pub(super) fn comma(cents: i64) -> String {
    signed(cents, "", ',')
}

/// `-1245.9`, `12`
pub(super) fn short(cents: i64) -> String {
    let text = plain(cents);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `1,245.90`
pub(super) fn english(cents: i64) -> String {
    signed(cents, ",", '.')
}

/// `-€1,245.90`
pub(super) fn euros(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}€{}", english(cents.abs()))
}

/// `1 245,90 €`, with the blanks that French texts have.
pub(super) fn french_euros(cents: i64) -> String {
    format!("{}\u{a0}€", signed(cents, "\u{202f}", ','))
}

fn signed(cents: i64, group: &str, decimal: char) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    let digits = (cents.abs() / 100).to_string();
    let mut whole = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            whole.push_str(group);
        }
        whole.push(digit);
    }
    format!("{sign}{whole}{decimal}{:02}", cents.abs() % 100)
}

/// `2026-01-05 21:06:21`
pub(super) fn stamp(micros: i64) -> String {
    Timestamp(micros).to_string().replace('T', " ")
}

/// `2026-01-05`
pub(super) fn day(micros: i64) -> String {
    Timestamp(micros).day().to_string()
}

/// `21:06:21`
pub(super) fn time(micros: i64) -> String {
    stamp(micros).split_off(11)
}

/// `01/05/2026`
pub(super) fn month_first(micros: i64) -> String {
    let day = day(micros);
    format!("{}/{}/{}", &day[5..7], &day[8..10], &day[..4])
}

/// `01/05/26`
pub(super) fn month_first_short(micros: i64) -> String {
    let day = day(micros);
    format!("{}/{}/{}", &day[5..7], &day[8..10], &day[2..4])
}

/// `Jan 5, 2026 9:06:21 PM`
pub(super) fn american(micros: i64) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let stamp = stamp(micros);
    let number = |from: usize| stamp[from..from + 2].parse::<usize>().unwrap_or(1);
    let (month, day, hour) = (number(5), number(8), number(11));
    let half = if hour < 12 { "AM" } else { "PM" };
    let clock = (hour + 11) % 12 + 1;
    let (year, rest) = (&stamp[..4], &stamp[13..]);
    format!("{} {day}, {year} {clock}{rest} {half}", MONTHS[(month - 1) % 12])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_in_the_notation_of_each_system() {
        assert_eq!(plain(-124_590), "-1245.90");
        assert_eq!(comma(5), "0,05");
        assert_eq!((short(124_590).as_str(), short(1_200).as_str()), ("1245.9", "12"));
        assert_eq!(english(123_456_789), "1,234,567.89");
        assert_eq!(euros(-124_590), "-€1,245.90");
        assert_eq!(french_euros(124_590), "1\u{202f}245,90\u{a0}€");
    }

    #[test]
    fn instants_are_written_in_the_notation_of_each_system() {
        let at = |text: &str| Timestamp::parse(text).unwrap().0;
        let evening = at("2026-01-05T21:06:21");
        assert_eq!(stamp(evening), "2026-01-05 21:06:21");
        assert_eq!((day(evening).as_str(), time(evening).as_str()), ("2026-01-05", "21:06:21"));
        assert_eq!(month_first(evening), "01/05/2026");
        assert_eq!(month_first_short(evening), "01/05/26");
        assert_eq!(american(evening), "Jan 5, 2026 9:06:21 PM");
        assert_eq!(american(at("2026-12-31T00:30:00")), "Dec 31, 2026 12:30:00 AM");
        assert_eq!(american(at("2026-12-31T12:30:00")), "Dec 31, 2026 12:30:00 PM");
    }
}
