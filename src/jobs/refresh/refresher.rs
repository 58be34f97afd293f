//! What every step of a refresh works with.

use std::sync::Arc;
use std::time::Duration;

use crate::jobs::error::Result;
use crate::jobs::inspect::Judgement;
use crate::jobs::owner::owner_of;
use crate::lake::Lake;
use crate::pipeline::ml::TrainingOptions;
use crate::pipeline::silver::CleaningRules;
use crate::pipeline::silver::Gate;
use crate::sources::SourceOptions;
use crate::store::GoldStore;

/// What builds gold, for manifests and fingerprints.
pub(super) const ENGINE: &str = concat!("goldsmith ", env!("CARGO_PKG_VERSION"));

/// A lake, a serving store, and the rules by which refreshes bring the one into the other.
#[derive(Debug, Clone)]
pub struct Refresher {
    /// Where sources come from and generations go.
    pub lake: Lake,
    /// Where generations are served from.
    pub store: Arc<dyn GoldStore>,
    /// What the operator decided about source files.
    pub sources: SourceOptions,
    /// Limits of the quality gate.
    pub gate: Gate,
    /// How rows are judged where sources alone do not decide.
    pub cleaning: CleaningRules,
    /// How models are trained.
    pub models: TrainingOptions,
    /// Generations to keep in lake and store.
    pub keep_generations: usize,
    /// Records of runs to keep in the store.
    pub keep_runs: u32,
    /// Longest time one step may take.
    pub longest_step: Duration,
}

impl Refresher {
    /// How a run judges source files.
    pub(in crate::jobs) fn judgement(&self) -> Judgement {
        let Self { sources, cleaning, gate, .. } = self;
        Judgement { sources: sources.clone(), cleaning: cleaning.clone(), gate: gate.clone() }
    }

    /// Checks that the lake belongs to the serving store, and makes it the owner of a lake without one.
    pub(super) async fn claim_lake(&self) -> Result<()> {
        Ok(self.lake.claim(&owner_of(self.store.as_ref()).await?).await?)
    }
}
