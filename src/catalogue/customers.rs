//! Customers: their metrics, the wide table that lists read, cohorts and the headline figures.
//!
//! Computed by `pipeline::gold::{customers, cohorts, kpis}`.

use super::columns::{
    MAX, TALLY_CA, TALLY_PURCHASES, boolean, concat, date, float, int, money, text, text_list,
    timestamp,
};
use super::scores::SCORES;
use crate::domain::schema::{Access, Column, Purchases, Table, Tally};

/// Metrics of each customer over all purchases.
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
    money("min_basket", "smallest montant, EUR; null without a purchase")
        .nullable()
        .within(0.0, MAX),
    money("max_basket", "largest montant, EUR; null without a purchase")
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

/// All columns about a customer in one row, for lists, filters and dashboards.
pub static CUSTOMERS: Table = Table {
    name: "customers",
    grain: "one row per valid customer",
    key: &["id_client"],
    columns: &concat::<{ METRICS.len() }, { WIDE.len() }, { METRICS.len() + WIDE.len() }>(
        METRICS, WIDE,
    ),
    order: &[],
    tally: Some(Tally { revenue: "total_spent", purchases: Purchases::Column("purchase_count") }),
    access: Access::Any,
};

const WIDE: &[Column] = &[
    text("segment_name", "RFM segment, see customer_segments").indexed(),
    text("segment_method", "method behind segment_name; null without a purchase").nullable(),
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
        "up to 3 features that moved churn_probability most, as sentences; null without a purchase",
    )
    .nullable(),
    text("churn_method", "method behind churn_probability; null without a purchase").nullable(),
    money(
        "predicted_clv_12m",
        "predicted spend in the 12 months after as_of, EUR; null without a purchase",
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
    text("clv_method", "method behind predicted_clv_12m; null without a purchase").nullable(),
    float(
        "p_alive",
        "probability that the customer is still active (MBG/NBD); null without a purchase or where it cannot be fitted",
    )
    .nullable()
    .within(0.0, 1.0),
    float(
        "expected_purchases_12m",
        "expected days with a purchase in 12 months (MBG/NBD); null in the same cases",
    )
    .nullable()
    .within(0.0, MAX),
    money(
        "expected_spend_12m",
        "expected spend in 12 months (MBG/NBD × Gamma-Gamma), EUR; null in the same cases",
    )
    .nullable()
    .within(0.0, MAX),
    SCORES[0],
    SCORES[1],
    SCORES[2],
];

/// Cohorts: customers by the month of their first purchase.
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

/// Retention of cohorts, month by month.
pub static COHORT_RETENTION: Table = Table {
    name: "cohort_retention",
    grain: "one row per cohort and month since, up to the month of as_of; months without returning customers included",
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

/// The headline KPIs.
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
