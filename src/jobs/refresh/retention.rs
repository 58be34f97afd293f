//! Retain: removes generations beyond retention, and what ended runs left behind.

use std::collections::BTreeSet;

use super::refresher::Refresher;
use super::steps::Steps;
use crate::domain::manifest::Published;
use crate::jobs::error::{RefreshError, Result};
use crate::jobs::retention::retained;
use crate::lake::{Layer, keys};
use crate::runs::{Flow, Step};
use crate::store::Publisher;

impl Refresher {
    /// Removes generations beyond retention, for no longer than a step may take. The run has published
    /// by then: a failure here does not fail it.
    pub(super) async fn retain(&self, steps: &mut Steps<'_>) -> Result<()> {
        steps.stop_limiting();
        let swept = tokio::time::timeout(self.longest_step, self.sweep(steps)).await;
        swept.unwrap_or_else(|_| {
            let (limit_secs, last_failure) = (self.longest_step.as_secs(), String::new());
            Err(RefreshError::StepTimeout { step: Step::Sweep, limit_secs, last_failure })
        })
    }

    /// Brings the store in order when there is nothing to publish.
    pub(super) async fn restore(&self, active: &Published, steps: &mut Steps<'_>) -> Result<()> {
        let publisher = steps.publisher;
        let repair = || self.repair(publisher, active, steps.cancel);
        steps.retry("repairing the active generation", repair).await?;
        let sweep = async || Ok(publisher.sweep(self.keep_generations).await?);
        steps.retry("removing older generations", sweep).await.map(drop)
    }

    /// Removes generations from the store first, then from the lake; none newer than the newest that the
    /// store has.
    async fn sweep(&self, steps: &mut Steps<'_>) -> Result<()> {
        steps.start(Step::Sweep, 1).await?;
        let publisher = steps.publisher;
        let sweep = async || Ok(publisher.sweep(self.keep_generations).await?);
        let dropped = steps.retry("removing older generations", sweep).await?;
        let list = async || Ok(self.store.generations().await?);
        let stored = steps.retry("listing generations", list).await?;
        // Another store may have won a lake that cannot decide between two claims at once.
        steps.retry("checking the owner of the lake", || self.claim_lake()).await?;
        let numbers = || stored.iter().map(|stored| stored.manifest.generation);
        let newest = numbers().max().unwrap_or(0);
        let in_gold = self.list_generations(Layer::Gold, steps).await?;
        let in_silver = self.list_generations(Layer::Silver, steps).await?;
        let keep = retained(numbers(), in_gold.iter().copied(), self.keep_generations);
        let mut folders = 0;
        for (layer, found) in [(Layer::Gold, in_gold), (Layer::Silver, in_silver)] {
            for number in found.into_iter().filter(|number| *number < newest) {
                if !keep.contains(&number) {
                    let remove = || self.remove(publisher, layer, number);
                    steps.retry("removing older generations", remove).await?;
                    folders += 1;
                }
            }
        }
        let summary = format!("{dropped} tables and {folders} folders removed");
        steps.finish(Step::Sweep, &summary, Flow::default()).await;
        Ok(())
    }

    async fn list_generations(&self, layer: Layer, steps: &Steps<'_>) -> Result<BTreeSet<u64>> {
        let list = async || Ok(self.lake.generation_numbers(layer).await?);
        steps.retry("listing generations", list).await
    }

    /// Removes what ended runs left behind and returns the generations that are committed, ascending.
    /// Whether one is committed is asked for by name, since listings may be late.
    pub(super) async fn clear_debris(
        &self,
        publisher: &dyn Publisher,
        stored: &BTreeSet<u64>,
    ) -> Result<Vec<u64>> {
        for layer in Layer::WRITTEN {
            self.lake.remove_incomplete(layer, keys::is_managed, false).await?;
        }
        let in_gold = self.lake.generation_numbers(Layer::Gold).await?;
        let in_silver = self.lake.generation_numbers(Layer::Silver).await?;
        let mut committed = Vec::new();
        for number in in_gold.union(&in_silver).copied() {
            if self.lake.get(Layer::Gold, &keys::manifest(number)).await?.is_some() {
                committed.push(number);
            } else if !stored.contains(&number) {
                for (layer, found) in [(Layer::Gold, &in_gold), (Layer::Silver, &in_silver)] {
                    if found.contains(&number) {
                        self.remove(publisher, layer, number).await?;
                    }
                }
            }
        }
        Ok(committed)
    }

    /// Removes a generation from a layer, if the run still holds the right to publish. Its manifest goes
    /// first: without it there is no generation, with it there is all of it.
    async fn remove(&self, publisher: &dyn Publisher, layer: Layer, number: u64) -> Result<()> {
        publisher.confirm_held().await?;
        if layer == Layer::Gold {
            self.lake.delete(layer, &keys::manifest(number)).await?;
        }
        Ok(self.lake.delete_folder(layer, &keys::generation(number)).await?)
    }
}
