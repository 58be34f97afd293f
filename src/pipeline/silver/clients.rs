//! The rules of `clients*.csv`, in the order of the contract's table.

use polars::prelude::*;

use super::checks::{
    earliest_future, first_reason, instant, out_of_range, positive_integer, reject_also, split,
    text, typed, unify_spelling,
};
use super::read::SURPLUS;
use super::{CleaningOptions, Refined};
use crate::pipeline::Result;

/// What an e-mail address has to look like after trimming and lower-casing.
const EMAIL: &str = r"^[\w.+-]+@[\w-]+(\.[\w-]+)+$";

const COLUMNS: &[&str] = &["id_client", "nom", "email", "date_inscription", "pays"];

/// Judges every raw row and returns the typed ones: id_client, nom, email, date_inscription
/// (date), pays; ascending id_client.
///
/// # Errors
/// Whatever the frame engine says.
pub fn refine(raw: DataFrame, rules: &CleaningOptions) -> Result<Refined> {
    let id = || col(typed("id_client"));
    let signed_up = || col(typed("date_inscription"));
    let is_missing = |name: &str| col(typed(name)).is_null();

    let judged = raw
        .lazy()
        .with_columns([
            positive_integer("id_client").alias(typed("id_client")),
            text("nom").alias(typed("nom")),
            text("email").str().to_lowercase().alias(typed("email")),
            instant("date_inscription").alias(typed("date_inscription")),
            text("pays").alias(typed("pays")),
        ])
        .with_column(first_reason(vec![
            ("malformed_row", col(SURPLUS).is_not_null()),
            ("invalid_id", id().is_null()),
            ("missing_value", is_missing("nom").or(is_missing("email")).or(is_missing("pays"))),
            ("invalid_date", signed_up().is_null()),
            ("date_out_of_range", out_of_range(signed_up(), rules.run_start)),
            ("invalid_email", col(typed("email")).str().contains(lit(EMAIL), true).not()),
        ]))
        .collect()?;
    let judged = unify_spelling(judged, &typed("pays"))?;

    let accepted_id = when(col("reason").is_null()).then(id()).otherwise(lit(NULL));
    let judged = judged
        .lazy()
        .with_column(reject_also("duplicate_id", accepted_id.is_first_distinct().not()))
        .collect()?;

    let earliest_future = earliest_future(&judged, &typed("date_inscription"), rules.run_start)?;
    let judged = judged.lazy().with_column(signed_up().cast(DataType::Date)).collect()?;
    let (valid, rejected) = split(judged, COLUMNS, "id_client")?;
    Ok(Refined { valid, rejected, earliest_future, warnings: Vec::new() })
}
