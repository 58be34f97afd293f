//! What the rules of all data sets share: one spelling per text, rejected rows, instants as columns.

use std::collections::BTreeMap;

use polars::prelude::*;

use super::columns::{LINE_NUMBER, REASON, SOURCE_FILE};
use super::raw::Raw;
use super::values::texts::folded;
use crate::domain::reasons::{NOTHING, SET_ASIDE};
use crate::domain::time::Timestamp;
use crate::pipeline::Result;
use crate::pipeline::types::INSTANT;

/// Replaces spellings that differ only by case or by the form of an apostrophe with the most
/// frequent one among the rows that count; ties go to the first in byte order.
pub(super) fn unify_spelling(
    texts: &StringChunked,
    is_counted: impl Fn(usize) -> bool,
) -> StringChunked {
    let mut counts: PlHashMap<&str, i64> = PlHashMap::default();
    for (row, text) in texts.iter().enumerate() {
        if let Some(text) = text {
            *counts.entry(text).or_insert(0) += i64::from(is_counted(row));
        }
    }
    let mut spellings: BTreeMap<String, Vec<(i64, &str)>> = BTreeMap::new();
    for (text, rows) in counts {
        if rows > 0 {
            spellings.entry(folded(text)).or_default().push((rows, text));
        }
    }
    let mut preferred: PlHashMap<&str, &str> = PlHashMap::default();
    for candidates in spellings.values_mut().filter(|candidates| candidates.len() > 1) {
        candidates.sort_by(|(rows_a, a), (rows_b, b)| rows_b.cmp(rows_a).then(a.cmp(b)));
        if let Some(((_, best), others)) = candidates.split_first() {
            preferred.extend(others.iter().map(|(_, other)| (*other, *best)));
        }
    }
    if preferred.is_empty() {
        return texts.clone();
    }
    let respell =
        |text: &str| preferred.get(text).map_or_else(|| text.to_owned(), |best| (*best).to_owned());
    texts.iter().map(|text| text.map(respell)).collect()
}

/// The raw rows that are rejected, in reading order, with their reason.
pub(super) fn rejected_rows(raw: &Raw, reasons: &[Option<&'static str>]) -> Result<DataFrame> {
    let is_reject =
        |reason: Option<&'static str>| reason.is_some_and(|reason| !SET_ASIDE.contains(&reason));
    let mask: BooleanChunked = reasons.iter().map(|reason| Some(is_reject(*reason))).collect();
    let mut rejected = raw.frame.filter(&mask)?;
    let rejected_reasons: StringChunked =
        reasons.iter().copied().filter(|reason| is_reject(*reason)).collect();
    rejected.with_column(rejected_reasons.with_name(REASON.into()).into_column())?;
    // By name, not by expression: a header may look like a pattern.
    let shown: Vec<PlSmallStr> = rejected
        .get_column_names()
        .into_iter()
        .filter(|name| !name.starts_with('~'))
        .cloned()
        .collect();
    Ok(rejected.select(shown)?)
}

/// The reasons of rejected rows by file and line; the first where a record became several rows.
///
/// # Errors
/// When the frame is not one of rejected rows.
pub fn rejected_lines(rejected: &DataFrame) -> Result<BTreeMap<String, BTreeMap<i64, String>>> {
    let mut lines: BTreeMap<String, BTreeMap<i64, String>> = BTreeMap::new();
    if rejected.height() == 0 {
        return Ok(lines);
    }
    let (files, reasons) = (rejected.column(SOURCE_FILE)?.str()?, rejected.column(REASON)?.str()?);
    let numbers = rejected.column(LINE_NUMBER)?.i64()?;
    for ((file, line), reason) in files.iter().zip(numbers.iter()).zip(reasons.iter()) {
        let (Some(file), Some(line), Some(reason)) = (file, line, reason) else { continue };
        if !lines.contains_key(file) {
            lines.insert(file.to_owned(), BTreeMap::new());
        }
        if let Some(of_file) = lines.get_mut(file) {
            of_file.entry(line).or_insert_with(|| reason.to_owned());
        }
    }
    Ok(lines)
}

/// Rows that are neither served nor rejected, by reason.
pub(super) fn set_aside(reasons: &[Option<&'static str>]) -> BTreeMap<String, u64> {
    let mut rows = BTreeMap::new();
    let is_counted = |reason: &&&str| SET_ASIDE.contains(reason) && **reason != NOTHING;
    for reason in reasons.iter().flatten().filter(is_counted) {
        *rows.entry((*reason).to_owned()).or_insert(0) += 1;
    }
    rows
}

/// The earliest instant after the start of the run among rows that are rejected for it.
pub(super) fn earliest_future(
    at: &[Option<i64>],
    reasons: &[Option<&'static str>],
    run_start: Timestamp,
) -> Option<Timestamp> {
    let rejected = at.iter().zip(reasons);
    let out_of_range = rejected.filter(|(_, reason)| **reason == Some("date_out_of_range"));
    out_of_range.filter_map(|(at, _)| *at).filter(|at| *at > run_start.0).min().map(Timestamp)
}

/// The instants of these rows as a column.
pub(super) fn take_instants(
    at: &[Option<i64>],
    rows: impl Iterator<Item = usize>,
) -> Result<Column> {
    let micros: Int64Chunked = rows.map(|row| at[row]).collect();
    Ok(micros.into_column().cast(&INSTANT)?)
}
