//! `/admin/*`: what operators see and do. Every handler takes an [`Admin`](super::extract::Admin).

pub(crate) mod generations;
pub(crate) mod refresh;
pub(crate) mod rejects;
pub(crate) mod run_events;
pub(crate) mod runs;
pub(crate) mod sources;
