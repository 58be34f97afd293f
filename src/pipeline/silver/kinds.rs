//! What rows are beside sales: no sale, no goods, refunds told in several ways.

use std::collections::BTreeMap;

use super::columns::RowKind;
use super::layer::{CleaningOptions, Refunds};
use super::purchase_rows::PurchaseRows;
use super::raw::Raw;
use crate::domain::account::in_units;
use crate::domain::reasons::{NOT_A_SALE, NOT_GOODS, NOTHING, REFUND_LEFT_OUT, REPEATED};

/// Sets aside what is not a sale or no goods, and counts one refund once: rows win over a refunded
/// amount, an amount over a status. `read` gets the amounts that statuses stand for.
pub(super) fn judge_kinds(
    raw: &Raw,
    rows: &mut PurchaseRows,
    orders: &[i64],
    read: &mut [i64],
    options: &CleaningOptions,
) {
    if !rows.kinds.is_empty() {
        for row in 0..raw.height() {
            if rows.reasons[row].is_none() {
                rows.reasons[row] = match rows.kind(row) {
                    Some(RowKind::NotASale) => Some(NOT_A_SALE),
                    Some(RowKind::NotGoods) => Some(NOT_GOODS),
                    _ => None,
                };
            }
        }
        for refunds in made_refunds(rows, orders).values() {
            count_once(raw, rows, refunds, read);
        }
    }
    if options.rules.refunds == Refunds::LeaveOut {
        for row in 0..raw.height() {
            if rows.reasons[row].is_none() && rows.micros[row] < 0 {
                rows.reasons[row] = Some(REFUND_LEFT_OUT);
            }
        }
    }
}

/// Whether two rows are made of one record.
pub(super) fn is_same_record(raw: &Raw, a: usize, b: usize) -> bool {
    raw.file_of(a) == raw.file_of(b) && raw.line(a) == raw.line(b)
}

/// The served refunds of every order that a refunded amount or a status tells of.
fn made_refunds(rows: &PurchaseRows, orders: &[i64]) -> BTreeMap<i64, Vec<usize>> {
    let is_made = |row: usize| rows.kind(row).is_some_and(RowKind::is_made);
    let served = || orders.iter().enumerate().filter(|(row, _)| rows.reasons[*row].is_none());
    let mut refunds: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (row, order) in served().filter(|(row, _)| is_made(*row)) {
        refunds.entry(*order).or_default().push(row);
    }
    if !refunds.is_empty() {
        let is_row = |row: usize| rows.micros[row] < 0 && rows.kind(row).is_none();
        for (row, order) in served().filter(|(row, _)| is_row(*row)) {
            refunds.entry(*order).and_modify(|refunds| refunds.push(row));
        }
    }
    refunds
}

/// Leaves of the refunds of one order those that are told best.
fn count_once(raw: &Raw, rows: &mut PurchaseRows, refunds: &[usize], read: &mut [i64]) {
    /// What tells of a refund, the best first.
    const TOLD_BY: [Option<RowKind>; 3] =
        [None, Some(RowKind::RefundedAmount), Some(RowKind::RefundedStatus)];
    let is_told = |by: &&Option<RowKind>| refunds.iter().any(|row| rows.kind(*row) == **by);
    let best = TOLD_BY.iter().find(is_told).copied().flatten();
    let mut amounts_seen = Vec::new();
    for row in refunds.iter().copied() {
        match rows.kind(row) {
            Some(RowKind::RefundedStatus) if best == Some(RowKind::RefundedStatus) => {
                let record = (0..row).rev().take_while(|sale| is_same_record(raw, row, *sale));
                let sold = record.filter(|sale| rows.reasons[*sale].is_none());
                let sum: i64 = sold.map(|sale| rows.micros[sale].max(0)).sum();
                rows.micros[row] = -sum;
                read[row] = -sum;
                rows.amounts[row] = Some(in_units(-sum));
                if sum == 0 {
                    rows.reasons[row] = Some(NOTHING);
                }
            }
            Some(RowKind::RefundedStatus) => rows.reasons[row] = Some(NOTHING),
            kind if kind != best => rows.reasons[row] = Some(REPEATED),
            Some(RowKind::RefundedAmount) => {
                // The refund of a whole order that each of its lines repeats.
                if rows.micros[row] == 0 && rows.amounts[row].is_some() {
                    // All of it was given back by another one, or is no goods.
                    rows.reasons[row] = Some(NOTHING);
                    continue;
                }
                let key = (raw.file_of(row), rows.micros[row], raw.line(row));
                let is_repeated = amounts_seen.iter().any(|seen: &(usize, i64, i64)| {
                    (seen.0, seen.1) == (key.0, key.1) && seen.2 != key.2
                });
                if is_repeated {
                    rows.reasons[row] = Some(REPEATED);
                }
                amounts_seen.push(key);
            }
            _ => {}
        }
    }
}
