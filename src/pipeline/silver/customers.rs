//! The rules of customers, in the order of the contract's table.

use polars::prelude::*;

use super::checks::{
    earliest_future, first_reason, instant, out_of_range, positive_integer, reject_also,
    split_rejected, text, unify_spelling,
};
use super::columns::{REASON, SURPLUS, SourceColumn, required, typed};
use super::layer::{Cleaned, CleaningOptions, Rules};
use crate::pipeline::Result;

pub(super) const RULES: Rules = Rules { clean: |raw, options, _| clean(raw, options) };

const COLUMNS: &[SourceColumn] = &[
    required(&["id_client", "client_id", "customer_id"]),
    required(&["nom", "name", "full_name"]),
    required(&["email", "mail"]),
    required(&["date_inscription", "subscription_date", "signup_date"]),
    required(&["pays", "country"]),
];

/// The shape of an e-mail address after trimming and lower-casing.
const EMAIL: &str = r"^[\w.+-]+@[\w-]+(\.[\w-]+)+$";

/// Validates every raw row. The valid ones are typed (date_inscription is a date) and ascend by
/// id_client.
fn clean(raw: DataFrame, options: &CleaningOptions) -> Result<Cleaned> {
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
            ("date_out_of_range", out_of_range(signed_up(), options.run_start)),
            ("invalid_email", col(typed("email")).str().contains(lit(EMAIL), true).not()),
        ]))
        .collect()?;
    let judged = unify_spelling(judged, &typed("pays"))?;

    let accepted_id = when(col(REASON).is_null()).then(id()).otherwise(lit(NULL));
    let judged = judged
        .lazy()
        .with_column(reject_also("duplicate_id", accepted_id.is_first_distinct().not()))
        .collect()?;

    let earliest_future = earliest_future(&judged, &typed("date_inscription"), options.run_start)?;
    let judged = judged.lazy().with_column(signed_up().cast(DataType::Date)).collect()?;
    let (valid, rejected) = split_rejected(judged, COLUMNS, "id_client")?;
    let warnings = vec![("customers_sharing_email", sharing_email(&valid)?)];
    Ok(Cleaned { valid, rejected, earliest_future, warnings })
}

/// Customers whose e-mail address another customer has too.
fn sharing_email(customers: &DataFrame) -> Result<u64> {
    let shared = customers
        .clone()
        .lazy()
        .group_by([col("email")])
        .agg([len().cast(DataType::UInt64).alias("rows")])
        .filter(col("rows").gt(lit(1_u64)))
        .select([col("rows").sum()])
        .collect()?;
    Ok(shared.column("rows")?.u64()?.get(0).unwrap_or(0))
}
