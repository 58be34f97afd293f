//! A hundred publishes to a MongoDB while clients read every route: every answer is complete and of one
//! generation.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write as _;
use std::time::Duration;

use goldsmith::sample::{Spec, generate};
use serde_json::Value;

use crate::support::mongo::TestDb;
use crate::support::readers::read_during;
use crate::support::{Shop, TINY, TestApp, answers_from_tables, concrete};

const PUBLISHES: u64 = 100;
const CLIENTS: usize = 8;
/// Between the requests of a client: each route is read once or twice a publish.
const PAUSE: Duration = Duration::from_millis(250);

/// What a client saw in one answer: the generation, the path, a hash of the data, and its totals.
type Seen = (u64, String, u64, Vec<(&'static str, String)>);

/// Every route that answers from a table, from the OpenAPI document.
fn paths() -> Vec<String> {
    let document: Value = serde_json::from_str(include_str!("../../openapi/openapi.json")).unwrap();
    let routes = document["paths"].as_object().unwrap().iter();
    routes
        .filter(|(path, _)| answers_from_tables(path))
        .map(|(path, route)| {
            let parameters = route["get"]["parameters"].as_array();
            let is_list = parameters.is_some_and(|all| all.iter().any(|p| p["name"] == "limit"));
            let path = concrete(path, "1");
            if is_list { format!("{path}?limit=1000") } else { path }
        })
        .collect()
}

/// Totals that several routes answer: the revenue, of all and of customers without guests, in cents so that
/// sums in any order are the same, or the number of the first customer's purchases. Empty for a route
/// without any.
fn totals(path: &str, body: &Value) -> Vec<(&'static str, String)> {
    let data = &body["data"];
    let sum = |field: &str| {
        let rows = data.as_array().unwrap().iter();
        format!("{:.2}", rows.map(|row| row[field].as_f64().unwrap()).sum::<f64>())
    };
    match path.split('?').next().unwrap() {
        "/customers/1" => vec![("purchases", data["purchase_count"].to_string())],
        "/customers/1/purchases" => {
            let lines = data.as_array().unwrap().iter().filter(|row| row["type"] == "sale");
            let orders: BTreeSet<i64> =
                lines.map(|row| row["id_commande"].as_i64().unwrap()).collect();
            vec![("purchases", orders.len().to_string())]
        }
        "/kpis" => {
            let amount = |name: &str| data[name].as_f64().unwrap();
            let of_customers = amount("total_revenue") - amount("guest_revenue");
            vec![
                ("revenue", format!("{:.2}", amount("total_revenue"))),
                ("revenue of customers", format!("{of_customers:.2}")),
            ]
        }
        "/revenue/statistics" => {
            vec![("revenue", format!("{:.2}", data["total_revenue"].as_f64().unwrap()))]
        }
        "/customers" => vec![("revenue of customers", sum("total_spent"))],
        "/scores" => vec![("revenue of customers", sum("total_spend_all"))],
        "/cohort" | "/revenue/cohorts" => vec![("revenue of customers", sum("ca"))],
        "/monthly" | "/by_country" | "/by_product" => vec![("revenue", sum("ca"))],
        "/revenue/country" | "/revenue/product" | "/revenue/monthly" => {
            vec![("revenue", sum("total_revenue"))]
        }
        _ => Vec::new(),
    }
}

#[test]
fn no_answer_is_empty_fails_or_mixes_generations() {
    let db = TestDb::new();
    let shop = Shop::sample(TINY).serving_from(&db);
    shop.run(&["refresh"]).good();
    // Every answer comes from the store, none from memory.
    let app = TestApp::spawn_with(&shop, &[("HTTP__CACHE_BYTES", "0")]);
    let paths = paths();
    let read = |seen: &mut Vec<Seen>| {
        for path in &paths {
            std::thread::sleep(PAUSE);
            let reply = app.get(path);
            assert_eq!(reply.status, 200, "{path}: {}", reply.text);
            let body = reply.json();
            // A customer may have no purchases, and no customer may be at high risk; the hashes
            // below compare such answers.
            let may_be_empty = path.contains("/purchases") || path.contains("/high-risk");
            assert!(may_be_empty || body["meta"]["count"] != 0, "{path} is empty");
            let generation = body["meta"]["generation"].as_u64().unwrap();
            let mut hasher = DefaultHasher::new();
            body["data"].to_string().hash(&mut hasher);
            seen.push((generation, path.clone(), hasher.finish(), totals(path, &body)));
        }
    };
    let seen = read_during(CLIENTS, read, || {
        for seed in 1..=PUBLISHES {
            for (name, bytes) in generate(Spec { seed, ..TINY }).unwrap() {
                shop.put(name, &bytes);
            }
            shop.run(&["refresh"]).good();
        }
    });
    let answers = seen.len();
    // What each route answered of each generation, and the revenues and counts that must agree.
    let mut bodies: BTreeMap<(u64, String), BTreeSet<u64>> = BTreeMap::new();
    let mut totals: BTreeMap<(u64, &str), BTreeSet<String>> = BTreeMap::new();
    for (generation, path, body, of_answer) in seen {
        bodies.entry((generation, path)).or_default().insert(body);
        for (name, value) in of_answer {
            totals.entry((generation, name)).or_default().insert(value);
        }
    }
    let generations: BTreeSet<u64> = bodies.keys().map(|(generation, _)| *generation).collect();
    let mixed = bodies.values().filter(|bodies| bodies.len() > 1).count()
        + totals.values().filter(|values| values.len() > 1).count();
    // Written directly, so that a passing test shows it as well.
    writeln!(
        std::io::stderr(),
        "{PUBLISHES} publishes, {CLIENTS} clients, {} routes: {answers} answers of {} generations, \
         0 empty, 0 failed, {mixed} mixed",
        paths.len(),
        generations.len()
    )
    .unwrap();
    assert_eq!(mixed, 0, "{totals:?}");
    assert!(generations.len() as u64 > PUBLISHES / 2, "{generations:?}");
    assert_eq!(app.get("/kpis").json()["meta"]["generation"], PUBLISHES + 1);
    shop.run(&["check"]).good();
}
