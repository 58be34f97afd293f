//! Purchases: lines of orders, refunds and what is neither.
//!
//! `purchase_rows.rs` judges each row alone, `orders.rs` rows that share an order; this puts both
//! together and makes the frame of lines.

use std::fmt::Write as _;

use polars::prelude::*;

use super::buyers::Buyers;
use super::checks::{earliest_future, rejected_rows, set_aside, take_instants, unify_spelling};
use super::cleaned::{Cleaned, Rules};
use super::columns::RowKind;
use super::conversion::convert;
use super::customer::Listed;
use super::found::FoundCustomers;
use super::kinds::{is_same_record, judge_kinds};
use super::layer::{CleaningOptions, Unlisted};
use super::money::{Accounting, findings};
use super::order_lines::{Line, lines_of, number_lines};
use super::orders::{OrderRows, Resolved, resolve};
use super::preview::{self, file_rows};
use super::purchase_rows::PurchaseRows;
use super::raw::{IdCell, Raw};
use super::raw_table::RawTable;
use super::unread::unread_statuses;
use crate::domain::account::{in_units, shown};
use crate::domain::data_set::DataSet;
use crate::domain::reasons::ORPHAN;
use crate::domain::text::counted;
use crate::pipeline::Result;
use crate::pipeline::orders::SALE;
use crate::pipeline::types::INSTANT;

pub(super) const RULES: Rules = Rules {
    clean: |raw, options, earlier| {
        let customers = &earlier.valid[DataSet::Customers];
        let listed = Listed::of(customers, &earlier.phones, options.rules.customers_by_name)?;
        let mut cleaned = clean(raw, options, &listed)?;
        let early = before_signup(customers, &cleaned.valid)?;
        cleaned.warnings.push(("purchases_before_signup", early));
        Ok(cleaned)
    },
};

/// The type of a line that was given back.
const REFUND: &str = "refund";

/// Reads every raw row against the listed customers. The valid rows are lines, ascending by
/// id_achat.
pub(super) fn clean(
    table: RawTable,
    options: &CleaningOptions,
    listed: &Listed,
) -> Result<Cleaned> {
    let raw = Raw::new(table, &options.rules)
        .in_order("date_achat", options.rules.date_order)?
        .with_joined_parts()?;
    let mut rows = PurchaseRows::read(&raw, options)?;
    rows.products = unify_spelling(&rows.products, |row| rows.reasons[row].is_none());
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
    let accounting = Accounting { raw: &raw, rows: &rows, read: &read, resolved: &resolved };
    let mut sentences = raw.notes.clone();
    sentences.extend(rows.notes.iter().cloned());
    sentences.extend(findings(&accounting, &accounts, &buyers.numbers, options));
    sentences.extend(unlisted_sentences(&accounting, &unlisted, listed));
    sentences.extend(unread_statuses(&raw, &rows)?);
    let found = FoundCustomers::collect(&raw, &rows, &buyers)?;
    let example = |row| preview::purchase(&raw, &rows, &buyers.numbers, row);
    let files = file_rows(&raw, &rows.reasons, &rows.forms, example);
    let valid = lines(&raw, &mut rows, &buyers.numbers, &orders, &resolved)?;
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

/// How much is of customers who are not listed, and whether only leading zeros are why.
fn unlisted_sentences(
    accounting: &Accounting<'_>,
    unlisted: &[usize],
    listed: &Listed,
) -> Vec<String> {
    let Accounting { raw, rows, .. } = accounting;
    let sum = |of: &[usize]| shown(of.iter().map(|row| rows.micros[*row]).sum());
    let example = |row: usize| {
        format!("{} {}", raw.files[raw.file_of(row)].name, raw.shown("id_client", row))
    };
    let is_padded = |row: &usize| {
        rows.customers[*row].text().is_some_and(|text| listed.matches_without_zeros(&text))
    };
    let padded: Vec<usize> = unlisted.iter().copied().filter(is_padded).collect();
    let all = unlisted.first().map(|first| {
        format!(
            "{} of customers who are in no file of customers, {} in all, for example {}: each makes a customer; set sources.unlisted = \"reject\" to leave them out",
            counted(unlisted.len(), "row"),
            sum(unlisted),
            example(*first)
        )
    });
    let only_zeros = padded.first().map(|first| {
        format!(
            "{} of these, {} in all, for example {}, name a customer of the files of customers but for leading zeros; if they are the same, set sources.ids = \"integer\"",
            padded.len(),
            sum(&padded),
            example(*first)
        )
    });
    all.into_iter().chain(only_zeros).collect()
}

/// The served rows as lines, ascending by id_achat.
fn lines(
    raw: &Raw,
    rows: &mut PurchaseRows,
    buyers: &[Option<i64>],
    orders: &[i64],
    resolved: &Resolved,
) -> Result<DataFrame> {
    resolved.spread.iter().for_each(|row| rows.amounts[*row] = Some(in_units(rows.micros[*row])));
    let is_status: Vec<usize> = (0..rows.kinds.len())
        .filter(|row| rows.kind(*row) == Some(RowKind::RefundedStatus))
        .collect();
    // What a status gives back is its own record.
    let belongs = |refund: usize, sale: usize| {
        is_status.binary_search(&refund).is_err() || is_same_record(raw, refund, sale)
    };
    let sold = lines_of(&order_rows(raw, rows, orders, &[]), belongs);
    let rows = &*rows;
    let text = |row: usize| rows.orders[row].text().unwrap_or_else(|| orders[row].to_string());
    let keys = number_lines(orders, &sold, &resolved.repeated, text);
    let mut order: Vec<usize> = (0..sold.len()).collect();
    if !order.is_sorted_by_key(|line| keys[*line].0) {
        order.sort_unstable_by_key(|line| keys[*line].0);
    }
    let keys: Vec<(i64, i64)> = order.iter().map(|line| keys[*line]).collect();
    let sold: Vec<Line> = order.iter().map(|line| sold[*line]).collect();
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
    let served: Vec<usize> = sold.iter().map(|line| line.row).collect();
    let amount = |line: &Line| {
        let is_whole = line.micros == rows.micros[line.row];
        rows.amounts[line.row].filter(|_| is_whole).unwrap_or_else(|| in_units(line.micros))
    };
    let amounts: Float64Chunked = sold.iter().map(|line| Some(amount(line))).collect();
    let shown = |value: &dyn Fn(&(i64, i64)) -> i64| {
        let values: Int64Chunked = keys.iter().map(|key| Some(value(key))).collect();
        values
    };
    let products: Vec<IdxSize> =
        sold.iter().map(|line| IdxSize::try_from(line.product).unwrap_or(0)).collect();
    let integers = |name: &str, value: &dyn Fn(usize) -> Option<i64>| {
        let values: Int64Chunked = served.iter().map(|row| value(*row)).collect();
        values.with_name(name.into()).into_column()
    };
    let floats = |name: &str, value: &dyn Fn(usize) -> Option<f64>| {
        let values: Float64Chunked = served.iter().map(|row| value(*row)).collect();
        values.with_name(name.into()).into_column()
    };
    let index: Vec<IdxSize> =
        served.iter().map(|row| IdxSize::try_from(*row).unwrap_or(0)).collect();
    let take = |name: &str, texts: &StringChunked, rows: &[IdxSize]| {
        let taken = texts.clone().into_series().take_slice(rows)?;
        Ok::<Column, PolarsError>(taken.with_name(name.into()).into_column())
    };
    let kind = |row: usize| if rows.micros[row] < 0 { REFUND } else { SALE };
    let kinds: StringChunked = served.iter().map(|row| Some(kind(*row))).collect();
    let currencies: StringChunked = served.iter().map(|_| rows.currency.as_deref()).collect();
    Ok(DataFrame::new_infer_height(vec![
        shown(&|key| key.0).with_name("id_achat".into()).into_column(),
        integers("id_client", &|row| buyers[row]),
        take_instants("date_achat", &rows.at, &served)?,
        amounts.with_name("montant".into()).into_column(),
        take("produit", &rows.products, &products)?,
        integers("quantite", &|row| rows.quantities[row]),
        floats("prix", &|row| rows.prices[row]),
        take("pays", &raw.countries()?, &index)?,
        integers("id_commande", &|row| Some(orders[row])),
        shown_orders(raw, rows, orders, &served)?,
        shown(&|key| key.1).with_name("ligne".into()).into_column(),
        kinds.with_name("type".into()).into_column(),
        currencies.with_name("devise".into()).into_column(),
    ])?)
}

/// The order numbers that the shop shows: a column of their own, else the text of the number.
fn shown_orders(
    raw: &Raw,
    rows: &PurchaseRows,
    orders: &[i64],
    served: &[usize],
) -> Result<Column> {
    let own = match raw.cells_if_any("ref_commande")? {
        Some(_) => Some(raw.texts("ref_commande")?),
        None => None,
    };
    let mut shown = StringChunkedBuilder::new("ref_commande".into(), served.len());
    let mut digits = String::new();
    for row in served {
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
