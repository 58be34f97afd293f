//! Silver: typed, cleaned, deduplicated rows, and a reason for every row that was rejected.
//!
//! It begins with frames of raw text, which `sources` makes. [`customers`] and [`purchases`] hold the
//! rules of each data set, [`checks`] the expressions they share, [`quality`] the counts and the gate.
//! Start reading at [`clean()`].

mod buyers;
mod checks;
mod clean;
mod cleaned;
pub(crate) mod columns;
mod conversion;
mod customer;
mod customers;
mod drift;
mod file_order;
mod found;
mod gate;
mod kinds;
mod layer;
pub(crate) mod lines;
mod money;
mod order_lines;
mod order_money;
mod order_totals;
mod orders;
pub mod partition;
mod parts;
mod preview;
mod purchase_rows;
mod purchases;
pub mod quality;
mod raw;
mod raw_table;
mod sentences;
mod spread;
mod statistics;
mod unread;
mod values;

pub use checks::rejected_lines;
pub use clean::{clean, clean_purchases};
pub use cleaned::Cleaned;
pub use gate::Gate;
pub use layer::{
    CleaningOptions, CleaningRules, DateOrder, Refunds, RepeatedId, Revenue, Silver, Unlisted,
};
pub use raw_table::{FileDate, KnownBy, RawFile, RawTable};
pub use statistics::statistics;
pub(crate) use values::countries::country_name;
