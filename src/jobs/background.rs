//! Background tasks of a serving process: recovering from processes that ended, and refreshing by the
//! clock and when source files change.

use std::time::Duration;

use super::error::RefreshError;
use super::runner::Runner;
use super::{corrections, sources};
use crate::domain::time::Timestamp;
use crate::error_chain::describe;
use crate::lake::Layer;
use crate::runs::schedule::Schedule;
use crate::runs::{
    IfRunning, RefreshRequest, RunControl as _, RunKind, RunQuery, RunSpec, RunState, RunTrigger,
    StartAt, StartError,
};

/// How many of the newest runs are read: manual runs that failed may lie between scheduled ones.
const RUN_LOOKBACK: u32 = 100;
/// How often the process looks for runs of processes that have ended.
const SETTLE_INTERVAL: Duration = Duration::from_secs(5);
/// Between attempts to start the run of the same instant.
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// Longest sleep until the next instant of the schedule: a change of the system clock is noticed this late.
const MAX_SLEEP: Duration = Duration::from_secs(10);

/// When a process refreshes without being asked.
#[derive(Debug, Clone, Default)]
pub struct AutoRefresh {
    /// By the clock.
    pub schedule: Option<Schedule>,
    /// Maximum random delay of a scheduled run.
    pub jitter: Duration,
    /// How often the source files are compared; `None` for never.
    pub watch: Option<Duration>,
}

/// Runs all background tasks until the process is asked to stop.
pub async fn run(runner: Runner, auto_refresh: AutoRefresh) {
    let stopping = runner.stopping();
    let AutoRefresh { schedule, jitter, watch } = auto_refresh;
    let tasks = async {
        let by_clock = async {
            if let Some(schedule) = &schedule {
                follow_schedule(&runner, schedule, jitter).await;
            }
        };
        let by_change = async {
            if let Some(interval) = watch {
                watch_sources(&runner, interval).await;
            }
        };
        futures::join!(recover_repeatedly(&runner), by_clock, by_change);
    };
    tokio::select! {
        () = tasks => {}
        () = stopping.cancelled() => {}
    }
}

async fn recover_repeatedly(runner: &Runner) {
    loop {
        runner.recover().await;
        tokio::time::sleep(SETTLE_INTERVAL).await;
    }
}

/// Refreshes when the schedule says so, and once for all instants that were missed.
async fn follow_schedule(runner: &Runner, schedule: &Schedule, jitter: Duration) {
    loop {
        let Some(instant) = due(runner, schedule).await else {
            let now = Timestamp::now();
            let next = schedule.next_after(now).map_or(i64::MAX, |next| next.0);
            let delay = u64::try_from(next.saturating_sub(now.0)).unwrap_or(0);
            tokio::time::sleep(Duration::from_micros(delay).min(MAX_SLEEP)).await;
            continue;
        };
        tokio::time::sleep(jitter.mul_f64(rand::random())).await;
        let spec = RunSpec {
            scheduled_for: Some(instant),
            ..RunSpec::refresh(RunTrigger::Schedule, RefreshRequest::default())
        };
        match runner.start(spec, IfRunning::Queue).await {
            Ok(started) if started.is_new => {
                tracing::info!(run = started.run, %instant, "started a scheduled run");
            }
            // A queued run counts once it has begun, or another process has begun one.
            Ok(_) | Err(StartError::Busy(_)) => {}
            Err(error) => {
                let error = describe(&error);
                tracing::error!(error, %instant, "the scheduled run cannot start");
                tokio::time::sleep(MAX_SLEEP).await;
            }
        }
        tokio::time::sleep(RETRY_DELAY).await;
    }
}

/// The instant of the schedule that a run is due for, unless one is queued for it already.
async fn due(runner: &Runner, schedule: &Schedule) -> Option<Timestamp> {
    // While the store is unavailable nothing is due; the next look decides.
    let latest = runner.store().runs(RunQuery::newest(RUN_LOOKBACK)).await.ok()?;
    schedule.due(Timestamp::now(), &latest.runs)
}

/// The source files at one time: name, size and when they were last written.
type Listing = Vec<(String, u64, i64)>;

/// Refreshes when source files have changed and two listings in a row are equal, so that a file that is
/// still being written is left alone. The first listing counts as a change: what happened before the
/// process started is not known.
async fn watch_sources(runner: &Runner, interval: Duration) {
    let (mut last, mut refreshed) = (Listing::new(), Listing::new());
    // When the present listing was first seen.
    let mut since = Timestamp::now();
    loop {
        let listed_at = Timestamp::now();
        let listing = list_sources(runner).await.unwrap_or_default();
        if listing != last {
            since = listed_at;
        } else if !listing.is_empty()
            && listing != refreshed
            && !is_incomplete(runner).await
            && (was_refreshed(runner, since).await || start_watched(runner).await)
        {
            refreshed.clone_from(&listing);
        }
        last = listing;
        tokio::time::sleep(interval).await;
    }
}

/// Whether a required data set has no file yet, and every file is known: others are on their way.
async fn is_incomplete(runner: &Runner) -> bool {
    let Ok(refresher) = runner.refresher() else { return false };
    let read = sources::read(&refresher.lake, &refresher.sources).await;
    matches!(read, Err(RefreshError::NoSources { unknown, .. }) if unknown.0.is_empty())
}

/// Starts a refresh of changed files; whether it could.
async fn start_watched(runner: &Runner) -> bool {
    let spec = RunSpec::refresh(RunTrigger::Watch, RefreshRequest::default());
    match runner.start(spec, IfRunning::Queue).await {
        Ok(started) => {
            tracing::info!(run = started.run, "source files have changed; started a run");
            true
        }
        Err(error) => {
            let error = describe(&error);
            tracing::warn!(error, "source files have changed, but no run can start");
            false
        }
    }
}

/// Whether a refresh from the source files, of another process or trigger, has begun since then.
async fn was_refreshed(runner: &Runner, since: Timestamp) -> bool {
    let query = RunQuery { from: Some(since), ..RunQuery::newest(RUN_LOOKBACK) };
    let Ok(page) = runner.store().runs(query).await else { return false };
    page.runs.iter().any(|run| {
        let reads_sources =
            run.kind == RunKind::Refresh && run.request.start_at == StartAt::Sources;
        reads_sources
            && !matches!(
                run.state,
                RunState::Enqueued | RunState::Cancelled | RunState::Interrupted
            )
    })
}

/// The source files now; `None` when they cannot be listed.
async fn list_sources(runner: &Runner) -> Option<Listing> {
    let refresher = runner.refresher().ok()?;
    let lake = &refresher.lake;
    let mut listing = Listing::new();
    let mut names = sources::candidates(lake, &refresher.sources).await.ok()?;
    names.extend(corrections::names(lake).await.ok()?);
    for name in names {
        let object = lake.head(Layer::Sources, &name).await.ok()??;
        listing.push((name, object.size_bytes, object.written_at));
    }
    Some(listing)
}
