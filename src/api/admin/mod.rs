//! `/admin/*`: what operators see and do. Every handler takes an [`Admin`](super::extract::Admin).

pub mod generations;
pub mod refresh;
pub mod runs;

use std::time::Instant;

use super::envelope::Meta;

/// The group of routes in the document.
pub const TAG: &str = "admin";

/// Meta of an answer about the service itself, which is of no generation.
fn meta(count: usize, total: u64, started: Instant) -> Meta {
    Meta::new(count as u64, total, None, started)
}
