//! Rollback: serves an earlier generation again, as a run of its own.

use super::error::{Result, StoreError};
use super::{GoldStore, Publisher, end_run, failed};
use crate::domain::manifest::Published;
use crate::runs::{RunEnd, RunNotes, RunSpec, RunTrigger};

/// What [`rollback`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollbackOutcome {
    /// The number of its run.
    pub run: u64,
    /// The generation that was served.
    pub from: u64,
    /// The generation that is served now.
    pub to: u64,
}

/// Serves an earlier generation again: the requested one, or the newest before the active one.
///
/// # Errors
/// [`StoreError::NoGeneration`] when there is no such generation, [`StoreError::Locked`] while
/// another process publishes.
pub async fn rollback(
    store: &dyn GoldStore,
    trigger: RunTrigger,
    requested: Option<u64>,
) -> Result<RollbackOutcome> {
    let publisher = store.publisher(&RunSpec::rollback(trigger)).await?;
    let run = publisher.run();
    let result = switch_back(store, publisher.as_ref(), requested).await;
    let end = result.as_ref().map_or_else(|error| failed(error), |_| RunEnd::Succeeded);
    end_run(publisher, end).await;
    result.map(|(from, to)| RollbackOutcome { run, from, to })
}

async fn switch_back(
    store: &dyn GoldStore,
    publisher: &dyn Publisher,
    requested: Option<u64>,
) -> Result<(u64, u64)> {
    let Some(active) = publisher.active().await? else {
        return Err(StoreError::NoGeneration("nothing has been published yet".to_owned()));
    };
    let current = active.manifest.generation;
    let stored = store.generations().await?;
    let target = match requested {
        Some(number) => stored.iter().find(|stored| stored.manifest.generation == number),
        None => stored.iter().rev().find(|stored| stored.manifest.generation < current),
    };
    let target = target.ok_or_else(|| no_generation(requested, current, &stored))?;
    let before = Some(current);
    publisher.note(&RunNotes { before, ..RunNotes::default() }).await?;
    publisher.activate(target).await?;
    Ok((current, target.manifest.generation))
}

fn no_generation(requested: Option<u64>, current: u64, stored: &[Published]) -> StoreError {
    let requested = requested.map_or_else(|| format!("before {current}"), |n| n.to_string());
    let numbers: Vec<String> =
        stored.iter().map(|stored| stored.manifest.generation.to_string()).collect();
    StoreError::NoGeneration(format!(
        "there is no generation {requested} to go back to; kept are {}, active is {current}",
        numbers.join(", "),
    ))
}
