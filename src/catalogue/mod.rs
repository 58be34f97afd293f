//! Every gold table: name, grain, key, columns, order. The one source of schema truth.
//!
//! Storage, publishing, indexes, routes, the data dictionary and the OpenAPI document all follow
//! from these entries. Formulas are the contract's; a family's file in [`crate::pipeline::gold`] computes them.
//! The tables that models fill are in [`models`].

pub mod models;

use polars::prelude::{DataType, TimeUnit};

use crate::domain::schema::{
    Access, Catalogue, Column, ColumnType, Direction, Fields, Purchases, Table, Tally, View,
};

const fn int(name: &'static str, doc: &'static str) -> Column {
    Column::new(name, ColumnType::Int, doc)
}
const fn float(name: &'static str, doc: &'static str) -> Column {
    Column::new(name, ColumnType::Float, doc)
}
const fn money(name: &'static str, doc: &'static str) -> Column {
    Column::new(name, ColumnType::Money, doc)
}
const fn text(name: &'static str, doc: &'static str) -> Column {
    Column::new(name, ColumnType::Text, doc)
}
const fn boolean(name: &'static str, doc: &'static str) -> Column {
    Column::new(name, ColumnType::Bool, doc)
}
const fn date(name: &'static str, doc: &'static str) -> Column {
    Column::new(name, ColumnType::Date, doc)
}
const fn timestamp(name: &'static str, doc: &'static str) -> Column {
    Column::new(name, ColumnType::Timestamp, doc)
}
const fn text_list(name: &'static str, doc: &'static str) -> Column {
    Column::new(name, ColumnType::TextList, doc)
}

/// Upper bound of a column that has a lower bound only.
const MAX: f64 = f64::MAX;
const TALLY_CA: Option<Tally> = Some(Tally { revenue: "ca", purchases: Purchases::Unknown });
const TALLY_PURCHASES: Option<Tally> =
    Some(Tally { revenue: "total_revenue", purchases: Purchases::Column("total_purchases") });

/// The frame data type of every timestamp.
pub const INSTANT: DataType = DataType::Datetime(TimeUnit::Microseconds, None);

/// Every purchase that silver accepted, with the calendar it is grouped by.
pub static FACT_ACHATS: Table = Table {
    name: "fact_achats",
    grain: "one row per purchase",
    key: &["id_achat"],
    columns: &[
        int("id_achat", "purchase").within(1.0, MAX),
        int("id_client", "the customer who bought").within(1.0, MAX).indexed(),
        timestamp("date_achat", "when, UTC").indexed(),
        float("montant", "amount as the source says, EUR").within(0.0, MAX),
        text("produit", "product"),
        int("quantite", "units bought; null when the source does not say")
            .nullable()
            .within(1.0, MAX),
        float("prix", "unit price as the source says, EUR; null when it does not").nullable(),
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

/// Revenue by the customers' country.
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
        money("min_price", "least montant, EUR").within(0.0, MAX),
        money("max_price", "greatest montant, EUR").within(0.0, MAX),
        int("unique_customers", "distinct customers who bought it").within(1.0, MAX),
        float("market_share_pct", "share of all revenue, 0 to 100").within(0.0, 100.0),
        text_list("top_countries", "up to 3 countries, by revenue of this product, greatest first"),
    ],
    order: &[("total_revenue", Direction::Descending)],
    tally: Some(Tally { revenue: "total_revenue", purchases: Purchases::Column("total_sales") }),
    access: Access::Any,
};

/// The columns every revenue-by-period table has after its key.
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
            money("prev_revenue", "total_revenue of the period before, EUR; null for the first")
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
    grain: "one row per bin: 12 bins of equal width from the least montant to the greatest",
    key: &["bucket_index"],
    columns: &[
        int("bucket_index", "bin, 0 to 11").within(0.0, 11.0),
        text(
            "bucket",
            "the bin as a label, `(low, high]`; the first one's low edge is shown 0.1 % of the whole range lower, since it is closed on the left too",
        ),
        float("bucket_low", "lower edge, EUR; belongs to the bin before, except for the first"),
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
        money("min", "least value of montant, EUR").within(0.0, MAX),
        money("max", "greatest value of montant, EUR").within(0.0, MAX),
        money("q25", "first quartile of montant, EUR").within(0.0, MAX),
        money("q75", "third quartile of montant, EUR").within(0.0, MAX),
        money("q90", "90th percentile of montant, EUR").within(0.0, MAX),
        money("q95", "95th percentile of montant, EUR").within(0.0, MAX),
        money("prix_mean", "mean of prix, EUR; null when no purchase has one").nullable(),
        money("prix_median", "median of prix, EUR; null when no purchase has one").nullable(),
        money("prix_std", "standard deviation (n - 1) of prix, EUR; null when no purchase has one")
            .nullable(),
        money("prix_min", "least value of prix, EUR; null when no purchase has one").nullable(),
        money("prix_max", "greatest value of prix, EUR; null when no purchase has one").nullable(),
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
        float("quantite_min", "least value of quantite; null when no purchase has one").nullable(),
        float("quantite_max", "greatest value of quantite; null when no purchase has one")
            .nullable(),
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

/// Customers by the month of their first purchase.
pub static COHORT_FIRST_PURCHASE: Table = Table {
    name: "cohort_first_purchase",
    grain: "one row per month in which a customer bought for the first time",
    key: &["first_purchase_month"],
    columns: &[
        text("first_purchase_month", "month of the first purchase, YYYY-MM"),
        int("clients", "customers whose first purchase fell in it").within(1.0, MAX),
        money("ca", "all their spend to date, EUR").within(0.0, MAX),
    ],
    order: &[],
    tally: TALLY_CA,
    access: Access::Any,
};

/// How many of a cohort came back, month by month.
pub static COHORT_RETENTION: Table = Table {
    name: "cohort_retention",
    grain: "one row per cohort and month since, up to the month of as_of; a month in which nobody came back is present",
    key: &["first_purchase_month", "month_offset"],
    columns: &[
        text("first_purchase_month", "month of the first purchase, YYYY-MM"),
        int("month_offset", "months since, 0 for the month of the first purchase").within(0.0, MAX),
        int("active_clients", "customers of the cohort who bought in that month").within(0.0, MAX),
        float("retention_rate", "active_clients / customers of the cohort").within(0.0, 1.0),
        money("ca", "their spend in that month, EUR").within(0.0, MAX),
    ],
    order: &[],
    tally: TALLY_CA,
    access: Access::Any,
};

/// What is known of each customer from all purchases.
pub static CUSTOMER_METRICS: Table = Table {
    name: "customer_metrics",
    grain: "one row per valid customer, buyers or not",
    key: &["id_client"],
    columns: METRICS,
    order: &[],
    tally: Some(Tally { revenue: "total_spent", purchases: Purchases::Column("purchase_count") }),
    access: Access::Unlisted,
};

const METRICS: &[Column] = &[
    int("id_client", "customer").within(1.0, MAX),
    text("nom", "name"),
    text("email", "e-mail address, lower case").indexed(),
    text("pays", "country").indexed(),
    date("date_inscription", "day of registration"),
    money("total_spent", "sum of montant, EUR; 0 without a purchase").within(0.0, MAX).indexed(),
    int("purchase_count", "number of purchases").within(0.0, MAX).indexed(),
    float("avg_basket", "mean of montant, EUR; null without a purchase")
        .nullable()
        .within(0.0, MAX),
    money("min_basket", "least montant, EUR; null without a purchase").nullable().within(0.0, MAX),
    money("max_basket", "greatest montant, EUR; null without a purchase")
        .nullable()
        .within(0.0, MAX),
    timestamp("first_purchase", "first purchase; null without one").nullable(),
    timestamp("last_purchase", "last purchase; null without one").nullable().indexed(),
    int("recency_days", "days between last_purchase and as_of; null without a purchase")
        .nullable()
        .within(0.0, MAX)
        .indexed(),
    int("tenure_days", "days between date_inscription and as_of; negative when registered later"),
    int("product_count", "distinct products bought").within(0.0, MAX),
    float(
        "purchase_frequency_per_month",
        "purchase_count / max(1, days from first_purchase to as_of / 30)",
    )
    .within(0.0, MAX),
    boolean("is_active", "recency_days <= 90"),
    boolean("is_high_value", "total_spent above the median of all customers"),
];

/// The features scores are computed from, over the 12 months up to `as_of`.
pub static CUSTOMER_FEATURES: Table = Table {
    name: "customer_features",
    grain: "one row per valid customer",
    key: &["id_client"],
    columns: FEATURES,
    order: &[],
    tally: None,
    access: Access::Unlisted,
};

const FEATURES: &[Column] = &[
    int("id_client", "customer").within(1.0, MAX),
    int("freq_12m", "purchases in [as_of - 365 days, as_of]").within(0.0, MAX),
    money("monetary_12m", "sum of montant in that window, EUR").within(0.0, MAX),
    float("monetary_avg_12m", "mean of montant in that window, EUR; 0 if none").within(0.0, MAX),
    int("product_diversity_12m", "distinct products in that window").within(0.0, MAX),
    timestamp("last_purchase", "last purchase ever; null without one").nullable(),
    timestamp("first_purchase", "first purchase ever; null without one").nullable(),
    int("recency_days", "days between last_purchase and as_of; 365 if never").within(0.0, MAX),
    int("tenure_days", "days between first_purchase and as_of; 0 if never").within(0.0, MAX),
    int("total_orders_all", "purchases ever").within(0.0, MAX),
    money("total_spend_all", "sum of montant ever, EUR").within(0.0, MAX),
    float("avg_order_value_all", "mean of montant ever, EUR; 0 if none").within(0.0, MAX),
    date("reference_date", "day of as_of"),
];

/// Features with the score of buying again and what it is worth.
pub static CUSTOMER_SCORES: Table = Table {
    name: "customer_scores",
    grain: "one row per valid customer",
    key: &["id_client"],
    columns: &joined::<{ FEATURES.len() }, { SCORES.len() }, { FEATURES.len() + SCORES.len() }>(
        FEATURES, SCORES,
    ),
    order: &[],
    tally: None,
    access: Access::Any,
};

const SCORES: &[Column] = &[
    float(
        "prob_reachat_12m",
        "score of buying again in 12 months: clip(0.45 F + 0.30 R + 0.15 M + 0.10 D, 0, 1), with F = minmax(min(freq_12m, its q95)), R = 1 - minmax(min(recency_days, 365)), M = minmax(monetary_12m), D = minmax(product_diversity_12m)",
    )
    .within(0.0, 1.0)
    .indexed(),
    float(
        "expected_value_12m",
        "monetary_12m / months_active * 12 * prob_reachat_12m, EUR; months_active = max(tenure_days, 1) / 30 held to [1, 365 / 30]",
    )
    .within(0.0, MAX)
    .indexed(),
    float("value_at_risk_12m", "monetary_12m * (1 - prob_reachat_12m), EUR").within(0.0, MAX),
    text(
        "segment_label",
        "first that applies: VIP (score >= 0.65 and monetary_12m >= its q75), Actifs (score >= 0.55 and recency_days <= its q25), À relancer (monetary_12m >= its q75 and recency_days > its q75), Dormants (freq_12m <= max(1, its q75 / 2) and recency_days > its q75), else À potentiel",
    )
    .indexed(),
];

/// The segments of the scores, summed up.
pub static SEGMENT_SUMMARY: Table = Table {
    name: "segment_summary",
    grain: "one row per segment_label with a customer",
    key: &["segment_label"],
    columns: &[
        text("segment_label", "segment, see customer_scores"),
        int("clients", "customers in it").within(1.0, MAX),
        money("ca_12m", "sum of monetary_12m, EUR").within(0.0, MAX),
        float("expected_value_12m", "sum of expected_value_12m, EUR").within(0.0, MAX),
        float("value_at_risk_12m", "sum of value_at_risk_12m, EUR").within(0.0, MAX),
        float("freq_med", "median of freq_12m").within(0.0, MAX),
        float("recency_med", "median of recency_days").within(0.0, MAX),
    ],
    order: &[("expected_value_12m", Direction::Descending)],
    tally: None,
    access: Access::Any,
};

/// Everything about a customer in one row, for lists, filters and dashboards.
pub static CUSTOMERS: Table = Table {
    name: "customers",
    grain: "one row per valid customer",
    key: &["id_client"],
    columns: &joined::<{ METRICS.len() }, { WIDE.len() }, { METRICS.len() + WIDE.len() }>(
        METRICS, WIDE,
    ),
    order: &[],
    tally: Some(Tally { revenue: "total_spent", purchases: Purchases::Column("purchase_count") }),
    access: Access::Any,
};

const WIDE: &[Column] = &[
    text("segment_name", "RFM segment, see customer_segments").indexed(),
    text("segment_method", "what segment_name comes from; null without a purchase").nullable(),
    SCORES[3],
    float(
        "churn_probability",
        "probability of no purchase in the churn.horizon_days after as_of; null without a purchase",
    )
    .nullable()
    .within(0.0, 1.0)
    .indexed(),
    text("churn_risk_level", "High (>= 0.7), Medium (>= 0.4) or Low; null without a purchase")
        .nullable()
        .indexed(),
    text_list(
        "churn_factors",
        "in words, up to 3 features that moved churn_probability most; null without a purchase",
    )
    .nullable(),
    text("churn_method", "what churn_probability comes from; null without a purchase").nullable(),
    money(
        "predicted_clv_12m",
        "predicted spend of the 12 months after as_of, EUR; null without a purchase",
    )
    .nullable()
    .within(0.0, MAX)
    .indexed(),
    text(
        "clv_segment",
        "Low (< 100), Medium (< 500), High (< 1000) or Premium; null without a purchase",
    )
    .nullable()
    .indexed(),
    text("clv_method", "what predicted_clv_12m comes from; null without a purchase").nullable(),
    float(
        "p_alive",
        "probability of not having stopped buying for good (MBG/NBD); null without a purchase or where it cannot be fitted",
    )
    .nullable()
    .within(0.0, 1.0),
    float(
        "expected_purchases_12m",
        "days with a purchase to expect in 12 months (MBG/NBD); null likewise",
    )
    .nullable()
    .within(0.0, MAX),
    money(
        "expected_spend_12m",
        "spend to expect in 12 months (MBG/NBD × Gamma-Gamma), EUR; null likewise",
    )
    .nullable()
    .within(0.0, MAX),
    SCORES[0],
    SCORES[1],
    SCORES[2],
];

/// The headline figures.
pub static KPIS: Table = Table {
    name: "kpis",
    grain: "one row",
    key: &[],
    columns: &[
        money("total_revenue", "sum of montant, EUR").within(0.0, MAX),
        int("total_purchases", "number of purchases").within(1.0, MAX),
        int("total_customers", "all valid customers, buyers or not").within(1.0, MAX),
        int("purchasing_customers", "customers with a purchase").within(1.0, MAX),
        int("active_customers", "customers with a purchase in the 90 days before as_of")
            .within(0.0, MAX),
        float("avg_basket", "mean of montant, EUR").within(0.0, MAX),
        timestamp("first_purchase", "first purchase of all"),
        timestamp("last_purchase", "last purchase of all"),
        float("expected_value_12m", "sum of expected_value_12m over customers, EUR")
            .within(0.0, MAX),
        float("value_at_risk_12m", "sum of value_at_risk_12m over customers, EUR").within(0.0, MAX),
        int("high_risk_customers", "customers whose churn_risk_level is High").within(0.0, MAX),
        timestamp("as_of", "reference instant of the run"),
    ],
    order: &[],
    tally: TALLY_PURCHASES,
    access: Access::Unlisted,
};

/// Two column lists one after the other, at compile time.
const fn joined<const A: usize, const B: usize, const N: usize>(
    first: &[Column],
    second: &[Column],
) -> [Column; N] {
    let mut all = [first[0]; N];
    let mut i = 0;
    while i < A {
        all[i] = first[i];
        i += 1;
    }
    while i < A + B {
        all[i] = second[i - A];
        i += 1;
    }
    all
}

/// Every gold table, in the order they are built and published.
pub static ALL: &[&Table] = &[
    &FACT_ACHATS,
    &REVENUE_BY_COUNTRY,
    &REVENUE_BY_PRODUCT,
    &MONTHLY_REVENUE,
    &WEEKLY_REVENUE,
    &DAILY_REVENUE,
    &BASKET_DISTRIBUTION,
    &STATISTICS,
    &COHORT_FIRST_PURCHASE,
    &COHORT_RETENTION,
    &CUSTOMER_METRICS,
    &CUSTOMER_FEATURES,
    &CUSTOMER_SCORES,
    &SEGMENT_SUMMARY,
    &models::CUSTOMER_SEGMENTS,
    &models::CUSTOMER_SEGMENT_SUMMARY,
    &models::SEGMENT_MIGRATION,
    &models::CHURN_PREDICTIONS,
    &models::CLV_PREDICTIONS,
    &models::ML_MODEL_METRICS,
    &models::ML_CALIBRATION,
    &CUSTOMERS,
    &KPIS,
];

/// All that a store serves.
pub static CATALOGUE: Catalogue = Catalogue { tables: ALL, legacy_views: legacy::ALL };

/// The frame data type of a declared column type.
#[must_use]
pub fn data_type(ty: ColumnType) -> DataType {
    match ty {
        ColumnType::Int => DataType::Int64,
        ColumnType::Float | ColumnType::Money => DataType::Float64,
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Text => DataType::String,
        ColumnType::TextList => DataType::List(Box::new(DataType::String)),
        ColumnType::Date => DataType::Date,
        ColumnType::Timestamp => INSTANT,
    }
}

/// The table of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Table> {
    ALL.iter().copied().find(|table| table.name == name)
}

/// The names existing dashboards use (contract, section 5), each a projection of one table.
pub mod legacy {
    use super::{
        BASKET_DISTRIBUTION, COHORT_FIRST_PURCHASE, CUSTOMER_FEATURES, CUSTOMER_METRICS,
        CUSTOMER_SCORES, DAILY_REVENUE, FACT_ACHATS, Fields, MONTHLY_REVENUE, REVENUE_BY_COUNTRY,
        REVENUE_BY_PRODUCT, SEGMENT_SUMMARY, Table, View, WEEKLY_REVENUE,
    };

    const fn view(name: &'static str, table: &'static Table, fields: Fields) -> View {
        View { name, table, fields }
    }

    /// Every purchase.
    pub static FACT: View = view("gold_fact_achats", &FACT_ACHATS, Fields::All);
    /// Customers with their totals.
    pub static DIM_CLIENTS: View = view(
        "gold_dim_clients",
        &CUSTOMER_METRICS,
        Fields::Renamed(&[
            ("id_client", "id_client"),
            ("nom", "nom"),
            ("email", "email"),
            ("pays", "pays"),
            ("date_inscription", "date_inscription"),
            ("first_purchase", "first_purchase"),
            ("last_purchase", "last_purchase"),
            ("recency_days", "recency_days"),
            ("tenure_days", "tenure_days"),
            ("total_orders", "purchase_count"),
            ("total_spend", "total_spent"),
            ("avg_order_value", "avg_basket"),
            ("product_count", "product_count"),
        ]),
    );
    /// Features.
    pub static FEATURES: View = view("gold_client_features", &CUSTOMER_FEATURES, Fields::All);
    /// Scores, `/scores`.
    pub static SCORES: View = view("gold_client_scores", &CUSTOMER_SCORES, Fields::All);
    /// Segments, `/segments`.
    pub static SEGMENTS: View = view("gold_segment_summary", &SEGMENT_SUMMARY, Fields::All);
    /// Revenue by month, `/monthly`.
    pub static MONTHLY: View = view(
        "gold_monthly",
        &MONTHLY_REVENUE,
        Fields::Renamed(&[("mois", "month"), ("ca", "total_revenue")]),
    );
    /// Growth by month, `/monthly_growth`.
    pub static MONTHLY_GROWTH: View = view(
        "gold_monthly_growth",
        &MONTHLY_REVENUE,
        Fields::Renamed(&[
            ("mois", "month"),
            ("ca", "total_revenue"),
            ("prev_ca", "prev_revenue"),
            ("growth_abs", "growth_abs"),
            ("growth_pct", "growth_pct"),
        ]),
    );
    /// Revenue by country, `/by_country`.
    pub static BY_COUNTRY: View = view(
        "gold_by_country",
        &REVENUE_BY_COUNTRY,
        Fields::Renamed(&[("pays", "pays"), ("ca", "total_revenue")]),
    );
    /// Revenue by product, `/by_product`.
    pub static BY_PRODUCT: View = view(
        "gold_by_product",
        &REVENUE_BY_PRODUCT,
        Fields::Renamed(&[("produit", "produit"), ("ca", "total_revenue")]),
    );
    /// Revenue by day, `/daily`.
    pub static DAILY: View = view(
        "gold_daily",
        &DAILY_REVENUE,
        Fields::Renamed(&[("jour", "day"), ("ca", "total_revenue"), ("achats", "total_purchases")]),
    );
    /// Revenue by week, `/weekly`.
    pub static WEEKLY: View = view(
        "gold_weekly",
        &WEEKLY_REVENUE,
        Fields::Renamed(&[
            ("semaine", "week_start"),
            ("ca", "total_revenue"),
            ("achats", "total_purchases"),
        ]),
    );
    /// Histogram, `/distribution`.
    pub static DISTRIBUTION: View = view(
        "gold_distribution",
        &BASKET_DISTRIBUTION,
        Fields::Renamed(&[("bucket", "bucket"), ("count", "count")]),
    );
    /// Cohorts, `/cohort`.
    pub static COHORT: View =
        view("gold_cohort_first_purchase", &COHORT_FIRST_PURCHASE, Fields::All);

    /// All of them.
    pub static ALL: &[&View] = &[
        &FACT,
        &DIM_CLIENTS,
        &FEATURES,
        &SCORES,
        &SEGMENTS,
        &MONTHLY,
        &MONTHLY_GROWTH,
        &BY_COUNTRY,
        &BY_PRODUCT,
        &DAILY,
        &WEEKLY,
        &DISTRIBUTION,
        &COHORT,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn keys_orders_tallies_and_fields_name_real_columns() {
        for table in ALL {
            let names: BTreeSet<_> = table.columns.iter().map(|c| c.name).collect();
            assert_eq!(names.len(), table.columns.len(), "{} repeats a column", table.name);
            let order = table.order.iter().map(|(name, _)| name);
            for name in table.key.iter().chain(order) {
                let column = table.column(name).unwrap_or_else(|| panic!("{}.{name}", table.name));
                assert!(
                    !column.nullable,
                    "{}.{name} is a key or an order and nullable",
                    table.name
                );
            }
            if let Some(tally) = table.tally {
                for name in tally.columns() {
                    assert!(table.column(name).is_some(), "{}.{name}", table.name);
                }
            }
        }
        for view in legacy::ALL {
            if let Fields::Renamed(fields) = view.fields {
                assert_eq!(view.columns().len(), fields.len(), "{}", view.name);
            }
        }
    }
}
