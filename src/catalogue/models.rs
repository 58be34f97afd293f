//! Tables filled by models: segments and predictions by customer, and metrics of the models.
//!
//! Computed by `pipeline::ml::frames`.

use super::columns::{MAX, boolean, float, int, money, text, text_list, timestamp};
use crate::domain::schema::{Access, Column, Direction, Purchases, Scope, Table, Tally};

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
        int("frequency", "number of orders with a sale line").within(0.0, MAX),
        money(
            "monetary",
            "net revenue, refunds included, EUR; 0 without a purchase. Segments see a negative one as 0",
        ),
        int(
            "segment_id",
            "rank of the segment by z(frequency) + z(monetary) - z(recency) of its centre, 0 for the highest; null without a purchase",
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
            "kmeans, or baseline (quarters of the same score) where K-Means cannot be fitted; null without a purchase",
        )
        .nullable(),
    ],
    order: &[],
    tally: Some(Tally {
        revenue: "monetary",
        purchases: Purchases::Orders("frequency"),
        scope: Scope::Buyers,
    }),
    access: Access::Any,
};

/// The RFM segments, summarised.
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
        float("monetary_avg", "mean of monetary, EUR"),
        money("monetary_total", "sum of monetary, EUR"),
    ],
    order: &[("monetary_total", Direction::Descending)],
    tally: None,
    access: Access::Any,
};

/// Customers who moved between segments since the last published run.
pub static SEGMENT_MIGRATION: Table = Table {
    name: "segment_migration",
    grain: "one row per pair of earlier and present segment with a customer",
    key: &["from_segment", "to_segment"],
    columns: &[
        text(
            "from_segment",
            "segment_name in the last published run; New for customers who were not in it",
        ),
        text("to_segment", "segment_name now; Gone for customers who no longer exist"),
        int("clients", "customers").within(1.0, MAX),
    ],
    order: &[("clients", Direction::Descending)],
    tally: None,
    access: Access::Any,
};

/// Churn: the probability that a customer does not buy within the horizon.
pub static CHURN_PREDICTIONS: Table = Table {
    name: "churn_predictions",
    grain: "one row per customer with a purchase",
    key: &["id_client"],
    columns: &[
        int("id_client", "customer").within(1.0, MAX),
        int("days_since_last", "days between the last purchase and as_of").within(0.0, MAX),
        int("frequency", "number of orders with a sale line").within(0.0, MAX),
        float("avg_basket", "net spend, at least 0, / frequency, EUR").within(0.0, MAX),
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
            "up to 3 features that moved the probability of this customer most, strongest first",
        ),
        text_list(
            "factors",
            "the same as sentences, with the value of the feature and the percentage points by which it moved the probability",
        ),
        text(
            "method",
            "method behind churn_probability: random_forest, boosted_trees, bg_nbd, mbg_nbd, nbd, or baseline",
        ),
    ],
    order: &[],
    tally: None,
    access: Access::Any,
};

/// Lifetime value: the predicted spend of the next 12 months.
pub static CLV_PREDICTIONS: Table = Table {
    name: "clv_predictions",
    grain: "one row per customer with a purchase",
    key: &["id_client"],
    columns: &[
        int("id_client", "customer").within(1.0, MAX),
        float("avg_purchase", "net spend, at least 0, / frequency, EUR").within(0.0, MAX),
        int("frequency", "number of orders with a sale line").within(0.0, MAX),
        int("customer_age", "days between the first purchase and as_of").within(0.0, MAX),
        money("historical_clv", "net revenue to date, refunds included, EUR"),
        money("predicted_clv_12m", "predicted spend in the 12 months after as_of, EUR")
            .within(0.0, MAX)
            .indexed(),
        text("clv_segment", "Low (< 100), Medium (< 500), High (< 1000) or Premium").indexed(),
        float(
            "p_alive",
            "probability that the customer is still active (MBG/NBD); null where it cannot be fitted",
        )
        .nullable()
        .within(0.0, 1.0),
        float(
            "expected_purchases_12m",
            "expected days with a purchase in 12 months (MBG/NBD); null where it cannot be fitted",
        )
        .nullable()
        .within(0.0, MAX),
        money(
            "expected_spend_12m",
            "expected spend in 12 months (MBG/NBD × Gamma-Gamma, a second estimate beside predicted_clv_12m), EUR; null where they cannot be fitted",
        )
        .nullable()
        .within(0.0, MAX),
        text(
            "method",
            "method behind predicted_clv_12m: boosted_trees, two_stage, bg_nbd, mbg_nbd, or baseline",
        ),
    ],
    order: &[],
    tally: Some(Tally {
        revenue: "historical_clv",
        purchases: Purchases::Orders("frequency"),
        scope: Scope::Buyers,
    }),
    access: Access::Any,
};

const fn rate(name: &'static str, doc: &'static str) -> Column {
    float(name, doc).nullable().within(0.0, 1.0)
}
const fn metric(name: &'static str, doc: &'static str) -> Column {
    float(name, doc).nullable()
}

/// Metrics of the models: the serving ones and every other method tried.
pub static ML_MODEL_METRICS: Table = Table {
    name: "ml_model_metrics",
    grain: "one row per task (segmentation, churn, clv, buying) for the serving model, and one per method tried for churn and clv (task_method)",
    key: &["model"],
    columns: &[
        text(
            "model",
            "segmentation, churn, clv or buying for the serving model; churn_random_forest and the like for each method tried",
        ),
        text(
            "task",
            "segmentation, churn, clv, or buying (p_alive, expected_purchases_12m, expected_spend_12m)",
        ),
        text(
            "method",
            "kmeans, random_forest, boosted_trees, two_stage, bg_nbd, mbg_nbd, nbd or baseline",
        ),
        boolean("serves", "whether it serves the task"),
        text("algorithm", "description of the method"),
        text("library", "library that fits it, with version"),
        text(
            "note",
            "what was skipped or sampled, and why; empty if nothing was",
        ),
        timestamp("trained_at", "start of the run that trained it, whole seconds"),
        timestamp("as_of", "reference instant of the run"),
        timestamp(
            "cut_off",
            "end of its training data; null for segmentation and buying, which are trained up to as_of",
        )
        .nullable(),
        int("horizon_days", "length of the window after the cut-off, days; null without a cut-off")
            .nullable()
            .within(1.0, MAX),
        int("n_samples", "customers known at the cut-off").within(0.0, MAX),
        int("n_fitted", "customers it was fitted on").within(0.0, MAX),
        int("n_held_out", "held-out customers it was evaluated on")
            .within(0.0, MAX),
        int("n_features", "number of features").within(0.0, MAX),
        text_list("features", "the features"),
        text("hyper_parameters", "hyper-parameters; empty if there are none"),
        text_list(
            "parameters",
            "fitted parameters with standard errors; empty if there are none",
        ),
        metric("log_likelihood", "log-likelihood; null where none is maximised"),
        int("seed", "seed of all random choices").within(0.0, MAX),
        text_list(
            "feature_importances",
            "mean size of each feature's effect on predictions for held-out customers (5 000 of more), as a share of 1, descending; empty for the baseline of clv",
        ),
        float(
            "silhouette",
            "mean silhouette, exact up to 10 000 customers, otherwise of a sample of 10 000",
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
        rate("accuracy", "share of correct predictions, held out: a probability of at least 0.5 counts as churn, the baseline uses its threshold"),
        rate("precision", "share of those predicted to churn who did, held out"),
        rate("recall", "share of those who churned that were predicted to, held out"),
        rate("f1_score", "harmonic mean of precision and recall, held out"),
        rate("roc_auc", "area under the ROC curve, held out"),
        rate("brier", "Brier score, held out"),
        metric("log_loss", "log loss, held out"),
        metric(
            "lift_10pct",
            "churn rate of the tenth with the highest probabilities, divided by base_rate, held out",
        ),
        rate("baseline_accuracy", "accuracy of the baseline"),
        rate("baseline_precision", "precision of the baseline"),
        rate("baseline_recall", "recall of the baseline"),
        rate("baseline_f1_score", "F1 of the baseline"),
        rate("baseline_roc_auc", "area under the ROC curve of the baseline"),
        rate("baseline_brier", "Brier score of the baseline"),
        metric("baseline_log_loss", "log loss of the baseline"),
        metric("baseline_lift_10pct", "lift of the baseline"),
        metric("mae", "mean absolute error, EUR in 12 months, held out"),
        metric("rmse", "root of the mean squared error, EUR in 12 months, held out"),
        metric("r2", "coefficient of determination, held out"),
        metric("spearman", "rank correlation, held out"),
        metric("total_ratio", "predicted total over actual total, held out"),
        metric("baseline_mae", "mean absolute error of the baseline"),
        metric("baseline_rmse", "root of the mean squared error of the baseline"),
        metric("baseline_r2", "coefficient of determination of the baseline"),
        metric("baseline_spearman", "rank correlation of the baseline"),
        metric("baseline_total_ratio", "predicted total over actual total, of the baseline"),
    ],
    order: &[],
    tally: None,
    access: Access::Any,
};

/// Calibration: predicted and actual churn of every method that gives probabilities.
pub static ML_CALIBRATION: Table = Table {
    name: "ml_calibration",
    grain: "one row per churn model and tenth of the probabilities",
    key: &["model", "bin"],
    columns: &[
        text("model", "see ml_model_metrics"),
        int("bin", "tenth, 0 to 9").within(0.0, 9.0),
        float("probability_low", "lowest probability of the bin").within(0.0, 1.0),
        float("probability_high", "highest; belongs to the next bin, except for 1")
            .within(0.0, 1.0),
        int("clients", "held-out customers in the bin").within(0.0, MAX),
        rate("mean_probability", "mean of their probabilities; null without a customer"),
        rate("churn_rate", "share of them who churned; null without a customer"),
    ],
    order: &[],
    tally: None,
    access: Access::Within("model"),
};
