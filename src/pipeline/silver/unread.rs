//! Columns that are not read although they look as if they decided what a row is.

use std::collections::BTreeSet;

use polars::prelude::*;

use super::purchase_rows::PurchaseRows;
use super::raw::Raw;
use super::raw_table::{KnownBy, RawFile};
use crate::domain::account::shown;
use crate::domain::text::counted;
use crate::pipeline::Result;

/// Names of columns that say what an order has become, letters only.
const STATUS_COLUMNS: [&str; 8] = [
    "status",
    "orderstatus",
    "paymentstatus",
    "financialstatus",
    "state",
    "statut",
    "etat",
    "état",
];
/// What texts of orders that are no sales begin with, lower case.
const NO_SALES: [&str; 14] = [
    "cancel",
    "refund",
    "void",
    "fail",
    "declin",
    "expir",
    "abandon",
    "test",
    "annul",
    "rembours",
    "échou",
    "echou",
    "storniert",
    "erstattet",
];

/// A sentence for each file of no known system that has a column of statuses: it is not read.
pub(super) fn unread_statuses(raw: &Raw, rows: &PurchaseRows) -> Result<Vec<String>> {
    let mut sentences = Vec::new();
    for column in raw.frame.columns() {
        let letters = column.name().chars().filter(|letter| letter.is_alphabetic());
        if !STATUS_COLUMNS.contains(&letters.collect::<String>().as_str()) {
            continue;
        }
        let (column, cells) = (column.name().as_str(), column.str()?);
        let files = raw.files.iter().filter(|file| file.known_by != KnownBy::Profile);
        sentences.extend(files.filter_map(|file| sentence(raw, rows, (column, cells), file)));
    }
    Ok(sentences)
}

fn sentence(
    raw: &Raw,
    rows: &PurchaseRows,
    (column, cells): (&str, &StringChunked),
    file: &RawFile,
) -> Option<String> {
    let mut texts: BTreeSet<&str> = BTreeSet::new();
    let (mut count, mut sum, mut first) = (0, 0_i64, None);
    for row in file.rows.clone().filter(|row| rows.reasons[*row].is_none()) {
        let Some(text) = cells.get(row).map(str::trim) else { continue };
        let lower = text.to_lowercase();
        if NO_SALES.iter().any(|start| lower.starts_with(start)) {
            texts.insert(text);
            (count, sum) = (count + 1, sum.saturating_add(rows.micros[row]));
            first = first.or(Some(row));
        }
    }
    let first = first?;
    let texts: Vec<String> = texts.iter().take(5).map(|text| format!("{text:?}")).collect();
    Some(format!(
        "{}: its column {column} is not read, and {} that it calls {}, {} in all, count as sold, for example line {}; to leave them out, describe the file in a profile (sources.profiles)",
        file.name,
        counted(count, "row"),
        texts.join(", "),
        shown(sum),
        raw.line(first)
    ))
}
