//! The rules of `achats*.csv`, in the order of the contract's table.

use polars::prelude::*;

use super::checks::{
    decimal, earliest_future, first_reason, instant, is_blank, out_of_range, positive_integer,
    reject_also, split, text, typed, unify_spelling,
};
use super::read::SURPLUS;
use super::{CleaningOptions, Refined};
use crate::pipeline::Result;

const COLUMNS: &[&str] =
    &["id_achat", "id_client", "date_achat", "montant", "produit", "quantite", "prix"];

/// Nothing in a shop costs more, EUR; beyond it, sums of squares could overflow.
const LARGEST_PRICE: f64 = 1e12;

/// Judges every raw row against the clean customers' ids and returns the typed ones: id_achat,
/// id_client, date_achat, montant, produit, quantite, prix; ascending id_achat. An unreadable
/// quantite or prix is null and a warning: the columns are optional, the purchase is real.
///
/// # Errors
/// Whatever the frame engine says.
pub fn refine(raw: DataFrame, rules: &CleaningOptions, known_clients: &Column) -> Result<Refined> {
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
            ("date_out_of_range", out_of_range(value("date_achat"), rules.run_start)),
            ("invalid_amount", value("montant").is_null()),
            (
                "amount_out_of_range",
                value("montant").lt_eq(lit(0.0)).or(value("montant").gt(lit(rules.max_amount))),
            ),
        ]))
        .collect()?;
    let judged = unify_spelling(judged, &typed("produit"))?;

    let accepted_id = when(col("reason").is_null()).then(value("id_achat")).otherwise(lit(NULL));
    let known = lit(known_clients.as_materialized_series().clone()).implode(false);
    let judged = judged
        .lazy()
        .with_column(reject_also("duplicate_id", accepted_id.is_last_distinct().not()))
        .with_column(reject_also("orphan_client", value("id_client").is_in(known, false).not()))
        .collect()?;

    let earliest_future = earliest_future(&judged, &typed("date_achat"), rules.run_start)?;
    let warnings = unreadable(&judged)?;
    let (valid, rejected) = split(judged, COLUMNS, "id_achat")?;
    Ok(Refined { valid, rejected, earliest_future, warnings })
}

/// A price between minus and plus [`LARGEST_PRICE`], else null.
fn plausible(price: Expr) -> Expr {
    let is_plausible =
        price.clone().gt_eq(lit(-LARGEST_PRICE)).and(price.clone().lt_eq(lit(LARGEST_PRICE)));
    when(is_plausible).then(price).otherwise(lit(NULL))
}

/// ParamSpec rows whose optional value is there and cannot be read, by warning.
fn unreadable(judged: &DataFrame) -> Result<Vec<(&'static str, u64)>> {
    let mut warnings = Vec::new();
    for (name, warning) in [("quantite", "unreadable_quantite"), ("prix", "unreadable_prix")] {
        let rows = judged
            .clone()
            .lazy()
            .filter(
                col("reason").is_null().and(is_blank(name).not()).and(col(typed(name)).is_null()),
            )
            .collect()?
            .height();
        warnings.push((warning, rows as u64));
    }
    Ok(warnings)
}
