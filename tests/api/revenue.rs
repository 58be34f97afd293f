//! `/kpis` and `/revenue/*`: shape, order, paging, filters.

use crate::support::{SMALL, Shop, TestApp};

#[test]
fn every_answer_has_data_and_measured_metadata() {
    let shop = Shop::published(SMALL);
    let app = TestApp::spawn(&shop);
    for path in [
        "/kpis",
        "/revenue/country",
        "/customers",
        "/customers/1",
        "/customers/1/purchases",
        "/scores",
        "/health",
    ] {
        let reply = app.get(path);
        assert_eq!(reply.status, 200, "{path}");
        assert_eq!(reply.header("content-type"), Some("application/json"), "{path}");
        let body = reply.json();
        let fields: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["data", "meta"], "{path}");
        let meta = body["meta"].as_object().unwrap();
        let fields: Vec<&String> = meta.keys().collect();
        // serde_json sorts keys when it reads them.
        assert_eq!(
            fields,
            ["as_of", "count", "generation", "published_at", "query_ms", "timezone", "total"],
            "{path}"
        );
        assert!(meta["query_ms"].as_f64().unwrap() > 0.0, "{path}");
        assert_eq!(meta["generation"], 1);
        assert!(meta["published_at"].as_str().unwrap().ends_with('Z'));
        assert_eq!(meta["timezone"], "UTC");
        assert!(!meta["as_of"].as_str().unwrap().ends_with('Z'));
    }
    // Fields have the order of their declaration.
    assert!(app.get("/kpis").text.starts_with("{\"data\":{\"total_revenue\":"));
}

#[test]
fn lists_page_without_gaps_or_repeats_in_any_order() {
    let shop = Shop::published(SMALL);
    let app = TestApp::spawn(&shop);
    for order in [
        "",
        "&sort=is_active:desc",
        "&sort=pays",
        "&sort=recency_days:asc",
        "&sort=total_spent:desc",
    ] {
        let mut ids = Vec::new();
        for offset in (0..130).step_by(7) {
            let reply = app.get(&format!("/customers?limit=7&offset={offset}{order}")).json();
            let page = reply["data"].as_array().unwrap();
            assert_eq!(reply["meta"]["total"], 120);
            assert_eq!(reply["meta"]["count"], page.len());
            ids.extend(page.iter().map(|row| row["id_client"].as_i64().unwrap()));
        }
        assert_eq!(ids.len(), 120, "{order}");
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 120, "{order} repeats a customer");
    }
}

#[test]
fn revenue_lists_come_in_the_contracts_order_and_add_up() {
    let shop = Shop::published(SMALL);
    let app = TestApp::spawn(&shop);
    let total = app.data("/kpis")["total_revenue"].as_f64().unwrap();
    for path in [
        "/revenue/country",
        "/revenue/product?limit=1000",
        "/revenue/monthly",
        "/revenue/weekly?limit=1000",
    ] {
        let rows = app.data(path);
        let revenues: Vec<f64> = rows
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["total_revenue"].as_f64().unwrap())
            .collect();
        assert!((revenues.iter().sum::<f64>() - total).abs() < 0.005, "{path}");
        if path.contains("country") || path.contains("product") {
            assert!(revenues.windows(2).all(|pair| pair[0] >= pair[1]), "{path} is not descending");
        }
    }
    let months = app.data("/revenue/growth");
    assert_eq!(months[0]["prev_revenue"], serde_json::Value::Null);
    assert_eq!(months[1]["prev_revenue"], months[0]["total_revenue"]);
    assert!(months[0].get("total_purchases").is_none());
}

#[test]
fn filters_select_rows_by_equality() {
    let shop = Shop::published(SMALL);
    let app = TestApp::spawn(&shop);
    let country = app.data("/revenue/country")[0]["pays"].as_str().unwrap().to_owned();
    let filtered = app.get(&format!("/revenue/country?pays={country}")).json();
    assert_eq!(filtered["meta"]["total"], 1);
    assert_eq!(filtered["data"][0]["pays"], country);
    let none = app.get("/revenue/country?pays=Atlantis").json();
    assert_eq!(none["meta"]["total"], 0);
    assert_eq!(none["data"], serde_json::json!([]));
    // Legacy routes filter and sort by their own fields.
    let months = app.data("/monthly?sort=ca:desc&limit=2");
    assert!(months[0]["ca"].as_f64() >= months[1]["ca"].as_f64());
    let month = months[0]["mois"].as_str().unwrap();
    assert_eq!(app.data(&format!("/monthly?mois={month}"))[0], months[0]);
    assert_eq!(app.get("/monthly?month=2024-01").status, 400);
}

#[test]
fn legacy_routes_answer_with_exactly_their_fields() {
    let shop = Shop::published(SMALL);
    let app = TestApp::spawn(&shop);
    for (path, fields) in [
        ("/monthly", vec!["mois", "ca"]),
        ("/monthly_growth", vec!["mois", "ca", "prev_ca", "growth_abs", "growth_pct"]),
        ("/by_country", vec!["pays", "ca"]),
        ("/by_product", vec!["produit", "ca"]),
        ("/distribution", vec!["bucket", "count"]),
        ("/daily", vec!["jour", "ca", "achats"]),
        ("/weekly", vec!["semaine", "ca", "achats"]),
        ("/cohort", vec!["first_purchase_month", "clients", "ca"]),
    ] {
        let row = app.data(path)[0].clone();
        let mut expected = fields.clone();
        expected.sort_unstable();
        let found: Vec<&String> = row.as_object().unwrap().keys().collect();
        assert_eq!(found, expected, "{path}");
    }
    assert_eq!(
        app.data("/segments")[0]["segment_label"],
        app.data("/segments?limit=1")[0]["segment_label"]
    );
    assert_eq!(app.get("/scores").json()["meta"]["total"], 120);
}
