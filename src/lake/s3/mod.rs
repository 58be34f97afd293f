//! Layers in buckets of an S3 store. Owns what object_store has no call for: creating buckets, probing
//! conditional writes, listing any key, and aborting the uploads of killed processes. Reading and writing
//! objects goes through object_store, as for every backend.

mod bucket;
mod client;
mod create;
mod list;
mod options;
mod probe;
mod request;
mod uploads;

pub(super) use bucket::Bucket;
pub use client::S3;
pub use options::S3Options;
