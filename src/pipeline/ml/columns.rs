//! Columns of data frames, made from slices row by row.

use polars::prelude::*;

pub(crate) fn ints<T>(name: &str, rows: &[T], value: impl Fn(&T) -> i64) -> Column {
    Column::new(name.into(), rows.iter().map(value).collect::<Vec<i64>>())
}

pub(crate) fn floats<T>(name: &str, rows: &[T], value: impl Fn(&T) -> Option<f64>) -> Column {
    Column::new(name.into(), rows.iter().map(value).collect::<Vec<Option<f64>>>())
}

pub(crate) fn texts<'a, T>(name: &str, rows: &'a [T], value: impl Fn(&'a T) -> &'a str) -> Column {
    Column::new(name.into(), rows.iter().map(value).collect::<Vec<&str>>())
}

/// The same text in every row.
pub(crate) fn constant<T>(name: &str, rows: &[T], text: &str) -> Column {
    Column::new(name.into(), vec![text; rows.len()])
}

/// A list of texts in every row.
pub(crate) fn lists<T, S: AsRef<str>>(
    name: &str,
    rows: &[T],
    value: impl Fn(&T) -> Vec<S>,
) -> Column {
    let mut builder = ListStringChunkedBuilder::new(name.into(), rows.len(), rows.len());
    for row in rows {
        builder.append_values_iter(value(row).iter().map(AsRef::as_ref));
    }
    builder.finish().into_column()
}

pub(crate) fn to_int(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
