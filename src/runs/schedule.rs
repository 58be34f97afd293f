//! When refreshes are due: a cron expression in a time zone.

use std::str::FromStr as _;

use croner::Cron;
use jiff::Zoned;
use jiff::tz::TimeZone;

use crate::domain::time::Timestamp;
use crate::runs::{RunKind, RunRecord, RunState, StartAt};

/// A run that began this much later than now, in microseconds, began by a clock that was wrong.
const WRONG_CLOCK: i64 = 60_000_000;

/// A cron expression in a time zone. A local time that a change of the clocks passes over is due right
/// after it, one that comes twice is due once.
#[derive(Debug, Clone)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
}

impl Schedule {
    /// Parses `minute hour day month weekday`, with seconds before them if there are six, and the name
    /// of a time zone of the IANA database.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(expression: &str, zone: &str) -> Result<Self, String> {
        let cron = Cron::from_str(expression).map_err(|error| {
            format!("{expression:?} is no cron expression, as \"0 3 * * *\" is: {error}")
        })?;
        let zone = TimeZone::get(zone)
            .map_err(|_| format!("{zone:?} is no time zone, as Europe/Paris is"))?;
        let schedule = Self { cron, zone };
        match schedule.next_after(Timestamp::now()) {
            Some(_) => Ok(schedule),
            None => Err(format!("{expression:?} never comes")),
        }
    }

    fn zoned(&self, instant: Timestamp) -> Option<Zoned> {
        let instant = jiff::Timestamp::from_microsecond(instant.0).ok()?;
        Some(instant.to_zoned(self.zone.clone()))
    }

    /// The first instant after this one at which it is due; `None` when there is none.
    #[must_use]
    pub fn next_after(&self, instant: Timestamp) -> Option<Timestamp> {
        let next = self.cron.find_next_occurrence(&self.zoned(instant)?, false).ok()?;
        Some(Timestamp(next.timestamp().as_microsecond()))
    }

    /// The last instant, this one included, at which it was due; `None` when there was none.
    #[must_use]
    pub fn last_until(&self, instant: Timestamp) -> Option<Timestamp> {
        let last = self.cron.find_previous_occurrence(&self.zoned(instant)?, true).ok()?;
        Some(Timestamp(last.timestamp().as_microsecond()))
    }

    /// The instant of the schedule that a run is due for now, given the latest runs: the last one, unless
    /// there was a run for it, whatever came of it (but for one that was stopped with its process), or a
    /// usual one that began later has succeeded or goes on. However many were missed, it is one. Runs that a
    /// wrong clock put into the future count for nothing.
    #[must_use]
    pub fn due(&self, now: Timestamp, latest: &[RunRecord]) -> Option<Timestamp> {
        let due = self.last_until(now)?;
        let serves = |run: &RunRecord| {
            let is_since = run.started_at >= due && run.started_at.0 <= now.0 + WRONG_CLOCK;
            let is_good = matches!(run.state, RunState::Running | RunState::Succeeded);
            let is_usual = run.request.start_at == StartAt::Sources && run.request.as_of.is_none();
            let is_for_it = run.occurrence == Some(due) && !run.was_stopped();
            run.kind == RunKind::Refresh && (is_for_it || (is_since && is_good && is_usual))
        };
        (!latest.iter().any(serves)).then_some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::{RefreshRequest, RunEnd, RunSpec, RunTrigger};

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn nightly() -> Schedule {
        Schedule::parse("0 3 * * *", "UTC").unwrap()
    }

    fn run(started_at: &str, occurrence: Option<&str>, end: Option<RunEnd>) -> RunRecord {
        let order = RunSpec::refresh(RunTrigger::Cli, RefreshRequest::default());
        let mut run = RunRecord::starting(1, &order, String::new());
        run.started_at = at(started_at);
        run.occurrence = occurrence.map(at);
        if let Some(end) = end {
            run.end(&end);
        }
        run
    }

    fn failed() -> RunEnd {
        RunEnd::Failed { error: String::new(), causes: Vec::new() }
    }

    #[test]
    fn the_wall_clock_of_a_place_decides() {
        let paris = Schedule::parse("30 2 * * *", "Europe/Paris").unwrap();
        for (from, next) in [
            ("2026-01-10T12:00:00", "2026-01-11T01:30:00"),
            ("2026-07-10T12:00:00", "2026-07-11T00:30:00"),
            // Half past two does not come on that day: right after, and not twice.
            ("2026-03-28T12:00:00", "2026-03-29T01:00:00"),
            ("2026-03-29T01:30:00", "2026-03-30T00:30:00"),
            // And comes twice on that one: once.
            ("2026-10-24T12:00:00", "2026-10-25T00:30:00"),
            ("2026-10-25T00:30:00", "2026-10-26T01:30:00"),
        ] {
            assert_eq!(paris.next_after(at(from)), Some(at(next)), "{from}");
        }
        for (until, last) in [
            ("2026-03-29T12:00:00", "2026-03-29T01:00:00"),
            ("2026-03-29T00:59:59", "2026-03-28T01:30:00"),
            ("2026-10-25T12:00:00", "2026-10-25T00:30:00"),
        ] {
            assert_eq!(paris.last_until(at(until)), Some(at(last)), "{until}");
        }
        assert_eq!(paris.last_until(at("2026-01-11T01:30:00")), Some(at("2026-01-11T01:30:00")));
        assert_eq!(paris.last_until(at("2026-01-11T01:29:59")), Some(at("2026-01-10T01:30:00")));
    }

    #[test]
    fn missed_runs_are_caught_up_once() {
        let now = at("2026-01-20T10:00:00");
        let due = Some(at("2026-01-20T03:00:00"));
        assert_eq!(nightly().due(now, &[]), due);
        let days_ago = run("2026-01-15T03:00:00", Some("2026-01-15T03:00:00"), None);
        assert_eq!(nightly().due(now, &[days_ago]), due);
        let caught_up = run("2026-01-20T09:59:59", Some("2026-01-20T03:00:00"), Some(failed()));
        assert_eq!(nightly().due(now, &[caught_up]), None, "one try for each, whatever came of it");
        let mut stopped =
            run("2026-01-20T03:00:00", Some("2026-01-20T03:00:00"), Some(RunEnd::Cancelled));
        assert_eq!(nightly().due(now, std::slice::from_ref(&stopped)), due, "with its process");
        stopped.cancel_requested = true;
        assert_eq!(nightly().due(now, &[stopped]), None, "by somebody");
        let mut replay = run("2026-01-20T09:00:00", None, Some(RunEnd::Succeeded));
        replay.request.start_at = StartAt::Bronze;
        assert_eq!(nightly().due(now, &[replay]), due, "not of the sources as they are");
        for (end, is_due) in [
            (None, false),
            (Some(RunEnd::Succeeded), false),
            (Some(failed()), true),
            (Some(RunEnd::Cancelled), true),
        ] {
            let by_hand = run("2026-01-20T09:00:00", None, end);
            assert_eq!(nightly().due(now, &[by_hand]).is_some(), is_due);
        }
    }

    #[test]
    fn a_clock_that_jumps_wedges_nothing() {
        let schedule = nightly();
        let run = |at: &str, occurrence| run(at, occurrence, Some(RunEnd::Succeeded));
        // Years ahead and back again: what ran meanwhile does not count until then.
        let ahead = run("2031-05-01T03:00:00", Some("2031-05-01T03:00:00"));
        assert_eq!(schedule.due(at("2031-05-01T03:00:00"), std::slice::from_ref(&ahead)), None);
        let back = schedule.due(at("2026-01-20T10:00:00"), std::slice::from_ref(&ahead));
        assert_eq!(back, Some(at("2026-01-20T03:00:00")));
        // An hour back, over the instant it was due at: not again.
        let done = run("2026-01-20T03:00:01", Some("2026-01-20T03:00:00"));
        let before = run("2026-01-19T03:00:01", Some("2026-01-19T03:00:00"));
        let both = [done, before];
        assert_eq!(schedule.due(at("2026-01-20T02:10:00"), &both), None);
        assert_eq!(schedule.due(at("2026-01-20T03:00:00"), &both), None);
        // Days ahead: once for all that was passed over.
        assert_eq!(schedule.due(at("2026-01-24T12:00:00"), &both), Some(at("2026-01-24T03:00:00")));
    }

    #[test]
    fn what_is_no_schedule_is_refused_in_words() {
        for (expression, zone, said) in [
            ("0 25 * * *", "UTC", "is no cron expression"),
            ("daily", "UTC", "is no cron expression"),
            ("0 0 31 2 *", "UTC", "never comes"),
            ("0 3 * * *", "Europe/Lutetia", "is no time zone"),
        ] {
            let refused = Schedule::parse(expression, zone).unwrap_err();
            assert!(refused.contains(said), "{refused}");
        }
    }
}
