//! HTTP. This file is the URL table: every path the server answers stands here. Each resource has
//! a file of its own.
//!
//! A handler extracts, asks the store once and answers in the [`envelope`]; failures are
//! [`error::ApiError`]. Most routes are [`table::TableRoute`]s: data, not code.

pub(crate) mod admin;
mod cache;
mod customers;
mod docs;
mod endpoint;
mod envelope;
mod error;
mod events;
mod extract;
mod feed;
mod health;
mod ml;
pub(crate) mod openapi;
mod parameters;
pub(crate) mod problems;
mod quality;
pub(crate) mod request_span;
mod route_doc;
pub(crate) mod state;
mod table;
mod tags;

use actix_web::{App, web};
use utoipa::openapi::OpenApi;
use utoipa_actix_web::AppExt;
use utoipa_actix_web::service_config::ServiceConfig;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::catalogue::{self, legacy};
use crate::catalogue::{
    CHURN_PREDICTIONS, CLV_PREDICTIONS, CUSTOMER_SEGMENT_SUMMARY, CUSTOMER_SEGMENTS,
    ML_MODEL_METRICS, SEGMENT_MIGRATION,
};
use crate::domain::schema::{Fields, Table, View};
pub(crate) use docs::Documentation;
use endpoint::{get, post, readable};
use problems::RouteMethods;
use table::TableRoute;
use tags::{CUSTOMERS, HEADLINE, LEGACY, MODELS, REVENUE};

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

/// Every documented route. `get` and `post` take a path, its handler and the documentation that
/// `#[utoipa::path]` derives from the handler; the others answer from tables of the catalogue.
#[rustfmt::skip]
pub(crate) fn routes(config: &mut ServiceConfig<'_>) {
    let one = |path, tag, summary, table: &'static Table| TableRoute::one(path, tag, summary, View::of(table));
    let list = |path, tag, summary, table: &'static Table| TableRoute::list(path, tag, summary, View::of(table));
    let view = |path, tag, summary, view| TableRoute::list(path, tag, summary, view);
    config
        .service(get("/health", health::report, health::__path_report))
        .service(get("/health/live", health::live, health::__path_live))
        .service(get("/health/ready", health::ready, health::__path_ready))
        .service(get("/metrics", health::metrics, health::__path_metrics))
        .service(post("/admin/refresh", admin::refresh::start, admin::refresh::__path_start))
        .service(get("/admin/sources", admin::sources::list, admin::sources::__path_list))
        .service(get("/admin/runs", admin::runs::list, admin::runs::__path_list))
        .service(get("/admin/runs/{run}", admin::runs::one, admin::runs::__path_one))
        .service(post("/admin/runs/{run}/cancel", admin::runs::cancel, admin::runs::__path_cancel))
        .service(get("/admin/runs/{run}/rejects", admin::rejects::list, admin::rejects::__path_list))
        .service(get("/admin/runs/{run}/corrections", admin::rejects::corrections, admin::rejects::__path_corrections))
        .service(get("/admin/runs/{run}/events", admin::run_events::one, admin::run_events::__path_one))
        .service(get("/admin/generations", admin::generations::list, admin::generations::__path_list))
        .service(post("/admin/generations/{generation}/activate", admin::generations::activate, admin::generations::__path_activate))
        .service(get("/admin/generations/{generation}/diff/{other}", admin::generations::diff, admin::generations::__path_diff))
        .service(get("/events", events::all, events::__path_all))
        .service(get("/quality", quality::published, quality::__path_published))
        .service(one("/kpis", HEADLINE, "Headline figures", &catalogue::KPIS))
        .service(list("/revenue/country", REVENUE, "Revenue by country", &catalogue::REVENUE_BY_COUNTRY))
        .service(list("/revenue/product", REVENUE, "Revenue by product", &catalogue::REVENUE_BY_PRODUCT))
        .service(list("/revenue/monthly", REVENUE, "Revenue by month", &catalogue::MONTHLY_REVENUE))
        .service(list("/revenue/weekly", REVENUE, "Revenue by week", &catalogue::WEEKLY_REVENUE))
        .service(list("/revenue/daily", REVENUE, "Revenue by day", &catalogue::DAILY_REVENUE))
        .service(view("/revenue/growth", REVENUE, "Growth from month to month", GROWTH))
        .service(list("/revenue/distribution", REVENUE, "Histogram of the amounts of orders", &catalogue::BASKET_DISTRIBUTION))
        .service(one("/revenue/statistics", REVENUE, "Descriptive statistics of all sale lines", &catalogue::STATISTICS))
        .service(list("/revenue/statistics/product", REVENUE, "Statistics of line amounts by product", &catalogue::STATISTICS_BY_PRODUCT))
        .service(list("/revenue/statistics/country", REVENUE, "Statistics of line amounts by country", &catalogue::STATISTICS_BY_COUNTRY))
        .service(list("/revenue/cohorts", REVENUE, "Customers by month of first purchase", &catalogue::COHORT_FIRST_PURCHASE))
        .service(list("/revenue/retention", REVENUE, "Retention of each cohort by month", &catalogue::COHORT_RETENTION))
        .service(list("/customers", CUSTOMERS, "Customers with their features, scores and segments", &catalogue::CUSTOMERS).with_ranges().with_search(&["nom", "email"]))
        .service(customers::one("/customers/{id}"))
        .service(customers::purchases("/customers/{id}/purchases"))
        .service(list("/ml/segments", MODELS, "RFM segment of every customer", &CUSTOMER_SEGMENTS).with_ranges())
        .service(list("/ml/segments/summary", MODELS, "RFM segments, aggregated", &CUSTOMER_SEGMENT_SUMMARY))
        .service(list("/ml/segments/migration", MODELS, "Customers who changed segment since the last published run", &SEGMENT_MIGRATION))
        .service(list("/ml/churn", MODELS, "Churn probability of every customer with a purchase", &CHURN_PREDICTIONS).with_ranges())
        .service(list("/ml/churn/high-risk", MODELS, "Customers at high risk of churn, highest probability first", &CHURN_PREDICTIONS).with_ranges().only(ml::HIGH_RISK))
        .service(list("/ml/clv", MODELS, "Lifetime value of every customer with a purchase", &CLV_PREDICTIONS).with_ranges())
        .service(list("/ml/scores", MODELS, "Repurchase score of every customer, a heuristic of the older systems", &catalogue::CUSTOMER_SCORES).with_ranges())
        .service(list("/ml/scores/summary", MODELS, "Segments of the repurchase score, a heuristic of the older systems, aggregated", &catalogue::SEGMENT_SUMMARY))
        .service(list("/ml/model-metrics", MODELS, "Quality metrics of each model", &ML_MODEL_METRICS))
        .service(ml::model_metrics("/ml/model-metrics/{model}"))
        .service(view("/monthly", LEGACY, "Revenue by month", legacy::MONTHLY))
        .service(view("/monthly_growth", LEGACY, "Growth from month to month", legacy::MONTHLY_GROWTH))
        .service(view("/by_country", LEGACY, "Revenue by country", legacy::BY_COUNTRY))
        .service(view("/by_product", LEGACY, "Revenue by product", legacy::BY_PRODUCT))
        .service(view("/distribution", LEGACY, "Histogram of the amounts of orders", legacy::DISTRIBUTION))
        .service(view("/daily", LEGACY, "Revenue by day", legacy::DAILY))
        .service(view("/weekly", LEGACY, "Revenue by week", legacy::WEEKLY))
        .service(view("/segments", LEGACY, "Segments of the repurchase score, a heuristic of the older systems, aggregated", legacy::SEGMENTS))
        .service(view("/scores", LEGACY, "Repurchase score of every customer, a heuristic of the older systems", legacy::SCORES))
        .service(view("/cohort", LEGACY, "Customers by month of first purchase", legacy::COHORT));
}

/// The routes that the OpenAPI document does not describe.
pub(crate) fn undocumented(config: &mut web::ServiceConfig) {
    config
        .service(readable("/", docs::home))
        .service(readable("/openapi.json", docs::openapi))
        .service(web::redirect("/docs", "/docs/"))
        .service(SwaggerUi::new("/docs/{_:.*}").config(Config::from("/openapi.json")));
}

/// The methods of every route, to refuse others by.
pub(crate) fn methods(document: &OpenApi) -> RouteMethods {
    RouteMethods::new(document, &["/", "/openapi.json"])
}

/// The OpenAPI document of [`routes`].
pub(crate) fn document() -> OpenApi {
    let (_, collected) = App::new().into_utoipa_app().configure(routes).split_for_parts();
    openapi::complete(collected)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use actix_web::http::Method;
    use actix_web::test::{TestRequest, call_service, init_service};

    use super::*;

    #[actix_web::test]
    async fn every_documented_path_and_method_is_served() {
        let app = App::new().into_utoipa_app().configure(routes).into_app();
        let app = init_service(app).await;
        for (path, item) in &document().paths.paths {
            let methods = [(Method::GET, &item.get), (Method::POST, &item.post)];
            let methods = methods.into_iter().filter(|(_, operation)| operation.is_some());
            for (method, _) in methods {
                let request = TestRequest::with_uri(&path.replace(['{', '}'], ""));
                let response = call_service(&app, request.method(method).to_request()).await;
                // Without tokens and a store a handler fails, but it is reached.
                assert_ne!(response.status(), 404, "{path} is documented and not served");
            }
        }
    }

    #[test]
    fn every_route_belongs_to_a_documented_group() {
        let document = document();
        let known: BTreeSet<&str> = tags::ALL.iter().map(|(name, _)| *name).collect();
        for (path, item) in &document.paths.paths {
            let operations: Vec<_> = [&item.get, &item.post].into_iter().flatten().collect();
            assert!(!operations.is_empty(), "{path}");
            for operation in operations {
                let tags = operation.tags.clone().unwrap_or_default();
                assert_eq!(tags.len(), 1, "{path}");
                assert!(known.contains(tags[0].as_str()), "{path} is in {}", tags[0]);
            }
        }
    }

    #[test]
    fn operation_ids_are_unique_and_every_reference_resolves() {
        let document = serde_json::to_value(document()).unwrap();
        let mut ids = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let id = operation["operationId"].as_str().unwrap();
                assert!(ids.insert(id.to_owned()), "{method} {path} repeats {id}");
            }
        }
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer} does not resolve");
        }
    }
}
