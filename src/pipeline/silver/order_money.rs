//! The amounts of lines where files say more than one amount per line: prices and quantities,
//! discounts, subtotals and totals of orders, shipping, tax, refunded amounts.
//!
//! Money is counted in millionths. What is not goods is kept beside the lines, for the account.

use std::collections::BTreeMap;
use std::ops::Range;

use super::columns::{OF_ORDERS, RowKind};
use super::layer::CleaningOptions;
use super::order_totals::{CENT, Order};
use super::raw::{IdCell, Raw, Values};
use super::raw_table::{KnownBy, RawFile};
use super::spread::{is_usable, spread};
use super::values::amounts::Amounts;
use crate::domain::account::{half_even, in_millionths, in_units, shown};
use crate::domain::file_rows::ColumnForm;
use crate::domain::text::counted;
use crate::pipeline::Result;

/// The amounts of rows, one entry per row.
#[derive(Debug, Default)]
pub(super) struct Money {
    pub(super) amounts: Vec<Option<f64>>,
    /// Whether no cell says anything about the row's amount.
    pub(super) blanks: Vec<bool>,
    /// Whether a cell that counts can be read two ways.
    pub(super) ambiguous: Vec<bool>,
    /// The currencies that amounts name.
    pub(super) currencies: Vec<(usize, &'static str)>,
    /// Millionths of a row's order that are no goods.
    pub(super) not_goods: Vec<(usize, i64)>,
    /// Rows whose amount is a share of what is known for the order only.
    pub(super) shared: Vec<usize>,
    /// Rows that take pieces out of stock: negative units without a price.
    pub(super) stock: Vec<usize>,
    /// Sentences about how files were read.
    pub(super) notes: Vec<String>,
    /// How columns of each file were read, with the file's position.
    pub(super) forms: Vec<(usize, ColumnForm)>,
}

/// The columns of one file in millionths; `None` for a column that the file does not have.
struct Fields<'a> {
    file: &'a RawFile,
    columns: BTreeMap<&'static str, Vec<Option<i64>>>,
}

/// Columns of money that say something about a line or a refund, and quantities.
const OF_LINES: [&str; 8] = [
    "montant",
    "prix",
    "quantite",
    "remise",
    "livraison_ligne",
    "taxe_ligne",
    "remboursement",
    "litige",
];
/// Columns whose cells an amount is made of.
const DECIDING: [&str; 8] = [
    "montant",
    "prix",
    "montant_commande",
    "sous_total",
    "sous_total_brut",
    "total",
    "remboursement",
    "litige",
];

impl Money {
    /// Reads the amounts of every row.
    pub(super) fn read(raw: &Raw) -> Result<Self> {
        let values = raw.amounts("montant")?;
        let mut ambiguous = vec![false; raw.height()];
        values.cells.ambiguous.iter().for_each(|(row, _)| ambiguous[*row] = true);
        Ok(Self {
            amounts: values.cells.values,
            blanks: values.blanks,
            ambiguous,
            currencies: values.cells.currencies,
            notes: values.notes,
            forms: values.forms,
            ..Self::default()
        })
    }

    /// The amounts so far in millionths, 0 where there is none or it is greater than this.
    pub(super) fn micros_below(&self, most: f64) -> Vec<i64> {
        let micros = |amount: &Option<f64>| {
            amount.filter(|amount| amount.abs() <= most).map_or(0, in_millionths)
        };
        self.amounts.iter().map(micros).collect()
    }

    /// The columns of money that files have.
    fn columns(&mut self, raw: &Raw) -> Result<BTreeMap<&'static str, Values<Amounts>>> {
        let mut columns = BTreeMap::new();
        for column in OF_LINES.into_iter().chain(OF_ORDERS) {
            if raw.cells_if_any(column)?.is_some() {
                let values = raw.amounts(column)?;
                if column != "montant" && DECIDING.contains(&column) {
                    self.forms.extend(values.forms.iter().cloned());
                }
                columns.insert(column, values);
            }
        }
        Ok(columns)
    }

    /// Makes the amounts of files of other systems: of lines first, then what their orders say.
    /// `kinds` says what each row is.
    pub(super) fn complete(
        &mut self,
        raw: &Raw,
        orders: &[IdCell],
        kinds: &[Option<RowKind>],
        options: &CleaningOptions,
    ) -> Result<()> {
        let files = self.files_to_complete(raw)?;
        if files.is_empty() {
            return Ok(());
        }
        let columns = self.columns(raw)?;
        for file in files.iter().filter(|file| file.known_by != KnownBy::Profile) {
            self.notes.push(format!(
                "{}: it has no amounts, so its rows are worth their quantity times their price",
                file.name
            ));
        }
        for file in files {
            let rows = file.rows.clone();
            let mut fields = Fields { file, columns: BTreeMap::new() };
            for (name, values) in &columns {
                if values.blanks[rows.clone()].iter().all(|blank| *blank) {
                    continue;
                }
                let micros = |value: &Option<f64>| value.map(in_millionths);
                let of_file = values.cells.values[rows.clone()].iter().map(micros).collect();
                fields.columns.insert(*name, of_file);
                let in_file = |row: &usize| rows.contains(row);
                if *name != "montant" && *name != "quantite" {
                    let named = values.cells.currencies.iter().filter(|(row, _)| in_file(row));
                    self.currencies.extend(named.copied());
                    let ambiguous = values.cells.ambiguous.iter().map(|(row, _)| *row);
                    if DECIDING.contains(name) {
                        ambiguous.filter(in_file).for_each(|row| self.ambiguous[row] = true);
                    }
                }
            }
            let blank = |row: usize| {
                DECIDING
                    .iter()
                    .all(|name| columns.get(name).is_none_or(|values| values.blanks[row]))
            };
            for row in rows.clone() {
                self.blanks[row] = blank(row);
                let kind = kinds.get(row).copied().flatten();
                self.set(row, fields.line(row, kind));
                if fields.is_stock_correction(row) && is_own(kinds, row) {
                    self.stock.push(row);
                }
            }
            if OF_ORDERS.iter().any(|name| fields.columns.contains_key(name))
                || fields.columns.contains_key("remboursement")
            {
                self.complete_orders(raw, &fields, orders, kinds, options);
            }
            for row in rows {
                let of = |name| fields.get(name, row).unwrap_or(0);
                let beside = of("livraison_ligne").saturating_add(of("taxe_ligne"));
                if beside != 0 && is_own(kinds, row) {
                    self.not_goods.push((row, beside));
                }
            }
        }
        self.currencies.sort_unstable_by_key(|(row, _)| *row);
        Ok(())
    }

    /// The files of other systems, and those without amounts that have prices.
    fn files_to_complete<'a>(&self, raw: &'a Raw) -> Result<Vec<&'a RawFile>> {
        let prices = raw.cells("prix")?;
        let is_priced = |file: &&RawFile| {
            file.known_by == KnownBy::Profile
                || (self.blanks[file.rows.clone()].iter().all(|blank| *blank)
                    && file.rows.clone().any(|row| prices.get(row).is_some()))
        };
        Ok(raw.files.iter().filter(is_priced).collect())
    }

    fn set(&mut self, row: usize, micros: Option<i64>) {
        self.amounts[row] = micros.map(in_units);
        if micros.is_some() {
            self.ambiguous[row] = false;
            self.blanks[row] = false;
        }
    }

    fn micros(&self, row: usize) -> Option<i64> {
        self.amounts[row].map(in_millionths)
    }

    fn complete_orders(
        &mut self,
        raw: &Raw,
        fields: &Fields<'_>,
        orders: &[IdCell],
        kinds: &[Option<RowKind>],
        options: &CleaningOptions,
    ) {
        // A row without a number is an order of its own.
        let mut groups: BTreeMap<(Option<String>, i64), Vec<usize>> = BTreeMap::new();
        for row in fields.file.rows.clone() {
            let order = orders[row].text();
            let line = if order.is_none() { raw.line(row) } else { 0 };
            groups.entry((order, line)).or_default().push(row);
        }
        let mut differences: Vec<(usize, i64)> = Vec::new();
        for group in groups.values() {
            let (own, made): (Vec<usize>, Vec<usize>) =
                group.iter().partition(|row| is_own(kinds, **row));
            let Some(first) = own.first().copied() else { continue };
            let order = Order::of(|column| own.iter().find_map(|row| fields.get(column, *row)));
            let lines: Option<Vec<i64>> = own.iter().map(|row| self.micros(*row)).collect();
            let by_record = fields.columns.contains_key("montant_commande")
                && order.subtotal.is_none()
                && order.gross_subtotal.is_none();
            if by_record {
                for record in own.chunk_by(|a, b| raw.line(*a) == raw.line(*b)) {
                    let known = record.iter().find_map(|row| fields.get("montant_commande", *row));
                    if let Some(amount) = known {
                        self.share(fields, record, amount, None);
                    }
                }
            } else {
                let sum = lines
                    .as_ref()
                    .map(|lines| lines.iter().fold(0, |sum: i64, one| sum.saturating_add(*one)));
                if let Some(difference) = order.difference(sum) {
                    differences.push((first, difference));
                }
                if let Some(goods) = order.goods(sum, options.rules.revenue) {
                    if sum != Some(goods) {
                        self.share(fields, &own, goods, lines.as_deref());
                    }
                    let beside = order.beside(goods, options.rules.revenue);
                    if beside != 0 {
                        self.not_goods.push((first, beside));
                    }
                }
            }
            self.cap_refunds(&own, &made, kinds);
        }
        self.note_differences(raw, fields.file, &differences);
    }

    /// Gives lines their shares of an amount of their order, in proportion to what they are worth.
    fn share(&mut self, fields: &Fields<'_>, rows: &[usize], amount: i64, lines: Option<&[i64]>) {
        if let [row] = rows {
            self.set(*row, Some(amount));
            return;
        }
        let of = |name: &str| -> Option<Vec<i64>> {
            rows.iter().map(|row| fields.get(name, *row)).collect()
        };
        let worth = || -> Option<Vec<i64>> { rows.iter().map(|row| fields.worth(*row)).collect() };
        let is_proportional = lines.is_some_and(is_usable);
        let weights = lines
            .filter(|lines| is_usable(lines))
            .map(<[i64]>::to_vec)
            .or_else(|| worth().filter(|weights| is_usable(weights)))
            .or_else(|| of("quantite").filter(|weights| is_usable(weights)))
            .unwrap_or_else(|| vec![1; rows.len()]);
        for (row, share) in rows.iter().zip(spread(amount, &weights)) {
            self.set(*row, Some(share));
            if !is_proportional {
                self.shared.push(*row);
            }
        }
    }

    /// A refunded amount gives goods back first, then what is no goods; of several, the later ones give
    /// back no more than is left.
    fn cap_refunds(&mut self, own: &[usize], made: &[usize], kinds: &[Option<RowKind>]) {
        let Some(first) = own.first().copied().filter(|_| !made.is_empty()) else { return };
        let is_goods = |row: usize| kinds.get(row).copied().flatten() != Some(RowKind::NotGoods);
        let sold = |is_counted: &dyn Fn(usize) -> bool| {
            let amounts =
                own.iter().filter(|row| is_counted(**row)).filter_map(|row| self.micros(*row));
            amounts.fold(0_i64, |sum, amount| sum.saturating_add(amount.max(0)))
        };
        let mut goods = sold(&is_goods);
        let of_order = |entry: &&(usize, i64)| own.contains(&entry.0);
        let beside: i64 = self.not_goods.iter().rev().take(1).filter(of_order).map(|e| e.1).sum();
        let mut beside = beside.saturating_add(sold(&|row| !is_goods(row)));
        for (index, row) in made.iter().enumerate() {
            let refund = self.micros(*row).map_or(0, |micros| -micros);
            if refund <= 0 {
                continue;
            }
            let of_goods = refund.min(goods.max(0));
            let of_beside = (refund - of_goods).min(beside.max(0));
            let more = if index == 0 { refund - of_goods - of_beside } else { 0 };
            (goods, beside) = (goods - of_goods, beside - of_beside);
            self.set(*row, Some(-(of_goods + more)));
            if of_beside > 0 {
                self.not_goods.push((first, -of_beside));
            }
        }
    }

    fn note_differences(&mut self, raw: &Raw, file: &RawFile, differences: &[(usize, i64)]) {
        let Some((row, _)) = differences.first() else { return };
        let sum = differences.iter().fold(0_i64, |sum, (_, one)| sum.saturating_add(one.abs()));
        self.notes.push(format!(
            "{}: the totals of {} differ from what their lines, shipping and tax add up to, by {} in all; for example the order on line {}",
            file.name,
            counted(differences.len(), "order"),
            shown(sum),
            raw.line(*row)
        ));
    }
}

/// Whether a row is one of the file, rather than made of a refunded amount.
fn is_own(kinds: &[Option<RowKind>], row: usize) -> bool {
    !kinds.get(row).copied().flatten().is_some_and(RowKind::is_made)
}

impl Fields<'_> {
    fn rows(&self) -> &Range<usize> {
        &self.file.rows
    }

    fn get(&self, column: &str, row: usize) -> Option<i64> {
        self.columns.get(column)?[row - self.rows().start]
    }

    /// Quantity × price.
    fn worth(&self, row: usize) -> Option<i64> {
        let product = i128::from(self.get("quantite", row)?) * i128::from(self.get("prix", row)?);
        i64::try_from(half_even(product, 1_000_000)).ok()
    }

    /// Whether a row's amount is quantity × price and it is neither sold nor given back for money.
    fn is_stock_correction(&self, row: usize) -> bool {
        let is_negative = self.get("quantite", row).is_some_and(|units| units < 0);
        is_negative && !self.columns.contains_key("montant") && self.worth(row) == Some(0)
    }

    /// The amount of one row, before its order's amounts.
    fn line(&self, row: usize, kind: Option<RowKind>) -> Option<i64> {
        match kind {
            Some(RowKind::RefundedAmount) => {
                let amount = self.get("remboursement", row).or_else(|| self.get("litige", row))?;
                return Some(-amount.abs());
            }
            // Known once the rows of its record are.
            Some(RowKind::RefundedStatus) => return Some(0),
            _ => {}
        }
        let amount = if self.columns.contains_key("montant") {
            self.get("montant", row)?
        } else {
            self.worth(row)?
        };
        let discount = self.get("remise", row).map_or(0, i64::abs);
        if discount == 0 || self.is_discounted() {
            return Some(amount);
        }
        // A discount takes no more than there is.
        Some(amount - amount.signum() * discount.min(amount.abs()))
    }

    /// Whether amounts are after their line's discount: wherever there is one, quantity × price is
    /// that much more.
    fn is_discounted(&self) -> bool {
        let mut seen = false;
        for row in self.rows().clone() {
            let discount = self.get("remise", row).map_or(0, i64::abs);
            let (Some(amount), Some(worth)) = (self.get("montant", row), self.worth(row)) else {
                continue;
            };
            if discount != 0 {
                if (amount - (worth - discount)).abs() > CENT {
                    return false;
                }
                seen = true;
            }
        }
        seen
    }
}
