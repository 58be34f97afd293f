//! What arrives: files as shops have them, into frames of raw text for `pipeline::silver`.
//!
//! Two passes. [`detect()`] looks at a whole file once, in bounded memory, and gives a
//! [`Verdict`](crate::domain::verdict::Verdict); [`read`] obeys it and decides nothing. What a file
//! is follows from its header: that of the older systems ([`profile`], [`columns`]) or of another one
//! ([`profiles`], [`record`]). Values are not judged here. Another file format needs a branch in
//! [`text`] or a reader beside [`rows`] that fills the same columns.

mod blocks;
mod columns;
mod container;
mod corrections;
mod describe;
mod detect;
mod encoding;
mod head;
mod headers;
mod lines;
mod lookup;
mod options;
mod order;
mod own_names;
mod profile;
mod profiles;
#[cfg(test)]
mod properties;
mod quoting;
mod raw;
mod read;
mod record;
mod records;
mod rejects;
mod rows;
mod scan;
mod source;
mod text;
mod unpacked;
mod workbook;

pub use corrections::{CorrectedRow, Correction, Corrections, parse as parse_corrections};
pub use detect::{Detected, describe_other, detect};
pub use options::{FileMapping, SourceOptions, UnknownFiles};
pub use order::{is_candidate, is_hidden, reading_order};
pub use profile::{is_column, newer_columns, set_by_kind};
pub use profiles::{Profile, built_in as built_in_profiles};
pub use read::{is_read_for, read_all, read_in_memory, read_purchases, system_of_sales};
pub use rejects::{Documented, changes_as_csv, document, read_rejects};
pub use source::SourceText;
