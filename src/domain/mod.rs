//! The vocabulary every layer shares: instants, table schemas, rows, manifests, queries, the digest.
//!
//! Nothing here does I/O and nothing here knows Polars, SQL or HTTP.
//! Start reading at [`schema`].

pub mod diff;
pub mod digest;
pub mod manifest;
pub mod query;
pub mod rows;
pub mod schema;
pub mod text;
pub mod time;
