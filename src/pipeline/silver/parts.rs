//! Parts of one export: where the lines of an order begin at the end of one file and continue in another.

use std::ops::Range;

use polars::prelude::*;

use super::columns::{OF_ORDERS, ROW_KIND};
use super::raw::Raw;
use super::raw_table::RawFile;
use crate::pipeline::Result;

/// The rest of an order in another file than its beginning.
struct Continued {
    /// The position of the file with its beginning.
    to: usize,
    /// The position of the file with its rest.
    from: usize,
    /// The rows of its rest.
    rows: Range<usize>,
    order: String,
}

/// What shows which rows belong together, as texts.
struct Cells<'a> {
    orders: &'a StringChunked,
    shown: Option<&'a StringChunked>,
    products: &'a StringChunked,
    dates: &'a StringChunked,
    customers: &'a StringChunked,
    kinds: Option<&'a StringChunked>,
    of_orders: Vec<&'a StringChunked>,
}

impl Raw {
    /// Reads the rest of an order with its beginning.
    pub(super) fn with_joined_parts(mut self) -> Result<Self> {
        let continued = self.continued()?;
        if continued.is_empty() {
            return Ok(self);
        }
        let files = std::mem::take(&mut self.files);
        let whole = |(position, file): (usize, &RawFile)| {
            let rest = continued.iter().find(|part| part.from == position);
            let own = rest.map_or(file.rows.start, |part| part.rows.end)..file.rows.end;
            let more = continued.iter().find(|part| part.to == position);
            let rows = std::iter::once(own).chain(more.map(|part| part.rows.clone()));
            (rows.collect(), file.clone())
        };
        self.rearrange(files.iter().enumerate().map(whole))?;
        self.notes.extend(continued.iter().map(|part| {
            format!(
                "{} continues order {} of {}: they are read as parts of one export",
                files[part.from].name, part.order, files[part.to].name
            )
        }));
        Ok(self)
    }

    fn continued(&self) -> Result<Vec<Continued>> {
        let cells = self.cells_of_orders()?;
        let mut found: Vec<Continued> = Vec::new();
        for from in 0..self.files.len() {
            let Some((rows, order)) = cells.head(&self.files[from].rows) else { continue };
            let to = (0..self.files.len()).find(|to| {
                *to != from
                    && may_be_parts(&self.files[*to], &self.files[from])
                    && cells.tail(&self.files[*to].rows, order).is_some_and(|tail| {
                        cells.are_parts(&self.files[*to].rows, &tail, &self.files[from].rows, &rows)
                    })
            });
            let is_free = |to: &usize| found.iter().all(|part| part.to != *to && part.from != *to);
            if let Some(to) = to.filter(is_free) {
                found.push(Continued { to, from, rows, order: order.to_owned() });
            }
        }
        Ok(found)
    }

    fn cells_of_orders(&self) -> Result<Cells<'_>> {
        let of_orders = OF_ORDERS.iter().map(|column| self.cells_if_any(column));
        let of_orders: Vec<Option<&StringChunked>> = of_orders.collect::<Result<_>>()?;
        Ok(Cells {
            orders: self.cells("id_achat")?,
            shown: self.cells_if_any("ref_commande")?,
            products: self.cells("produit")?,
            dates: self.cells("date_achat")?,
            customers: self.cells("id_client")?,
            kinds: self.cells_if_any(ROW_KIND)?,
            of_orders: of_orders.into_iter().flatten().collect(),
        })
    }
}

/// Whether files are of one kind whose orders have several records, and their names do not have two dates: those
/// are versions.
fn may_be_parts(a: &RawFile, b: &RawFile) -> bool {
    let is_kind = a.profile == b.profile && a.known_by == b.known_by && a.reading.split.is_none();
    is_kind && (a.date.is_none() || b.date.is_none() || a.date == b.date)
}

impl<'a> Cells<'a> {
    /// The number of a row's order, as the shop shows it where it does.
    fn order(&self, row: usize) -> Option<&'a str> {
        let shown = self.shown.and_then(|shown| shown.get(row));
        let order = shown.or_else(|| self.orders.get(row)).map(str::trim);
        order.filter(|order| !order.is_empty() && *order != "0")
    }

    /// The first rows, which are of one order.
    fn head(&self, rows: &Range<usize>) -> Option<(Range<usize>, &'a str)> {
        let order = self.order(rows.start)?;
        let length = rows.clone().take_while(|row| self.order(*row) == Some(order)).count();
        Some((rows.start..rows.start + length, order))
    }

    /// The last rows, if they are of this order.
    fn tail(&self, rows: &Range<usize>, order: &str) -> Option<Range<usize>> {
        let length = rows.clone().rev().take_while(|row| self.order(*row) == Some(order)).count();
        (length > 0).then(|| rows.end - length..rows.end)
    }

    /// Whether two files, whose last and first rows these are, are parts of one export: they share this order
    /// only, none of its lines, and nothing that is said once per order.
    fn are_parts(
        &self,
        a: &Range<usize>,
        tail: &Range<usize>,
        b: &Range<usize>,
        head: &Range<usize>,
    ) -> bool {
        let has_product = |row: usize| {
            self.products.get(row).is_some_and(|product| !product.trim().is_empty())
                && self.kinds.is_none_or(|kinds| kinds.get(row).is_none())
        };
        let is_same = |cells: &StringChunked| {
            let text = |row: usize| cells.get(row).map(str::trim).unwrap_or_default();
            let (first, next) = (text(tail.start), text(head.start));
            first == next || first.is_empty() || next.is_empty()
        };
        let is_filled = |cells: &StringChunked, rows: &Range<usize>| {
            rows.clone().any(|row| cells.get(row).is_some_and(|cell| !cell.trim().is_empty()))
        };
        let products: PlHashSet<Option<&str>> =
            tail.clone().map(|row| self.products.get(row)).collect();
        tail.clone().chain(head.clone()).all(has_product)
            && !head.clone().any(|row| products.contains(&self.products.get(row)))
            && is_same(self.dates)
            && is_same(self.customers)
            && !self.of_orders.iter().any(|cells| is_filled(cells, tail) && is_filled(cells, head))
            && !self.share_orders(a.start..tail.start, head.end..b.end)
    }

    fn share_orders(&self, a: Range<usize>, mut b: Range<usize>) -> bool {
        let orders: PlHashSet<&str> = a.filter_map(|row| self.order(row)).collect();
        b.any(|row| self.order(row).is_some_and(|order| orders.contains(order)))
    }
}
