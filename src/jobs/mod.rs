//! Work that takes time: refreshes, and what starts, watches and follows them.
//!
//! [`refresh`] takes sources through bronze, silver, gold and models to what is served. [`runner`] carries
//! refreshes out in the background, [`background`] starts them by the clock and on changed files,
//! [`notify`] reports how they ended. [`maintenance`] audits and cleans the lake.

pub mod background;
pub mod check;
pub mod diff;
pub mod error;
mod generation_reader;
pub mod maintenance;
pub mod notify;
pub mod observer;
mod owner;
pub mod refresh;
pub mod report;
mod retention;
pub mod runner;
pub mod sample_sources;
pub mod score;
mod sources;

use std::fmt;

/// The steps of a refresh, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Reading the source files.
    Sources,
    /// Keeping them byte for byte.
    Bronze,
    /// Typing, cleaning and deduplicating.
    Silver,
    /// Computing the tables that need no model.
    Gold,
    /// Training, judging and scoring.
    Models,
    /// Proving that all tables agree, and writing them to the lake.
    Proof,
    /// Writing the tables to the serving store and switching to them.
    Publish,
    /// Removing generations no longer kept.
    Sweep,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 8] = [
        Self::Sources,
        Self::Bronze,
        Self::Silver,
        Self::Gold,
        Self::Models,
        Self::Proof,
        Self::Publish,
        Self::Sweep,
    ];
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sources => "sources",
            Self::Bronze => "bronze",
            Self::Silver => "silver",
            Self::Gold => "gold",
            Self::Models => "models",
            Self::Proof => "proof",
            Self::Publish => "publish",
            Self::Sweep => "sweep",
        })
    }
}
