//! Spreadsheets (XLSX) as CSV: each row of a sheet is one line, so that lines are the numbers of rows.

use std::io::{self, Cursor, Read as _};
use std::panic::{AssertUnwindSafe, catch_unwind};

use calamine::{DataRef, DataType as _, ExcelDateTime, Reader as _, Xlsx};

use super::unpacked::{invalid, push_line};

/// Unpacked bytes of a spreadsheet that need no proportion to the packed ones, most bytes that one packed
/// byte may become beyond them, and most of all: a ZIP archive may say anything of its sizes.
const FREE_BYTES: u64 = 64 << 20;
const MAX_RATIO: u64 = 200;
const MAX_UNPACKED: u64 = 2 << 30;
/// From here on a number of a cell has lost digits: spreadsheets have 15.
const INEXACT: f64 = 1e15;

/// Rows and columns that spreadsheets have.
const MAX_ROWS: u32 = 1 << 20;
const MAX_COLUMNS: u32 = 1 << 14;
/// More cells than any header that is read has.
const MAX_WIDTH: usize = 2_001;
/// Most bytes that a sheet may be as CSV.
const MAX_CSV_BYTES: usize = 512 << 20;

/// A spreadsheet in memory.
pub(super) struct Workbook(Xlsx<Cursor<Vec<u8>>>);

impl Workbook {
    /// Opens a spreadsheet whose unpacked size is bounded.
    pub(super) fn open(bytes: Vec<u8>) -> io::Result<Self> {
        check_size(&bytes)?;
        let opened = catch_unwind(AssertUnwindSafe(|| Xlsx::new(Cursor::new(bytes))));
        match opened {
            Ok(Ok(workbook)) => Ok(Self(workbook)),
            Ok(Err(error)) => Err(unreadable(&error)),
            Err(_) => Err(invalid("its spreadsheet is damaged")),
        }
    }

    /// The names of its sheets, in order.
    pub(super) fn sheets(&self) -> Vec<String> {
        self.0.sheet_names()
    }

    /// A sheet as CSV.
    pub(super) fn as_csv(&mut self, sheet: &str) -> io::Result<Vec<u8>> {
        let read = catch_unwind(AssertUnwindSafe(|| self.sheet_as_csv(sheet)));
        read.unwrap_or_else(|_| Err(invalid("its spreadsheet is damaged")))
    }

    fn sheet_as_csv(&mut self, sheet: &str) -> io::Result<Vec<u8>> {
        let mut reader =
            self.0.worksheet_cells_reader(sheet).map_err(|error| unreadable(&error))?;
        let mut csv = Vec::new();
        let (mut row, mut cells, mut last) = (0, Vec::<String>::new(), None);
        while let Some(cell) = reader.next_cell().map_err(|error| unreadable(&error))? {
            let (cell_row, column) = cell.get_position();
            if last.is_some_and(|last| last >= (cell_row, column)) {
                return Err(invalid(format!(
                    "its sheet {sheet:?} has a cell of row {} twice or out of order; save it with a spreadsheet program again",
                    cell_row + 1
                )));
            }
            last = Some((cell_row, column));
            if cell_row >= MAX_ROWS || column >= MAX_COLUMNS {
                return Err(invalid("its spreadsheet has a cell where no spreadsheet has one"));
            }
            while row < cell_row {
                push_line(&mut csv, cells.iter().map(String::as_str));
                cells.clear();
                row += 1;
                if csv.len() > MAX_CSV_BYTES {
                    let mebibytes = MAX_CSV_BYTES >> 20;
                    return Err(invalid(format!(
                        "its sheet {sheet:?} is more than {mebibytes} MiB of text; save it as CSV"
                    )));
                }
            }
            let text = text_of(cell.get_value());
            if text.is_empty() {
                continue;
            }
            // Cells far beyond any header are as many too many as there are.
            let column = usize::try_from(column).unwrap_or(MAX_WIDTH);
            let column = if column > MAX_WIDTH { cells.len().max(MAX_WIDTH) } else { column };
            cells.resize(column, String::new());
            cells.push(text);
        }
        push_line(&mut csv, cells.iter().map(String::as_str));
        Ok(csv)
    }
}

/// The text of a cell as a CSV file would have it.
fn text_of(value: &DataRef<'_>) -> String {
    match value {
        DataRef::Empty => String::new(),
        DataRef::Float(number) if number.abs() >= INEXACT => shortened(*number),
        DataRef::Float(number) => number.to_string(),
        DataRef::DateTime(date) => date_text(date),
        DataRef::Bool(is_true) => is_true.to_string(),
        DataRef::Error(error) => error.to_string(),
        other => other.as_string().unwrap_or_default(),
    }
}

/// A number as spreadsheets show long ones: what it was cannot be known.
fn shortened(number: f64) -> String {
    format!("{number:E}").replace('E', "E+")
}

/// A date as ISO 8601; a duration or a time of day as the number that it is.
fn date_text(date: &ExcelDateTime) -> String {
    if date.is_duration() || date.as_f64() < 1.0 {
        return date.as_f64().to_string();
    }
    let (year, month, day, hour, minute, second, milli) = date.to_ymd_hms_milli();
    let day = format!("{year:04}-{month:02}-{day:02}");
    match (hour, minute, second, milli) {
        (0, 0, 0, 0) => day,
        (_, _, _, 0) => format!("{day}T{hour:02}:{minute:02}:{second:02}"),
        _ => format!("{day}T{hour:02}:{minute:02}:{second:02}.{milli:03}"),
    }
}

/// Unpacks every part of the archive once, without keeping it, to see how large it is.
fn check_size(bytes: &[u8]) -> io::Result<()> {
    let most = (bytes.len() as u64).saturating_mul(MAX_RATIO).clamp(FREE_BYTES, MAX_UNPACKED);
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes))
        .map_err(|error| invalid(format!("its ZIP archive cannot be read ({error})")))?;
    let mut unpacked = 0;
    for index in 0..archive.len() {
        let part = archive
            .by_index(index)
            .map_err(|error| invalid(format!("its ZIP archive cannot be read ({error})")))?;
        unpacked += io::copy(&mut part.take(most + 1 - unpacked), &mut io::sink())
            .map_err(|error| invalid(format!("its ZIP archive is damaged ({error})")))?;
        if unpacked > most {
            return Err(invalid("its ZIP archive is too good to be true; save the sheet as CSV"));
        }
    }
    Ok(())
}

fn unreadable(error: &calamine::XlsxError) -> io::Error {
    invalid(format!("it is no spreadsheet that can be read ({error})"))
}
