//! What one cell of a date column says by itself.

use jiff::civil;

use crate::domain::reading::DateOrder;
use crate::domain::time::{DAY_MICROS, Timestamp};
use crate::domain::zone::Zone;

/// Days from 1899-12-30, where spreadsheets count from, to 1970-01-01.
const SPREADSHEET_EPOCH: f64 = 25_569.0;
/// The day after the last one that spreadsheets know, 9999-12-31.
const SPREADSHEET_END: f64 = 2_958_466.0;
/// Milliseconds in a day.
const DAY_MILLIS: f64 = 86_400_000.0;

/// What one cell says by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell {
    /// An instant, microseconds, whatever the column says.
    Instant(i64),
    /// The same, from a cell that proves the order of the column.
    Proof(i64, DateOrder),
    /// Day first, or month first.
    Either { day_first: i64, month_first: i64 },
    /// A number that a spreadsheet may mean as a date, as microseconds.
    Serial(i64),
    /// No form reads it.
    Unreadable,
}

/// How the cells of a column are meant.
#[derive(Debug, Clone, Default)]
pub(crate) struct DateStyle {
    /// Whether years may have two digits.
    pub(crate) two_digit_years: bool,
    /// Whether cells without an offset are in UTC; else they are in the zone of the shop.
    pub(crate) is_utc: bool,
    /// Where the shop is.
    pub(crate) zone: Zone,
}

/// Reads a trimmed cell, as what the clocks of the shop showed.
pub(super) fn read_cell(text: &str, style: &DateStyle) -> Cell {
    // What most exports write: YYYY-MM-DD, and what follows it.
    let bytes = text.as_bytes();
    let is_iso = bytes.len() >= 10 && bytes[4] == b'-' && bytes[0].is_ascii_digit();
    if is_iso && let Some((instant, has_offset)) = Timestamp::parse_with_offset(text) {
        return Cell::Instant(style.wall_clock(instant.0, has_offset));
    }
    if !text.is_ascii() {
        return Cell::Unreadable;
    }
    let text = without_weekday(text);
    if let Some(serial) = serial_number(text) {
        return Cell::Serial(serial);
    }
    let Some((date, rest)) = split_date(text, style.two_digit_years) else {
        return Cell::Unreadable;
    };
    let Some((time, has_offset)) = time_of_day(rest) else { return Cell::Unreadable };
    let at = |year, month, day| {
        midnight(year, month, day).map(|midnight| style.wall_clock(midnight + time, has_offset))
    };
    match date {
        Date::Known { year, month, day } => {
            at(year, month, day).map_or(Cell::Unreadable, Cell::Instant)
        }
        Date::Numeric { first, second, year } => {
            match (at(year, second, first), at(year, first, second)) {
                (Some(day_first), Some(month_first)) if day_first == month_first => {
                    Cell::Instant(day_first)
                }
                (Some(day_first), Some(month_first)) => Cell::Either { day_first, month_first },
                // A date that exists one way only is a proof when its parts are why.
                (Some(instant), None) if first > 12 => Cell::Proof(instant, DateOrder::DayFirst),
                (None, Some(instant)) if second > 12 => Cell::Proof(instant, DateOrder::MonthFirst),
                _ => Cell::Unreadable,
            }
        }
    }
}

impl DateStyle {
    /// What the clocks of the shop showed, of microseconds that are in UTC if they have an offset.
    fn wall_clock(&self, micros: i64, has_offset: bool) -> i64 {
        if has_offset || self.is_utc { self.zone.wall_clock(Timestamp(micros)).0 } else { micros }
    }
}

/// The date of a cell, before its time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Date {
    Known {
        year: u32,
        month: u32,
        day: u32,
    },
    /// Two parts whose order the column decides.
    Numeric {
        first: u32,
        second: u32,
        year: u32,
    },
}

/// The microseconds of a day's start; `None` for a day that does not exist.
fn midnight(year: u32, month: u32, day: u32) -> Option<i64> {
    let (year, month, day) =
        (i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?);
    let date = civil::Date::new(year, month, day).ok()?;
    let days = civil::Date::constant(1970, 1, 1).until(date).ok()?.get_days();
    Some(i64::from(days) * DAY_MICROS)
}

/// Drops `Fri, ` or `Friday `.
fn without_weekday(text: &str) -> &str {
    const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let letters = text.len() - text.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
    let (name, rest) = text.split_at(letters);
    let is_day = letters >= 3 && DAYS.contains(&name[..3].to_ascii_lowercase().as_str());
    match rest.strip_prefix([',', ' ']) {
        Some(rest) if is_day => rest.trim_start(),
        _ => text,
    }
}

/// The instant of a spreadsheet's serial number, to the millisecond.
fn serial_number(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once(['.', ',']).unwrap_or((text, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() > 7 || whole.starts_with('0') || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let days: f64 = format!("{whole}.{fraction}").parse().ok()?;
    #[allow(clippy::cast_possible_truncation)]
    (days < SPREADSHEET_END)
        .then(|| ((days - SPREADSHEET_EPOCH) * DAY_MILLIS).round() as i64 * 1_000)
}

/// Digits at the start of a text, and the rest.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

/// Splits a cell into its date and what follows.
fn split_date(text: &str, two_digit_years: bool) -> Option<(Date, &str)> {
    let (first, rest) = digits(text);
    if first.is_empty() {
        return month_name_first(text);
    }
    if first.len() == 8 {
        let number = |range: std::ops::Range<usize>| first[range].parse().ok();
        return Some((
            Date::Known { year: number(0..4)?, month: number(4..6)?, day: number(6..8)? },
            rest,
        ));
    }
    let separator = rest.chars().next().filter(|separator| "/-. ".contains(*separator))?;
    let rest = &rest[1..];
    let (second, after) = digits(rest);
    if second.is_empty() {
        return day_month_name(first, rest);
    }
    let (third, after) = digits(after.strip_prefix(separator)?);
    let parts = (first.parse().ok()?, second.parse().ok()?, third.parse().ok()?);
    let date = match (first.len(), second.len(), third.len()) {
        (4, 1..=2, 1..=2) if separator != ' ' => {
            Date::Known { year: parts.0, month: parts.1, day: parts.2 }
        }
        // Points are written where the day comes first.
        (1..=2, 1..=2, 4) if separator == '.' => {
            Date::Known { year: parts.2, month: parts.1, day: parts.0 }
        }
        (1..=2, 1..=2, 4) if separator != ' ' => {
            Date::Numeric { first: parts.0, second: parts.1, year: parts.2 }
        }
        (1..=2, 1..=2, 2) if two_digit_years && separator != ' ' => {
            Date::Numeric { first: parts.0, second: parts.1, year: whole_year(parts.2) }
        }
        _ => return None,
    };
    Some((date, after))
}

/// The year that two digits mean: 1970 to 2069.
const fn whole_year(year: u32) -> u32 {
    if year < 70 { 2000 + year } else { 1900 + year }
}

/// `Mar-2026`, `March 2026`, `Mar, 2026` after a day.
fn day_month_name<'a>(day: &str, text: &'a str) -> Option<(Date, &'a str)> {
    let (month, rest) = month_name(text)?;
    let rest = rest.trim_start_matches(['.', ',', '-', ' ', '/']);
    let (year, rest) = digits(rest);
    let is_date = (1..=2).contains(&day.len()) && year.len() == 4;
    is_date.then_some(())?;
    Some((Date::Known { year: year.parse().ok()?, month, day: day.parse().ok()? }, rest))
}

/// `Mar 6, 2026`
fn month_name_first(text: &str) -> Option<(Date, &str)> {
    let (month, rest) = month_name(text)?;
    let (day, rest) = digits(rest.trim_start_matches(['.', ' ', '-']));
    let rest =
        ["st", "nd", "rd", "th"].iter().find_map(|end| rest.strip_prefix(end)).unwrap_or(rest);
    let (year, rest) = digits(rest.trim_start_matches([',', ' ', '-']));
    let is_date = (1..=2).contains(&day.len()) && year.len() == 4;
    is_date.then_some(())?;
    Some((Date::Known { year: year.parse().ok()?, month, day: day.parse().ok()? }, rest))
}

/// The number of an English month at the start of a text, and the rest.
fn month_name(text: &str) -> Option<(u32, &str)> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    let (name, rest) = text.split_at(letters);
    let name = name.to_ascii_lowercase();
    let is_name = |month: &str| {
        name == month || name == month[..3] || (name == "sept" && month == "september")
    };
    let month = (1..).zip(MONTHS).find(|(_, month)| is_name(month))?.0;
    Some((month, rest))
}

/// The microseconds that a time of day and an offset add to midnight, 0 for nothing; and whether there is an
/// offset.
fn time_of_day(text: &str) -> Option<(i64, bool)> {
    const SECOND: i64 = 1_000_000;
    let text = text.trim_start_matches(['T', 't', ' ', ',']);
    if text.is_empty() {
        return Some((0, false));
    }
    let (hour, rest) = digits(text);
    let (minute, rest) = digits(rest.strip_prefix(':')?);
    let (second, rest) = match rest.strip_prefix(':') {
        Some(rest) => digits(rest),
        None => ("0", rest),
    };
    let (fraction, rest) = match rest.strip_prefix(['.', ',']) {
        Some(rest) => digits(rest),
        None => ("0", rest),
    };
    let is_short = |part: &str, longest: usize| (1..=longest).contains(&part.len());
    let is_time =
        is_short(hour, 2) && minute.len() == 2 && is_short(second, 2) && is_short(fraction, 9);
    is_time.then_some(())?;
    let number = |part: &str| part.parse::<i64>().ok();
    let (hour, minute, second) = (number(hour)?, number(minute)?, number(second)?);
    let (half, rest) = half_of_day(rest.trim_start());
    let hour = match (half, hour) {
        (None, 0..=23) => hour,
        (Some(_), 0 | 12) => half?,
        (Some(half), 1..=11) => hour + half,
        _ => return None,
    };
    (minute < 60 && second < 60).then_some(())?;
    let micros = number(&format!("{fraction:0<6}")[..6])?;
    let offset = offset_minutes(rest.trim())?;
    let minutes = hour * 60 + minute - offset.unwrap_or(0);
    Some(((minutes * 60 + second) * SECOND + micros, offset.is_some()))
}

/// The hours that AM (0) or PM (12) adds, if either is there, and the rest.
fn half_of_day(text: &str) -> (Option<i64>, &str) {
    for (name, hours) in [("AM", 0), ("PM", 12), ("a.m.", 0), ("p.m.", 12)] {
        if text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)) {
            return (Some(hours), &text[name.len()..]);
        }
    }
    (None, text)
}

/// The minutes by which a written offset is ahead of UTC, 0 for `Z`, `UTC` and `GMT`; the inner `None` where
/// none is written.
#[allow(clippy::option_option)]
fn offset_minutes(text: &str) -> Option<Option<i64>> {
    if text.is_empty() {
        return Some(None);
    }
    let text = ["UTC", "GMT"].iter().find_map(|zone| text.strip_prefix(zone)).unwrap_or(text);
    if text.is_empty() || text.eq_ignore_ascii_case("z") {
        return Some(Some(0));
    }
    let sign = match text.as_bytes()[0] {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, rest) = digits(&text[1..]);
    let (hours, minutes) = match (hours.len(), rest.strip_prefix(':')) {
        (1..=2, Some(minutes)) if minutes.len() == 2 => (hours, minutes),
        (1..=2, None) if rest.is_empty() => (hours, "0"),
        (4, None) if rest.is_empty() => hours.split_at(2),
        _ => return None,
    };
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours <= 18 && minutes < 60).then_some(Some(sign * (hours * 60 + minutes)))
}
