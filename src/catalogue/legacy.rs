//! The names that existing dashboards use (contract, section 5), each a projection of one table.

use super::customers::{COHORT_FIRST_PURCHASE, CUSTOMER_METRICS};
use super::sales::{
    BASKET_DISTRIBUTION, DAILY_REVENUE, FACT_ACHATS, MONTHLY_REVENUE, REVENUE_BY_COUNTRY,
    REVENUE_BY_PRODUCT, WEEKLY_REVENUE,
};
use super::scores::{CUSTOMER_FEATURES, CUSTOMER_SCORES, SEGMENT_SUMMARY};
use crate::domain::schema::{Fields, Table, View};

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
pub static COHORT: View = view("gold_cohort_first_purchase", &COHORT_FIRST_PURCHASE, Fields::All);

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
