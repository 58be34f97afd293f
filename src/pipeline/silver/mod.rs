//! Silver: typed, cleaned, deduplicated rows, and a reason for every row that was rejected.
//!
//! It begins with frames of raw text, which `sources` makes. [`customers`] and [`purchases`] hold the
//! rules of each data set, [`checks`] the expressions they share, [`quality`] the counts and the gate.
//! Start reading at [`clean()`].

mod checks;
mod clean;
pub(crate) mod columns;
mod customers;
mod layer;
pub mod partition;
mod purchases;
pub mod quality;

pub use clean::{clean, clean_purchases};
pub use layer::{Cleaned, CleaningOptions, Silver};
