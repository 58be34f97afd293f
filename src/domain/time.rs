//! Instants and days, in microseconds without offset.
//!
//! Owns parsing (every spelling the contract accepts) and ISO 8601 formatting. Knows no time zones
//! beyond an explicit offset in the text; `zone.rs` does.

use std::fmt;

use jiff::{SignedDuration, civil};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Microseconds in a day.
pub const DAY_MICROS: i64 = 86_400_000_000;

/// 1970-01-01T00:00:00.
const EPOCH: civil::DateTime = civil::DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// An instant, in microseconds since 1970-01-01T00:00:00: of the service in UTC, of data as the clocks of the
/// shop show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// A calendar day, in days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i32);

impl Timestamp {
    /// The start of its second.
    #[must_use]
    pub fn to_second(self) -> Self {
        Self(self.0.div_euclid(1_000_000) * 1_000_000)
    }

    /// The current instant.
    #[must_use]
    pub fn now() -> Self {
        Self(jiff::Timestamp::now().as_microsecond())
    }

    /// What clocks show now where it is latest, at UTC+14.
    #[must_use]
    pub fn latest_wall_clock() -> Self {
        const HOURS: i64 = 14;
        Self(Self::now().0 + HOURS * 3_600_000_000)
    }

    /// ISO 8601 with the offset `Z`: how answers and messages write when something happened in the
    /// service, unlike instants in data, which have no offset.
    #[must_use]
    pub fn to_utc(self) -> String {
        format!("{self}Z")
    }

    /// The day this instant falls on.
    #[must_use]
    pub fn day(self) -> Day {
        // The quotient of an i64 of microseconds by a day always fits an i32.
        #[allow(clippy::cast_possible_truncation)]
        Day(self.0.div_euclid(DAY_MICROS) as i32)
    }

    /// Parses every spelling the contract accepts: `YYYY-MM-DD`, `YYYY-MM-DD HH:MM:SS`, ISO 8601
    /// with or without offset or fraction, `DD/MM/YYYY` with or without a time. An offset is
    /// converted to UTC; a text without one is UTC. `None` when the text is none of these or names
    /// a day that does not exist.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::parse_with_offset(text).map(|(instant, _)| instant)
    }

    /// As [`Self::parse`], and whether an offset is written.
    #[must_use]
    pub fn parse_with_offset(text: &str) -> Option<(Self, bool)> {
        let text = text.trim();
        // Zone annotations (`[Europe/Paris]`) need a time zone database, and no export is known to
        // write them.
        if text.contains('[') || !text.is_ascii() {
            return None;
        }
        let bytes = text.as_bytes();
        if bytes.len() >= 10 && bytes[2] == b'/' && bytes[5] == b'/' {
            let (date, time) = text.split_at(10);
            let iso = format!("{}-{}-{}{time}", &date[6..10], &date[3..5], &date[0..2]);
            return Self::parse_iso(&iso);
        }
        Self::parse_iso(text)
    }

    fn parse_iso(text: &str) -> Option<(Self, bool)> {
        // The dashes of the date end at index 10; a sign after that is an offset.
        let has_time = text.len() > 10;
        let has_offset =
            has_time && (text.ends_with(['Z', 'z']) || text[10..].contains(['+', '-']));
        if has_offset && !is_offset_of_a_zone(text) {
            return None;
        }
        if has_offset {
            return text
                .parse::<jiff::Timestamp>()
                .ok()
                .map(|instant| (Self(instant.as_microsecond()), true));
        }
        let wall: civil::DateTime = text.parse().ok()?;
        let micros = wall.duration_since(EPOCH).as_micros();
        i64::try_from(micros).ok().map(|micros| (Self(micros), false))
    }

    fn civil(self) -> civil::DateTime {
        EPOCH.saturating_add(SignedDuration::from_micros(self.0))
    }
}

/// Whether the offset at the end of a text is one that clocks have: no more than 18 hours.
fn is_offset_of_a_zone(text: &str) -> bool {
    let sign = text.rfind(['+', '-']).filter(|at| *at > 10);
    let hours = sign.and_then(|at| text.get(at + 1..at + 3)?.parse::<u32>().ok());
    hours.is_none_or(|hours| hours <= 18)
}

impl Day {
    /// Parses `YYYY-MM-DD`; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_iso = text.len() == 10 && text.as_bytes()[4] == b'-';
        is_iso.then(|| Timestamp::parse(text)).flatten().map(Timestamp::day)
    }

    /// Midnight at the start of the day.
    #[must_use]
    pub fn start(self) -> Timestamp {
        Timestamp(i64::from(self.0) * DAY_MICROS)
    }

    /// Its year, month and day of the month.
    #[must_use]
    pub fn parts(self) -> (i16, i8, i8) {
        let date = self.start().civil().date();
        (date.year(), date.month(), date.day())
    }

    /// The last microsecond of the day.
    #[must_use]
    pub fn end(self) -> Timestamp {
        Timestamp(self.start().0 + DAY_MICROS - 1)
    }
}

impl fmt::Display for Timestamp {
    /// `YYYY-MM-DDTHH:MM:SS`, with a fraction only when there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.civil())
    }
}

impl fmt::Display for Day {
    /// `YYYY-MM-DD`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.start().civil().date())
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom(format!("not an instant: {text}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_the_contract_gives_the_same_instant() {
        let noon = Timestamp::parse("2024-02-29 12:30:00").unwrap();
        for text in [
            "2024-02-29T12:30:00",
            "2024-02-29T12:30",
            "2024-02-29T12:30:00Z",
            "2024-02-29T14:30:00+02:00",
            "2024-02-29 07:30:00-05:00",
            "2024-02-29T12:30:00.000000",
            "2024-02-29T12:30:00.000Z",
            "29/02/2024 12:30:00",
            "29/02/2024 12:30",
            "  29/02/2024T12:30:00 ",
        ] {
            assert_eq!(Timestamp::parse(text), Some(noon), "{text}");
        }
        assert_eq!(noon.to_string(), "2024-02-29T12:30:00");
        assert_eq!(
            Timestamp::parse("2024-02-29T12:30:00.25").unwrap().to_string(),
            "2024-02-29T12:30:00.25"
        );
    }

    #[test]
    fn a_date_alone_is_its_midnight() {
        assert_eq!(Timestamp::parse("31/12/2023"), Timestamp::parse("2023-12-31T00:00:00"));
        assert_eq!(Day::parse("1970-01-02"), Some(Day(1)));
        assert_eq!(Day(-1).to_string(), "1969-12-31");
        assert_eq!(Timestamp(-1).day(), Day(-1));
    }

    #[test]
    fn the_last_supported_day_is_parsed() {
        for text in ["9999-12-31", "31/12/9999", "9999-12-31 23:59:59"] {
            let instant = Timestamp::parse(text).unwrap();
            assert!(instant.to_string().starts_with("9999-12-31T"), "{instant}");
        }
    }

    #[test]
    fn other_texts_are_rejected() {
        for text in [
            "",
            "hier",
            "2023-02-29",
            "31/04/2024",
            "2024-13-01",
            "01/13/2024",
            "2024/01/01",
            "12-03-2024",
            "20240101x",
            "2024-01-01T25:00:00",
            "1/2/2024",
            "٢٠٢٤-01-01",
            "2024-01-01T00:00:00[Europe/Paris]",
            "45123",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }
}
