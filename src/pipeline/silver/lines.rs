//! What silver says of an order's lines and of its customers beyond the columns of the sources.
//!
//! Sources of one row per order need none of it: each row is the only line of an order of its own.
//! Silver of earlier versions lacks the columns and is read as such an order too.

use polars::prelude::*;

use crate::domain::data_set::DataSet;
use crate::pipeline::Result;
use crate::pipeline::orders::SALE;

/// The source of a date_inscription that stands in a file.
const FILE: &str = "file";

/// The rows of a data set with the columns that they lack: of customers the text of their
/// identifier and the source of date_inscription, of purchases the order that each row is a line
/// of.
///
/// # Errors
/// Any error of the query engine.
pub fn complete(set: DataSet, rows: DataFrame) -> Result<DataFrame> {
    let columns = match set {
        DataSet::Customers => customers(),
        DataSet::Purchases => purchases(),
    };
    let missing: Vec<Expr> = columns
        .into_iter()
        .filter(|(name, _)| rows.column(name).is_err())
        .map(|(name, value)| value.alias(name))
        .collect();
    if missing.is_empty() || rows.width() == 0 {
        return Ok(rows);
    }
    Ok(rows.lazy().with_columns(missing).collect()?)
}

fn customers() -> Vec<(&'static str, Expr)> {
    let signed_up = col("date_inscription").is_not_null();
    let source = when(signed_up).then(lit(FILE)).otherwise(lit(NULL)).cast(DataType::String);
    vec![("ref_client", as_text("id_client")), ("date_inscription_source", source)]
}

fn purchases() -> Vec<(&'static str, Expr)> {
    let nothing = || lit(NULL).cast(DataType::String);
    vec![
        ("pays", nothing()),
        ("id_commande", col("id_achat")),
        ("ref_commande", as_text("id_achat")),
        ("ligne", lit(1_i64)),
        ("type", lit(SALE)),
        ("devise", nothing()),
    ]
}

fn as_text(name: &str) -> Expr {
    col(name).cast(DataType::String)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_without_an_order_is_the_only_line_of_its_own() {
        let rows = df!("id_achat" => [7_i64, 9], "montant" => [1.5, 2.0]).unwrap();
        let complete = complete(DataSet::Purchases, rows.clone()).unwrap();
        let expected = df!(
            "id_achat" => [7_i64, 9],
            "montant" => [1.5, 2.0],
            "pays" => [None::<&str>, None],
            "id_commande" => [7_i64, 9],
            "ref_commande" => ["7", "9"],
            "ligne" => [1_i64, 1],
            "type" => ["sale", "sale"],
            "devise" => [None::<&str>, None],
        );
        assert!(complete.equals_missing(&expected.unwrap()), "{complete}");
        // What is there already stays.
        let again = super::complete(DataSet::Purchases, complete.clone()).unwrap();
        assert!(again.equals_missing(&complete));
    }

    #[test]
    fn a_customer_without_a_date_has_no_source_of_it() {
        let rows = df!("id_client" => [7_i64, 9], "date_inscription" => [Some(1_i32), None]);
        let complete = complete(DataSet::Customers, rows.unwrap()).unwrap();
        let texts = |name: &str| -> Vec<Option<String>> {
            let texts = complete.column(name).unwrap().str().unwrap();
            texts.iter().map(|text| text.map(str::to_owned)).collect()
        };
        assert_eq!(texts("ref_client"), [Some("7".to_owned()), Some("9".to_owned())]);
        assert_eq!(texts("date_inscription_source"), [Some("file".to_owned()), None]);
    }
}
