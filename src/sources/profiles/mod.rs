//! Profiles: how the exports of other systems are read, one TOML file per system.
//!
//! The form is described in `docs/SOURCES.md`. A profile is data: adding one needs no code but its
//! line in the list of [`profile`], which finds the profile of a header; [`resolve()`] puts its fields
//! on the columns of one file.

mod profile;
mod resolve;

pub(super) use profile::{Match, find, without_header};
pub use profile::{Profile, built_in};
pub(super) use resolve::{Resolved, resolve};
