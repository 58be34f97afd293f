//! The tables that models fill: predictions by customer, and what is to be said of the models.

use super::columns::{MAX, boolean, float, int, money, text, text_list, timestamp};
use crate::domain::schema::{Access, Column, Direction, Purchases, Table, Tally};

/// RFM segments by customer.
pub static CUSTOMER_SEGMENTS: Table = Table {
    name: "customer_segments",
    grain: "one row per valid customer, buyers or not",
    key: &["id_client"],
    columns: &[
        int("id_client", "customer").within(1.0, MAX),
        int("recency", "days between the last purchase and as_of; null without a purchase")
            .nullable()
            .within(0.0, MAX),
        int("frequency", "number of purchases").within(0.0, MAX),
        money("monetary", "sum of montant, EUR").within(0.0, MAX),
        int(
            "segment_id",
            "place of the segment's centre by z(frequency) + z(monetary) - z(recency), 0 for the greatest; null without a purchase",
        )
        .nullable()
        .within(0.0, 3.0),
        text(
            "segment_name",
            "Champions (0), Loyal (1), At Risk (2), Lost (3); Prospect without a purchase",
        )
        .indexed(),
        text(
            "method",
            "kmeans, or baseline (quarters of the same score) where K-Means cannot be; null without a purchase",
        )
        .nullable(),
    ],
    order: &[],
    tally: Some(Tally { revenue: "monetary", purchases: Purchases::Column("frequency") }),
    access: Access::Any,
};

/// The RFM segments, summed up.
pub static CUSTOMER_SEGMENT_SUMMARY: Table = Table {
    name: "customer_segment_summary",
    grain: "one row per segment_name with a customer",
    key: &["segment_name"],
    columns: &[
        text("segment_name", "segment, see customer_segments"),
        int("segment_id", "its number; null for Prospect").nullable().within(0.0, 3.0),
        int("clients", "customers in it").within(1.0, MAX),
        float("share_pct", "share of all customers, 0 to 100").within(0.0, 100.0),
        float("recency_avg", "mean of recency, days; null for Prospect")
            .nullable()
            .within(0.0, MAX),
        float("frequency_avg", "mean of frequency").within(0.0, MAX),
        float("monetary_avg", "mean of monetary, EUR").within(0.0, MAX),
        money("monetary_total", "sum of monetary, EUR").within(0.0, MAX),
    ],
    order: &[("monetary_total", Direction::Descending)],
    tally: None,
    access: Access::Any,
};

/// Who moved from which segment to which since the last published run.
pub static SEGMENT_MIGRATION: Table = Table {
    name: "segment_migration",
    grain: "one row per pair of segments that a customer moved between, or stayed in, since the last published run",
    key: &["from_segment", "to_segment"],
    columns: &[
        text("from_segment", "segment_name in the last published run; New for who was not there"),
        text("to_segment", "segment_name now; Gone for who is not there any more"),
        int("clients", "customers").within(1.0, MAX),
    ],
    order: &[("clients", Direction::Descending)],
    tally: None,
    access: Access::Any,
};

/// The probability that a customer will not buy again soon.
pub static CHURN_PREDICTIONS: Table = Table {
    name: "churn_predictions",
    grain: "one row per customer with a purchase",
    key: &["id_client"],
    columns: &[
        int("id_client", "customer").within(1.0, MAX),
        int("days_since_last", "days between the last purchase and as_of").within(0.0, MAX),
        int("frequency", "number of purchases").within(1.0, MAX),
        float("avg_basket", "mean of montant, EUR").within(0.0, MAX),
        int("tenure", "days between the first purchase and as_of").within(0.0, MAX),
        float(
            "churn_probability",
            "probability of no purchase in the churn.horizon_days after as_of",
        )
        .within(0.0, 1.0)
        .indexed(),
        text("churn_risk_level", "High (>= 0.7), Medium (>= 0.4) or Low").indexed(),
        text_list(
            "top_factors",
            "up to 3 features that moved this customer's probability most, the strongest first",
        ),
        text_list(
            "factors",
            "the same in words, with the feature's value and by how many points it moved the probability",
        ),
        text(
            "method",
            "what the probability comes from: random_forest, boosted_trees, bg_nbd, mbg_nbd, nbd, or baseline",
        ),
    ],
    order: &[],
    tally: None,
    access: Access::Any,
};

/// What a customer is worth in the next 12 months.
pub static CLV_PREDICTIONS: Table = Table {
    name: "clv_predictions",
    grain: "one row per customer with a purchase",
    key: &["id_client"],
    columns: &[
        int("id_client", "customer").within(1.0, MAX),
        float("avg_purchase", "mean of montant, EUR").within(0.0, MAX),
        int("frequency", "number of purchases").within(1.0, MAX),
        int("customer_age", "days between the first purchase and as_of").within(0.0, MAX),
        money("historical_clv", "sum of montant to date, EUR").within(0.0, MAX),
        money("predicted_clv_12m", "predicted spend of the 12 months after as_of, EUR")
            .within(0.0, MAX)
            .indexed(),
        text("clv_segment", "Low (< 100), Medium (< 500), High (< 1000) or Premium").indexed(),
        float(
            "p_alive",
            "probability of not having stopped buying for good (MBG/NBD); null where it cannot be fitted",
        )
        .nullable()
        .within(0.0, 1.0),
        float(
            "expected_purchases_12m",
            "days with a purchase to expect in 12 months (MBG/NBD); null where it cannot be fitted",
        )
        .nullable()
        .within(0.0, MAX),
        money(
            "expected_spend_12m",
            "spend to expect in 12 months (MBG/NBD × Gamma-Gamma, a second opinion on predicted_clv_12m), EUR; null where they cannot be fitted",
        )
        .nullable()
        .within(0.0, MAX),
        text(
            "method",
            "what predicted_clv_12m comes from: boosted_trees, two_stage, bg_nbd, mbg_nbd, or baseline",
        ),
    ],
    order: &[],
    tally: Some(Tally {
        revenue: "historical_clv",
        purchases: Purchases::Column("frequency"),
    }),
    access: Access::Any,
};

const fn rate(name: &'static str, doc: &'static str) -> Column {
    float(name, doc).nullable().within(0.0, 1.0)
}
const fn figure(name: &'static str, doc: &'static str) -> Column {
    float(name, doc).nullable()
}

/// What is to be said of the models: what serves, what else was tried, how well each did.
pub static ML_MODEL_METRICS: Table = Table {
    name: "ml_model_metrics",
    grain: "one row per task (segmentation, churn, clv, buying: what serves) and per method tried for churn and clv (task_method)",
    key: &["model"],
    columns: &[
        text(
            "model",
            "segmentation, churn, clv or buying for what serves; churn_random_forest and the like for each method tried",
        ),
        text(
            "task",
            "segmentation, churn, clv, or buying (p_alive, expected_purchases_12m, expected_spend_12m)",
        ),
        text(
            "method",
            "kmeans, random_forest, boosted_trees, two_stage, bg_nbd, mbg_nbd, nbd or baseline",
        ),
        boolean("serves", "whether the documents of the task come from it"),
        text("algorithm", "the method in words"),
        text("library", "what fits it, with version"),
        text(
            "note",
            "what a reader has to know: what was skipped or sampled, and why; empty when there is nothing",
        ),
        timestamp("trained_at", "start of the run that trained it, whole seconds"),
        timestamp("as_of", "reference instant of the run"),
        timestamp(
            "cut_off",
            "end of the past it learnt from; null for segmentation and buying, which learn up to as_of",
        )
        .nullable(),
        int("horizon_days", "length of the window after the cut-off, days; null without a cut-off")
            .nullable()
            .within(1.0, MAX),
        int("n_samples", "customers known at the cut-off").within(0.0, MAX),
        int("n_fitted", "customers it was fitted on").within(0.0, MAX),
        int("n_held_out", "customers it was judged on, which the fit has not seen")
            .within(0.0, MAX),
        int("n_features", "features it was told").within(0.0, MAX),
        text_list("features", "the features"),
        text("hyper_parameters", "hyper-parameters; empty when there are none"),
        text_list(
            "parameters",
            "fitted parameters with standard errors; empty when there are none",
        ),
        figure("log_likelihood", "logarithm of the likelihood; null where none is maximised"),
        int("seed", "seed of everything left to chance").within(0.0, MAX),
        text_list(
            "feature_importances",
            "mean size of each feature's effect on predictions for held-out customers (5 000 of more), as a share of 1, greatest first; empty for the baseline of clv",
        ),
        float(
            "silhouette",
            "mean silhouette, exact up to 10 000 customers, else of a sample of 10 000",
        )
        .nullable()
        .within(-1.0, 1.0),
        float("inertia", "sum of squared distances to the centres, standardised")
            .nullable()
            .within(0.0, MAX),
        float(
            "adjusted_rand_index",
            "agreement with the segments of the last published run, over customers who had bought in both; null with fewer than two",
        )
        .nullable()
        .within(-1.0, 1.0),
        text_list("segment_sizes", "customers by segment"),
        rate("base_rate", "share of held-out customers who churned"),
        rate("accuracy", "share of right answers, held out: of a probability of at least 0.5, of the rule by its threshold"),
        rate("precision", "share of those foretold to churn who did, held out"),
        rate("recall", "share of those who churned that were foretold, held out"),
        rate("f1_score", "harmonic mean of precision and recall, held out"),
        rate("roc_auc", "area under the ROC curve, held out"),
        rate("brier", "Brier score, held out"),
        figure("log_loss", "log loss, held out"),
        figure(
            "lift_10pct",
            "churn rate of the tenth with the highest probabilities over base_rate, held out",
        ),
        rate("baseline_accuracy", "accuracy of the baseline"),
        rate("baseline_precision", "precision of the baseline"),
        rate("baseline_recall", "recall of the baseline"),
        rate("baseline_f1_score", "F1 of the baseline"),
        rate("baseline_roc_auc", "area under the ROC curve of the baseline"),
        rate("baseline_brier", "Brier score of the baseline"),
        figure("baseline_log_loss", "log loss of the baseline"),
        figure("baseline_lift_10pct", "lift of the baseline"),
        figure("mae", "mean absolute error, EUR in 12 months, held out"),
        figure("rmse", "root of the mean squared error, EUR in 12 months, held out"),
        figure("r2", "coefficient of determination, held out"),
        figure("spearman", "rank correlation, held out"),
        figure("total_ratio", "sum foretold over sum that came, held out"),
        figure("baseline_mae", "mean absolute error of the baseline"),
        figure("baseline_rmse", "root of the mean squared error of the baseline"),
        figure("baseline_r2", "coefficient of determination of the baseline"),
        figure("baseline_spearman", "rank correlation of the baseline"),
        figure("baseline_total_ratio", "sum foretold over sum that came, of the baseline"),
    ],
    order: &[],
    tally: None,
    access: Access::Any,
};

/// What was foretold and what happened, for every method that gives churn probabilities.
pub static ML_CALIBRATION: Table = Table {
    name: "ml_calibration",
    grain: "one row per churn model and tenth of the probabilities",
    key: &["model", "bin"],
    columns: &[
        text("model", "see ml_model_metrics"),
        int("bin", "tenth, 0 to 9").within(0.0, 9.0),
        float("probability_low", "least probability of the bin").within(0.0, 1.0),
        float("probability_high", "greatest; belongs to the next bin, except for 1")
            .within(0.0, 1.0),
        int("clients", "held-out customers in it").within(0.0, MAX),
        rate("mean_probability", "mean of their probabilities; null without a customer"),
        rate("churn_rate", "share of them who churned; null without a customer"),
    ],
    order: &[],
    tally: None,
    access: Access::Within("model"),
};
