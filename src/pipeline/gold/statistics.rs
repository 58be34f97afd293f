//! Statistics of amounts: the histogram of baskets, and descriptive statistics of sale lines.

use polars::prelude::*;
use rayon::prelude::*;

use super::exact::{MICRO_EUR, distinct, to_eur};
use super::lines::{BASKET, BUYER, COUNTRY, PRODUCT, SOLD, SOLD_COUNTRY, SOLD_PRODUCT, orders};
use super::streaming::collect;
use crate::pipeline::Result;

/// `basket_distribution`: 12 bins of equal width over what was sold on each order, closed on the
/// right, the first one on both sides.
pub(super) fn basket_distribution(fact: &DataFrame) -> Result<DataFrame> {
    const BINS: usize = 12;
    let amounts = fact.column(BASKET)?.f64()?;
    let (min, max) = (amounts.min().unwrap_or(0.0), amounts.max().unwrap_or(0.0));
    #[allow(clippy::cast_precision_loss)]
    let edges: Vec<f64> = (0..=BINS)
        .map(|edge| if edge == BINS { max } else { min + (max - min) * edge as f64 / BINS as f64 })
        .collect();
    let mut counts = vec![0_i64; BINS];
    for amount in amounts.iter().flatten() {
        // The first bin whose upper edge is not below the amount.
        let bin = edges[1..BINS].partition_point(|upper| *upper < amount);
        counts[bin] += 1;
    }
    let labels: Vec<String> = (0..BINS)
        .map(|bin| {
            // pandas.cut labels the first bin, which is closed on the left, 0.1 % of the range
            // lower.
            let low = if bin == 0 { min - 0.001 * (max - min) } else { edges[bin] };
            format!("({}, {}]", edge_label(low), edge_label(edges[bin + 1]))
        })
        .collect();
    let index: Vec<i64> = (0..).take(BINS).collect();
    Ok(DataFrame::new_infer_height(vec![
        Column::new("bucket_index".into(), index),
        Column::new("bucket".into(), labels),
        Column::new("bucket_low".into(), &edges[..BINS]),
        Column::new("bucket_high".into(), &edges[1..]),
        Column::new("count".into(), counts),
    ])?)
}

/// An edge to three decimals, as pandas prints interval labels.
fn edge_label(edge: f64) -> String {
    format!("{:?}", (edge * 1000.0).round_ties_even() / 1000.0)
}

/// Descriptive statistics of a column, in the order of the catalogue.
struct Description {
    count: i64,
    statistics: [(&'static str, Option<f64>); 9],
}

impl Description {
    /// Describes values; every statistic is `None` without values.
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let quantile = |share: f64| quantile_of_sorted(&values, share);
        #[allow(clippy::cast_precision_loss)]
        let n = values.len() as f64;
        let mean = (!values.is_empty()).then(|| values.iter().sum::<f64>() / n);
        let std = mean.filter(|_| values.len() > 1).map(|mean| {
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            (squares / (n - 1.0)).sqrt()
        });
        Self {
            count: i64::try_from(values.len()).unwrap_or(i64::MAX),
            statistics: [
                ("mean", mean),
                ("median", quantile(0.5)),
                ("std", std),
                ("min", values.first().copied()),
                ("max", values.last().copied()),
                ("q25", quantile(0.25)),
                ("q75", quantile(0.75)),
                ("q90", quantile(0.9)),
                ("q95", quantile(0.95)),
            ],
        }
    }

    /// The statistic of this name.
    fn value(&self, name: &str) -> Option<f64> {
        self.statistics.iter().find(|(known, _)| *known == name).and_then(|(_, value)| *value)
    }

    fn into_columns(self, prefix: &str) -> impl Iterator<Item = Column> {
        self.statistics
            .into_iter()
            .map(move |(name, value)| Column::new(format!("{prefix}{name}").into(), [value]))
    }
}

/// The quantile of ascending values with linear interpolation; `None` without values.
fn quantile_of_sorted(values: &[f64], share: f64) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let (below, position) = {
        let position = share * last as f64;
        (position.floor() as usize, position)
    };
    #[allow(clippy::cast_precision_loss)]
    let fraction = position - below as f64;
    let above = values[(below + 1).min(last)];
    Some(values[below] + (above - values[below]) * fraction)
}

/// `statistics`: descriptive statistics of the sale lines' montant, and of prix and quantite where
/// present.
pub(super) fn statistics(fact: &DataFrame) -> Result<DataFrame> {
    let sales = fact.column(SOLD)?.is_not_null();
    let values = |name: &str| -> Result<Vec<f64>> {
        let column = fact.column(name)?.filter(&sales)?.cast(&DataType::Float64)?;
        Ok(column.f64()?.iter().flatten().collect())
    };
    let counts = fact
        .clone()
        .lazy()
        .select([
            orders().alias("total_purchases"),
            to_eur(col(MICRO_EUR).sum()).alias("total_revenue"),
            distinct(BUYER).alias("total_customers"),
            distinct(SOLD_PRODUCT).alias("total_products"),
            distinct(SOLD_COUNTRY).alias("total_countries"),
        ])
        .collect()?;
    let mut columns = counts.into_columns();
    columns.extend(Description::of(values("montant")?).into_columns(""));
    columns.extend(Description::of(values("prix")?).into_columns("prix_"));
    columns.extend(Description::of(values("quantite")?).into_columns("quantite_"));
    Ok(DataFrame::new_infer_height(columns)?)
}

/// `statistics_by_product`.
pub(super) fn by_product(fact: &DataFrame) -> Result<DataFrame> {
    by_group(fact, PRODUCT, "produit")
}

/// `statistics_by_country`.
pub(super) fn by_country(fact: &DataFrame) -> Result<DataFrame> {
    by_group(fact, COUNTRY, "pays")
}

/// Statistics of the sale lines' amounts, prix × quantite or else montant, by the values of a
/// column.
fn by_group(fact: &DataFrame, group: &str, name: &str) -> Result<DataFrame> {
    let amount = (col("prix") * col("quantite").cast(DataType::Float64)).fill_null(col(SOLD));
    let grouped = fact
        .clone()
        .lazy()
        .filter(col(SOLD).is_not_null())
        .select([col(group).alias(name), amount.alias("amount")])
        .group_by([col(name)])
        .agg([col("amount")]);
    let grouped = collect(grouped.sort([name], SortMultipleOptions::default()))?;
    let amounts: Vec<Option<Series>> = grouped.column("amount")?.list()?.series_iter().collect();
    let described = amounts
        .par_iter()
        .map(|amounts| {
            let Some(amounts) = amounts else { return Ok(Description::of(Vec::new())) };
            Ok(Description::of(amounts.f64()?.iter().flatten().collect()))
        })
        .collect::<Result<Vec<Description>>>()?;
    let counts = described.iter().map(|description| description.count).collect::<Vec<i64>>();
    let mut columns = vec![grouped.column(name)?.clone(), Column::new("count".into(), counts)];
    for statistic in ["mean", "median", "q25", "q75", "min", "max"] {
        let values: Vec<Option<f64>> =
            described.iter().map(|description| description.value(statistic)).collect();
        columns.push(Column::new(statistic.into(), values));
    }
    Ok(DataFrame::new_infer_height(columns)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// numpy.quantile([1, 2, 4, 8], [.25, .5, .9]) = [1.75, 3.0, 6.8], numpy.std(ddof=1) =
    /// 3.0956959.
    #[test]
    fn descriptive_statistics_equal_those_of_numpy() {
        let description = Description::of(vec![8.0, 1.0, 4.0, 2.0]);
        let value = |name: &str| description.value(name).unwrap();
        assert!((value("q25") - 1.75).abs() < 1e-12);
        assert!((value("median") - 3.0).abs() < 1e-12);
        assert!((value("q90") - 6.8).abs() < 1e-12);
        assert!((value("std") - 3.095_695_936_834_452).abs() < 1e-12);
        assert!((value("mean") - 3.75).abs() < 1e-12);
    }

    #[test]
    fn one_value_has_no_deviation_and_no_value_has_no_statistics() {
        let one = Description::of(vec![5.0]);
        assert_eq!(one.statistics[2], ("std", None));
        assert_eq!(one.statistics[7], ("q90", Some(5.0)));
        assert!(Description::of(Vec::new()).statistics.iter().all(|(_, value)| value.is_none()));
    }

    #[test]
    fn edges_are_labelled_as_pandas_does() {
        assert_eq!(edge_label(173.343_333_3), "173.343");
        assert_eq!(edge_label(255.0), "255.0");
        assert_eq!(edge_label(9.530_03), "9.53");
    }
}
