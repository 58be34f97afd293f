//! Data frames as Parquet and back.

use std::io::{Cursor, Write};
use std::ops::Range;

use polars::prelude::*;
use polars_parquet::write::schema_to_metadata_key;

use super::reading::Fetched;

/// Rows in a row group: some megabytes, so that a reader can skip and stream.
pub const ROW_GROUP: usize = 100_000;

/// Encodes a frame. Equal frames give equal bytes.
///
/// # Errors
/// Those of the encoder and the writer.
pub fn encode(frame: &mut DataFrame, to: impl Write) -> PolarsResult<()> {
    // The oldest Arrow types: pandas cannot read the string views of Polars in lists.
    let types = frame.schema().to_arrow(CompatLevel::oldest());
    let types = schema_to_metadata_key(&types);
    let types = vec![(types.key, types.value.unwrap_or_default())];
    ParquetWriter::new(to)
        .with_key_value_metadata(Some(KeyValueMetadata::from_static(types)))
        .with_compression(ParquetCompression::Zstd(None))
        .with_statistics(StatisticsOptions::full())
        .with_row_group_size(Some(ROW_GROUP))
        .finish(frame)?;
    Ok(())
}

/// The rows of an object in blocks of [`ROW_GROUP`].
///
/// # Errors
/// Those of the decoder.
pub fn row_groups(fetched: &Fetched) -> PolarsResult<Vec<Range<usize>>> {
    let rows = match fetched {
        Fetched::Memory(bytes) => ParquetReader::new(Cursor::new(bytes.clone())).num_rows()?,
        Fetched::File(file) => ParquetReader::new(file.try_clone()?).num_rows()?,
    };
    Ok((0..rows).step_by(ROW_GROUP).map(|start| start..rows.min(start + ROW_GROUP)).collect())
}

/// Decodes rows and columns of an object; all of them when `None`.
///
/// # Errors
/// Those of the decoder.
pub fn decode(
    fetched: &Fetched,
    rows: Option<Range<usize>>,
    columns: Option<&[&str]>,
) -> PolarsResult<DataFrame> {
    let slice = rows.map(|rows| (rows.start, rows.len()));
    let columns = columns.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
    match fetched {
        Fetched::Memory(bytes) => ParquetReader::new(Cursor::new(bytes.clone()))
            .with_slice(slice)
            .with_columns(columns)
            .finish(),
        Fetched::File(file) => {
            ParquetReader::new(file.try_clone()?).with_slice(slice).with_columns(columns).finish()
        }
    }
}
