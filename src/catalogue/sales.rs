//! Purchases and revenue: by country, product and period, as a histogram and as statistics.
//!
//! Computed by `pipeline::gold::sales`.

use super::columns::{MAX, TALLY_PURCHASES, date, float, int, money, text, text_list, timestamp};
use crate::domain::schema::{Access, Direction, Purchases, Table, Tally};

/// Every valid purchase, with its calendar.
pub static FACT_ACHATS: Table = Table {
    name: "fact_achats",
    grain: "one row per purchase",
    key: &["id_achat"],
    columns: &[
        int("id_achat", "purchase").within(1.0, MAX),
        int("id_client", "the customer who bought").within(1.0, MAX).indexed(),
        timestamp("date_achat", "when, UTC").indexed(),
        float("montant", "amount as in the source, EUR").within(0.0, MAX),
        text("produit", "product"),
        int("quantite", "units bought; null if absent in the source").nullable().within(1.0, MAX),
        float("prix", "unit price as in the source, EUR; null if absent").nullable(),
        text("pays", "country of the customer"),
        date("jour", "day of date_achat"),
        text("mois", "month of date_achat, YYYY-MM"),
        int("annee", "year of date_achat"),
        date("semaine", "Monday of the week of date_achat"),
        text("trimestre", "quarter of date_achat, YYYY-Qn"),
    ],
    order: &[],
    tally: Some(Tally { revenue: "montant", purchases: Purchases::Rows }),
    access: Access::Within("id_client"),
};

/// Revenue by the country of the customer.
pub static REVENUE_BY_COUNTRY: Table = Table {
    name: "revenue_by_country",
    grain: "one row per country with a sale",
    key: &["pays"],
    columns: &[
        text("pays", "country of the customer"),
        money("total_revenue", "sum of montant, EUR").within(0.0, MAX),
        int("total_purchases", "number of purchases").within(1.0, MAX),
        money("avg_basket", "mean of montant, EUR").within(0.0, MAX),
        int("unique_customers", "distinct customers who bought").within(1.0, MAX),
        money("avg_revenue_per_customer", "total_revenue / unique_customers, EUR").within(0.0, MAX),
        float("market_share_pct", "share of all revenue, 0 to 100").within(0.0, 100.0),
    ],
    order: &[("total_revenue", Direction::Descending)],
    tally: TALLY_PURCHASES,
    access: Access::Any,
};

/// Revenue by product.
pub static REVENUE_BY_PRODUCT: Table = Table {
    name: "revenue_by_product",
    grain: "one row per product sold",
    key: &["produit"],
    columns: &[
        text("produit", "product"),
        money("total_revenue", "sum of montant, EUR").within(0.0, MAX),
        int("total_sales", "number of purchases").within(1.0, MAX),
        money("avg_price", "mean of montant, EUR").within(0.0, MAX),
        money("min_price", "smallest montant, EUR").within(0.0, MAX),
        money("max_price", "largest montant, EUR").within(0.0, MAX),
        int("unique_customers", "distinct customers who bought it").within(1.0, MAX),
        float("market_share_pct", "share of all revenue, 0 to 100").within(0.0, 100.0),
        text_list("top_countries", "up to 3 countries by revenue of this product, descending"),
    ],
    order: &[("total_revenue", Direction::Descending)],
    tally: Some(Tally { revenue: "total_revenue", purchases: Purchases::Column("total_sales") }),
    access: Access::Any,
};

/// The columns that every table of revenue by period has after its key.
macro_rules! period_columns {
    ($($key:expr),+ ; $($extra:expr),*) => {
        &[
            $($key,)+
            money("total_revenue", "sum of montant, EUR; 0 in a period without a sale").within(0.0, MAX),
            int("total_purchases", "number of purchases").within(0.0, MAX),
            money("avg_basket", "mean of montant, EUR; null in a period without a sale")
                .nullable()
                .within(0.0, MAX),
            int("unique_customers", "distinct customers who bought").within(0.0, MAX),
            money("prev_revenue", "total_revenue of the previous period, EUR; null for the first")
                .nullable()
                .within(0.0, MAX),
            money("growth_abs", "total_revenue - prev_revenue, EUR; null for the first").nullable(),
            float(
                "growth_pct",
                "growth_abs / prev_revenue, as a fraction; null for the first and when prev_revenue is 0",
            )
            .nullable()
            .within(-1.0, MAX),
            $($extra,)*
        ]
    };
}

/// Revenue by calendar month, months without a sale included.
pub static MONTHLY_REVENUE: Table = Table {
    name: "monthly_revenue",
    grain: "one row per month from the first sale to the last",
    key: &["month"],
    columns: period_columns!(
        text("month", "month, YYYY-MM"),
        date("month_start", "first day of the month");
    ),
    order: &[],
    tally: TALLY_PURCHASES,
    access: Access::Any,
};

/// Revenue by ISO week, weeks without a sale included.
pub static WEEKLY_REVENUE: Table = Table {
    name: "weekly_revenue",
    grain: "one row per week from the first sale to the last",
    key: &["week_start"],
    columns: period_columns!(date("week_start", "Monday of the week"); ),
    order: &[],
    tally: TALLY_PURCHASES,
    access: Access::Any,
};

/// Revenue by day, days without a sale included.
pub static DAILY_REVENUE: Table = Table {
    name: "daily_revenue",
    grain: "one row per day from the first sale to the last",
    key: &["day"],
    columns: period_columns!(
        date("day", "day");
        money(
            "revenue_7d_avg",
            "revenue of the 7 calendar days up to and including the day / 7, EUR; a day without sales counts as 0"
        )
        .within(0.0, MAX),
        float(
            "purchases_7d_avg",
            "purchases of the 7 calendar days up to and including the day / 7; a day without sales counts as 0"
        )
        .within(0.0, MAX)
    ),
    order: &[],
    tally: TALLY_PURCHASES,
    access: Access::Any,
};

/// Histogram of amounts.
pub static BASKET_DISTRIBUTION: Table = Table {
    name: "basket_distribution",
    grain: "one row per bin: 12 bins of equal width from the smallest montant to the largest",
    key: &["bucket_index"],
    columns: &[
        int("bucket_index", "bin, 0 to 11").within(0.0, 11.0),
        text(
            "bucket",
            "label of the bin, `(low, high]`; the lower edge of the first one is shown 0.1 % of the whole range lower, since it is closed on the left too",
        ),
        float("bucket_low", "lower edge, EUR; belongs to the previous bin, except for the first"),
        float("bucket_high", "upper edge, EUR; belongs to the bin"),
        int("count", "purchases whose montant lies in the bin").within(0.0, MAX),
    ],
    order: &[],
    tally: None,
    access: Access::Any,
};

/// Descriptive statistics of all purchases.
pub static STATISTICS: Table = Table {
    name: "statistics",
    grain: "one row",
    key: &[],
    columns: &[
        int("total_purchases", "number of purchases").within(1.0, MAX),
        money("total_revenue", "sum of montant, EUR").within(0.0, MAX),
        int("total_customers", "distinct customers who bought").within(1.0, MAX),
        int("total_products", "distinct products sold").within(1.0, MAX),
        int("total_countries", "distinct countries of customers who bought").within(1.0, MAX),
        money("mean", "mean of montant, EUR").within(0.0, MAX),
        money("median", "median of montant, EUR").within(0.0, MAX),
        money("std", "standard deviation (n - 1) of montant, EUR; null for a single purchase")
            .nullable()
            .within(0.0, MAX),
        money("min", "minimum of montant, EUR").within(0.0, MAX),
        money("max", "maximum of montant, EUR").within(0.0, MAX),
        money("q25", "first quartile of montant, EUR").within(0.0, MAX),
        money("q75", "third quartile of montant, EUR").within(0.0, MAX),
        money("q90", "90th percentile of montant, EUR").within(0.0, MAX),
        money("q95", "95th percentile of montant, EUR").within(0.0, MAX),
        money("prix_mean", "mean of prix, EUR; null when no purchase has one").nullable(),
        money("prix_median", "median of prix, EUR; null when no purchase has one").nullable(),
        money("prix_std", "standard deviation (n - 1) of prix, EUR; null when no purchase has one")
            .nullable(),
        money("prix_min", "minimum of prix, EUR; null when no purchase has one").nullable(),
        money("prix_max", "maximum of prix, EUR; null when no purchase has one").nullable(),
        money("prix_q25", "first quartile of prix, EUR; null when no purchase has one").nullable(),
        money("prix_q75", "third quartile of prix, EUR; null when no purchase has one").nullable(),
        money("prix_q90", "90th percentile of prix, EUR; null when no purchase has one").nullable(),
        money("prix_q95", "95th percentile of prix, EUR; null when no purchase has one").nullable(),
        float("quantite_mean", "mean of quantite; null when no purchase has one").nullable(),
        float("quantite_median", "median of quantite; null when no purchase has one").nullable(),
        float(
            "quantite_std",
            "standard deviation (n - 1) of quantite; null when no purchase has one",
        )
        .nullable(),
        float("quantite_min", "minimum of quantite; null when no purchase has one").nullable(),
        float("quantite_max", "maximum of quantite; null when no purchase has one").nullable(),
        float("quantite_q25", "first quartile of quantite; null when no purchase has one")
            .nullable(),
        float("quantite_q75", "third quartile of quantite; null when no purchase has one")
            .nullable(),
        float("quantite_q90", "90th percentile of quantite; null when no purchase has one")
            .nullable(),
        float("quantite_q95", "95th percentile of quantite; null when no purchase has one")
            .nullable(),
    ],
    order: &[],
    tally: TALLY_PURCHASES,
    access: Access::Unlisted,
};
