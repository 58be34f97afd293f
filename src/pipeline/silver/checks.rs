//! Expressions that data sets share: typed values of raw text, reasons, one spelling per text.
//!
//! A typed value is null where the raw text is absent or unreadable; the rules distinguish the two.

use std::borrow::Cow;
use std::collections::BTreeMap;

use polars::prelude::*;

use super::columns::{DECIMAL_COMMA, REASON, SourceColumn, typed};
use crate::domain::time::Timestamp;
use crate::pipeline::Result;
use crate::pipeline::types::INSTANT;

/// Earlier dates are taken for errors: 2000-01-01T00:00:00.
const EARLIEST: Timestamp = Timestamp(946_684_800_000_000);

/// The trimmed text with inner spaces collapsed; null when nothing is left.
pub(super) fn text(name: &str) -> Expr {
    col(name).map(
        |column| {
            let texts = column.str()?;
            let collapsed: StringChunked =
                texts.iter().map(|text| text.and_then(collapse_spaces)).collect();
            Ok(collapsed.with_name(column.name().clone()).into_column())
        },
        |_, field| Ok(field.clone()),
    )
}

/// The text without outer spaces and with one space for each inner run; `None` when nothing is
/// left. Most texts need no change and are not copied.
fn collapse_spaces(text: &str) -> Option<Cow<'_, str>> {
    let trimmed = text.trim();
    let mut after_space = false;
    let needs_change = trimmed.chars().any(|character| {
        let is_space = character.is_whitespace();
        let needs_change = is_space && (after_space || character != ' ');
        after_space = is_space;
        needs_change
    });
    if trimmed.is_empty() {
        None
    } else if needs_change {
        Some(trimmed.split_whitespace().collect::<Vec<_>>().join(" ").into())
    } else {
        Some(trimmed.into())
    }
}

/// Whether a text is empty after trimming.
pub(super) fn is_blank(name: &str) -> Expr {
    trimmed(name).is_null()
}

/// The trimmed text; null when nothing is left.
fn trimmed(name: &str) -> Expr {
    let trimmed = col(name).str().strip_chars(lit(NULL));
    when(trimmed.clone().eq(lit(""))).then(lit(NULL)).otherwise(trimmed)
}

/// A positive integer, else null.
pub(super) fn positive_integer(name: &str) -> Expr {
    let number = trimmed(name).cast(DataType::Int64);
    when(number.clone().gt(lit(0_i64))).then(number).otherwise(lit(NULL))
}

/// A finite decimal number, else null. In a file separated by `;` a comma may stand for the
/// point and spaces (also unbreakable ones) may group digits.
pub(super) fn decimal(name: &str) -> Expr {
    col(name).map_many(
        |columns| {
            let (texts, commas) = (columns[0].str()?, columns[1].bool()?);
            let numbers: Float64Chunked = texts
                .iter()
                .zip(commas.iter())
                .map(|(text, comma)| parse_decimal(text?, comma.unwrap_or(false)))
                .collect();
            Ok(numbers.with_name(columns[0].name().clone()).into_column())
        },
        &[col(DECIMAL_COMMA)],
        |_, fields| Ok(Field::new(fields[0].name().clone(), DataType::Float64)),
    )
}

fn parse_decimal(text: &str, has_decimal_comma: bool) -> Option<f64> {
    let text = text.trim();
    let number = if has_decimal_comma {
        let digits: String = text.chars().filter(|character| !character.is_whitespace()).collect();
        digits.replace(',', ".").parse()
    } else {
        text.parse()
    };
    number.ok().filter(|number: &f64| number.is_finite())
}

/// An instant in any spelling the contract accepts, else null.
pub(super) fn instant(name: &str) -> Expr {
    col(name).map(
        |column| {
            let texts = column.str()?;
            let micros: Int64Chunked = texts
                .iter()
                .map(|text| text.and_then(Timestamp::parse).map(|instant| instant.0))
                .collect();
            let mut micros = micros.into_column().cast(&INSTANT)?;
            micros.rename(column.name().clone());
            Ok(micros)
        },
        |_, field| Ok(Field::new(field.name().clone(), INSTANT)),
    )
}

/// Whether an instant lies before [`EARLIEST`] or after the start of the run.
pub(super) fn out_of_range(instant: Expr, run_start: Timestamp) -> Expr {
    let micros = instant.to_physical();
    micros.clone().lt(lit(EARLIEST.0)).or(micros.gt(lit(run_start.0)))
}

/// The first reason whose condition holds; null when none does.
pub(super) fn first_reason(rules: Vec<(&'static str, Expr)>) -> Expr {
    rules
        .into_iter()
        .rev()
        .fold(lit(NULL).cast(DataType::String), |otherwise, (reason, condition)| {
            when(condition.fill_null(lit(false))).then(lit(reason)).otherwise(otherwise)
        })
        .alias(REASON)
}

/// Rejects rows that no reason rejects yet and for which `condition` holds.
pub(super) fn reject_also(reason: &'static str, condition: Expr) -> Expr {
    when(col(REASON).is_null().and(condition))
        .then(lit(reason))
        .otherwise(col(REASON))
        .alias(REASON)
}

/// Replaces spellings that differ only by case with the most frequent one among the valid
/// rows; ties go to the first in byte order.
pub(super) fn unify_spelling(frame: DataFrame, column: &str) -> Result<DataFrame> {
    let counts = frame
        .clone()
        .lazy()
        .filter(col(REASON).is_null())
        .group_by([col(column)])
        .agg([len().cast(DataType::Int64).alias("rows")])
        .collect()?;
    let mut spellings: BTreeMap<String, Vec<(i64, &str)>> = BTreeMap::new();
    let texts = counts.column(column)?.str()?;
    let rows = counts.column("rows")?.i64()?;
    for (text, rows) in texts.iter().zip(rows.iter()) {
        if let (Some(text), Some(rows)) = (text, rows) {
            spellings.entry(text.to_lowercase()).or_default().push((rows, text));
        }
    }
    let mut preferred: PlHashMap<String, String> = PlHashMap::default();
    for candidates in spellings.values_mut().filter(|candidates| candidates.len() > 1) {
        candidates.sort_by(|(rows_a, a), (rows_b, b)| rows_b.cmp(rows_a).then(a.cmp(b)));
        if let Some(((_, best), others)) = candidates.split_first() {
            for (_, other) in others {
                preferred.insert((*other).to_owned(), (*best).to_owned());
            }
        }
    }
    if preferred.is_empty() {
        return Ok(frame);
    }
    let respell = col(column).map(
        move |column| {
            let texts = column.str()?;
            let respelled: StringChunked = texts
                .iter()
                .map(|text| text.map(|text| preferred.get(text).map_or(text, String::as_str)))
                .collect();
            Ok(respelled.with_name(column.name().clone()).into_column())
        },
        |_, field| Ok(field.clone()),
    );
    Ok(frame.lazy().with_column(respell).collect()?)
}

/// Splits a judged frame into typed rows, under the contract's names and ascending by `key`, and
/// rejected raw rows in reading order.
pub(super) fn split_rejected(
    frame: DataFrame,
    columns: &[SourceColumn],
    key: &str,
) -> Result<(DataFrame, DataFrame)> {
    let raw: Vec<PlSmallStr> = frame
        .get_column_names()
        .into_iter()
        .filter(|name| !name.starts_with('~') && name.as_str() != REASON)
        .cloned()
        .chain([REASON.into()])
        .collect();
    let typed_columns: Vec<Expr> =
        columns.iter().map(|column| col(typed(column.name)).alias(column.name)).collect();
    let rejected = frame.clone().lazy().filter(col(REASON).is_not_null()).collect()?;
    // By name, not by expression: a header may look like a pattern.
    let rejected = rejected.select(raw)?;
    let valid = frame
        .lazy()
        .filter(col(REASON).is_null())
        .select(typed_columns)
        .sort([key], SortMultipleOptions::default())
        .collect()?;
    Ok((valid, rejected))
}

/// The earliest instant in `column` among rows rejected because they lie after the start of the
/// run.
pub(super) fn earliest_future(
    frame: &DataFrame,
    column: &str,
    run_start: Timestamp,
) -> Result<Option<Timestamp>> {
    let future = frame
        .clone()
        .lazy()
        .filter(col(REASON).eq(lit("date_out_of_range")))
        .select([col(column).to_physical().alias("micros")])
        .filter(col("micros").gt(lit(run_start.0)))
        .collect()?;
    Ok(future.column("micros")?.i64()?.min().map(Timestamp))
}
