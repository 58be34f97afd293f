//! What a file's text is packed in: nothing, gzip, a spreadsheet or Parquet. The last two become CSV text
//! here, in memory, so that everything after reads one kind of table.

use std::io::{self, Cursor, Read as _};
use std::panic::{AssertUnwindSafe, catch_unwind};

use polars::prelude::*;

use super::text::{Bytes, bounded_gzip, take};
use super::unpacked::{invalid, push_line};
use super::workbook::Workbook;
use crate::domain::verdict::Container;

/// Files that are unpacked in memory are at most so large.
const MAX_BYTES: u64 = 512 << 20;

/// The container that the first bytes of a file show; `None` for bytes that are a text or unknown.
pub(super) fn container_of(prefix: &[u8]) -> Container {
    match prefix {
        [0x1f, 0x8b, ..] => Container::Gzip,
        [b'P', b'K', 3, 4, ..] => Container::Xlsx,
        [b'P', b'A', b'R', b'1', ..] => Container::Parquet,
        _ => Container::None,
    }
}

/// The text in a file; `sheet` is the one of a spreadsheet that is read.
///
/// # Errors
/// When a spreadsheet or a Parquet file cannot be unpacked; the streams of others fail later.
pub(super) fn unpack<'a>(
    bytes: Bytes<'a>,
    container: Container,
    sheet: Option<&str>,
) -> io::Result<Bytes<'a>> {
    Ok(match container {
        Container::None => bytes,
        Container::Gzip => bounded_gzip(bytes),
        Container::Xlsx => {
            let csv = workbook(bytes)?.as_csv(sheet.unwrap_or_default())?;
            Box::new(Cursor::new(csv))
        }
        Container::Parquet => Box::new(Cursor::new(parquet_as_csv(whole(bytes)?)?)),
    })
}

/// Opens a spreadsheet.
///
/// # Errors
/// When it is none, or larger than what is read.
pub(super) fn workbook(bytes: Bytes<'_>) -> io::Result<Workbook> {
    Workbook::open(whole(bytes)?)
}

/// All bytes of a file that is not too large.
fn whole(mut bytes: Bytes<'_>) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    bytes.as_mut().take(MAX_BYTES + 1).read_to_end(&mut all)?;
    if all.len() as u64 > MAX_BYTES {
        return Err(invalid(format!("it has more than {} MiB; save it as CSV", MAX_BYTES >> 20)));
    }
    Ok(all)
}

/// A Parquet file as CSV: a header line, then a line per row.
fn parquet_as_csv(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    // Damaged files make the decoder panic.
    let read = catch_unwind(AssertUnwindSafe(|| parquet_texts(bytes)));
    let columns = match read {
        Ok(Ok(columns)) => columns,
        Ok(Err(error)) => return Err(invalid(format!("its Parquet cannot be read ({error})"))),
        Err(_) => return Err(invalid("its Parquet cannot be read: it is damaged")),
    };
    let mut csv = Vec::new();
    push_line(&mut csv, columns.iter().map(|(name, _)| name.as_str()));
    let height = columns.first().map_or(0, |(_, texts)| texts.len());
    for row in 0..height {
        push_line(&mut csv, columns.iter().map(|(_, texts)| texts.get(row).unwrap_or_default()));
    }
    Ok(csv)
}

/// The columns of a Parquet file as texts.
fn parquet_texts(bytes: Vec<u8>) -> PolarsResult<Vec<(String, StringChunked)>> {
    let frame = ParquetReader::new(Cursor::new(bytes)).finish()?;
    let texts = |column: &Column| {
        let text = column.cast(&DataType::String)?;
        Ok((column.name().to_string(), text.str()?.clone()))
    };
    frame.columns().iter().map(texts).collect()
}

/// The first bytes of a file, and all of it from its beginning.
pub(super) fn peek(mut bytes: Bytes<'_>, count: usize) -> io::Result<(Vec<u8>, Bytes<'_>)> {
    let prefix = take(bytes.as_mut(), count)?;
    let whole: Bytes<'_> = Box::new(Cursor::new(prefix.clone()).chain(bytes));
    Ok((prefix, whole))
}
