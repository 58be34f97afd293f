//! What each line of `fact_achats` counts as: columns beside the declared ones, from which every
//! table of sales and customers is aggregated.
//!
//! Where all lines are sales of known customers they are the declared columns under another name,
//! which costs nothing.

use polars::prelude::*;

use super::exact::{MICRO_EUR, eur_per, to_eur};
use crate::pipeline::Result;
use crate::pipeline::orders::{SALE, are_sales, baskets};

/// What a refund line gives back, in millionths, positive; 0 for a sale.
pub(super) const REFUND: &str = "~refund";
/// [`MICRO_EUR`] of known customers; 0 for guests.
pub(super) const KNOWN: &str = "~known";
/// The sale amount of the order, in the row that the order is counted at.
pub(super) const BASKET: &str = "~basket";
/// montant of a sale line.
pub(super) const SOLD: &str = "~sold";
/// date_achat of a sale line.
pub(super) const SOLD_AT: &str = "~sold_at";
/// id_client of a sale line, unless a guest bought.
pub(super) const BUYER: &str = "~buyer";
/// produit of a sale line, where it is known.
pub(super) const SOLD_PRODUCT: &str = "~sold_product";
/// pays of a sale line, where it is known.
pub(super) const SOLD_COUNTRY: &str = "~sold_country";
/// Units of a sale line: quantite, 1 without; 0 for a refund.
pub(super) const UNITS: &str = "~units";
/// produit as tables by product show it.
pub(super) const PRODUCT: &str = "~product";
/// pays as tables by country show it.
pub(super) const COUNTRY: &str = "~country";

/// How tables by country and product show what is not known.
pub(super) const UNKNOWN: &str = "Unknown";

/// The same lines with the columns above.
pub(super) fn with_roles(mut fact: DataFrame) -> Result<DataFrame> {
    let basket = baskets(&fact)?.with_name(BASKET.into());
    fact.with_column(basket.into_column())?;
    let is_sale = || col("type").eq(lit(SALE));
    let of_sales = |name: &str| when(is_sale()).then(col(name)).otherwise(lit(NULL));
    let roles = [
        (SOLD, "montant"),
        (SOLD_AT, "date_achat"),
        (BUYER, "id_client"),
        (SOLD_PRODUCT, "produit"),
        (SOLD_COUNTRY, "pays"),
    ];
    let units = col("quantite").fill_null(lit(1_i64));
    let mut columns = if are_sales(&fact)? {
        let same = roles.map(|(role, name)| col(name).alias(role));
        let mut same = Vec::from(same);
        same.extend([lit(0_i64).alias(REFUND), units.alias(UNITS)]);
        same
    } else {
        let mut some = Vec::from(roles.map(|(role, name)| of_sales(name).alias(role)));
        let otherwise = |value: Expr, other: Expr| when(is_sale()).then(value).otherwise(other);
        some.extend([
            otherwise(lit(0_i64), lit(0_i64) - col(MICRO_EUR)).alias(REFUND),
            otherwise(units, lit(0_i64)).alias(UNITS),
        ]);
        some
    };
    let has_guests = fact.column("id_client")?.null_count() > 0;
    let known = if has_guests {
        when(col("id_client").is_not_null()).then(col(MICRO_EUR)).otherwise(lit(0_i64))
    } else {
        col(MICRO_EUR)
    };
    columns.extend([
        known.alias(KNOWN),
        col("produit").fill_null(lit(UNKNOWN)).alias(PRODUCT),
        col("pays").fill_null(lit(UNKNOWN)).alias(COUNTRY),
    ]);
    Ok(fact.lazy().with_columns(columns).collect()?)
}

/// The sums of a group of lines that revenue follows from: [`MICRO_EUR`] and [`REFUND`], with more.
pub(super) fn sums<const N: usize>(more: [Expr; N]) -> Vec<Expr> {
    [col(MICRO_EUR).sum(), col(REFUND).sum()].into_iter().chain(more).collect()
}

/// The number of orders of a group of lines.
pub(super) fn orders() -> Expr {
    count(BASKET)
}

/// The number of lines of a group that have a value.
pub(super) fn count(name: &str) -> Expr {
    col(name).count().cast(DataType::Int64)
}

/// What was sold, in millionths, from [`sums`].
pub(super) fn gross() -> Expr {
    col(MICRO_EUR) + col(REFUND)
}

/// What revenue is made of, from [`sums`]: gross_revenue, refunds, and avg_basket over the orders
/// in the column of this name.
pub(super) fn parts(orders: &str) -> [Expr; 3] {
    [
        to_eur(gross()).alias("gross_revenue"),
        to_eur(col(REFUND)).alias("refunds"),
        eur_per(gross(), col(orders)).alias("avg_basket"),
    ]
}

/// Net revenue from [`sums`], EUR.
pub(super) fn net() -> Expr {
    to_eur(col(MICRO_EUR))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::gold::exact::to_micros;

    /// Two lines of an order, its refund by a guest in another order, and a guest's line without a
    /// product.
    fn fact() -> DataFrame {
        let fact = df!(
            "id_achat" => [1_i64, 2, 3, 4],
            "id_client" => [Some(7_i64), Some(7), Some(7), None],
            "date_achat" => [10_i64, 10, 20, 30],
            "montant" => [3.0, 4.5, -4.5, 2.0],
            "produit" => [Some("Tea"), Some("Mug"), Some("Mug"), None],
            "quantite" => [Some(3_i64), None, Some(1), None],
            "pays" => [Some("France"), Some("France"), Some("France"), None],
            "id_commande" => [1_i64, 1, 3, 4],
            "ligne" => [1_i64, 2, 1, 1],
            "type" => ["sale", "sale", "refund", "sale"],
        );
        let micros = to_micros(col("montant")).alias(MICRO_EUR);
        fact.unwrap().lazy().with_column(micros).collect().unwrap()
    }

    #[test]
    fn lines_count_as_what_they_are() {
        let fact = with_roles(fact()).unwrap();
        let whole = |name: &str| -> Vec<Option<i64>> {
            fact.column(name).unwrap().i64().unwrap().iter().collect()
        };
        let number = |name: &str| -> Vec<Option<f64>> {
            fact.column(name).unwrap().f64().unwrap().iter().collect()
        };
        assert_eq!(number(BASKET), [Some(7.5), None, None, Some(2.0)]);
        assert_eq!(number(SOLD), [Some(3.0), Some(4.5), None, Some(2.0)]);
        assert_eq!(whole(REFUND), [Some(0), Some(0), Some(4_500_000), Some(0)]);
        assert_eq!(whole(KNOWN), [Some(3_000_000), Some(4_500_000), Some(-4_500_000), Some(0)]);
        assert_eq!(whole(BUYER), [Some(7), Some(7), None, None]);
        assert_eq!(whole(SOLD_AT), [Some(10), Some(10), None, Some(30)]);
        assert_eq!(whole(UNITS), [Some(3), Some(1), Some(0), Some(1)]);
        let products = fact.column(PRODUCT).unwrap().str().unwrap();
        assert_eq!(products.get(3), Some(UNKNOWN));
        assert_eq!(fact.column(SOLD_PRODUCT).unwrap().null_count(), 2);
        assert_eq!(fact.column(COUNTRY).unwrap().str().unwrap().get(3), Some(UNKNOWN));
    }

    #[test]
    fn sales_alone_count_the_same_with_and_without_a_refund_beside_them() {
        let (all, sales) = (
            with_roles(fact()).unwrap(),
            fact().filter(&fact().column("type").unwrap().str().unwrap().equal(SALE)),
        );
        let is_sale = all.column("type").unwrap().str().unwrap().equal(SALE);
        let sales = with_roles(sales.unwrap()).unwrap();
        assert!(all.filter(&is_sale).unwrap().equals_missing(&sales));
    }
}
