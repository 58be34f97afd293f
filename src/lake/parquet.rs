//! Parquet to and from frames.

use std::io::Cursor;

use bytes::Bytes;
use polars::prelude::*;

/// Rows in a row group: some megabytes, so that a reader can skip and stream.
const ROW_GROUP: usize = 100_000;

/// Encodes a frame. Equal frames give equal bytes.
///
/// # Errors
/// Whatever the encoder says.
pub fn encode(frame: &mut DataFrame) -> PolarsResult<Bytes> {
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes)
        .with_compression(ParquetCompression::Zstd(None))
        .with_statistics(StatisticsOptions::full())
        .with_row_group_size(Some(ROW_GROUP))
        .finish(frame)?;
    Ok(bytes.into())
}

/// Decodes a whole object.
///
/// # Errors
/// Whatever the decoder says.
pub fn decode(bytes: Bytes) -> PolarsResult<DataFrame> {
    ParquetReader::new(Cursor::new(bytes)).finish()
}
