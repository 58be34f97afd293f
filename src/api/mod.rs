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
pub mod ml;
pub mod openapi;
pub mod parameters;
pub mod problems;
pub mod request_span;
pub mod state;
pub mod table;

use utoipa_actix_web::service_config::ServiceConfig;

use crate::catalogue::models::{CUSTOMER_SEGMENT_SUMMARY, ML_MODEL_METRICS, SEGMENT_MIGRATION};
use crate::catalogue::{self, legacy};
use crate::domain::schema::{Fields, View};
use ml::RANGES;
use table::TableRoute;

/// Growth is the monthly table without its counts.
const GROWTH: View = View {
    name: "growth",
    table: &catalogue::MONTHLY_REVENUE,
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
        .service(one("/kpis", "headline", "Headline figures", &catalogue::KPIS))
        .service(whole("/revenue/country", "revenue", "Revenue by country", &catalogue::REVENUE_BY_COUNTRY))
        .service(whole("/revenue/product", "revenue", "Revenue by product", &catalogue::REVENUE_BY_PRODUCT))
        .service(whole("/revenue/monthly", "revenue", "Revenue by month", &catalogue::MONTHLY_REVENUE))
        .service(whole("/revenue/weekly", "revenue", "Revenue by week", &catalogue::WEEKLY_REVENUE))
        .service(whole("/revenue/daily", "revenue", "Revenue by day", &catalogue::DAILY_REVENUE))
        .service(list("/revenue/growth", "revenue", "Growth from month to month", GROWTH))
        .service(whole("/revenue/distribution", "revenue", "Histogram of amounts", &catalogue::BASKET_DISTRIBUTION))
        .service(one("/revenue/statistics", "revenue", "Descriptive statistics of all purchases", &catalogue::STATISTICS))
        .service(whole("/revenue/cohorts", "revenue", "Customers by month of first purchase", &catalogue::COHORT_FIRST_PURCHASE))
        .service(whole("/revenue/retention", "revenue", "Cohorts month by month", &catalogue::COHORT_RETENTION))
        .service(customers::list())
        .service(customers::CustomerRoute)
        .service(customers::PurchasesRoute)
        .service(ml::segments())
        .service(whole("/ml/segments/summary", "models", "RFM segments summed up", &CUSTOMER_SEGMENT_SUMMARY))
        .service(whole("/ml/segments/migration", "models", "Who moved between segments since the last published run", &SEGMENT_MIGRATION))
        .service(ml::churn())
        .service(ml::high_risk())
        .service(ml::clv())
        .service(list("/ml/scores", "models", "Score of buying again, by customer", View::of(&catalogue::CUSTOMER_SCORES)).with(RANGES))
        .service(whole("/ml/scores/summary", "models", "Segments of the scores", &catalogue::SEGMENT_SUMMARY))
        .service(whole("/ml/model-metrics", "models", "How far to trust each model", &ML_MODEL_METRICS))
        .service(ml::MetricsRoute)
        .service(list("/monthly", "older names", "Revenue by month", legacy::MONTHLY))
        .service(list("/monthly_growth", "older names", "Growth from month to month", legacy::MONTHLY_GROWTH))
        .service(list("/by_country", "older names", "Revenue by country", legacy::BY_COUNTRY))
        .service(list("/by_product", "older names", "Revenue by product", legacy::BY_PRODUCT))
        .service(list("/distribution", "older names", "Histogram of amounts", legacy::DISTRIBUTION))
        .service(list("/daily", "older names", "Revenue by day", legacy::DAILY))
        .service(list("/weekly", "older names", "Revenue by week", legacy::WEEKLY))
        .service(list("/segments", "older names", "Segments of the scores", legacy::SEGMENTS))
        .service(list("/scores", "older names", "Scores by customer", legacy::SCORES))
        .service(list("/cohort", "older names", "Customers by month of first purchase", legacy::COHORT));
}
