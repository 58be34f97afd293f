//! `[refresh]` and `sources.watch`: when a serving process refreshes, and the limits of a run.

use std::time::Duration;

use serde::Deserialize;

use super::error::{MAX_SECS, SettingsError, invalid, within};
use super::sources::RawSources;
use crate::error_chain::describe;
use crate::jobs::background::AutoRefresh;
use crate::runs::schedule::Schedule;

#[derive(Debug, Deserialize)]
pub(super) struct RawRefresh {
    schedule: String,
    timezone: String,
    jitter_secs: u64,
    step_secs: u64,
    threads: usize,
}

/// `[refresh]`, `sources.watch`
#[derive(Debug, Clone)]
pub struct Refresh {
    /// When a serving process refreshes.
    pub auto: AutoRefresh,
    /// Longest time that one step may take.
    pub step_timeout: Duration,
    /// Threads of the pipeline; `None` for the default.
    pub threads: Option<usize>,
}

pub(super) fn validate(raw: &RawRefresh, sources: &RawSources) -> Result<Refresh, SettingsError> {
    /// More than any machine has.
    const MAX_THREADS: usize = 1_024;
    Schedule::parse("0 0 * * *", &raw.timezone)
        .map_err(|error| invalid("refresh.timezone", describe(&error)))?;
    let schedule = match raw.schedule.as_str() {
        "" => None,
        expression => Some(
            Schedule::parse(expression, &raw.timezone)
                .map_err(|error| invalid("refresh.schedule", describe(&error)))?,
        ),
    };
    let jitter = within("refresh.jitter_secs", raw.jitter_secs, 0..=MAX_SECS)?;
    let step = within("refresh.step_secs", raw.step_secs, 1..=MAX_SECS)?;
    let threads = within("refresh.threads", raw.threads, 0..=MAX_THREADS)?;
    let watch = within("sources.watch_secs", sources.watch_secs, 1..=MAX_SECS)?;
    Ok(Refresh {
        auto: AutoRefresh {
            schedule,
            jitter: Duration::from_secs(jitter),
            watch: sources.watch.then(|| Duration::from_secs(watch)),
        },
        step_timeout: Duration::from_secs(step),
        threads: Some(threads).filter(|threads| *threads > 0),
    })
}
