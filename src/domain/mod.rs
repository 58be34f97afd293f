//! The vocabulary that every layer shares: data sets, table schemas, rows, queries, manifests,
//! instants, digests.
//!
//! Nothing here does I/O or knows Polars, SQL or HTTP. Start reading at [`schema`] and
//! [`data_set`].

pub mod account;
pub mod data_set;
pub mod diff;
pub mod digest;
pub mod file_rows;
pub mod files;
pub mod formula;
pub mod inspection;
pub mod manifest;
pub mod quality;
pub mod query;
pub mod rates;
pub mod reading;
pub mod reasons;
pub mod rejects;
pub mod rows;
pub mod schema;
pub mod text;
pub mod time;
pub mod verdict;
mod written_table;
pub mod zone;
