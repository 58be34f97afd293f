//! HTTP. This file is the URL table; each resource has a file of its own.
//!
//! A handler extracts, asks the store once and answers in the [`envelope`]; refusals are
//! [`error::ApiError`]. Most routes are [`table::TableRoute`]s: data, not code.

pub mod admin;
pub mod customers;
pub mod envelope;
pub mod error;
pub mod events;
pub mod extract;
pub mod health;
pub mod home;
pub mod models;
pub mod openapi;
pub mod parameters;
pub mod problems;
pub mod state;
pub mod table;

use utoipa_actix_web::service_config::ServiceConfig;

use crate::domain::schema::{Fields, View};
use crate::pipeline::tables::models::{
    CUSTOMER_SEGMENT_SUMMARY, ML_MODEL_METRICS, SEGMENT_MIGRATION,
};
use crate::pipeline::tables::{self, older};
use models::RANGES;
use table::TableRoute;

/// Growth is the monthly table without its counts.
const GROWTH: View = View {
    name: "growth",
    table: &tables::MONTHLY_REVENUE,
    fields: Fields::Renamed(&[
        ("month", "month"),
        ("month_start", "month_start"),
        ("total_revenue", "total_revenue"),
        ("prev_revenue", "prev_revenue"),
        ("growth_abs", "growth_abs"),
        ("growth_pct", "growth_pct"),
    ]),
};

/// Every documented route.
#[rustfmt::skip]
pub fn routes(config: &mut ServiceConfig<'_>) {
    let list = |path, tag, summary, view| TableRoute::list(path, tag, summary, view);
    let whole = |path, tag, summary, table| TableRoute::list(path, tag, summary, View::of(table));
    let one = |path, tag, summary, table| TableRoute::one(path, tag, summary, View::of(table));
    config
        .service(health::report)
        .service(health::live)
        .service(health::ready)
        .service(health::metrics)
        .service(admin::refresh::start)
        .service(admin::runs::list)
        .service(admin::runs::one)
        .service(admin::runs::cancel)
        .service(events::one)
        .service(admin::generations::list)
        .service(admin::generations::activate)
        .service(admin::generations::diff)
        .service(events::all)
        .service(one("/kpis", "headline", "Headline figures", &tables::KPIS))
        .service(whole("/revenue/country", "revenue", "Revenue by country", &tables::REVENUE_BY_COUNTRY))
        .service(whole("/revenue/product", "revenue", "Revenue by product", &tables::REVENUE_BY_PRODUCT))
        .service(whole("/revenue/monthly", "revenue", "Revenue by month", &tables::MONTHLY_REVENUE))
        .service(whole("/revenue/weekly", "revenue", "Revenue by week", &tables::WEEKLY_REVENUE))
        .service(whole("/revenue/daily", "revenue", "Revenue by day", &tables::DAILY_REVENUE))
        .service(list("/revenue/growth", "revenue", "Growth from month to month", GROWTH))
        .service(whole("/revenue/distribution", "revenue", "Histogram of amounts", &tables::BASKET_DISTRIBUTION))
        .service(one("/revenue/statistics", "revenue", "Descriptive statistics of all purchases", &tables::STATISTICS))
        .service(whole("/revenue/cohorts", "revenue", "Customers by month of first purchase", &tables::COHORT_FIRST_PURCHASE))
        .service(whole("/revenue/retention", "revenue", "Cohorts month by month", &tables::COHORT_RETENTION))
        .service(customers::list())
        .service(customers::CustomerRoute)
        .service(customers::PurchasesRoute)
        .service(models::segments())
        .service(whole("/ml/segments/summary", "models", "RFM segments summed up", &CUSTOMER_SEGMENT_SUMMARY))
        .service(whole("/ml/segments/migration", "models", "Who moved between segments since the last published run", &SEGMENT_MIGRATION))
        .service(models::churn())
        .service(models::high_risk())
        .service(models::clv())
        .service(list("/ml/scores", "models", "Score of buying again, by customer", View::of(&tables::CUSTOMER_SCORES)).with(RANGES))
        .service(whole("/ml/scores/summary", "models", "Segments of the scores", &tables::SEGMENT_SUMMARY))
        .service(whole("/ml/model-metrics", "models", "How far to trust each model", &ML_MODEL_METRICS))
        .service(models::MetricsRoute)
        .service(list("/monthly", "older names", "Revenue by month", older::MONTHLY))
        .service(list("/monthly_growth", "older names", "Growth from month to month", older::MONTHLY_GROWTH))
        .service(list("/by_country", "older names", "Revenue by country", older::BY_COUNTRY))
        .service(list("/by_product", "older names", "Revenue by product", older::BY_PRODUCT))
        .service(list("/distribution", "older names", "Histogram of amounts", older::DISTRIBUTION))
        .service(list("/daily", "older names", "Revenue by day", older::DAILY))
        .service(list("/weekly", "older names", "Revenue by week", older::WEEKLY))
        .service(list("/segments", "older names", "Segments of the scores", older::SEGMENTS))
        .service(list("/scores", "older names", "Scores by customer", older::SCORES))
        .service(list("/cohort", "older names", "Customers by month of first purchase", older::COHORT));
}
