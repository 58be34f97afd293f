//! The typed values of purchases and the first reason not to serve a row.
//!
//! What rows mean together, as lines of orders or versions of one another, is decided later.

use polars::prelude::*;
use rayon::join;

use super::columns::{RowKind, SURPLUS};
use super::layer::{CleaningOptions, CleaningRules};
use super::order_money::Money;
use super::raw::{IdCell, Raw, Values};
use super::raw_table::{KnownBy, RawFile};
use super::values::amounts;
use super::values::currency;
use super::values::identifiers;
use crate::domain::account::{in_millionths, in_units};
use crate::domain::file_rows::ColumnForm;
use crate::domain::reasons::{OTHER_CURRENCY, TOTAL_ROW};
use crate::domain::time::Timestamp;
use crate::pipeline::{PipelineError, Result};

/// Words for "no customer", lower case.
const GUESTS: &[&str] = &["0", "0.0", "-", "guest", "invité", "gast"];
/// Words for a row of totals, lower case.
const TOTALS: &[&str] = &[
    "total",
    "totals",
    "grand total",
    "total général",
    "totaux",
    "sum",
    "somme",
    "summe",
    "gesamt",
    "gesamtsumme",
    "totale",
    "subtotal",
    "sous-total",
    "zwischensumme",
];
/// The greatest price that is believed: beyond it, sums of squares could overflow.
const MAX_PRICE: f64 = 1e12;
/// The greatest amount that is counted exactly in millionths.
const MAX_AMOUNT: f64 = 1e12;

/// What stands for the currency where no file names one; those of the older systems are in euros.
pub(super) const UNKNOWN_CURRENCY: &str = "unknown";
/// Texts of a currency column that are told apart: one with more than there are currencies holds something else.
const MAX_CURRENCIES: usize = 500;
/// What stands for all others; it is never served.
const TOO_MANY_CURRENCIES: &str = "?";

/// The values of every row, in reading order.
pub(super) struct PurchaseRows {
    /// Why a row is not served; `None` for those that are.
    pub(super) reasons: Vec<Option<&'static str>>,
    pub(super) orders: Vec<IdCell>,
    pub(super) customers: Vec<IdCell>,
    /// What each row is; empty where every row is just what its amount says.
    pub(super) kinds: Vec<Option<RowKind>>,
    /// Millionths of a row's order that are no goods.
    pub(super) not_goods: Vec<(usize, i64)>,
    /// Rows whose amount is a share of what is known for the order only.
    pub(super) shared: Vec<usize>,
    /// Microseconds.
    pub(super) at: Vec<Option<i64>>,
    pub(super) amounts: Vec<Option<f64>>,
    /// The amounts in millionths, 0 where there is none.
    pub(super) micros: Vec<i64>,
    pub(super) products: StringChunked,
    pub(super) quantities: Vec<Option<i64>>,
    pub(super) prices: Vec<Option<f64>>,
    pub(super) currencies: Currencies,
    /// The currency that is served; `None` where no row names one.
    pub(super) currency: Option<String>,
    /// Sentences about how files were read, where that is not plain.
    pub(super) notes: Vec<String>,
    /// How columns of each file were read, with the file's position.
    pub(super) forms: Vec<(usize, ColumnForm)>,
    /// Rows with an optional value that cannot be read, by warning.
    pub(super) unreadable: Vec<(&'static str, Vec<usize>)>,
}

impl PurchaseRows {
    /// Reads every row and finds the first reason that applies to it alone.
    pub(super) fn read(raw: &Raw, options: &CleaningOptions) -> Result<Self> {
        let mut kinds = raw.kinds()?;
        // Columns are read beside one another: each is a pass over all rows.
        let ((money, dates), (products, (units, prices))) = join(
            || (Money::read(raw), raw.dates("date_achat", options.rules.date_order)),
            || (raw.names("produit"), (quantities(raw), prices(raw))),
        );
        let (mut money, dates, products) = (money?, dates?, products?);
        let ((quantities, odd_quantities), (prices, odd_prices)) = (units?, prices?);
        let (at, no_date) = (dates.cells, dates.blanks);
        let totals = total_rows(raw, &money.micros_below(MAX_AMOUNT), &no_date)?;
        let is_refund = refund_numbers(raw)?;
        let is_counted = |row: usize| !totals[row] && !is_refund(row);
        let (orders, customers) = join(
            || raw.identifiers("id_achat", &["0"], is_counted),
            || raw.identifiers("id_client", GUESTS, |row| !totals[row]),
        );
        let (orders, customers) = (with_shown_numbers(raw, orders?)?, customers?);
        money.complete(raw, &orders, &kinds, options)?;
        let Money { mut amounts, blanks: no_amount, ambiguous, currencies, .. } = money;
        for amount in &mut amounts {
            *amount = amount.filter(|amount| amount.abs() <= MAX_AMOUNT);
        }
        let micros: Vec<i64> =
            amounts.iter().map(|amount| amount.map_or(0, in_millionths)).collect();
        check_sums_fit(&micros)?;
        if !money.stock.is_empty() {
            kinds.resize(raw.height(), None);
            money.stock.iter().for_each(|row| kinds[*row] = Some(RowKind::NotASale));
        }
        let mut notes = money.notes;
        notes.extend(dates.notes);
        let forms = dates.forms.into_iter().chain(money.forms).collect();
        let mut rows = Self {
            reasons: vec![None; raw.height()],
            orders,
            customers,
            kinds,
            not_goods: money.not_goods,
            shared: money.shared,
            at,
            micros,
            products,
            quantities,
            prices,
            currencies: named_currencies(raw, &currencies, options)?,
            currency: None,
            unreadable: vec![
                ("unreadable_quantite", odd_quantities),
                ("unreadable_prix", odd_prices),
            ],
            amounts,
            notes,
            forms,
        };
        rows.judge(raw, &totals, (&no_amount, &no_date), &ambiguous, options)?;
        rows.choose_currency(options);
        let is_goldsmith = |file: &RawFile| file.known_by == KnownBy::Goldsmith;
        if rows.currency.is_none() && !raw.files.iter().all(is_goldsmith) {
            rows.currency = Some(UNKNOWN_CURRENCY.to_owned());
        }
        Ok(rows)
    }

    /// Finds the first reason that applies to each row alone.
    fn judge(
        &mut self,
        raw: &Raw,
        totals: &[bool],
        (no_amount, no_date): (&[bool], &[bool]),
        ambiguous: &[bool],
        options: &CleaningOptions,
    ) -> Result<()> {
        let rows = self;
        let surplus = raw.cells(SURPLUS)?;
        let has_orders = has_orders(raw)?;
        for row in 0..raw.height() {
            rows.reasons[row] = if totals[row] {
                Some(TOTAL_ROW)
            } else if surplus.get(row).is_some() {
                Some("malformed_row")
            } else if !rows.is_identified(row, has_orders[raw.file_of(row)]) {
                Some("invalid_id")
            } else if rows.kind(row) == Some(RowKind::NotASale) {
                // What it would have been worth does not matter, nor when.
                None
            } else if no_amount[row] || no_date[row] {
                Some("missing_value")
            } else {
                rows.value_reason(row, ambiguous[row], options)
            };
        }
        Ok(())
    }

    /// What a row is, if it is not just what its amount says.
    pub(super) fn kind(&self, row: usize) -> Option<RowKind> {
        self.kinds.get(row).copied().flatten()
    }

    /// Whether order and customer can be told; a guest is no error.
    fn is_identified(&self, row: usize, has_orders: bool) -> bool {
        let order = &self.orders[row];
        let is_order = order.is_identifier() || (*order == IdCell::Blank && !has_orders);
        let customer = &self.customers[row];
        is_order && (customer.is_identifier() || matches!(customer, IdCell::Blank | IdCell::Guest))
    }

    fn value_reason(
        &self,
        row: usize,
        is_ambiguous: bool,
        options: &CleaningOptions,
    ) -> Option<&'static str> {
        let Some(at) = self.at[row] else { return Some("invalid_date") };
        if at < options.rules.min_date.0 || at > options.run_start.0 {
            return Some("date_out_of_range");
        }
        match self.amounts[row] {
            None if is_ambiguous => Some("ambiguous_amount"),
            None => Some("invalid_amount"),
            Some(amount) if options.rules.max_amount.is_some_and(|most| amount.abs() > most) => {
                Some("amount_out_of_range")
            }
            Some(_) => None,
        }
    }

    /// Serves the currency of the settings, else the one that most rows name, and leaves out others that cannot
    /// be converted.
    fn choose_currency(&mut self, options: &CleaningOptions) {
        let mut counts: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
        // Each row alone: its own day decides whether there is a rate.
        let has_rate = |rows: &Self, row: usize, code: &str| {
            let day = rows.at[row].map(|at| Timestamp(at).day());
            day.is_some_and(|day| options.rules.rates.on(code, day).is_some())
        };
        let is_judged = |rows: &Self, row: usize| {
            rows.reasons[row].is_none() && rows.kind(row) != Some(RowKind::NotASale)
        };
        if self.currencies.of_rows.is_empty() {
            self.currency.clone_from(&options.rules.currency);
            return;
        }
        for row in (0..self.reasons.len()).filter(|row| is_judged(self, *row)) {
            let named = self.currencies.get(row).filter(|code| *code != TOO_MANY_CURRENCIES);
            if let Some(currency) = named {
                *counts.entry(currency).or_default() += 1;
            }
        }
        let most = counts.iter().max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(a.0)));
        let named = most.map(|(currency, _)| (*currency).to_owned());
        self.currency = options.rules.currency.clone().or(named);
        for row in 0..self.reasons.len() {
            let other =
                self.currencies.get(row).filter(|code| Some(*code) != self.currency.as_deref());
            if other.is_some_and(|code| !has_rate(self, row, code)) && is_judged(self, row) {
                self.reasons[row] = Some(OTHER_CURRENCY);
            }
        }
    }

    /// Served rows that look wrong, by warning.
    pub(super) fn warnings(&self) -> Vec<(&'static str, u64)> {
        let served = |rows: &Vec<usize>| {
            rows.iter().filter(|row| self.reasons[**row].is_none()).count() as u64
        };
        let mut warnings: Vec<(&'static str, u64)> =
            self.unreadable.iter().map(|(warning, rows)| (*warning, served(rows))).collect();
        // A refund without one is of all products of its order.
        let is_missing = |row: &usize| {
            self.reasons[*row].is_none()
                && self.micros[*row] >= 0
                && self.products.get(*row).is_none()
        };
        let missing = (0..self.reasons.len()).filter(is_missing).count() as u64;
        warnings.push(("missing_produit", missing));
        warnings
    }

    /// The number of each row's order; a row without one has a number made of its content.
    pub(super) fn order_numbers(&self, raw: &Raw) -> Vec<i64> {
        let mut seen: PlHashMap<(usize, i64), i64> = PlHashMap::default();
        let number = |(row, order): (usize, &IdCell)| match order {
            IdCell::Number(number) => *number,
            IdCell::Text(text) => identifiers::order_number(text),
            _ => {
                let content = self.content_number(row);
                let occurrence = seen.entry((raw.file_of(row), content)).or_insert(0);
                *occurrence += 1;
                identifiers::hashed_number(&[&content.to_string(), &occurrence.to_string()])
            }
        };
        self.orders.iter().enumerate().map(number).collect()
    }

    /// A number made of what a row says.
    fn content_number(&self, row: usize) -> i64 {
        let text = |value: Option<String>| value.unwrap_or_default() + "\u{1f}";
        identifiers::hashed_number(&[
            &text(self.customers[row].text()),
            &text(self.at[row].map(|at| at.to_string())),
            &text(Some(self.micros[row].to_string())),
            &text(self.products.get(row).map(str::to_owned)),
            &text(self.quantities[row].map(|quantity| quantity.to_string())),
        ])
    }
}

/// Whether the order number of a row is that of a refund: it begins with the profile's prefix, or with a
/// C before digits where units or amount are negative.
fn refund_numbers(raw: &Raw) -> Result<impl Fn(usize) -> bool> {
    let (orders, units, amounts) =
        (raw.cells("id_achat")?, raw.cells("quantite")?, raw.cells("montant")?);
    let is_negative = move |cells: &StringChunked, row: usize| {
        cells.get(row).is_some_and(|cell| cell.trim_start().starts_with(['-', '(']))
    };
    Ok(move |row: usize| {
        let Some(order) = orders.get(row).map(str::trim) else { return false };
        let prefix = raw.files[raw.file_of(row)].reading.refund_prefix.as_deref();
        let is_numbered = order.strip_prefix(['C', 'c']).is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        });
        prefix.is_some_and(|prefix| order.starts_with(prefix))
            || (is_numbered && (is_negative(units, row) || is_negative(amounts, row)))
    })
}

/// Knows orders whose number a spreadsheet has shortened by the number that the shop shows, and orders that are
/// known by that one only by their own, where another row has both.
fn with_shown_numbers(raw: &Raw, mut orders: Vec<IdCell>) -> Result<Vec<IdCell>> {
    if raw.cells_if_any("ref_commande")?.is_none() {
        return Ok(orders);
    }
    let shown = raw.texts("ref_commande")?;
    complete_shortened(&shown, &mut orders);
    unify_orders(&shown, &mut orders);
    Ok(orders)
}

fn complete_shortened(shown: &StringChunked, orders: &mut [IdCell]) {
    for (order, shown) in orders.iter_mut().zip(shown.iter()) {
        if let Some(shown) = shown.filter(|_| *order == IdCell::Invalid) {
            *order = IdCell::Text(shown.to_owned());
        }
    }
}

fn unify_orders(shown: &StringChunked, orders: &mut [IdCell]) {
    let mut known: PlHashMap<&str, IdCell> = PlHashMap::default();
    for (shown, order) in shown.iter().zip(orders.iter()) {
        if let Some(shown) =
            shown.filter(|shown| order.is_identifier() && order.text().as_deref() != Some(*shown))
        {
            known.entry(shown).or_insert_with(|| order.clone());
        }
    }
    for (shown, order) in shown.iter().zip(orders.iter_mut()) {
        let own = shown.filter(|shown| order.text().as_deref() == Some(*shown));
        if let Some(number) = own.and_then(|shown| known.get(shown)) {
            *order = number.clone();
        }
    }
}

/// Whether each file has order numbers.
fn has_orders(raw: &Raw) -> Result<Vec<bool>> {
    let cells = raw.cells("id_achat")?;
    let has = |file: &RawFile| file.rows.clone().any(|row| cells.get(row).is_some());
    Ok(raw.files.iter().map(has).collect())
}

/// Checks that no sum of these amounts leaves the exact range.
///
/// # Errors
/// [`PipelineError::Overflow`].
pub(super) fn check_sums_fit(micros: &[i64]) -> Result<()> {
    let sum: u128 = micros.iter().map(|amount| u128::from(amount.unsigned_abs())).sum();
    if sum <= u128::from(i64::MAX.unsigned_abs()) {
        return Ok(());
    }
    let most = micros.iter().map(|amount| amount.unsigned_abs()).max().unwrap_or(0);
    let max = in_units(i64::try_from(most).unwrap_or(i64::MAX));
    Err(PipelineError::Overflow { rows: micros.len(), max })
}

/// The rows that hold the total of those above: no date, and either the sum of all amounts above in
/// the file or a word for total.
fn total_rows(raw: &Raw, micros: &[i64], no_date: &[bool]) -> Result<Vec<bool>> {
    let columns = ["id_achat", "id_client", "produit", "date_achat"];
    let cells: Vec<&StringChunked> =
        columns.iter().map(|column| raw.cells(column)).collect::<Result<_>>()?;
    let has_word = |row: usize| {
        let mut words = cells.iter().filter_map(|cells| cells.get(row));
        words.any(|text| {
            let text = text.trim().trim_end_matches([':', '.']).trim_end();
            text.len() <= 20 && TOTALS.contains(&text.to_lowercase().as_str())
        })
    };
    let mut totals = vec![false; raw.height()];
    for file in &raw.files {
        let (mut sum, mut above) = (0_i64, 0);
        for row in file.rows.clone() {
            let is_sum = above > 1 && micros[row] == sum && sum != 0;
            totals[row] = no_date[row] && (is_sum || has_word(row));
            if !totals[row] {
                sum = sum.saturating_add(micros[row]);
                above += 1;
            }
        }
    }
    Ok(totals)
}

/// Units, positive; and the rows whose cell is filled and no number of units.
fn quantities(raw: &Raw) -> Result<(Vec<Option<i64>>, Vec<usize>)> {
    let mut odd = Vec::new();
    let cells = raw.texts("quantite")?;
    let quantity = |(row, cell): (usize, Option<&str>)| {
        let cell = cell?;
        let whole = cell.split_once('.').filter(|(_, zeros)| zeros.bytes().all(|b| b == b'0'));
        let whole = whole.map_or(cell, |(whole, _)| whole);
        // Refunds have negative ones.
        let quantity =
            whole.parse::<i64>().ok().map(i64::saturating_abs).filter(|units| *units > 0);
        if quantity.is_none() {
            odd.push(row);
        }
        quantity
    };
    Ok((cells.iter().enumerate().map(quantity).collect(), odd))
}

/// Unit prices; and the rows whose cell is filled and no believable price.
fn prices(raw: &Raw) -> Result<(Vec<Option<f64>>, Vec<usize>)> {
    let Values { cells: prices, blanks: no_price, .. } = raw.amounts("prix")?;
    let plausible = |price: Option<f64>| price.filter(|price| price.abs() <= MAX_PRICE);
    let prices: Vec<Option<f64>> = prices.values.into_iter().map(plausible).collect();
    let odd = (0..prices.len()).filter(|row| prices[*row].is_none() && !no_price[*row]).collect();
    Ok((prices, odd))
}

/// The currency that each row names, in its column or with its amount, else the one of its file.
fn named_currencies(
    raw: &Raw,
    signs: &[(usize, &'static str)],
    options: &CleaningOptions,
) -> Result<Currencies> {
    let cells = raw.texts("devise")?;
    // Those that the settings name are told apart whatever else there is.
    let CleaningRules { currency, rates, .. } = &options.rules;
    let codes = currency.iter().map(String::as_str).chain(rates.currencies());
    let mut currencies =
        Currencies { codes: codes.map(str::to_owned).collect(), of_rows: Vec::new() };
    if cells.null_count() < cells.len() {
        for (row, cell) in cells.iter().enumerate() {
            let Some(cell) = cell else { continue };
            let with_amount = || amounts::currency_of(cell).map(str::to_owned);
            // What stands beside an amount and is no known sign names none.
            let other =
                || Some(cell.to_uppercase()).filter(|_| !cell.contains(|c: char| c.is_numeric()));
            if let Some(code) = currency::code(cell).or_else(with_amount).or_else(other) {
                currencies.set(row, &code, raw.height());
            }
        }
    }
    for (row, code) in signs {
        // The sign of the amount is nearer to it than another cell.
        if currencies.get(*row).is_some_and(|named| !currency::may_be(code, named)) {
            currencies.of_rows[*row] = 0;
        }
        currencies.set(*row, code, raw.height());
    }
    for file in &raw.files {
        if let Some(usual) = &file.reading.currency {
            file.rows.clone().for_each(|row| currencies.set(row, usual, raw.height()));
        }
    }
    Ok(currencies)
}

/// The currency that each row names.
#[derive(Debug, Default)]
pub(super) struct Currencies {
    codes: Vec<String>,
    /// For each row the position of its code, from 1; 0 for none. Empty when no row names one.
    of_rows: Vec<u16>,
}

impl Currencies {
    pub(super) fn get(&self, row: usize) -> Option<&str> {
        let position = usize::from(*self.of_rows.get(row)?).checked_sub(1)?;
        self.codes.get(position).map(String::as_str)
    }

    /// Gives a row of so many a currency, unless it has one.
    fn set(&mut self, row: usize, code: &str, rows: usize) {
        if self.of_rows.is_empty() {
            self.of_rows = vec![0; rows];
        }
        if self.of_rows[row] > 0 {
            return;
        }
        let find = |codes: &[String], code: &str| codes.iter().position(|known| known == code);
        let position = find(&self.codes, code).unwrap_or_else(|| {
            let is_full = self.codes.len() >= MAX_CURRENCIES;
            let code = if is_full { TOO_MANY_CURRENCIES } else { code };
            find(&self.codes, code).unwrap_or_else(|| {
                self.codes.push(code.to_owned());
                self.codes.len() - 1
            })
        });
        self.of_rows[row] = u16::try_from(position + 1).unwrap_or(0);
    }
}
