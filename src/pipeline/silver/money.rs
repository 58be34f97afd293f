//! The account of the money in purchases.

use std::collections::BTreeMap;

use super::orders::Resolved;
use super::purchase_rows::PurchaseRows;
use super::raw::Raw;
use crate::domain::account::{Account, Entry};
use crate::domain::reasons::{
    NOT_A_SALE, NOT_GOODS, NOTHING, OTHER_CURRENCY, REPEATED, SET_ASIDE, SUPERSEDED,
};
use crate::pipeline::{PipelineError, Result};

/// What accounts are made from.
pub(super) struct Accounting<'a> {
    pub(super) raw: &'a Raw,
    pub(super) rows: &'a PurchaseRows,
    /// The amounts as they were read, millionths.
    pub(super) read: &'a [i64],
    pub(super) resolved: &'a Resolved,
}

impl Accounting<'_> {
    /// One account per file and currency, by file.
    ///
    /// # Errors
    /// [`PipelineError::Proof`] when one does not balance.
    pub(super) fn accounts(&self) -> Result<Vec<Account>> {
        let mut accounts: BTreeMap<(usize, Option<&str>), Account> = BTreeMap::new();
        // Cells of a row with too many may stand below another header.
        let is_shifted = |row: usize| self.rows.reasons[row] == Some("malformed_row");
        let currency = |row: usize| self.rows.currencies.get(row).filter(|_| !is_shifted(row));
        for (position, file) in self.raw.files.iter().enumerate() {
            let mut rows = file.rows.clone().peekable();
            while let Some(first) = rows.peek().copied() {
                let named = currency(first);
                let account = accounts.entry((position, named)).or_insert_with(|| Account {
                    file: file.name.clone(),
                    currency: named.map(str::to_owned),
                    ..Account::default()
                });
                while let Some(row) = rows.next_if(|row| currency(*row) == named) {
                    self.enter(account, row);
                }
            }
        }
        for (row, sum) in &self.resolved.repeated_totals {
            // The reason came before the order's total was spread.
            if self.rows.reasons[*row].is_none() {
                let key = (self.raw.file_of(*row), self.rows.currencies.get(*row));
                if let Some(account) = accounts.get_mut(&key) {
                    self.add(&mut account.set_aside, REPEATED, *row, *sum);
                }
            }
        }
        for (row, sum) in &self.rows.not_goods {
            // What a row that is not served holds beside goods is not counted at all.
            if matches!(self.rows.reasons[*row], None | Some(NOT_GOODS)) {
                let key = (self.raw.file_of(*row), self.rows.currencies.get(*row));
                if let Some(account) = accounts.get_mut(&key) {
                    account.read += sum;
                    self.add(&mut account.set_aside, NOT_GOODS, *row, *sum);
                    if let Some(entry) = account.set_aside.get_mut(NOT_GOODS)
                        && *sum < 0
                    {
                        // What is given back of it is no further row.
                        entry.rows -= 1;
                    }
                }
            }
        }
        let accounts: Vec<Account> = accounts.into_values().collect();
        match accounts.iter().find(|account| account.explained() != account.read) {
            None => Ok(accounts),
            Some(account) => Err(PipelineError::Proof(format!(
                "the money of {}: read {} millionths, explained {}",
                account.file,
                account.read,
                account.explained()
            ))),
        }
    }

    fn enter(&self, account: &mut Account, row: usize) {
        account.read += self.read[row];
        match self.rows.reasons[row] {
            None if self.rows.micros[row] < 0 => {
                account.refunds -= self.rows.micros[row];
                account.refund_rows += 1;
            }
            None => {
                account.sales += self.rows.micros[row];
                account.sale_rows += 1;
            }
            Some(NOTHING) => {}
            Some(reason) if SET_ASIDE.contains(&reason) => {
                self.add(&mut account.set_aside, reason, row, self.read[row]);
            }
            Some(reason) => self.add(&mut account.left_out, reason, row, self.read[row]),
        }
    }

    fn add(&self, entries: &mut BTreeMap<String, Entry>, reason: &str, row: usize, sum: i64) {
        if !entries.contains_key(reason) {
            let value = self.example(reason, row).unwrap_or_default();
            let entry = Entry { line: self.raw.line(row), value, ..Entry::default() };
            entries.insert(reason.to_owned(), entry);
        }
        if let Some(entry) = entries.get_mut(reason) {
            entry.rows += 1;
            entry.without_amount += u64::from(self.rows.amounts[row].is_none());
            entry.sum += sum;
        }
    }
}

impl Accounting<'_> {
    /// The filled cell that a reason is about.
    fn example(&self, reason: &str, row: usize) -> Option<String> {
        let reading = &self.raw.files[self.raw.file_of(row)].reading;
        let usual: Vec<&str> = match reason {
            NOT_A_SALE => reading.statuses.iter().map(|status| status.column.as_str()).collect(),
            NOT_GOODS => vec!["livraison", "livraison_ligne", "total", "produit"],
            "invalid_id" if self.rows.orders[row].is_identifier() => vec!["id_client"],
            reason => vec![column_of(reason)],
        };
        let amounts = ["montant", "montant_commande", "prix", "sous_total", "total"];
        // A currency may stand with the amount.
        let is_amount = usual == ["montant"] || reason == OTHER_CURRENCY;
        let columns = usual.into_iter().chain(amounts.into_iter().filter(|_| is_amount));
        columns.into_iter().find_map(|column| {
            let cell = self.raw.cells_if_any(column).ok()??.get(row)?.trim().to_owned();
            (!cell.is_empty()).then_some(cell)
        })
    }
}

/// The column that a reason is about.
fn column_of(reason: &str) -> &'static str {
    match reason {
        "invalid_date" | "date_out_of_range" => "date_achat",
        "orphan_client" => "id_client",
        "invalid_id" | REPEATED | SUPERSEDED => "id_achat",
        OTHER_CURRENCY => "devise",
        _ => "montant",
    }
}
