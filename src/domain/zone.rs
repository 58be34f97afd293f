//! Time zones: where the clocks of a shop are.

use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::time::Timestamp;

/// A time zone of the IANA database.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone(TimeZone);

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl Zone {
    /// The zone of this name, in any case; `None` if there is none.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        TimeZone::get(name).ok().map(Self)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// What the clocks of the zone show at an instant in UTC. Where they are set back, two instants an hour
    /// apart show the same.
    #[must_use]
    pub fn wall_clock(&self, instant: Timestamp) -> Timestamp {
        if *self == Self::default() {
            return instant;
        }
        // What lies beyond the calendar has no other time zone.
        let Ok(known) = jiff::Timestamp::from_microsecond(instant.0) else { return instant };
        let offset = i64::from(self.0.to_offset(known).seconds());
        Timestamp(instant.0.saturating_add(offset * 1_000_000))
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::find(&name)
            .ok_or_else(|| serde::de::Error::custom(format!("{name:?} is not a time zone")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_show_the_offset_of_the_season() {
        let paris = Zone::find("europe/paris").unwrap();
        for (instant, shown) in [
            ("2026-01-15T23:30:00", "2026-01-16T00:30:00"),
            ("2026-07-15T23:30:00", "2026-07-16T01:30:00"),
            ("2026-10-25T00:30:00", "2026-10-25T02:30:00"),
            ("2026-10-25T01:30:00", "2026-10-25T02:30:00"),
        ] {
            let instant = Timestamp::parse(instant).unwrap();
            assert_eq!(paris.wall_clock(instant).to_string(), shown);
        }
        assert_eq!(serde_json::to_string(&paris).unwrap(), "\"Europe/Paris\"");
        assert_eq!(Zone::default().name(), "UTC");
        assert_eq!(serde_json::from_str::<Zone>("\"UTC\"").unwrap(), Zone::default());
    }
}
