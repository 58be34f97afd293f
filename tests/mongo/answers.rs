//! Every query the API can make: the same answers from MongoDB as from SQLite, none by scanning a
//! large collection.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use futures::TryStreamExt;
use mongodb::bson::{Document, doc};
use serde_json::Value;

use crate::support::mongo::TestDb;
use crate::support::{Shop, TestApp, answers_from_tables, concrete};

/// Up to this many rows a scan is as fast as an index.
const MAX_SCANNED_ROWS: u64 = 1_000;

/// A shop whose larger tables all have more than 1,000 rows: customers, countries, products, days,
/// cohorts by month.
fn wide_shop() -> Shop {
    let mut customers = String::from("id_client,nom,email,date_inscription,pays\n");
    for id in 1..=1_200 {
        let name = ["Élodie Martin", "Åsa Öberg", "Jean-Luc D'Arc", "Ana (Ana) Núñez+"][id % 4];
        let day = 1 + id % 28;
        let _ = writeln!(
            customers,
            "{id},{name} {id},client.{id}@example.org,2019-0{}-{day:02},Country {id:04}",
            1 + id % 9
        );
    }
    let mut purchases =
        String::from("id_achat,id_client,date_achat,montant,produit,quantite,prix\n");
    let first = jiff::civil::date(2020, 1, 1);
    for id in 1..=3_300_i32 {
        let day = first.saturating_add(jiff::Span::new().days(id * 3 / 5));
        let customer = 1 + (id * 7) % 1_100;
        let cents = 100 + (id * 37) % 90_000;
        let (time, price) = (id % 86_400, cents / 2);
        let quantity = if id % 3 == 0 { String::new() } else { "2".to_owned() };
        let _ = writeln!(
            purchases,
            "{id},{customer},{day} {:02}:{:02}:{:02},{}.{:02},Produit {:04},{quantity},{}.{:02}",
            time / 3_600,
            time / 60 % 60,
            time % 60,
            cents / 100,
            cents % 100,
            id % 1_100,
            price / 100,
            price % 100
        );
    }
    Shop::with(&[("clients.csv", &customers), ("achats.csv", &purchases)])
}

/// The filters and orders that a list route accepts, from the OpenAPI document.
fn parameters(document: &Value, path: &str) -> (Vec<String>, Vec<String>) {
    let listed = document["paths"][path]["get"]["parameters"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut filters: Vec<String> = listed.iter().map(|p| text(&p["name"])).collect();
    filters.retain(|name| !["limit", "offset", "sort", "q", "id"].contains(&name.as_str()));
    let sort = listed.iter().find(|parameter| parameter["name"] == "sort").unwrap();
    (filters, sort["schema"]["enum"].as_array().unwrap().iter().map(text).collect())
}

fn encoded(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Queries with every parameter of a list route, alone and in pairs: each filter with two orders,
/// each order with a page, a search with all of them.
fn queries(document: &Value, path: &str, rows: &[Value]) -> Vec<String> {
    let (filters, sorts) = parameters(document, path);
    let mut all = vec![
        "limit=1000".to_owned(),
        "limit=7&offset=5".to_owned(),
        "limit=7&offset=1000000".to_owned(),
        format!("offset={}", i64::MAX),
    ];
    all.extend(sorts.iter().map(|sort| format!("limit=5&offset=2&sort={sort}")));
    let value_of = |filter: &str| {
        let field = filter.strip_suffix("_min").or(filter.strip_suffix("_max"));
        let field = field.filter(|field| !rows[0][*field].is_null()).unwrap_or(filter);
        let present = |row: &&Value| row.get(field).is_some_and(|value| !value.is_null());
        rows.iter().skip(rows.len() / 2).chain(rows).find(present).map(|row| encoded(&row[field]))
    };
    let mut conditions: Vec<String> = filters
        .iter()
        .filter_map(|filter| Some(format!("{filter}={}", value_of(filter)?)))
        .collect();
    if path == "/customers" {
        for text in ["an", "ÉLODIE", "öberg", "d'arc", "(ana)", "ñez+", ".*", "42@", "\0", "zzz"]
        {
            conditions.push(format!("q={}", encoded(&Value::String(text.to_owned()))));
        }
        conditions.push("q=an&is_active=false&total_spent_min=10&total_spent_max=500".to_owned());
    }
    for (place, condition) in conditions.iter().enumerate() {
        all.push(format!("limit=3&{condition}"));
        for sort in [place, place * 2 + 1].map(|n| &sorts[n % sorts.len()]) {
            all.push(format!("limit=3&sort={sort}&{condition}"));
        }
    }
    for sort in sorts.iter().filter(|_| path == "/customers") {
        all.push(format!("limit=3&q=an&sort={sort}"));
    }
    all
}

/// The names of the tables that must not be scanned.
fn large_tables(manifest: &Value) -> BTreeSet<&str> {
    let large: BTreeSet<&str> = manifest["tables"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|table| table["rows"].as_u64().unwrap() > MAX_SCANNED_ROWS)
        .map(|table| table["name"].as_str().unwrap())
        .collect();
    for table in ["cohort_retention", "daily_revenue", "revenue_by_country", "revenue_by_product"] {
        assert!(large.contains(table), "{table} is not large: {large:?}");
    }
    large
}

fn start_profiling(db: &TestDb) {
    db.with(|db| async move {
        let size = doc! { "create": "system.profile", "capped": true, "size": 256 << 20 };
        db.run_command(size).await.unwrap();
        db.run_command(doc! { "profile": 2 }).await.unwrap();
    });
}

/// Returns the operations since profiling started.
fn stop_profiling(db: &TestDb) -> Vec<Document> {
    db.with(|db| async move {
        db.run_command(doc! { "profile": 0 }).await.unwrap();
        let found = db.collection("system.profile").find(doc! {}).await.unwrap();
        found.try_collect().await.unwrap()
    })
}

/// Sends every query of every route to both; returns how many there were.
fn assert_same_answers(sqlite: &TestApp, mongodb: &TestApp) -> usize {
    let document: Value = serde_json::from_str(include_str!("../../openapi/openapi.json")).unwrap();
    let mut answered = 0;
    for (path, route) in document["paths"].as_object().unwrap() {
        if !answers_from_tables(path) {
            continue;
        }
        let is_list = route["get"]["parameters"]
            .as_array()
            .is_some_and(|list| list.iter().any(|parameter| parameter["name"] == "sort"));
        let concrete = concrete(path, "8");
        let base = sqlite.data(&concrete);
        let queries = if is_list {
            queries(&document, path, base.as_array().unwrap())
        } else {
            vec![String::new()]
        };
        for query in queries {
            assert_same_answer(sqlite, mongodb, &format!("{concrete}?{query}"));
            answered += 1;
        }
    }
    answered
}

fn assert_same_answer(sqlite: &TestApp, mongodb: &TestApp, url: &str) {
    let [a, b] = [sqlite, mongodb].map(|app| app.get(url));
    assert_eq!((a.status, b.status), (200, 200), "{url}: {} {}", a.text, b.text);
    let [a, b] = [a.json(), b.json()];
    assert_eq!(a["data"], b["data"], "{url}");
    for field in ["count", "total", "generation", "as_of"] {
        assert_eq!(a["meta"][field], b["meta"][field], "{url}: {field}");
    }
}

/// Returns how many plans on these tables there were.
fn assert_no_scan(operations: &[Document], tables: &BTreeSet<&str>) -> usize {
    let mut planned = 0;
    for operation in operations {
        let on = operation.get_str("ns").unwrap().rsplit('.').next().unwrap();
        let Some(table) = tables.iter().find(|table| on.starts_with(&format!("{table}_"))) else {
            continue;
        };
        let plan = operation.get_str("planSummary").unwrap_or_default();
        assert!(!plan.is_empty() && !plan.contains("COLLSCAN"), "{table} is scanned: {operation}");
        planned += 1;
    }
    planned
}

#[test]
fn both_stores_answer_every_query_alike_and_mongodb_scans_nothing_large() {
    let db = TestDb::new();
    let shop = wide_shop();
    shop.run(&["refresh"]).good();
    let variables = db.variables();
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    shop.run_with(&["lake", "adopt"], &variables).good();
    shop.run_with(&["refresh"], &variables).good();
    let manifest = shop.json("gold/gen-000001/manifest.json");
    let large = large_tables(&manifest);

    let sqlite = TestApp::spawn(&shop);
    let mongodb = TestApp::spawn_with(&shop, &variables);
    start_profiling(&db);
    let answered = assert_same_answers(&sqlite, &mongodb);
    let planned = assert_no_scan(&stop_profiling(&db), &large);
    eprintln!(
        "{answered} queries, {planned} plans on tables with more than {MAX_SCANNED_ROWS} rows"
    );
    assert!(planned > 500, "{planned} plans were seen");
}
