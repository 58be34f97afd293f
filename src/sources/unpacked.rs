//! CSV text that spreadsheets and Parquet become, and why they cannot.

use std::io;

/// Appends a record that takes one line.
pub(super) fn push_line<'c>(csv: &mut Vec<u8>, cells: impl Iterator<Item = &'c str>) {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            csv.push(b',');
        }
        if cell.contains([',', '"', '\n', '\r']) {
            csv.push(b'"');
            csv.extend(cell.replace(['\n', '\r'], " ").replace('"', "\"\"").into_bytes());
            csv.push(b'"');
        } else {
            csv.extend_from_slice(cell.as_bytes());
        }
    }
    csv.push(b'\n');
}

/// An error about the content of a file: a sentence without its name.
pub(super) fn invalid(problem: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem.into())
}
