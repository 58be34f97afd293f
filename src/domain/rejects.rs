//! Rejected rows, and cells that corrections replaced, as answers and files show them.

/// The SHA-256 of the source file, hexadecimal.
pub const SHA_256: &str = "source_sha256";
/// The line of the source file that the record starts on.
pub const LINE: &str = "line_number";
/// The cells beyond the header.
pub const SURPLUS: &str = "surplus_cells";
/// The columns before those of the source file.
pub const OWN_COLUMNS: [&str; 6] = [SHA_256, "source_file", LINE, "reason", "hint", SURPLUS];

/// The columns of the CSV file with [`CellChange`]s.
pub const CHANGES_HEADER: [&str; 6] =
    ["source_file", "line_number", "column", "before", "after", "corrections_file"];

/// A cell that a correction replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellChange {
    /// The source file.
    pub file: String,
    /// The line that the record starts on.
    pub line: i64,
    /// The header of the column.
    pub header: String,
    /// The cell in the source file.
    pub before: String,
    /// The cell in the file of corrections.
    pub after: String,
    /// The file of corrections.
    pub from: String,
}

/// A row of a CSV file of rejects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRecord {
    /// The line of the source file that it starts on.
    pub line: i64,
    /// Why it was rejected.
    pub reason: String,
    /// What there is to do about it.
    pub hint: String,
    /// Its cells beyond the header.
    pub surplus: Option<String>,
    /// Its cells with their headers, as the source file has them.
    pub cells: Vec<(String, String)>,
}
