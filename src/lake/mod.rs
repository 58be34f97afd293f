//! The lake: four layers of immutable objects, each in a directory or in a bucket of an S3 store.
//!
//! Owns where objects lie ([`location`], [`keys`]), reading ([`reading`]) and writing ([`writing`])
//! them in parts, and which serving store a lake belongs to ([`owner`]). Knows the Parquet encoding
//! ([`parquet`]), not what is in the tables. What only a directory or only S3 needs is in `local` and
//! [`s3`]. Start reading at [`Lake`].

mod error;
pub mod generations;
pub mod http;
pub mod keys;
mod layer;
mod local;
pub mod location;
mod objects;
pub mod owner;
pub mod parquet;
pub mod reading;
mod refusal;
pub mod s3;
pub mod writing;

pub use error::{LakeError, Result};
pub use layer::{Layer, ObjectMeta};
pub use objects::{Lake, LakeLock};
