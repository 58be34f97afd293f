//! The rules of purchases, in the order of the contract's table.

use polars::prelude::*;

use super::checks::{
    decimal, earliest_future, first_reason, instant, is_blank, out_of_range, positive_integer,
    reject_also, split_rejected, text, unify_spelling,
};
use super::columns::{REASON, SURPLUS, SourceColumn, optional, required, typed};
use super::layer::{Cleaned, CleaningOptions, Rules};
use crate::domain::data_set::DataSet;
use crate::pipeline::Result;
use crate::pipeline::types::INSTANT;

pub(super) const RULES: Rules = Rules {
    clean: |raw, options, earlier| {
        let customers = &earlier[DataSet::Customers];
        let mut cleaned = clean(raw, options, customers.column("id_client")?)?;
        let early = before_signup(customers, &cleaned.valid)?;
        cleaned.warnings.push(("purchases_before_signup", early));
        Ok(cleaned)
    },
};

const COLUMNS: &[SourceColumn] = &[
    required(&["id_achat", "id_purchase", "purchase_id", "order_id"]),
    required(&["id_client", "client_id", "customer_id"]),
    required(&["date_achat", "purchase_date", "date", "timestamp"]),
    required(&["montant", "total", "amount"]),
    required(&["produit", "product", "item"]),
    optional(&["quantite", "quantity"]),
    optional(&["prix", "price", "unit_price"]),
];

/// The greatest unit price that is believed, EUR: beyond it, sums of squares could overflow.
const MAX_PRICE: f64 = 1e12;

/// Validates every raw row against the ids of the valid customers. The valid rows are typed and
/// ascend by id_achat. An unreadable quantite or prix becomes null with a warning: the columns are
/// optional, the purchase is real.
pub(super) fn clean(
    raw: DataFrame,
    options: &CleaningOptions,
    known_customers: &Column,
) -> Result<Cleaned> {
    let value = |name: &str| col(typed(name));

    let judged = raw
        .lazy()
        .with_columns([
            positive_integer("id_achat").alias(typed("id_achat")),
            positive_integer("id_client").alias(typed("id_client")),
            instant("date_achat").alias(typed("date_achat")),
            decimal("montant").alias(typed("montant")),
            text("produit").alias(typed("produit")),
            positive_integer("quantite").alias(typed("quantite")),
            plausible(decimal("prix")).alias(typed("prix")),
        ])
        .with_column(first_reason(vec![
            ("malformed_row", col(SURPLUS).is_not_null()),
            ("invalid_id", value("id_achat").is_null().or(value("id_client").is_null())),
            (
                "missing_value",
                value("produit").is_null().or(is_blank("montant")).or(is_blank("date_achat")),
            ),
            ("invalid_date", value("date_achat").is_null()),
            ("date_out_of_range", out_of_range(value("date_achat"), options.run_start)),
            ("invalid_amount", value("montant").is_null()),
            (
                "amount_out_of_range",
                value("montant").lt_eq(lit(0.0)).or(value("montant").gt(lit(options.max_amount))),
            ),
        ]))
        .collect()?;
    let judged = unify_spelling(judged, &typed("produit"))?;

    let accepted_id = when(col(REASON).is_null()).then(value("id_achat")).otherwise(lit(NULL));
    let known = lit(known_customers.as_materialized_series().clone()).implode(false);
    let judged = judged
        .lazy()
        .with_column(reject_also("duplicate_id", accepted_id.is_last_distinct().not()))
        .with_column(reject_also("orphan_client", value("id_client").is_in(known, false).not()))
        .collect()?;

    let earliest_future = earliest_future(&judged, &typed("date_achat"), options.run_start)?;
    let warnings = unreadable_values(&judged)?;
    let (valid, rejected) = split_rejected(judged, COLUMNS, "id_achat")?;
    Ok(Cleaned { valid, rejected, earliest_future, warnings })
}

/// A price between minus and plus [`MAX_PRICE`], else null.
fn plausible(price: Expr) -> Expr {
    let is_plausible =
        price.clone().gt_eq(lit(-MAX_PRICE)).and(price.clone().lt_eq(lit(MAX_PRICE)));
    when(is_plausible).then(price).otherwise(lit(NULL))
}

/// Valid rows with an optional value that cannot be read, by warning.
fn unreadable_values(judged: &DataFrame) -> Result<Vec<(&'static str, u64)>> {
    let mut warnings = Vec::new();
    for (name, warning) in [("quantite", "unreadable_quantite"), ("prix", "unreadable_prix")] {
        let rows = judged
            .clone()
            .lazy()
            .filter(col(REASON).is_null().and(is_blank(name).not()).and(col(typed(name)).is_null()))
            .collect()?
            .height();
        warnings.push((warning, rows as u64));
    }
    Ok(warnings)
}

/// Purchases that are older than the registration of their customer.
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
