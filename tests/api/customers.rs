//! `/customers`: search, ranges, one customer, the purchases of one customer.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{SMALL, Shop, TestApp};

fn all(app: &TestApp) -> Vec<Value> {
    app.data("/customers?limit=1000").as_array().unwrap().clone()
}

#[test]
fn ranges_include_their_bounds_and_never_null() {
    let shop = Shop::published(SMALL);
    let app = TestApp::spawn(&shop);
    let customers = all(&app);
    let total = |query: &str| {
        app.get(&format!("/customers?limit=1&{query}")).json()["meta"]["total"].as_u64().unwrap()
    };
    let count =
        |meets: &dyn Fn(&Value) -> bool| customers.iter().filter(|row| meets(row)).count() as u64;

    let middle = customers[60]["total_spent"].as_f64().unwrap();
    let at_least = count(&|row| row["total_spent"].as_f64().unwrap() >= middle);
    let at_most = count(&|row| row["total_spent"].as_f64().unwrap() <= middle);
    assert_eq!(total(&format!("total_spent_min={middle}")), at_least);
    assert_eq!(total(&format!("total_spent_max={middle}")), at_most);
    assert_eq!(
        total(&format!("total_spent_min={middle}&total_spent_max={middle}")),
        at_least + at_most - 120
    );

    let buyers = count(&|row| !row["recency_days"].is_null());
    assert!(buyers < 120, "every customer bought");
    assert_eq!(total("recency_days_min=0"), buyers);
    assert_eq!(
        total("date_inscription_min=2024-07-01"),
        count(&|row| row["date_inscription"].as_str().unwrap() >= "2024-07-01")
    );
    // A range of instants includes its last day.
    let last = customers.iter().filter_map(|row| row["last_purchase"].as_str()).max().unwrap();
    assert_eq!(total(&format!("last_purchase_max={}", &last[..10])), buyers);
    assert_eq!(total("is_active=true") + total("is_active=false"), 120);
}

#[test]
fn search_finds_names_and_emails_ignoring_case() {
    let shop = Shop::published(SMALL);
    let app = TestApp::spawn(&shop);
    let customers = all(&app);
    let name = customers[0]["nom"].as_str().unwrap();
    let email = customers[5]["email"].as_str().unwrap();
    for (text, id) in [(name.to_uppercase(), 1), (email.to_uppercase(), 6)] {
        let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let found = app.data(&format!("/customers?q={encoded}"));
        let ids: Vec<i64> = found
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["id_client"].as_i64().unwrap())
            .collect();
        assert!(ids.contains(&id), "{text}: {ids:?}");
    }
    assert_eq!(app.get("/customers?q=%25").json()["meta"]["total"], 0);
    assert_eq!(app.get("/customers?q=%27%3B+DROP+TABLE+customers%3B--").json()["meta"]["total"], 0);
    assert_eq!(app.get("/customers?q=").json()["meta"]["total"], 120);
}

#[test]
fn one_customer_and_their_purchases_agree() {
    let shop = Shop::published(SMALL);
    let app = TestApp::spawn(&shop);
    for customer in all(&app) {
        let id = customer["id_client"].as_i64().unwrap();
        assert_eq!(app.data(&format!("/customers/{id}")), customer);
        let purchases = app.get(&format!("/customers/{id}/purchases?limit=1000")).json();
        let lines = purchases["data"].as_array().unwrap();
        assert_eq!(purchases["meta"]["total"], lines.len(), "{id}");
        let sold = lines.iter().filter(|row| row["type"] == "sale");
        let orders: BTreeSet<i64> = sold.map(|row| row["id_commande"].as_i64().unwrap()).collect();
        assert_eq!(customer["purchase_count"], orders.len(), "{id}");
        let spent: f64 = lines.iter().map(|row| row["montant"].as_f64().unwrap()).sum();
        assert!((spent - customer["total_spent"].as_f64().unwrap()).abs() < 0.005, "{id}");
    }
    let without_purchases = all(&app).into_iter().find(|row| row["purchase_count"] == 0).unwrap();
    let purchases = app.get(&format!("/customers/{}/purchases", without_purchases["id_client"]));
    assert_eq!((purchases.status, purchases.json()["data"].clone()), (200, serde_json::json!([])));
    let by_amount = app.data("/customers/1/purchases?sort=montant:desc");
    let amounts: Vec<f64> =
        by_amount.as_array().unwrap().iter().map(|row| row["montant"].as_f64().unwrap()).collect();
    assert!(amounts.windows(2).all(|pair| pair[0] >= pair[1]));
}

#[test]
fn a_cached_answer_equals_the_answer_of_the_store() {
    let shop = Shop::published(SMALL);
    let cached = TestApp::spawn(&shop);
    let uncached = TestApp::spawn_with(&shop, &[("HTTP__CACHE_BYTES", "0")]);
    for path in [
        "/kpis",
        "/customers?limit=50&sort=nom",
        "/customers/7",
        "/revenue/product",
        "/customers/7/purchases",
    ] {
        let first = cached.data(path);
        assert_eq!(cached.data(path), first, "{path}");
        assert_eq!(uncached.data(path), first, "{path}");
    }
}
