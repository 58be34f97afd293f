//! Writing to the terminal: lines, plain tables, and documents that must arrive whole.

use std::io::Write as _;

use comfy_table::{CellAlignment, Table, presets};

use super::error::CliError;

/// Writes a line to standard output. Unlike `println!` it does not panic when standard output is
/// closed or full: a command goes through with its work, and the exit code reports the result.
macro_rules! outln {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($line)*);
    }};
}

/// The same, to standard error.
macro_rules! errln {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($line)*);
    }};
}

pub(super) use {errln, outln};

/// Prints the document a command exists to print: all of it, or an error. A reader that closed the
/// pipe early is not an error.
pub(super) fn print_document(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CliError::Write { path: "standard output".to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

/// A table without lines; the columns at the indices `numeric` are aligned right.
pub(super) fn plain_table<const N: usize>(
    header: [&str; N],
    numeric: &[usize],
    rows: impl IntoIterator<Item = [String; N]>,
) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    table.add_rows(rows);
    for index in numeric {
        if let Some(column) = table.column_mut(*index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
