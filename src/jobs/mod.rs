//! Work that takes time: refreshes, and what starts, watches and follows them.
//!
//! [`refresh`] takes sources through bronze, silver, gold and models to what is served. [`runner`] carries
//! refreshes out in the background, [`background`] starts them by the clock and on changed files,
//! [`notify`] reports how they ended. [`maintenance`] audits and cleans the lake.

pub mod background;
pub mod check;
pub mod corrections;
pub mod diff;
pub mod error;
mod generation_reader;
pub mod inspect;
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
pub mod sources;
