//! Sales: purchases with their calendar, and revenue by country, product and period.

use polars::prelude::*;

use super::exact::{
    MICRO_EUR, check_sums_fit, distinct, divided, eur_per, mean_amount, purchases, revenue,
    share_pct, to_eur, to_micros,
};
use super::streaming::collect;
use crate::domain::time::{Day, Timestamp};
use crate::pipeline::Result;

/// `fact_achats`: purchases up to `as_of` with the country of the customer and the calendar of the
/// day, ascending id_achat. Has [`MICRO_EUR`] beside the declared columns, for exact sums. Fails
/// with [`crate::pipeline::PipelineError::Overflow`].
pub(super) fn fact_achats(
    customers: &DataFrame,
    all_purchases: &DataFrame,
    as_of: Timestamp,
) -> Result<DataFrame> {
    check_sums_fit(all_purchases)?;
    let countries = customers.clone().lazy().select([col("id_client"), col("pays")]);
    let dated = all_purchases
        .clone()
        .lazy()
        .filter(col("date_achat").to_physical().lt_eq(lit(as_of.0)))
        .with_columns([
            col("date_achat").cast(DataType::Date).alias("jour"),
            to_micros(col("montant")).alias(MICRO_EUR),
        ]);
    let calendar = collect(calendar(dated.clone().select([col("jour")])))?.lazy();
    collect(
        dated
            .inner_join(countries, col("id_client"), col("id_client"))
            .inner_join(calendar, col("jour"), col("jour"))
            .sort(["id_achat"], SortMultipleOptions::default()),
    )
}

/// Distinct days with month, year, week and quarter.
fn calendar(days: LazyFrame) -> LazyFrame {
    let day = || col("jour");
    let since_monday = day().dt().weekday().cast(DataType::Int32) - lit(1);
    let monday = (day().to_physical() - since_monday).cast(DataType::Date);
    let quarter = day().dt().quarter().cast(DataType::String);
    days.unique(None, UniqueKeepStrategy::Any).with_columns([
        day().dt().strftime("%Y-%m").alias("mois"),
        day().dt().year().cast(DataType::Int64).alias("annee"),
        monday.alias("semaine"),
        (day().dt().strftime("%Y") + lit("-Q") + quarter).alias("trimestre"),
    ])
}

/// `revenue_by_country`: by the country of the customer.
pub(super) fn revenue_by_country(fact: &DataFrame) -> Result<DataFrame> {
    let grouped = fact.clone().lazy().group_by([col("pays")]).agg([
        col(MICRO_EUR).sum(),
        revenue().alias("total_revenue"),
        purchases().alias("total_purchases"),
        mean_amount().alias("avg_basket"),
        distinct("id_client").alias("unique_customers"),
    ]);
    let per_customer = eur_per(col(MICRO_EUR), col("unique_customers"));
    let ordered = collect(grouped.sort(["pays"], SortMultipleOptions::default()))?;
    Ok(ordered
        .lazy()
        .with_columns([
            per_customer.alias("avg_revenue_per_customer"),
            share_pct().alias("market_share_pct"),
        ])
        .collect()?)
}

/// `revenue_by_product`: with the countries that bring most of the revenue.
pub(super) fn revenue_by_product(fact: &DataFrame) -> Result<DataFrame> {
    /// Number of countries listed.
    const TOP: usize = 3;
    let ranking = SortMultipleOptions::default().with_order_descending_multi([false, true, false]);
    let by_country = fact
        .clone()
        .lazy()
        .group_by([col("produit"), col("pays")])
        .agg([col(MICRO_EUR).sum().alias("revenue")])
        .sort(["produit", "revenue", "pays"], ranking);
    let top_countries = collect(by_country)?
        .lazy()
        .group_by_stable([col("produit")])
        .agg([col("pays").head(Some(TOP)).alias("top_countries")])
        .collect()?;

    let grouped = fact.clone().lazy().group_by([col("produit")]).agg([
        col(MICRO_EUR).sum(),
        revenue().alias("total_revenue"),
        purchases().alias("total_sales"),
        mean_amount().alias("avg_price"),
        col("montant").min().alias("min_price"),
        col("montant").max().alias("max_price"),
        distinct("id_client").alias("unique_customers"),
    ]);
    let ordered = collect(grouped.sort(["produit"], SortMultipleOptions::default()))?;
    Ok(ordered
        .lazy()
        .inner_join(top_countries.lazy(), col("produit"), col("produit"))
        .with_column(share_pct().alias("market_share_pct"))
        .collect()?)
}

/// `monthly_revenue`: by calendar month.
pub(super) fn monthly_revenue(fact: &DataFrame) -> Result<DataFrame> {
    let month_start = col("jour").dt().month_start();
    let periods = by_period(fact, month_start, |first, last| {
        let mut month = first;
        let mut months = Vec::new();
        while month <= last {
            months.push(month);
            // 31 days later is always in the next month; back to its first day.
            month = first_of_month(Day(month.0 + 31));
        }
        months
    })?;
    Ok(periods
        .lazy()
        .with_columns([
            col("period").dt().strftime("%Y-%m").alias("month"),
            col("period").alias("month_start"),
        ])
        .collect()?)
}

/// The first day of the month a day falls in.
fn first_of_month(day: Day) -> Day {
    let day_of_month: i32 = day.to_string()[8..].parse().unwrap_or(1);
    Day(day.0 - day_of_month + 1)
}

/// `weekly_revenue`: by week, identified by its Monday.
pub(super) fn weekly_revenue(fact: &DataFrame) -> Result<DataFrame> {
    let weeks = by_period(fact, col("semaine"), |first, last| {
        (first.0..=last.0).step_by(7).map(Day).collect()
    })?;
    Ok(weeks.lazy().with_column(col("period").alias("week_start")).collect()?)
}

/// `daily_revenue`: by day, with means over the last seven calendar days.
pub(super) fn daily_revenue(fact: &DataFrame) -> Result<DataFrame> {
    /// Days in the moving means, including the day itself.
    const WINDOW: i32 = 7;
    let days = by_period(fact, col("jour"), |first, last| (first.0..=last.0).map(Day).collect())?;
    // Differences of running integer totals: exact, and days before the first count as 0.
    let over_window = |name: &str| {
        let total = col(name).cum_sum(false);
        total.clone() - total.shift(lit(WINDOW)).fill_null(lit(0_i64))
    };
    let mean = |total: Expr| divided(total, f64::from(WINDOW));
    Ok(days
        .lazy()
        .with_columns([
            col("period").alias("day"),
            mean(to_eur(over_window("micros"))).alias("revenue_7d_avg"),
            mean(over_window("total_purchases")).alias("purchases_7d_avg"),
        ])
        .collect()?)
}

/// Revenue by period, including periods without a sale, with growth over the previous period.
/// `period_start` maps purchases to the first day of their period, `all_between` lists the first
/// days of all periods. Columns: period, micros and those that all period tables share.
fn by_period(
    fact: &DataFrame,
    period_start: Expr,
    all_between: impl Fn(Day, Day) -> Vec<Day>,
) -> Result<DataFrame> {
    let sold = collect(
        fact.clone()
            .lazy()
            .with_column(period_start.alias("period"))
            .group_by([col("period")])
            .agg([
                col(MICRO_EUR).sum().alias("micros"),
                purchases().alias("total_purchases"),
                distinct("id_client").alias("unique_customers"),
            ]),
    )?;
    let starts = sold.column("period")?.to_physical_repr();
    let bounds = (starts.i32()?.min(), starts.i32()?.max());
    let periods: Vec<i32> = match bounds {
        (Some(first), Some(last)) => {
            all_between(Day(first), Day(last)).into_iter().map(|day| day.0).collect()
        }
        _ => Vec::new(),
    };
    let periods = Column::new("period".into(), periods).cast(&DataType::Date)?;

    let previous = col("micros").shift(lit(1));
    let growth = col("micros") - previous.clone();
    let relative = to_eur(growth.clone()) / to_eur(previous.clone());
    let mean = eur_per(col("micros"), col("total_purchases"));
    Ok(DataFrame::new_infer_height(vec![periods])?
        .lazy()
        .left_join(sold.lazy(), col("period"), col("period"))
        .sort(["period"], SortMultipleOptions::default())
        .with_columns([cols(["micros", "total_purchases", "unique_customers"])
            .as_expr()
            .fill_null(lit(0_i64))])
        .with_columns([
            to_eur(col("micros")).alias("total_revenue"),
            when(col("total_purchases").gt(lit(0)))
                .then(mean)
                .otherwise(lit(NULL))
                .alias("avg_basket"),
            to_eur(previous.clone()).alias("prev_revenue"),
            to_eur(growth).alias("growth_abs"),
            when(previous.gt(lit(0))).then(relative).otherwise(lit(NULL)).alias("growth_pct"),
        ])
        .collect()?)
}

/// `basket_distribution`: 12 bins of equal width over montant, closed on the right, the first one
/// on both sides.
pub(super) fn basket_distribution(fact: &DataFrame) -> Result<DataFrame> {
    const BINS: usize = 12;
    let amounts = fact.column("montant")?.f64()?;
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

/// `statistics`: descriptive statistics of montant, and of prix and quantite where present.
pub(super) fn statistics(fact: &DataFrame) -> Result<DataFrame> {
    let values = |name: &str| -> Result<Vec<f64>> {
        let column = fact.column(name)?.cast(&DataType::Float64)?;
        Ok(column.f64()?.iter().flatten().collect())
    };
    let counts = fact
        .clone()
        .lazy()
        .select([
            purchases().alias("total_purchases"),
            revenue().alias("total_revenue"),
            distinct("id_client").alias("total_customers"),
            distinct("produit").alias("total_products"),
            distinct("pays").alias("total_countries"),
        ])
        .collect()?;
    let mut columns = counts.into_columns();
    columns.extend(Description::of(values("montant")?).into_columns(""));
    columns.extend(Description::of(values("prix")?).into_columns("prix_"));
    columns.extend(Description::of(values("quantite")?).into_columns("quantite_"));
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
        let value = |name: &str| {
            description.statistics.iter().find(|(known, _)| *known == name).unwrap().1.unwrap()
        };
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
    fn months_start_on_the_first() {
        let day = |text| Day::parse(text).unwrap();
        assert_eq!(first_of_month(day("2024-02-29")), day("2024-02-01"));
        assert_eq!(first_of_month(day("2024-03-01")), day("2024-03-01"));
    }

    #[test]
    fn edges_are_labelled_as_pandas_does() {
        assert_eq!(edge_label(173.343_333_3), "173.343");
        assert_eq!(edge_label(255.0), "255.0");
        assert_eq!(edge_label(9.530_03), "9.53");
    }
}
