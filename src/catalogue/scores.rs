//! Features over the last 12 months, the repurchase score, and its segments.
//!
//! Computed by `pipeline::gold::scores`.

use super::columns::{MAX, concat, date, float, int, money, text, timestamp};
use crate::domain::schema::{Access, Column, Direction, Table};

/// The features of the scores, over the 12 months up to `as_of`.
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
    int("freq_12m", "orders with a sale line in [as_of - 365 days, as_of]").within(0.0, MAX),
    money("monetary_12m", "net revenue in that window, EUR; negative where refunds exceed sales"),
    float("monetary_avg_12m", "sold in that window / freq_12m, EUR; 0 if none").within(0.0, MAX),
    int("product_diversity_12m", "distinct known products bought in that window").within(0.0, MAX),
    timestamp("last_purchase", "last sale ever; null without one").nullable(),
    timestamp("first_purchase", "first sale ever; null without one").nullable(),
    int("recency_days", "days between last_purchase and as_of; 365 if never").within(0.0, MAX),
    int("tenure_days", "days between first_purchase and as_of; 0 if never").within(0.0, MAX),
    int("total_orders_all", "orders with a sale line ever").within(0.0, MAX),
    money("total_spend_all", "net revenue ever, EUR; negative where refunds exceed sales"),
    float("avg_order_value_all", "sold ever / total_orders_all, EUR; 0 if none").within(0.0, MAX),
    date("reference_date", "day of as_of"),
];

/// Features with the repurchase score and its value.
pub static CUSTOMER_SCORES: Table = Table {
    name: "customer_scores",
    grain: "one row per valid customer",
    key: &["id_client"],
    columns: &concat::<{ FEATURES.len() }, { SCORES.len() }, { FEATURES.len() + SCORES.len() }>(
        FEATURES, SCORES,
    ),
    order: &[],
    tally: None,
    access: Access::Any,
};

pub(super) const SCORES: &[Column] = &[
    float(
        "prob_reachat_12m",
        "repurchase score, a heuristic of the older systems and not a probability that was measured: clip(0.45 F + 0.30 R + 0.15 M + 0.10 D, 0, 1), with F = minmax(min(freq_12m, its q95)), R = 1 - minmax(min(recency_days, 365)), M = minmax(max(0, monetary_12m)), D = minmax(product_diversity_12m)",
    )
    .within(0.0, 1.0)
    .indexed(),
    float(
        "expected_value_12m",
        "a heuristic of the older systems, not a prediction: see predicted_clv_12m. max(0, monetary_12m) / months_active * 12 * prob_reachat_12m, EUR; months_active = max(tenure_days, 1) / 30 clipped to [1, 365 / 30]",
    )
    .within(0.0, MAX)
    .indexed(),
    float(
        "value_at_risk_12m",
        "max(0, monetary_12m) * (1 - prob_reachat_12m), EUR; of the same heuristic",
    )
    .within(0.0, MAX),
    text(
        "segment_label",
        "the first that applies of VIP (score >= 0.65 and monetary_12m >= its q75), Actifs (score >= 0.55 and recency_days <= its q25), À relancer (monetary_12m >= its q75 and recency_days > its q75), Dormants (freq_12m <= max(1, its q75 / 2) and recency_days > its q75), else À potentiel; a negative monetary_12m counts as 0",
    )
    .indexed(),
];

/// The segments of the scores, summarised.
pub static SEGMENT_SUMMARY: Table = Table {
    name: "segment_summary",
    grain: "one row per segment_label with a customer",
    key: &["segment_label"],
    columns: &[
        text("segment_label", "segment, see customer_scores"),
        int("clients", "customers in it").within(1.0, MAX),
        money("ca_12m", "sum of monetary_12m, EUR"),
        float(
            "expected_value_12m",
            "sum of expected_value_12m, EUR; a heuristic of the older systems",
        )
        .within(0.0, MAX),
        float("value_at_risk_12m", "sum of value_at_risk_12m, EUR; of the same heuristic")
            .within(0.0, MAX),
        float("freq_med", "median of freq_12m").within(0.0, MAX),
        float("recency_med", "median of recency_days").within(0.0, MAX),
    ],
    order: &[("expected_value_12m", Direction::Descending)],
    tally: None,
    access: Access::Any,
};
