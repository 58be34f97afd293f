//! Purchases: lines of orders, refunds and what is neither.
//!
//! `purchase_rows.rs` judges each row alone, `orders.rs` rows that share an order; this puts both
//! together and makes the frame of lines.

use std::fmt::Write as _;

use polars::prelude::*;
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use rayon::join;

use super::buyers::Buyers;
use super::checks::{earliest_future, rejected_rows, set_aside, take_instants, unify_spelling};
use super::cleaned::{Cleaned, Earlier, ReadRows, Rules};
use super::columns::RowKind;
use super::conversion::convert;
use super::customer::Listed;
use super::found::FoundCustomers;
use super::kinds::{is_same_record, judge_kinds};
use super::layer::{CleaningOptions, Unlisted};
use super::money::Accounting;
use super::order_lines::{Line, LineRows, lines_of, number_lines};
use super::orders::{OrderRows, Resolved, resolve};
use super::preview::{self, file_rows};
use super::purchase_rows::PurchaseRows;
use super::raw::{IdCell, Raw};
use super::raw_table::RawTable;
use super::sentences::{findings, unlisted_sentences};
use super::unread::unread_statuses;
use crate::domain::account::in_units;
use crate::domain::data_set::DataSet;
use crate::domain::reasons::ORPHAN;
use crate::pipeline::Result;
use crate::pipeline::orders::SALE;
use crate::pipeline::types::INSTANT;

pub(super) const RULES: Rules =
    Rules { read: |raw, options| Ok(Box::new(Purchases::read(raw, options)?)) };

/// The values of purchases.
struct Purchases {
    raw: Raw,
    rows: PurchaseRows,
}

impl ReadRows for Purchases {
    fn clean(self: Box<Self>, options: &CleaningOptions, earlier: &Earlier) -> Result<Cleaned> {
        let customers = &earlier.valid[DataSet::Customers];
        let listed = Listed::of(customers, &earlier.phones, options.rules.customers_by_name)?;
        let mut cleaned = self.judge(options, &listed)?;
        let early = before_signup(customers, &cleaned.valid)?;
        cleaned.warnings.push(("purchases_before_signup", early));
        Ok(cleaned)
    }
}

/// The type of a line that was given back.
const REFUND: &str = "refund";

/// Reads every raw row against the listed customers. The valid rows are lines, ascending by
/// id_achat.
pub(super) fn clean(
    table: RawTable,
    options: &CleaningOptions,
    listed: &Listed,
) -> Result<Cleaned> {
    Purchases::read(table, options)?.judge(options, listed)
}

impl Purchases {
    fn read(table: RawTable, options: &CleaningOptions) -> Result<Self> {
        let raw = Raw::new(table, &options.rules)
            .in_order("date_achat", options.rules.date_order)?
            .with_joined_parts()?;
        let mut rows = PurchaseRows::read(&raw, options)?;
        rows.products = unify_spelling(&rows.products, |row| rows.reasons[row].is_none());
        Ok(Self { raw, rows })
    }

    /// Decides about every row, against the listed customers.
    fn judge(self, options: &CleaningOptions, listed: &Listed) -> Result<Cleaned> {
        let Self { raw, mut rows } = self;
        let buyers = Buyers::find(&raw, &rows, listed, options)?;
        let orders = rows.order_numbers(&raw);
        let mut read = rows.micros.clone();
        let numbers: Vec<i64> = buyers.numbers.iter().map(|buyer| buyer.unwrap_or(0)).collect();
        let resolved =
            resolve(&mut order_rows(&raw, &mut rows, &orders, &numbers), options.rules.repeated_id);
        judge_kinds(&raw, &mut rows, &orders, &mut read, options);
        let unlisted = reject_unlisted(&mut rows, &buyers, listed, options);
        let accounting = Accounting { raw: &raw, rows: &rows, read: &read, resolved: &resolved };
        let mut accounts = accounting.accounts()?;
        convert(&raw, &mut rows, &orders, &options.rules.rates, &mut accounts)?;
        for row in &resolved.spread {
            rows.amounts[*row] = Some(in_units(rows.micros[*row]));
        }
        let rows = &rows;
        let about = || {
            let accounting = Accounting { raw: &raw, rows, read: &read, resolved: &resolved };
            let mut sentences = raw.notes.clone();
            sentences.extend(rows.notes.iter().cloned());
            sentences.extend(findings(&accounting, &accounts, &buyers.numbers, options));
            sentences.extend(unlisted_sentences(&accounting, &unlisted, listed));
            sentences.extend(unread_statuses(&raw, rows)?);
            let found = FoundCustomers::collect(&raw, rows, &buyers)?;
            let example = |row| preview::purchase(&raw, rows, &buyers.numbers, row);
            let files = file_rows(&raw, &rows.reasons, &rows.forms, example);
            Result::Ok((sentences, found, files))
        };
        let (about, valid) = join(about, || lines(&raw, rows, &buyers.numbers, &orders, &resolved));
        let ((sentences, found, files), valid) = (about?, valid?);
        let mut warnings = rows.warnings();
        warnings.push(("unlisted_customer", unlisted.len() as u64));
        Ok(Cleaned {
            valid,
            rejected: rejected_rows(&raw, &rows.reasons)?,
            set_aside: set_aside(&rows.reasons),
            earliest_future: earliest_future(&rows.at, &rows.reasons, options.run_start),
            warnings,
            files,
            accounts,
            findings: sentences,
            found: Some(found),
            ..Cleaned::default()
        })
    }
}

/// The rows of purchases as orders need them.
fn order_rows<'a>(
    raw: &'a Raw,
    rows: &'a mut PurchaseRows,
    orders: &'a [i64],
    customers: &'a [i64],
) -> OrderRows<'a> {
    OrderRows {
        files: &raw.files,
        orders,
        micros: &mut rows.micros,
        at: &rows.at,
        customers,
        products: &rows.products,
        quantities: &rows.quantities,
        prices: &rows.prices,
        kinds: &rows.kinds,
        reasons: &mut rows.reasons,
    }
}

/// The served rows of customers who are not listed, unless they are rejected.
fn reject_unlisted(
    rows: &mut PurchaseRows,
    buyers: &Buyers,
    listed: &Listed,
    options: &CleaningOptions,
) -> Vec<usize> {
    let mut unlisted = Vec::new();
    if listed.is_empty() {
        return unlisted;
    }
    let known = buyers.numbers.iter().zip(&buyers.is_incomplete);
    for (row, (buyer, is_incomplete)) in known.enumerate() {
        if rows.reasons[row].is_none() && buyer.is_some() && is_incomplete.is_none() {
            match options.rules.unlisted {
                Unlisted::Customer => unlisted.push(row),
                Unlisted::Reject => rows.reasons[row] = Some(ORPHAN),
            }
        }
    }
    unlisted
}

/// The served rows as lines, ascending by id_achat.
fn lines(
    raw: &Raw,
    rows: &PurchaseRows,
    buyers: &[Option<i64>],
    orders: &[i64],
    resolved: &Resolved,
) -> Result<DataFrame> {
    let is_status: Vec<usize> = (0..rows.kinds.len())
        .filter(|row| rows.kind(*row) == Some(RowKind::RefundedStatus))
        .collect();
    // What a status gives back is its own record.
    let belongs = |refund: usize, sale: usize| {
        is_status.binary_search(&refund).is_err() || is_same_record(raw, refund, sale)
    };
    let PurchaseRows { micros, products, reasons, .. } = rows;
    let mut sold = lines_of(&LineRows { orders, micros, products, reasons }, belongs);
    let text = |row: usize| rows.orders[row].text().unwrap_or_else(|| orders[row].to_string());
    let mut keys = number_lines(orders, &sold, &resolved.repeated, text);
    if !keys.is_sorted_by_key(|key| key.0) {
        let mut order: Vec<usize> = (0..sold.len()).collect();
        order.sort_unstable_by_key(|line| keys[*line].0);
        keys = order.iter().map(|line| keys[*line]).collect();
        sold = order.iter().map(|line| sold[*line]).collect();
    }
    frame(raw, rows, buyers, orders, &keys, &sold)
}

/// Lines as a frame of silver; `keys` are their keys and numbers.
fn frame(
    raw: &Raw,
    rows: &PurchaseRows,
    buyers: &[Option<i64>],
    orders: &[i64],
    keys: &[(i64, i64)],
    sold: &[Line],
) -> Result<DataFrame> {
    let amount = |line: &Line| {
        let is_whole = line.micros == rows.micros[line.row];
        rows.amounts[line.row].filter(|_| is_whole).unwrap_or_else(|| in_units(line.micros))
    };
    let kind = |line: &Line| if rows.micros[line.row] < 0 { REFUND } else { SALE };
    let take = |texts: &StringChunked, row: fn(&Line) -> usize| -> Result<Column> {
        let index: IdxCa = sold.iter().map(|line| IdxSize::try_from(row(line)).ok()).collect();
        Ok(texts.take(&index)?.into_column())
    };
    let key = |value: fn(&(i64, i64)) -> i64| -> Result<Column> {
        Ok(Int64Chunked::from_vec("".into(), keys.iter().map(value).collect()).into_column())
    };
    let of = |line: &Line| line.row;
    // Beside one another: each is a pass over all lines.
    let columns: [(&str, &(dyn Fn() -> Result<Column> + Sync)); 13] = [
        ("id_achat", &|| key(|key| key.0)),
        ("id_client", &|| {
            let values: Int64Chunked = sold.iter().map(|line| buyers[line.row]).collect();
            Ok(values.into_column())
        }),
        ("date_achat", &|| take_instants(&rows.at, sold.iter().map(of))),
        ("montant", &|| {
            let amounts = sold.iter().map(amount).collect();
            Ok(Float64Chunked::from_vec("".into(), amounts).into_column())
        }),
        ("produit", &|| take(&rows.products, |line| line.product)),
        ("quantite", &|| {
            let values: Int64Chunked = sold.iter().map(|line| rows.quantities[line.row]).collect();
            Ok(values.into_column())
        }),
        ("prix", &|| {
            let values: Float64Chunked = sold.iter().map(|line| rows.prices[line.row]).collect();
            Ok(values.into_column())
        }),
        ("pays", &|| take(&raw.countries()?, of)),
        ("id_commande", &|| {
            let values = sold.iter().map(|line| orders[line.row]).collect();
            Ok(Int64Chunked::from_vec("".into(), values).into_column())
        }),
        ("ref_commande", &|| shown_orders(raw, rows, orders, sold)),
        ("ligne", &|| key(|key| key.1)),
        ("type", &|| {
            let kinds: StringChunked = sold.iter().map(|line| Some(kind(line))).collect();
            Ok(kinds.into_column())
        }),
        ("devise", &|| {
            let currency = rows.currency.as_deref();
            let values: StringChunked = sold.iter().map(|_| currency).collect();
            Ok(values.into_column())
        }),
    ];
    let column = |(name, make): &(&str, &(dyn Fn() -> Result<Column> + Sync))| {
        Ok(make()?.with_name((*name).into()))
    };
    let columns: Vec<Result<Column>> = columns.par_iter().map(column).collect();
    // Of several errors the first column's.
    Ok(DataFrame::new_infer_height(columns.into_iter().collect::<Result<_>>()?)?)
}

/// The order numbers that the shop shows: a column of their own, else the text of the number.
fn shown_orders(raw: &Raw, rows: &PurchaseRows, orders: &[i64], sold: &[Line]) -> Result<Column> {
    let own = match raw.cells_if_any("ref_commande")? {
        Some(_) => Some(raw.texts("ref_commande")?),
        None => None,
    };
    let mut shown = StringChunkedBuilder::new("".into(), sold.len());
    let mut digits = String::new();
    for Line { row, .. } in sold {
        match (own.as_ref().and_then(|own| own.get(*row)), &rows.orders[*row]) {
            (Some(text), _) => shown.append_value(text),
            (None, IdCell::Text(text)) => shown.append_value(text),
            _ => {
                digits.clear();
                // Writing to a text cannot fail.
                let _ = write!(digits, "{}", orders[*row]);
                shown.append_value(&digits);
            }
        }
    }
    Ok(shown.finish().into_column())
}

/// Lines that are older than the registration of their customer.
fn before_signup(customers: &DataFrame, purchases: &DataFrame) -> Result<u64> {
    let early = purchases
        .clone()
        .lazy()
        .select([col("id_client"), col("date_achat")])
        .inner_join(
            customers.clone().lazy().select([col("id_client"), col("date_inscription")]),
            col("id_client"),
            col("id_client"),
        )
        .filter(col("date_achat").lt(col("date_inscription").cast(INSTANT)))
        .select([len().cast(DataType::UInt64).alias("rows")])
        .collect()?;
    Ok(early.column("rows")?.u64()?.get(0).unwrap_or(0))
}
