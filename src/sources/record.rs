//! What a profile makes of one record: cells filled from an order's first row, cells made of others,
//! one row per product of a list, and refunds that the file tells in a column or by a status.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use csv::StringRecord;

use super::headers::fold;
use super::lookup::{Lookup, Lookups};
use crate::domain::reading::{How, Reading, Status};
use crate::domain::text::counted;
use crate::pipeline::silver::columns::{OF_ORDERS, ROW_KIND, RowKind};
use crate::pipeline::silver::country_name;

/// The cells of a row, in the order of [`Recipe::columns`].
pub(super) type Cells = Vec<Option<String>>;

/// Unknown statuses that are named; a column with more is none of statuses.
const NAMED: usize = 10;
/// What a record holds once, however many rows it becomes, beside what it says of its order.
const ONCE: [&str; 3] = ["montant", "livraison_ligne", "taxe_ligne"];
/// What a refund made of a column or a status does not have.
const NOT_OF_REFUNDS: [&str; 5] = ["produit", "quantite", "prix", "remise", "remboursement"];

/// How records of a file become rows.
#[derive(Debug)]
pub(super) struct Recipe {
    reading: Reading,
    /// The columns of the file, of joined tables, made ones, and the kind of the row.
    columns: Vec<String>,
    /// Where each of them is.
    positions: HashMap<String, usize>,
    /// How many of them the file has.
    of_file: usize,
    /// For each join, the column with its key and the table.
    joins: Vec<(usize, Arc<Lookup>)>,
    /// The column of the key and those that are filled down.
    fill_down: Option<(usize, Vec<usize>)>,
    /// The first filled cells of the rows with each key.
    filled: HashMap<String, Cells>,
    /// For each made column its position and those of its parts.
    made: Vec<(usize, Vec<usize>, How)>,
}

/// What was seen in records that is worth saying.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Orders that were given back in part without an amount.
    unquantified: usize,
    /// Texts of status columns that no table has, with their rows.
    unknown: BTreeMap<(String, String), usize>,
}

impl Seen {
    /// Adds what was seen in other records.
    pub(super) fn add(&mut self, other: Self) {
        self.unquantified += other.unquantified;
        for (text, rows) in other.unknown {
            *self.unknown.entry(text).or_default() += rows;
        }
    }

    /// A sentence for each.
    pub(super) fn notes(&self, file: &str) -> Vec<String> {
        let note = |((column, text), rows): (&(String, String), &usize)| {
            format!(
                "{file}: {} with the {column} {text:?}, which is not known, counted as sold; say what it means in sources.statuses",
                counted(*rows, "row")
            )
        };
        let mut notes: Vec<String> = self.unknown.iter().take(NAMED).map(note).collect();
        if self.unknown.len() > NAMED {
            let more = self.unknown.len() - NAMED;
            notes
                .push(format!("{file}: {more} further statuses are not known and counted as sold"));
        }
        if self.unquantified > 0 {
            notes.push(format!(
                "{file}: {} given back in part, and the file does not say how much: counted in full; export the column of refunded amounts",
                counted(self.unquantified, "order")
            ));
        }
        notes
    }
}

impl Recipe {
    /// The recipe of a file; `None` when its records are its rows.
    pub(super) fn of(file: &[String], reading: &Reading, lookups: &Lookups) -> Option<Self> {
        let refunds = ["remboursement", "litige"];
        let has_refunds = |column: &String| refunds.contains(&column.as_str());
        let is_plain = reading.fill_down.is_none()
            && reading.made.is_empty()
            && reading.split.is_none()
            && reading.joins.is_empty()
            && reading.statuses.is_empty()
            && reading.not_goods.is_empty()
            && !file.iter().any(has_refunds);
        if is_plain {
            return None;
        }
        let mut columns = file.to_vec();
        let mut joins = Vec::new();
        for join in &reading.joins {
            let lookup = lookups.get(&join.table).cloned();
            let by = columns.iter().position(|column| *column == join.by);
            if let (Some(lookup), Some(by)) = (lookup, by) {
                columns.extend(lookup.columns.iter().cloned());
                joins.push((by, lookup));
            }
        }
        let made_from = columns.len();
        columns.extend(reading.made.iter().map(|made| made.column.clone()));
        for field in reading.split.iter().flat_map(|_| ["produit", "quantite"]) {
            if !columns.iter().any(|column| column == field) {
                columns.push(field.to_owned());
            }
        }
        columns.push(ROW_KIND.to_owned());
        let position = |name: &String| columns.iter().position(|column| column == name);
        let made = reading.made.iter().enumerate().map(|(index, made)| {
            (made_from + index, made.from.iter().filter_map(position).collect(), made.how.clone())
        });
        let fill_down = reading.fill_down.as_ref().and_then(|fill_down| {
            let by = position(&fill_down.by)?;
            Some((by, fill_down.columns.iter().filter_map(position).collect()))
        });
        Some(Self {
            made: made.collect(),
            fill_down,
            joins,
            of_file: file.len(),
            reading: reading.clone(),
            positions: columns.iter().cloned().zip(0..).collect(),
            columns,
            filled: HashMap::new(),
        })
    }

    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Whether orders are filled from rows that may follow: every record has to be learned first.
    pub(super) fn fills(&self) -> bool {
        self.fill_down.is_some()
    }

    /// Takes the cells that the other rows of an order are filled from.
    pub(super) fn learn(&mut self, record: &StringRecord) {
        let Some((by, columns)) = &self.fill_down else { return };
        let cell = |index: usize| record.get(index).map(str::trim).filter(|cell| !cell.is_empty());
        let Some(key) = cell(*by) else { return };
        let first = self.filled.entry(key.to_owned()).or_insert_with(|| vec![None; columns.len()]);
        for (index, filled) in columns.iter().zip(first) {
            if filled.is_none() {
                *filled = cell(*index).map(str::to_owned);
            }
        }
    }

    /// The rows of a record with these cells.
    pub(super) fn rows(&self, record: &StringRecord, seen: &mut Seen) -> Vec<Cells> {
        let mut cells: Cells = vec![None; self.columns.len()];
        for (cell, text) in cells.iter_mut().zip(record) {
            *cell = Some(text.to_owned());
        }
        self.join(&mut cells);
        self.fill(&mut cells);
        self.make(&mut cells);
        let status = self.status(&cells, seen);
        let kind = match status {
            Status::Pending | Status::NotASale => Some(RowKind::NotASale),
            _ if self.is_no_goods(&cells) => Some(RowKind::NotGoods),
            _ => None,
        };
        self.set(&mut cells, ROW_KIND, kind.map(|kind| <&str>::from(kind).to_owned()));
        let mut rows = self.split(&cells);
        if kind != Some(RowKind::NotASale) {
            rows.extend(self.refunds(&cells, status, seen));
        }
        rows
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.positions.get(name).copied()
    }

    /// The filled cell of a column, trimmed.
    fn get<'a>(&self, cells: &'a Cells, name: &str) -> Option<&'a str> {
        filled(cells, self.position(name)?)
    }

    fn set(&self, cells: &mut Cells, name: &str, value: Option<String>) {
        if let Some(index) = self.position(name) {
            cells[index] = value;
        }
    }

    fn join(&self, cells: &mut Cells) {
        let mut start = self.of_file;
        for (by, lookup) in &self.joins {
            let row = filled(cells, *by).and_then(|key| lookup.rows.get(key)).cloned();
            for (index, cell) in row.into_iter().flatten().enumerate() {
                cells[start + index] = cell;
            }
            start += lookup.columns.len();
        }
    }

    fn fill(&self, cells: &mut Cells) {
        let Some((by, columns)) = &self.fill_down else { return };
        let Some(key) = filled(cells, *by) else { return };
        if let Some(first) = self.filled.get(key) {
            for (index, cell) in columns.iter().zip(first) {
                if filled(cells, *index).is_none() && cell.is_some() {
                    cells[*index].clone_from(cell);
                }
            }
        }
    }

    fn make(&self, cells: &mut Cells) {
        for (target, from, how) in &self.made {
            let parts = || from.iter().filter_map(|index| filled(cells, *index));
            let made = match how {
                How::First => parts().next().map(str::to_owned),
                How::Join => {
                    let joined = parts().collect::<Vec<_>>().join(" ");
                    (!joined.is_empty()).then_some(joined)
                }
                How::LastPart => parts().next().and_then(|text| {
                    let last = text.rsplit(',').next().unwrap_or(text).trim();
                    country_name(last).map(str::to_owned)
                }),
                How::Always(text) => Some(text.clone()),
            };
            cells[*target] = made;
        }
    }

    /// What the order has become: the strictest of its statuses.
    fn status(&self, cells: &Cells, seen: &mut Seen) -> Status {
        let mut strictest = Status::Sale;
        for index in 0..self.reading.statuses.len() {
            let entry = &self.reading.statuses[index];
            let Some(text) = self.get(cells, &entry.column) else { continue };
            match entry.values.get(&fold(text)).copied().or(entry.filled) {
                Some(status) => strictest = strictest.max(status),
                // A table that says what sales are called says it of all of them.
                None if entry.values.values().any(|status| *status == Status::Sale) => {
                    let key = (entry.column.clone(), text.to_owned());
                    *seen.unknown.entry(key).or_default() += 1;
                }
                None => {}
            }
        }
        strictest
    }

    fn is_no_goods(&self, cells: &Cells) -> bool {
        self.reading.not_goods.iter().any(|entry| {
            let Some(text) = self.get(cells, &entry.column).map(fold) else { return false };
            let is_one = |value: &String| match value.strip_suffix('*') {
                Some(start) => text.starts_with(start),
                None => *value == text,
            };
            entry.values.iter().any(is_one)
        })
    }

    /// One row per product of a cell that lists several; what the record says once stays with the
    /// first.
    fn split(&self, cells: &Cells) -> Vec<Cells> {
        let list = self.reading.split.as_ref().and_then(|column| self.get(cells, column));
        let Some(products) = list.map(products).filter(|products| !products.is_empty()) else {
            return vec![cells.clone()];
        };
        let row = |(index, (quantity, product)): (usize, (u64, String))| {
            let mut row = cells.clone();
            if index > 0 {
                for name in ONCE.iter().chain(&OF_ORDERS) {
                    self.set(&mut row, name, None);
                }
            }
            self.set(&mut row, "produit", Some(product));
            self.set(&mut row, "quantite", Some(quantity.to_string()));
            row
        };
        products.into_iter().enumerate().map(row).collect()
    }

    /// The refunds that a record tells in columns or by its status.
    fn refunds(&self, cells: &Cells, status: Status, seen: &mut Seen) -> Vec<Cells> {
        let is_some = |text: &&str| text.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
        let refunded = self.get(cells, "remboursement").filter(is_some);
        let disputed = self.get(cells, "litige").filter(is_some);
        let disputed = disputed.filter(|_| status == Status::LostDispute);
        let amounts: Vec<&str> = refunded.into_iter().chain(disputed).collect();
        if amounts.is_empty() {
            return match status {
                Status::Refund | Status::LostDispute => {
                    vec![self.refund(cells, RowKind::RefundedStatus, None)]
                }
                Status::PartialRefund => {
                    // Its further rows have no status of their own.
                    let mut amounts = ONCE.iter().chain(&OF_ORDERS);
                    let has_amounts = amounts.any(|name| self.get(cells, name).is_some());
                    seen.unquantified += usize::from(has_amounts);
                    Vec::new()
                }
                _ => Vec::new(),
            };
        }
        let refund =
            |amount: &&str| self.refund(cells, RowKind::RefundedAmount, Some((*amount).to_owned()));
        amounts.iter().map(refund).collect()
    }

    fn refund(&self, cells: &Cells, kind: RowKind, amount: Option<String>) -> Cells {
        let mut row = cells.clone();
        for name in ONCE.iter().chain(&OF_ORDERS).chain(&NOT_OF_REFUNDS) {
            self.set(&mut row, name, None);
        }
        if let Some(date) = self.get(cells, "date_remboursement") {
            self.set(&mut row, "date_achat", Some(date.to_owned()));
        }
        let field =
            if self.position("remboursement").is_some() { "remboursement" } else { "litige" };
        self.set(&mut row, field, amount);
        self.set(&mut row, ROW_KIND, Some(<&str>::from(kind).to_owned()));
        row
    }
}

/// A cell with something in it, trimmed.
fn filled(cells: &Cells, index: usize) -> Option<&str> {
    cells[index].as_deref().map(str::trim).filter(|text| !text.is_empty())
}

/// The products of a list like `2× Mug, 1× Lamp, large`; names may have commas.
fn products(list: &str) -> Vec<(u64, String)> {
    let mut products: Vec<(u64, String)> = Vec::new();
    for part in list.split(", ") {
        let counted = part.trim().split_once(['×', 'x', 'X']).and_then(|(count, name)| {
            let name = name.trim();
            Some((count.trim().parse().ok()?, name.to_owned())).filter(|_| !name.is_empty())
        });
        match (counted, products.last_mut()) {
            (Some(product), _) => products.push(product),
            (None, Some((_, name))) => {
                name.push_str(", ");
                name.push_str(part);
            }
            (None, None) => products.push((1, part.trim().to_owned())),
        }
    }
    products
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_products_is_split_between_counts() {
        assert_eq!(products("2× Mug, 1× Lamp"), [(2, "Mug".to_owned()), (1, "Lamp".to_owned())]);
        assert_eq!(
            products("1x Tea, green, 3x Box"),
            [(1, "Tea, green".to_owned()), (3, "Box".to_owned())]
        );
        assert_eq!(products("Gift"), [(1, "Gift".to_owned())]);
        assert_eq!(products("1× Box 2x4"), [(1, "Box 2x4".to_owned())]);
    }
}
