//! When refreshes are due: a cron expression in a time zone.

use std::str::FromStr as _;

use croner::Cron;
use jiff::Zoned;
use jiff::tz::TimeZone;

use crate::domain::time::Timestamp;
use crate::runs::kind::{RunKind, RunState};
use crate::runs::record::RunRecord;
use crate::runs::request::StartAt;

/// A run whose record says that it began this much later than now, in microseconds, was recorded by
/// a clock that was wrong.
const CLOCK_TOLERANCE: i64 = 60_000_000;

/// Why a schedule is not valid.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// The expression cannot be parsed.
    #[error("{expression:?} is not a valid cron expression (example: \"0 3 * * *\")")]
    Expression {
        /// The expression.
        expression: String,
        /// What is wrong with it.
        source: croner::errors::CronError,
    },
    /// The time zone is not in the IANA database.
    #[error("{0:?} is not a known time zone (example: Europe/Paris)")]
    TimeZone(String),
    /// No instant matches the expression.
    #[error("{0:?} matches no instant")]
    Never(String),
}

/// A cron expression in a time zone. A local time that a change of the clocks skips is due right
/// after it, one that comes twice is due once.
#[derive(Debug, Clone)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
}

impl Schedule {
    /// Parses `minute hour day month weekday`, preceded by seconds if there are six fields, and the
    /// name of a time zone of the IANA database.
    ///
    /// # Errors
    /// [`ScheduleError`].
    pub fn parse(expression: &str, zone: &str) -> Result<Self, ScheduleError> {
        let cron = Cron::from_str(expression).map_err(|source| ScheduleError::Expression {
            expression: expression.to_owned(),
            source,
        })?;
        let zone = TimeZone::get(zone).map_err(|_| ScheduleError::TimeZone(zone.to_owned()))?;
        let schedule = Self { cron, zone };
        match schedule.next_after(Timestamp::now()) {
            Some(_) => Ok(schedule),
            None => Err(ScheduleError::Never(expression.to_owned())),
        }
    }

    fn zoned(&self, instant: Timestamp) -> Option<Zoned> {
        let instant = jiff::Timestamp::from_microsecond(instant.0).ok()?;
        Some(instant.to_zoned(self.zone.clone()))
    }

    /// The first instant after this one at which a run is due; `None` when there is none.
    #[must_use]
    pub fn next_after(&self, instant: Timestamp) -> Option<Timestamp> {
        let next = self.cron.find_next_occurrence(&self.zoned(instant)?, false).ok()?;
        Some(Timestamp(next.timestamp().as_microsecond()))
    }

    /// The last instant, this one included, at which a run was due; `None` when there was none.
    #[must_use]
    pub fn last_until(&self, instant: Timestamp) -> Option<Timestamp> {
        let last = self.cron.find_previous_occurrence(&self.zoned(instant)?, true).ok()?;
        Some(Timestamp(last.timestamp().as_microsecond()))
    }

    /// The instant of the schedule that a run is due for now, given the latest runs; `None` when it
    /// has its run already. Only the last instant counts, however many were missed. It has its run
    /// when
    ///
    /// - a run was for it, whatever its end, unless that run was cancelled with its process, or
    /// - a refresh with the usual inputs that began later is running or has succeeded.
    ///
    /// Runs that a wrong clock put into the future do not count.
    #[must_use]
    pub fn due(&self, now: Timestamp, latest: &[RunRecord]) -> Option<Timestamp> {
        let due = self.last_until(now)?;
        let satisfies = |run: &RunRecord| {
            let is_later = run.started_at >= due && run.started_at.0 <= now.0 + CLOCK_TOLERANCE;
            let is_good = matches!(run.state, RunState::Running | RunState::Succeeded);
            let is_usual = run.request.start_at == StartAt::Sources && run.request.as_of.is_none();
            let is_for_it = run.scheduled_for == Some(due) && !run.was_stopped_with_process();
            run.kind == RunKind::Refresh && (is_for_it || (is_later && is_good && is_usual))
        };
        (!latest.iter().any(satisfies)).then_some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::kind::{RunEnd, RunTrigger};
    use crate::runs::request::{RefreshRequest, RunSpec};

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn nightly() -> Schedule {
        Schedule::parse("0 3 * * *", "UTC").unwrap()
    }

    fn run(started_at: &str, scheduled_for: Option<&str>, end: Option<RunEnd>) -> RunRecord {
        let spec = RunSpec::refresh(RunTrigger::Cli, RefreshRequest::default());
        let mut run = RunRecord::starting(1, &spec, String::new());
        run.started_at = at(started_at);
        run.scheduled_for = scheduled_for.map(at);
        if let Some(end) = end {
            run.end(&end);
        }
        run
    }

    fn failed() -> RunEnd {
        RunEnd::Failed { error: String::new(), causes: Vec::new() }
    }

    #[test]
    fn the_wall_clock_of_the_time_zone_decides() {
        let paris = Schedule::parse("30 2 * * *", "Europe/Paris").unwrap();
        for (from, next) in [
            ("2026-01-10T12:00:00", "2026-01-11T01:30:00"),
            ("2026-07-10T12:00:00", "2026-07-11T00:30:00"),
            // 02:30 is skipped on that day: due right after, and once.
            ("2026-03-28T12:00:00", "2026-03-29T01:00:00"),
            ("2026-03-29T01:30:00", "2026-03-30T00:30:00"),
            // It comes twice on that day: due once.
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
        assert_eq!(
            nightly().due(now, &[caught_up]),
            None,
            "one run for each instant, whatever its end"
        );
        let mut stopped =
            run("2026-01-20T03:00:00", Some("2026-01-20T03:00:00"), Some(RunEnd::Cancelled));
        assert_eq!(
            nightly().due(now, std::slice::from_ref(&stopped)),
            due,
            "cancelled with its process"
        );
        stopped.cancel_requested = true;
        assert_eq!(nightly().due(now, &[stopped]), None, "cancelled on request");
        let mut replay = run("2026-01-20T09:00:00", None, Some(RunEnd::Succeeded));
        replay.request.start_at = StartAt::Bronze;
        assert_eq!(nightly().due(now, &[replay]), due, "a replay does not read the sources");
        for (end, is_due) in [
            (None, false),
            (Some(RunEnd::Succeeded), false),
            (Some(failed()), true),
            (Some(RunEnd::Cancelled), true),
        ] {
            let manual = run("2026-01-20T09:00:00", None, end);
            assert_eq!(nightly().due(now, &[manual]).is_some(), is_due);
        }
    }

    #[test]
    fn a_clock_that_jumps_does_not_block_the_schedule() {
        let schedule = nightly();
        let run = |at: &str, scheduled_for| run(at, scheduled_for, Some(RunEnd::Succeeded));
        // Years ahead and back again: the runs of that time do not count until then.
        let ahead = run("2031-05-01T03:00:00", Some("2031-05-01T03:00:00"));
        assert_eq!(schedule.due(at("2031-05-01T03:00:00"), std::slice::from_ref(&ahead)), None);
        let back = schedule.due(at("2026-01-20T10:00:00"), std::slice::from_ref(&ahead));
        assert_eq!(back, Some(at("2026-01-20T03:00:00")));
        // An hour back, across the instant it was due at: no second run.
        let done = run("2026-01-20T03:00:01", Some("2026-01-20T03:00:00"));
        let before = run("2026-01-19T03:00:01", Some("2026-01-19T03:00:00"));
        let both = [done, before];
        assert_eq!(schedule.due(at("2026-01-20T02:10:00"), &both), None);
        assert_eq!(schedule.due(at("2026-01-20T03:00:00"), &both), None);
        // Days ahead: one run for all skipped instants.
        assert_eq!(schedule.due(at("2026-01-24T12:00:00"), &both), Some(at("2026-01-24T03:00:00")));
    }

    #[test]
    fn an_invalid_schedule_is_rejected_with_a_reason() {
        for (expression, zone, reason) in [
            ("0 25 * * *", "UTC", "is not a valid cron expression"),
            ("daily", "UTC", "is not a valid cron expression"),
            ("0 0 31 2 *", "UTC", "matches no instant"),
            ("0 3 * * *", "Europe/Lutetia", "is not a known time zone"),
        ] {
            let error = Schedule::parse(expression, zone).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
