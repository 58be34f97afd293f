//! Frames as their table entry declares them, so that equal input gives equal bytes.

use polars::prelude::*;

use crate::domain::schema::{ColumnType, Direction, Table};
use crate::pipeline::Result;
use crate::pipeline::types::data_type;

/// The columns of the entry in its types, money in cents, rows in its order.
pub(super) fn conform(table: &Table, frame: &DataFrame) -> Result<DataFrame> {
    let columns: Vec<Expr> = table
        .columns
        .iter()
        .map(|column| {
            let value = col(column.name).strict_cast(data_type(column.ty));
            let value = match column.ty {
                ColumnType::Money => {
                    let cents = value.round(2, RoundMode::HalfToEven);
                    // A fall of less than half a cent is 0, not -0.
                    when(cents.clone().eq(lit(0.0))).then(lit(0.0)).otherwise(cents)
                }
                _ => value,
            };
            value.alias(column.name)
        })
        .collect();
    let key = table.key.iter().map(|name| (*name, Direction::Ascending));
    let (names, descending): (Vec<&str>, Vec<bool>) = table
        .order
        .iter()
        .copied()
        .chain(key)
        .map(|(name, direction)| (name, direction == Direction::Descending))
        .unzip();
    let selected = frame.clone().lazy().select(columns);
    let ordered = if names.is_empty() {
        selected
    } else {
        selected.sort(names, SortMultipleOptions::default().with_order_descending_multi(descending))
    };
    let mut frame = ordered.collect()?;
    frame.rechunk_mut();
    Ok(frame)
}
