//! What a refresh that succeeded did.

use std::time::Duration;

use super::error::RefreshError;
use crate::domain::manifest::Manifest;
use crate::runs::Step;

/// How a refresh succeeded.
#[derive(Debug)]
pub enum Outcome {
    /// A generation of the same sources is published already.
    Unchanged {
        /// That generation.
        generation: u64,
        /// The active generation: another one after a rollback.
        active: u64,
    },
    /// A generation was published.
    Published(Box<Report>),
}

/// What a refresh did.
#[derive(Debug)]
pub struct Report {
    /// The published generation.
    pub manifest: Manifest,
    /// Whether gold was complete in the lake already, left by a run that ended before publishing.
    pub resumed: bool,
    /// Tables written to the store.
    pub tables_written: usize,
    /// Tables that the store had already.
    pub tables_reused: usize,
    /// Why older generations could not be removed; the new one is served all the same.
    pub not_swept: Option<RefreshError>,
    /// The steps, in order.
    pub steps: Vec<StepDone>,
}

/// A step that succeeded.
#[derive(Debug, Clone)]
pub struct StepDone {
    /// The step.
    pub step: Step,
    /// How long it took.
    pub took: Duration,
    /// Its result in a few words.
    pub summary: String,
}
