//! What a serving process does by itself: finds runs whose process is gone, carries out the one in line,
//! refreshes by the clock and when source files change.

use std::time::Duration;

use crate::domain::data_set::DataSet;
use crate::domain::time::Timestamp;
use crate::lake::Layer;
use crate::runs::schedule::Schedule;
use crate::runs::{
    IfRunning, RefreshRequest, RunKind, RunQuery, RunSpec, RunState, RunTrigger, StartAt,
    StartError,
};
use crate::store::RunControl as _;

use super::runner::Runner;
use super::sources;

/// Latest runs that are looked through: those by hand that failed may lie between.
const LOOKED_THROUGH: u32 = 100;
/// Between looks for what other processes left behind.
const ROUND: Duration = Duration::from_secs(5);
/// Between tries of the same instant.
const BREATH: Duration = Duration::from_millis(500);
/// Longest sleep until the next instant of the schedule: a clock that jumps is noticed this much later.
const NAP: Duration = Duration::from_secs(10);

/// When a process refreshes by itself.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// By the clock.
    pub schedule: Option<Schedule>,
    /// Longest chance delay of a scheduled run.
    pub jitter: Duration,
    /// Between looks at the source files.
    pub watch: Option<Duration>,
}

/// Keeps house until the process is told to stop.
pub async fn keep(runner: Runner, plan: Plan) {
    let stopping = runner.stopping();
    let Plan { schedule, jitter, watch } = plan;
    let work = async {
        let by_clock = async {
            if let Some(schedule) = &schedule {
                follow(&runner, schedule, jitter).await;
            }
        };
        let by_change = async {
            if let Some(pause) = watch {
                watch_sources(&runner, pause).await;
            }
        };
        futures::join!(tidy(&runner), by_clock, by_change);
    };
    tokio::select! {
        () = work => {}
        () = stopping.cancelled() => {}
    }
}

/// Looks after what other processes left behind.
async fn tidy(runner: &Runner) {
    loop {
        runner.tidy().await;
        tokio::time::sleep(ROUND).await;
    }
}

/// Refreshes when the schedule says so, and once for all it missed.
async fn follow(runner: &Runner, schedule: &Schedule, jitter: Duration) {
    loop {
        let Some(occurrence) = due(runner, schedule).await else {
            let now = Timestamp::now();
            let next = schedule.next_after(now).map_or(i64::MAX, |next| next.0);
            let pause = u64::try_from(next.saturating_sub(now.0)).unwrap_or(0);
            tokio::time::sleep(Duration::from_micros(pause).min(NAP)).await;
            continue;
        };
        tokio::time::sleep(by_chance(jitter)).await;
        let order = RunSpec {
            occurrence: Some(occurrence),
            ..RunSpec::refresh(RunTrigger::Schedule, RefreshRequest::default())
        };
        match runner.start(order, IfRunning::Queue).await {
            Ok(asked) if asked.is_new => tracing::info!(run = asked.run, %occurrence, "scheduled"),
            // One that waits in line serves when it has begun, or another process has begun it.
            Ok(_) | Err(StartError::Busy(_)) => {}
            Err(
                StartError::Failed(why) | StartError::NotThere(why) | StartError::OtherKey(why),
            ) => {
                tracing::error!(why, %occurrence, "the scheduled run could not begin");
                tokio::time::sleep(NAP).await;
            }
        }
        tokio::time::sleep(BREATH).await;
    }
}

/// The instant of the schedule that a run is due for and waits in no line for.
async fn due(runner: &Runner, schedule: &Schedule) -> Option<Timestamp> {
    // One that cannot be asked now is asked again soon.
    let latest = runner.store().runs(RunQuery::newest(LOOKED_THROUGH)).await.ok()?;
    schedule.due(Timestamp::now(), &latest.runs)
}

/// A chance part of a duration.
fn by_chance(longest: Duration) -> Duration {
    let mut random = [0; 4];
    // Without chance everybody waits equally long, which does no harm.
    let share = getrandom::fill(&mut random)
        .map_or(1.0, |()| f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX));
    longest.mul_f64(share)
}

/// The source files as a look finds them: names, sizes and when they were last written.
type Look = Vec<(DataSet, String, u64, i64)>;

/// Refreshes when source files have changed and the next look finds the same: a file that is still being
/// written is left alone. The first look counts as a change: nobody knows what happened before.
async fn watch_sources(runner: &Runner, pause: Duration) {
    let (mut seen, mut refreshed): (Look, Look) = (Look::new(), Look::new());
    // Since when what is there now has been there.
    let mut since = Timestamp::now();
    loop {
        let looked_at = Timestamp::now();
        let now = look(runner).await.unwrap_or_default();
        let has_all = sources::first_missing(now.iter().map(|(set, ..)| *set)).is_none();
        if now != seen {
            since = looked_at;
        } else if has_all && now != refreshed {
            let order = RunSpec::refresh(RunTrigger::Watch, RefreshRequest::default());
            if has_been_read(runner, since).await {
                // By another process that looks, or by somebody's hand.
                refreshed.clone_from(&now);
            } else {
                match runner.start(order, IfRunning::Queue).await {
                    Ok(asked) => {
                        tracing::info!(run = asked.run, "source files have changed");
                        refreshed.clone_from(&now);
                    }
                    Err(refusal) => {
                        tracing::warn!(
                            ?refusal,
                            "source files have changed and no run could begin"
                        );
                    }
                }
            }
        }
        seen = now;
        tokio::time::sleep(pause).await;
    }
}

/// Whether a refresh from the source files has begun since.
async fn has_been_read(runner: &Runner, since: Timestamp) -> bool {
    let query = RunQuery { from: Some(since), ..RunQuery::newest(LOOKED_THROUGH) };
    let Ok(page) = runner.store().runs(query).await else { return false };
    page.runs.iter().any(|run| {
        let is_usual = run.kind == RunKind::Refresh && run.request.start_at == StartAt::Sources;
        is_usual
            && !matches!(
                run.state,
                RunState::Enqueued | RunState::Cancelled | RunState::Interrupted
            )
    })
}

/// What is there now; `None` when nobody can tell.
async fn look(runner: &Runner) -> Option<Look> {
    let lake = runner.refresher().ok()?.lake;
    let mut found = Look::new();
    for (kind, name) in sources::find(&lake).await.ok()? {
        let stamp = lake.head(Layer::Sources, &name).await.ok()??;
        found.push((kind, name, stamp.size_bytes, stamp.written_at));
    }
    Some(found)
}
