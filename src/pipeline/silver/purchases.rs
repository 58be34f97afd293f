//! Purchases: lines of orders, refunds and what is neither.
//!
//! `purchase_rows.rs` judges each row alone, `orders.rs` rows that share an order; this puts both
//! together and makes the frame of lines.

use polars::prelude::*;

use super::checks::{earliest_future, rejected_rows, set_aside, take_instants, unify_spelling};
use super::cleaned::{Cleaned, Rules};
use super::customer::Listed;
use super::found::FoundCustomers;
use super::layer::{CleaningOptions, Unlisted};
use super::money::{Accounting, findings};
use super::orders::{OrderRows, Resolved, number_lines, resolve};
use super::purchase_rows::PurchaseRows;
use super::raw::{IdCell, Raw};
use super::values::identifiers::{check_collisions, customer_number};
use super::values::texts;
use crate::domain::account::in_units;
use crate::domain::data_set::DataSet;
use crate::pipeline::Result;
use crate::pipeline::orders::SALE;
use crate::pipeline::types::INSTANT;

pub(super) const RULES: Rules = Rules {
    clean: |raw, options, earlier| {
        let customers = &earlier[DataSet::Customers];
        let mut cleaned = clean(raw, options, customers)?;
        let early = before_signup(customers, &cleaned.valid)?;
        cleaned.warnings.push(("purchases_before_signup", early));
        Ok(cleaned)
    },
};

/// The type of a line that was given back.
const REFUND: &str = "refund";
/// A purchase of a customer who is not listed, where the settings reject those.
const ORPHAN: &str = "orphan_client";

/// Reads every raw row against the listed customers. The valid rows are lines, ascending by
/// id_achat.
pub(super) fn clean(
    frame: DataFrame,
    options: &CleaningOptions,
    customers: &DataFrame,
) -> Result<Cleaned> {
    let raw = Raw::new(frame)?;
    let listed = Listed::of(customers)?;
    let mut rows = PurchaseRows::read(&raw, options)?;
    rows.products = unify_spelling(&rows.products, |row| rows.reasons[row].is_none());
    let buyers = buyers(&raw, &rows, &listed, options)?;
    let orders = rows.order_numbers(&raw);
    let read = rows.micros.clone();
    let resolved = resolve(
        &mut OrderRows {
            files: &raw.files,
            orders: &orders,
            micros: &mut rows.micros,
            at: &rows.at,
            customers: &buyers.iter().map(|buyer| buyer.unwrap_or(0)).collect::<Vec<_>>(),
            products: &rows.products,
            quantities: &rows.quantities,
            prices: &rows.prices,
            reasons: &mut rows.reasons,
        },
        options.rules.repeated_id,
    );
    let unlisted = reject_unlisted(&mut rows, &buyers, &listed, options);
    let accounting = Accounting { raw: &raw, rows: &rows, read: &read, resolved: &resolved };
    let accounts = accounting.accounts()?;
    let mut sentences = rows.notes.clone();
    sentences.extend(findings(&accounting, &accounts, &buyers, options));
    let found = FoundCustomers::collect(&raw, &rows, &buyers, &listed)?;
    let valid = lines(&raw, &rows, &buyers, &orders, &resolved)?;
    let mut warnings = rows.warnings();
    warnings.push(("unlisted_customer", unlisted));
    Ok(Cleaned {
        valid,
        rejected: rejected_rows(&raw, &rows.reasons)?,
        set_aside: set_aside(&rows.reasons),
        earliest_future: earliest_future(&rows.at, &rows.reasons, options.run_start),
        warnings,
        accounts,
        findings: sentences,
        found: Some(found),
    })
}

/// The customer of each row; `None` for a guest. A guest with an e-mail address is the customer who
/// has it.
fn buyers(
    raw: &Raw,
    rows: &PurchaseRows,
    listed: &Listed,
    options: &CleaningOptions,
) -> Result<Vec<Option<i64>>> {
    let emails = raw.texts("email")?;
    let salt = &options.rules.id_salt;
    let by_email = |row: usize| {
        let email = emails.get(row).filter(|email| texts::is_email(email))?.to_lowercase();
        listed.by_email(&email).or_else(|| Some(customer_number(&email, salt)))
    };
    let texts = rows.customers.iter().filter_map(|customer| match customer {
        IdCell::Text(text) => Some(text.as_str()),
        _ => None,
    });
    check_collisions(texts, salt)?;
    let buyer = |(row, customer): (usize, &IdCell)| match customer {
        IdCell::Number(number) => Some(*number),
        IdCell::Text(text) => Some(customer_number(text, salt)),
        _ if options.rules.guests_by_email => by_email(row),
        _ => None,
    };
    Ok(rows.customers.iter().enumerate().map(buyer).collect())
}

/// Counts the purchases of customers who are not listed, or rejects them.
fn reject_unlisted(
    rows: &mut PurchaseRows,
    buyers: &[Option<i64>],
    listed: &Listed,
    options: &CleaningOptions,
) -> u64 {
    if listed.is_empty() {
        return 0;
    }
    let mut count = 0;
    for (buyer, reason) in buyers.iter().zip(&mut rows.reasons) {
        let is_unlisted = buyer.is_some_and(|buyer| !listed.has(buyer));
        if reason.is_none() && is_unlisted {
            match options.rules.unlisted {
                Unlisted::Customer => count += 1,
                Unlisted::Reject => *reason = Some(ORPHAN),
            }
        }
    }
    count
}

/// The served rows as lines, ascending by id_achat.
fn lines(
    raw: &Raw,
    rows: &PurchaseRows,
    buyers: &[Option<i64>],
    orders: &[i64],
    resolved: &Resolved,
) -> Result<DataFrame> {
    let text = |row: usize| rows.orders[row].text().unwrap_or_else(|| orders[row].to_string());
    let keys = number_lines(orders, &rows.micros, text, |row| rows.reasons[row].is_none());
    let mut served: Vec<usize> =
        (0..raw.height()).filter(|row| rows.reasons[*row].is_none()).collect();
    if !served.is_sorted_by_key(|row| keys[*row].0) {
        served.sort_unstable_by_key(|row| keys[*row].0);
    }
    let mut amounts = rows.amounts.clone();
    resolved.spread.iter().for_each(|row| amounts[*row] = Some(in_units(rows.micros[*row])));
    let integers = |name: &str, value: &dyn Fn(usize) -> Option<i64>| {
        let values: Int64Chunked = served.iter().map(|row| value(*row)).collect();
        values.with_name(name.into()).into_column()
    };
    let floats = |name: &str, value: &dyn Fn(usize) -> Option<f64>| {
        let values: Float64Chunked = served.iter().map(|row| value(*row)).collect();
        values.with_name(name.into()).into_column()
    };
    let strings = |name: &str, value: &dyn Fn(usize) -> Option<String>| {
        let values: StringChunked = served.iter().map(|row| value(*row)).collect();
        values.with_name(name.into()).into_column()
    };
    let index: Vec<IdxSize> =
        served.iter().map(|row| IdxSize::try_from(*row).unwrap_or(0)).collect();
    let take = |name: &str, texts: &StringChunked| {
        let taken = texts.clone().into_series().take_slice(&index)?;
        Ok::<Column, PolarsError>(taken.with_name(name.into()).into_column())
    };
    let kind = |row: usize| if rows.micros[row] < 0 { REFUND } else { SALE };
    let kinds: StringChunked = served.iter().map(|row| Some(kind(*row))).collect();
    let currency = |row: usize| rows.currencies[row].clone().or_else(|| rows.currency.clone());
    Ok(DataFrame::new_infer_height(vec![
        integers("id_achat", &|row| Some(keys[row].0)),
        integers("id_client", &|row| buyers[row]),
        take_instants("date_achat", &rows.at, &served)?,
        floats("montant", &|row| amounts[row]),
        take("produit", &rows.products)?,
        integers("quantite", &|row| rows.quantities[row]),
        floats("prix", &|row| rows.prices[row]),
        take("pays", &raw.names("pays")?)?,
        integers("id_commande", &|row| Some(orders[row])),
        strings("ref_commande", &|row| Some(text(row))),
        integers("ligne", &|row| Some(keys[row].1)),
        kinds.with_name("type".into()).into_column(),
        strings("devise", &currency),
    ])?)
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
