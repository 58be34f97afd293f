//! The columns of raw frames beside those of the sources.

/// The file that a row came from.
pub(crate) const SOURCE_FILE: &str = "source_file";
/// The line that its record starts on; the header is line 1.
pub(crate) const LINE_NUMBER: &str = "line_number";
/// Whether the day comes first in the file's dates where no cell shows it.
pub(crate) const DAY_FIRST: &str = "~day_first";
/// Whether id_achat may identify rows rather than orders.
pub(crate) const ROW_KEY: &str = "~row_key";
/// The cells beyond the columns of the header if any of them is filled; otherwise null.
pub(crate) const SURPLUS: &str = "surplus_cells";
/// Why a row was rejected; null in a valid row.
pub(crate) const REASON: &str = "reason";
