//! The settings: reads and checks them, and produces the options of the stores, the lake and the jobs.
//! The only code that reads the environment.
//!
//! A new setting is an entry in `default.toml`, a field and its check in the file of its section, and its
//! use in the part of the program that it is for.

mod error;
mod load;
mod mongodb;
mod notify;
mod quality;
mod refresh;
mod s3;
mod sources;
mod validate;

pub use error::SettingsError;
pub use load::{Loaded, Resolved, load, load_from, short_names};
pub use quality::Quality;
pub use refresh::Refresh;
pub use validate::{Http, Sample, Settings};
