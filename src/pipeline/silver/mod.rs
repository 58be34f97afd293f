//! Silver: typed, cleaned, deduplicated rows, and a reason for every row that was rejected.
//!
//! [`read`] turns files into frames of raw text, [`customers`] and [`purchases`] hold the rules of
//! each data set, [`checks`] the expressions they share, [`quality`] the counts and the gate.
//! Start reading at [`clean()`].

mod checks;
mod clean;
mod columns;
mod customers;
mod layer;
pub(crate) mod lines;
pub mod partition;
mod purchases;
pub mod quality;
pub mod read;

pub use clean::{clean, clean_purchases};
pub use layer::{Cleaned, CleaningOptions, Silver};
