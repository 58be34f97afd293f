//! What a file's text is packed in: nothing, gzip, a spreadsheet or Parquet. The last two become CSV text
//! here, in memory, so that everything after reads one kind of table.

use std::io::{self, Cursor, Read as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use polars::datatypes::ArrowDataType;
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

/// The columns of a Parquet file as texts, but for those of types that no value of a shop has.
fn parquet_texts(bytes: Vec<u8>) -> PolarsResult<Vec<(String, StringChunked)>> {
    let mut reader = ParquetReader::new(Cursor::new(bytes));
    // What a program noted of its own types does not matter: a category is the text that it is.
    let mut metadata = reader.get_metadata()?.as_ref().clone();
    metadata.key_value_metadata = None;
    reader.set_metadata(Arc::new(metadata));
    let schema = reader.schema()?;
    let fields = schema.iter_values().filter(|field| has_values(&field.dtype));
    let names: Vec<String> = fields.map(|field| field.name.to_string()).collect();
    let frame = reader.with_columns(Some(names)).finish()?;
    let texts = frame.columns().iter().filter_map(|column| {
        // A column with a value that no text has, like a day beyond the calendar, is not read.
        let text = catch_unwind(AssertUnwindSafe(|| text_of(column)));
        Some((column.name().to_string(), text.ok()?.ok()?))
    });
    Ok(texts.collect())
}

/// Whether a column of this type may have values that a table of text has.
fn has_values(dtype: &ArrowDataType) -> bool {
    use ArrowDataType as Type;
    matches!(
        dtype,
        Type::Boolean
            | Type::Int8
            | Type::Int16
            | Type::Int32
            | Type::Int64
            | Type::UInt8
            | Type::UInt16
            | Type::UInt32
            | Type::UInt64
            | Type::Float32
            | Type::Float64
            | Type::Timestamp(..)
            | Type::Date32
            | Type::Date64
            | Type::Utf8
            | Type::LargeUtf8
            | Type::Utf8View
            | Type::Binary
            | Type::LargeBinary
            | Type::BinaryView
            | Type::Decimal(..)
            | Type::Decimal32(..)
            | Type::Decimal64(..)
    )
}

/// The texts of a column; instants of a time zone are written in UTC.
fn text_of(column: &Column) -> PolarsResult<StringChunked> {
    if let DataType::Datetime(unit, Some(_)) = column.dtype() {
        let instants = column.to_physical_repr().cast(&DataType::Datetime(*unit, None))?;
        let texts = instants.cast(&DataType::String)?;
        return Ok(texts.str()?.apply_values(|text| format!("{text}Z").into()));
    }
    Ok(column.cast(&DataType::String)?.str()?.clone())
}

/// The first bytes of a file, and all of it from its beginning.
pub(super) fn peek(mut bytes: Bytes<'_>, count: usize) -> io::Result<(Vec<u8>, Bytes<'_>)> {
    let prefix = take(bytes.as_mut(), count)?;
    let whole: Bytes<'_> = Box::new(Cursor::new(prefix.clone()).chain(bytes));
    Ok((prefix, whole))
}
