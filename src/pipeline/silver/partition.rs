//! Silver rows by file: one per data set or one per month, as [`DataSet::layout`] says.

use polars::prelude::*;

use crate::domain::data_set::{DataSet, Layout};
use crate::domain::time::Day;
use crate::pipeline::Result;

/// The rows of each file with its month (`YYYY-MM`), months ascending; a single file has none. Rows
/// keep their order.
///
/// # Errors
/// Any error of the query engine.
pub fn split(set: DataSet, rows: &DataFrame) -> Result<Vec<(Option<String>, DataFrame)>> {
    const MONTH: &str = "~month";
    let Layout::MonthlyBy(instant) = set.layout() else {
        return Ok(vec![(None, rows.clone())]);
    };
    let month_start = col(instant).dt().month_start().cast(DataType::Date);
    let with_month = rows.clone().lazy().with_column(month_start.alias(MONTH)).collect()?;
    let mut months = Vec::new();
    for mut frame in with_month.partition_by([MONTH], true)? {
        let first = frame.drop_in_place(MONTH)?.to_physical_repr().i32()?.get(0);
        let name = Day(first.unwrap_or(0)).to_string();
        months.push((Some(name[..7].to_owned()), frame));
    }
    months.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(months)
}

/// The rows that [`split`] distributed, ascending by key.
///
/// # Errors
/// Any error of the query engine.
pub fn join(set: DataSet, mut files: Vec<DataFrame>) -> Result<DataFrame> {
    if set.layout() == Layout::SingleFile || files.is_empty() {
        return Ok(files.pop().unwrap_or_default());
    }
    let files: Vec<LazyFrame> = files.into_iter().map(IntoLazy::lazy).collect();
    let rows = concat(files, UnionArgs::default())?;
    Ok(rows.sort([set.key()], SortMultipleOptions::default()).collect()?)
}
