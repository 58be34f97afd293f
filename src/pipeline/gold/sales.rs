//! Sales: lines with their calendar, and revenue by country, product and period.

use polars::prelude::*;

use super::exact::{
    MICRO_EUR, check_sums_fit, distinct, divided, eur_per, rows, share_pct, to_eur, to_micros,
};
use super::lines::{
    BUYER, COUNTRY, KNOWN, PRODUCT, REFUND, SOLD, UNITS, UNKNOWN, count, gross, net, orders, parts,
    sums, with_roles,
};
use super::streaming::collect;
use crate::domain::time::{Day, Timestamp};
use crate::pipeline::Result;

/// The country that stands in the row of a purchase.
const OWN_COUNTRY: &str = "~own_country";

/// `fact_achats`: lines up to `as_of` with the country of the customer, of guests the row's own,
/// and the calendar of the day, ascending id_achat. Has the columns of [`super::lines`] beside the
/// declared ones. Fails with [`crate::pipeline::PipelineError::Overflow`].
pub(super) fn fact_achats(
    customers: &DataFrame,
    all_purchases: &DataFrame,
    as_of: Timestamp,
) -> Result<DataFrame> {
    check_sums_fit(all_purchases)?;
    let has_guests = all_purchases.column("id_client")?.null_count() > 0;
    let country = if has_guests {
        when(col("id_client").is_null()).then(col(OWN_COUNTRY)).otherwise(col("pays"))
    } else {
        col("pays")
    };
    let countries = customers.clone().lazy().select([col("id_client"), col("pays")]);
    let dated = all_purchases
        .clone()
        .lazy()
        .rename(["pays"], [OWN_COUNTRY], true)
        .filter(col("date_achat").to_physical().lt_eq(lit(as_of.0)))
        .with_columns([
            col("date_achat").cast(DataType::Date).alias("jour"),
            to_micros(col("montant")).alias(MICRO_EUR),
        ]);
    let calendar = collect(calendar(dated.clone().select([col("jour")])))?.lazy();
    let fact = collect(
        dated
            .left_join(countries, col("id_client"), col("id_client"))
            .inner_join(calendar, col("jour"), col("jour"))
            .with_column(country.alias("pays"))
            .sort(["id_achat"], SortMultipleOptions::default()),
    )?;
    with_roles(fact)
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

/// `revenue_by_country`: by the country of the customer, with its customers from
/// `customer_metrics`.
pub(super) fn revenue_by_country(fact: &DataFrame, metrics: &DataFrame) -> Result<DataFrame> {
    let totals = sums([
        orders().alias("total_purchases"),
        col(KNOWN).sum(),
        distinct(BUYER).alias("unique_customers"),
    ]);
    let sold = fact.clone().lazy().group_by([col(COUNTRY)]).agg(totals);
    let ordered = collect(sold.sort([COUNTRY], SortMultipleOptions::default()))?;
    let customers = metrics
        .clone()
        .lazy()
        .group_by([col("pays").fill_null(lit(UNKNOWN))])
        .agg([rows().alias("total_customers")]);
    Ok(ordered
        .lazy()
        .left_join(customers, col(COUNTRY), col("pays"))
        .with_columns(parts("total_purchases"))
        .with_columns([
            col(COUNTRY).alias("pays"),
            net().alias("total_revenue"),
            eur_per(col(KNOWN), col("unique_customers")).alias("avg_revenue_per_customer"),
            share_pct(gross()).alias("market_share_pct"),
            col("total_customers").fill_null(lit(0_i64)),
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
        .group_by([col(PRODUCT), col(COUNTRY)])
        .agg([col(MICRO_EUR).sum().alias("revenue")])
        .sort([PRODUCT, "revenue", COUNTRY], ranking);
    let top_countries = collect(by_country)?
        .lazy()
        .group_by_stable([col(PRODUCT)])
        .agg([col(COUNTRY).head(Some(TOP)).alias("top_countries")])
        .collect()?;

    let totals = sums([
        count(SOLD).alias("total_sales"),
        col(SOLD).min().alias("min_price"),
        col(SOLD).max().alias("max_price"),
        col(UNITS).sum().alias("units_sold"),
        distinct(BUYER).alias("unique_customers"),
    ]);
    let sold = fact.clone().lazy().group_by([col(PRODUCT)]).agg(totals);
    let ordered = collect(sold.sort([PRODUCT], SortMultipleOptions::default()))?;
    Ok(ordered
        .lazy()
        .inner_join(top_countries.lazy(), col(PRODUCT), col(PRODUCT))
        .with_columns(parts("total_sales"))
        .with_columns([
            col(PRODUCT).alias("produit"),
            net().alias("total_revenue"),
            col("avg_basket").alias("avg_price"),
            share_pct(gross()).alias("market_share_pct"),
        ])
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
            mean(to_eur(over_window(MICRO_EUR))).alias("revenue_7d_avg"),
            mean(over_window("total_purchases")).alias("purchases_7d_avg"),
        ])
        .collect()?)
}

/// Revenue by period, including periods without a sale, with growth over the previous period.
/// `period_start` maps lines to the first day of their period, `all_between` lists the first days
/// of all periods. Columns: period, the sums and those that all period tables share.
fn by_period(
    fact: &DataFrame,
    period_start: Expr,
    all_between: impl Fn(Day, Day) -> Vec<Day>,
) -> Result<DataFrame> {
    let totals =
        sums([orders().alias("total_purchases"), distinct(BUYER).alias("unique_customers")]);
    let lines = fact.clone().lazy().with_column(period_start.alias("period"));
    let sold = collect(lines.group_by([col("period")]).agg(totals))?;
    let starts = sold.column("period")?.to_physical_repr();
    let bounds = (starts.i32()?.min(), starts.i32()?.max());
    let periods: Vec<i32> = match bounds {
        (Some(first), Some(last)) => {
            all_between(Day(first), Day(last)).into_iter().map(|day| day.0).collect()
        }
        _ => Vec::new(),
    };
    let periods = Column::new("period".into(), periods).cast(&DataType::Date)?;

    let previous = col(MICRO_EUR).shift(lit(1));
    let growth = col(MICRO_EUR) - previous.clone();
    let relative = to_eur(growth.clone()) / to_eur(previous.clone());
    Ok(DataFrame::new_infer_height(vec![periods])?
        .lazy()
        .left_join(sold.lazy(), col("period"), col("period"))
        .sort(["period"], SortMultipleOptions::default())
        .with_columns([cols([MICRO_EUR, REFUND, "total_purchases", "unique_customers"])
            .as_expr()
            .fill_null(lit(0_i64))])
        .with_columns(parts("total_purchases"))
        .with_columns([
            net().alias("total_revenue"),
            to_eur(previous.clone()).alias("prev_revenue"),
            to_eur(growth).alias("growth_abs"),
            when(previous.gt(lit(0))).then(relative).otherwise(lit(NULL)).alias("growth_pct"),
        ])
        .collect()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_start_on_the_first() {
        let day = |text| Day::parse(text).unwrap();
        assert_eq!(first_of_month(day("2024-02-29")), day("2024-02-01"));
        assert_eq!(first_of_month(day("2024-03-01")), day("2024-03-01"));
    }
}
