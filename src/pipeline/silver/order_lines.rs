//! Served rows as lines of orders, each with its key and number.

use std::collections::BTreeMap;

use polars::prelude::{PlHashMap, PlHashSet, StringChunked};

use super::spread::spread;
use super::values::identifiers::line_number;

/// A line that is served.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    /// Its row.
    pub(super) row: usize,
    /// The row that has its product: another one where a refund is spread over its order's lines.
    pub(super) product: usize,
    /// Its amount in millionths.
    pub(super) micros: i64,
}

/// What of rows makes them lines, one entry per row.
pub(super) struct LineRows<'a> {
    /// The number of the row's order.
    pub(super) orders: &'a [i64],
    /// Amounts in millionths.
    pub(super) micros: &'a [i64],
    pub(super) products: &'a StringChunked,
    /// Why a row is not served; `None` for those that are.
    pub(super) reasons: &'a [Option<&'static str>],
}

/// The lines of served rows, in reading order. A refund without a product is spread over the lines of
/// its order that were sold; `belongs` says whether a refund (first) may be of a sale (second) among them.
pub(super) fn lines_of(rows: &LineRows<'_>, belongs: impl Fn(usize, usize) -> bool) -> Vec<Line> {
    let is_served = |row: usize| rows.reasons[row].is_none();
    let is_open =
        |row: usize| is_served(row) && rows.micros[row] < 0 && rows.products.get(row).is_none();
    let mut sold: BTreeMap<i64, Vec<usize>> = (0..rows.orders.len())
        .filter(|row| is_open(*row))
        .map(|row| (rows.orders[row], Vec::new()))
        .collect();
    if !sold.is_empty() {
        for row in (0..rows.orders.len()).filter(|row| is_served(*row) && rows.micros[*row] > 0) {
            if let Some(lines) = sold.get_mut(&rows.orders[row]) {
                lines.push(row);
            }
        }
    }
    let mut lines = Vec::with_capacity(rows.orders.len());
    for row in (0..rows.orders.len()).filter(|row| is_served(*row)) {
        let whole = Line { row, product: row, micros: rows.micros[row] };
        let of_order = sold.get(&rows.orders[row]).filter(|_| is_open(row));
        let of_refund: Vec<usize> =
            of_order.into_iter().flatten().copied().filter(|sale| belongs(row, *sale)).collect();
        if of_refund.is_empty() {
            lines.push(whole);
            continue;
        }
        let weights: Vec<i64> = of_refund.iter().map(|sale| rows.micros[*sale]).collect();
        for (sale, share) in of_refund.iter().zip(spread(-rows.micros[row], &weights)) {
            if share > 0 {
                lines.push(Line { row, product: *sale, micros: -share });
            }
        }
    }
    lines
}

/// The key and the number of each line within its order: sale lines first, then refunds, each in reading
/// order, so that a further export of the same order changes neither. An order's first line has the
/// order's number. `repeated` are the orders that may have several lines.
pub(super) fn number_lines(
    orders: &[i64],
    lines: &[Line],
    repeated: &PlHashSet<i64>,
    text: impl Fn(usize) -> String,
) -> Vec<(i64, i64)> {
    let mut numbered = vec![(0, 0); lines.len()];
    let mut counts: PlHashMap<i64, i64> = PlHashMap::default();
    for of_refunds in [false, true] {
        for (line, numbered) in lines.iter().zip(&mut numbered) {
            if (line.micros < 0) != of_refunds {
                continue;
            }
            let order = orders[line.row];
            if repeated.is_empty() || !repeated.contains(&order) {
                *numbered = (order, 1);
                continue;
            }
            let number = counts.entry(order).or_insert(0);
            *number += 1;
            let is_first = *number == 1;
            let key = if is_first { order } else { line_number(&text(line.row), *number) };
            *numbered = (key, *number);
        }
    }
    numbered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_orders_first_line_has_its_number() {
        let line = |(row, micros)| Line { row, product: row, micros };
        let lines: Vec<Line> = [-1, 5, 5, 5].into_iter().enumerate().map(line).collect();
        let keys =
            number_lines(&[7, 8, 7, 7], &lines, &[7].into_iter().collect(), |_| "7".to_owned());
        assert_eq!((keys[1], keys[2]), ((8, 1), (7, 1)));
        assert_eq!((keys[3].1, keys[0].1), (2, 3));
        assert!(keys[0].0 > 8 && keys[3].0 > 8);
    }
}
