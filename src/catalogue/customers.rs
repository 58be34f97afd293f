//! Customers: their metrics, the wide table that lists read, cohorts and the headline figures.
//!
//! Computed by `pipeline::gold::{customers, cohorts, kpis}`.

use super::columns::{
    GROSS_REVENUE, MAX, REFUNDS, TALLY_CA, TALLY_CUSTOMERS, TALLY_PURCHASES, boolean, concat, date,
    float, int, money, text, text_list, timestamp,
};
use super::scores::SCORES;
use crate::domain::schema::{Access, Column, Table};

/// Metrics of each customer over all purchases.
pub static CUSTOMER_METRICS: Table = Table {
    name: "customer_metrics",
    grain: "one row per valid customer, buyers or not",
    key: &["id_client"],
    columns: &concat::<{ METRICS.len() }, { LATER.len() }, { METRICS.len() + LATER.len() }>(
        METRICS, LATER,
    ),
    order: &[],
    tally: TALLY_CUSTOMERS,
    access: Access::Unlisted,
};

const METRICS: &[Column] = &[
    int("id_client", "customer").within(1.0, MAX),
    text("nom", "name; null if unknown").nullable(),
    text("email", "e-mail address, lower case; null if unknown").nullable().indexed(),
    text("pays", "country; null if unknown").nullable().indexed(),
    date("date_inscription", "day of registration; null if unknown").nullable(),
    money(
        "total_spent",
        "net revenue: sum of montant of all lines, refunds included, EUR; 0 without a line, negative where refunds exceed sales",
    )
    .indexed(),
    int("purchase_count", "number of orders with a sale line").within(0.0, MAX).indexed(),
    float("avg_basket", "gross_revenue / purchase_count, EUR; null without a purchase")
        .nullable()
        .within(0.0, MAX),
    money("min_basket", "smallest amount sold on an order, EUR; null without a purchase")
        .nullable()
        .within(0.0, MAX),
    money("max_basket", "largest amount sold on an order, EUR; null without a purchase")
        .nullable()
        .within(0.0, MAX),
    timestamp("first_purchase", "first sale; null without one").nullable(),
    timestamp("last_purchase", "last sale; null without one").nullable().indexed(),
    int("recency_days", "days between last_purchase and as_of; null without a purchase")
        .nullable()
        .within(0.0, MAX)
        .indexed(),
    int(
        "tenure_days",
        "days between date_inscription and as_of; negative when registered later, null without date_inscription",
    )
    .nullable(),
    int("product_count", "distinct known products bought").within(0.0, MAX),
    float(
        "purchase_frequency_per_month",
        "purchase_count / max(1, days from first_purchase to as_of / 30)",
    )
    .within(0.0, MAX),
    boolean("is_active", "recency_days <= 90"),
    boolean("is_high_value", "total_spent above the median of all customers"),
];

/// What tables of customers have at their end.
const LATER: &[Column] = &[
    GROSS_REVENUE,
    REFUNDS,
    text("ref_client", "the customer's identifier as the source writes it").added(),
    text(
        "date_inscription_source",
        "where date_inscription is from: file, or first_purchase; null without date_inscription",
    )
    .nullable()
    .added(),
];

/// All columns about a customer in one row, for lists, filters and dashboards.
pub static CUSTOMERS: Table = Table {
    name: "customers",
    grain: "one row per valid customer",
    key: &["id_client"],
    columns: &concat::<
        { METRICS.len() + WIDE.len() },
        { LATER.len() },
        { METRICS.len() + WIDE.len() + LATER.len() },
    >(
        &concat::<{ METRICS.len() }, { WIDE.len() }, { METRICS.len() + WIDE.len() }>(METRICS, WIDE),
        LATER,
    ),
    order: &[],
    tally: TALLY_CUSTOMERS,
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
    grain: "one row per month in which a known customer bought for the first time",
    key: &["first_purchase_month"],
    columns: &[
        text("first_purchase_month", "month of the first sale, YYYY-MM"),
        int("clients", "customers whose first purchase fell in it").within(1.0, MAX),
        money("ca", "all their net revenue to date, EUR"),
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
        money(
            "ca",
            "their net revenue in that month, EUR; a refund before the first purchase counts in its month",
        ),
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
        money("total_revenue", "net revenue: sum of montant of all lines, refunds included, EUR"),
        int("total_purchases", "number of orders with a sale line").within(0.0, MAX),
        int("total_customers", "all known customers, buyers or not").within(0.0, MAX),
        int("purchasing_customers", "customers with a purchase").within(0.0, MAX),
        int("active_customers", "customers with a purchase in the 90 days before as_of")
            .within(0.0, MAX),
        float("avg_basket", "gross_revenue / total_purchases, EUR; null without a purchase")
            .nullable()
            .within(0.0, MAX),
        timestamp("first_purchase", "first sale of all; null without one").nullable(),
        timestamp("last_purchase", "last sale of all; null without one").nullable(),
        float(
            "expected_value_12m",
            "sum of expected_value_12m over customers, EUR; a heuristic of the older systems, not a prediction: see predicted_clv_12m",
        )
        .within(0.0, MAX),
        float(
            "value_at_risk_12m",
            "sum of value_at_risk_12m over customers, EUR; of the same heuristic",
        )
        .within(0.0, MAX),
        int("high_risk_customers", "customers whose churn_risk_level is High").within(0.0, MAX),
        timestamp("as_of", "reference instant of the run: the greatest date served, refunds included"),
        GROSS_REVENUE,
        REFUNDS,
        money("guest_revenue", "net revenue of lines without a known customer, EUR").added(),
        text("currency", "the currency of all amounts, ISO 4217; null where lines name several")
            .nullable()
            .added(),
        money(
            "predicted_clv_12m",
            "sum of predicted_clv_12m over customers, EUR; null without a prediction",
        )
        .nullable()
        .within(0.0, MAX)
        .added(),
        float(
            "expected_purchases_12m",
            "sum of expected_purchases_12m over customers; null without a prediction",
        )
        .nullable()
        .within(0.0, MAX)
        .added(),
    ],
    order: &[],
    tally: TALLY_PURCHASES,
    access: Access::Unlisted,
};
