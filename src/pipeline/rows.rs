//! Frames into the rows that stores take, column by column as the table declares them.

use polars::prelude::*;

use super::types::data_type;
use crate::domain::rows::{Batch, ColumnValues};
use crate::domain::schema::{ColumnType, Table};
use crate::domain::time::{Day, Timestamp};

/// Rows of a [`Batch`]: a few megabytes.
const BATCH_ROWS: usize = 10_000;

/// The rows of a frame in batches, in row order. Columns are found by name and cast to their
/// declared type, since another engine may have written the frame.
///
/// # Errors
/// When a declared column is missing or cannot be cast.
pub fn batches(
    frame: &DataFrame,
    table: &'static Table,
) -> PolarsResult<impl Iterator<Item = PolarsResult<Batch>> + Send + use<>> {
    let columns = table
        .columns
        .iter()
        .map(|column| {
            let declared = data_type(column.ty);
            frame.column(column.name)?.as_materialized_series().strict_cast(&declared)
        })
        .collect::<PolarsResult<Vec<Series>>>()?;
    let height = frame.height();
    Ok((0..height).step_by(BATCH_ROWS).map(move |start| {
        let rows = BATCH_ROWS.min(height - start);
        let offset = i64::try_from(start).unwrap_or(i64::MAX);
        let values = columns
            .iter()
            .zip(table.columns)
            .map(|(series, column)| to_values(&series.slice(offset, rows), column.ty))
            .collect::<PolarsResult<Vec<ColumnValues>>>()?;
        Ok(Batch { columns: values, rows })
    }))
}

fn to_values(series: &Series, ty: ColumnType) -> PolarsResult<ColumnValues> {
    Ok(match ty {
        ColumnType::Int => ColumnValues::Int(series.i64()?.iter().collect()),
        ColumnType::Float | ColumnType::Money => {
            ColumnValues::Float(series.f64()?.iter().collect())
        }
        ColumnType::Bool => ColumnValues::Bool(series.bool()?.iter().collect()),
        ColumnType::Text => {
            ColumnValues::Text(series.str()?.iter().map(|text| text.map(str::to_owned)).collect())
        }
        ColumnType::TextList => ColumnValues::TextList(
            series
                .list()?
                .series_iter()
                .map(|list| {
                    list.map(|texts| Ok(texts.str()?.iter().flatten().map(str::to_owned).collect()))
                        .transpose()
                })
                .collect::<PolarsResult<_>>()?,
        ),
        ColumnType::Date => {
            let days = series.to_physical_repr();
            ColumnValues::Date(days.i32()?.iter().map(|day| day.map(Day)).collect())
        }
        ColumnType::Timestamp => {
            let micros = series.to_physical_repr();
            ColumnValues::Timestamp(
                micros.i64()?.iter().map(|micros| micros.map(Timestamp)).collect(),
            )
        }
    })
}
