//! The columns of raw and judged frames, and how a source column is declared.

/// The file that a row came from.
pub(crate) const SOURCE_FILE: &str = "source_file";
/// The line that its record starts on; the header is line 1.
pub(crate) const LINE_NUMBER: &str = "line_number";
/// Whether the file writes decimals with a comma.
pub(crate) const DECIMAL_COMMA: &str = "~decimal_comma";
/// The cells beyond the columns of the header if any of them is filled; otherwise null.
pub(crate) const SURPLUS: &str = "surplus_cells";
/// Why a row was rejected; null in a valid row.
pub(crate) const REASON: &str = "reason";

/// The name of the typed value of a column, beside the raw text.
pub(crate) fn typed(name: &str) -> String {
    format!("~{name}")
}

/// A column that a data set knows.
pub(crate) struct SourceColumn {
    /// The contract's name.
    pub(crate) name: &'static str,
}

/// A column by its headers, the contract's name first; which headers fill it is decided in `sources`.
pub(super) const fn required(headers: &[&'static str]) -> SourceColumn {
    SourceColumn { name: headers[0] }
}

/// The same for a column that a file may lack.
pub(super) const fn optional(headers: &[&'static str]) -> SourceColumn {
    SourceColumn { name: headers[0] }
}
