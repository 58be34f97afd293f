//! A hundred publishes while clients read every route: every answer is whole and of one generation.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use goldsmith::sample::{Spec, generate};
use serde_json::Value;

use crate::support::mongo::TestDb;
use crate::support::{Shop, Stop, TINY, TestApp, answers_from_tables, concrete};

const PUBLISHES: u64 = 100;
const CLIENTS: usize = 8;
/// Between a client's questions, so that they leave the machine something to publish with.
const PAUSE: Duration = Duration::from_millis(15);

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

/// A figure that other routes answer too: the revenue, in cents so that sums in any order are the
/// same, or the number of the first customer's purchases. `None` where an answer tells neither.
fn figure(path: &str, body: &Value) -> Option<(&'static str, String)> {
    let data = &body["data"];
    let sum = |field: &str| {
        let rows = data.as_array().unwrap().iter();
        format!("{:.2}", rows.map(|row| row[field].as_f64().unwrap()).sum::<f64>())
    };
    let revenue = match path.split('?').next().unwrap() {
        "/customers/1" => return Some(("purchases", data["purchase_count"].to_string())),
        "/customers/1/purchases" => return Some(("purchases", body["meta"]["total"].to_string())),
        "/kpis" | "/revenue/statistics" => {
            format!("{:.2}", data["total_revenue"].as_f64().unwrap())
        }
        "/customers" => sum("total_spent"),
        "/scores" => sum("total_spend_all"),
        "/monthly" | "/by_country" | "/by_product" | "/cohort" | "/revenue/cohorts" => sum("ca"),
        "/revenue/country" | "/revenue/product" | "/revenue/monthly" => sum("total_revenue"),
        _ => return None,
    };
    Some(("revenue", revenue))
}

#[test]
fn no_answer_is_empty_fails_or_mixes_generations_during_a_hundred_publishes() {
    let db = TestDb::new();
    let shop = Shop::sample(TINY).serving_from(&db);
    shop.run(&["refresh"]).good();
    // Every answer comes from the store, none from memory.
    let app = TestApp::spawn_with(&shop, &[("HTTP__CACHE_BYTES", "0")]);
    let paths = paths();
    let is_done = AtomicBool::new(false);
    let mut answers = 0_u64;
    // What each route answered of each generation, and the revenues and counts that must agree.
    let mut bodies: BTreeMap<(u64, String), BTreeSet<u64>> = BTreeMap::new();
    let mut figures: BTreeMap<(u64, &str), BTreeSet<String>> = BTreeMap::new();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = Vec::new();
                    while !is_done.load(Ordering::Relaxed) {
                        for path in &paths {
                            std::thread::sleep(PAUSE);
                            let reply = app.get(path);
                            assert_eq!(reply.status, 200, "{path}: {}", reply.text);
                            let body = reply.json();
                            // A customer may have bought nothing, nobody may be at high risk; that
                            // is compared below.
                            let may_be_empty =
                                path.contains("/purchases") || path.contains("/high-risk");
                            assert!(may_be_empty || body["meta"]["count"] != 0, "{path} is empty");
                            let generation = body["meta"]["generation"].as_u64().unwrap();
                            let mut hasher = DefaultHasher::new();
                            body["data"].to_string().hash(&mut hasher);
                            let figure = figure(path, &body);
                            seen.push((generation, path.clone(), hasher.finish(), figure));
                        }
                    }
                    seen
                })
            })
            .collect();
        let end = Stop(&is_done);
        for seed in 1..=PUBLISHES {
            for (name, bytes) in generate(Spec { seed, ..TINY }).unwrap() {
                shop.put(name, &bytes);
            }
            shop.run(&["refresh"]).good();
        }
        drop(end);
        for reader in readers {
            for (generation, path, body, figure) in reader.join().unwrap() {
                answers += 1;
                bodies.entry((generation, path)).or_default().insert(body);
                if let Some((name, value)) = figure {
                    figures.entry((generation, name)).or_default().insert(value);
                }
            }
        }
    });
    let generations: BTreeSet<u64> = bodies.keys().map(|(generation, _)| *generation).collect();
    let mixed = bodies.values().filter(|bodies| bodies.len() > 1).count()
        + figures.values().filter(|values| values.len() > 1).count();
    // Written directly, so that a good run shows it as well.
    writeln!(
        std::io::stderr(),
        "{PUBLISHES} publishes, {CLIENTS} clients, {} routes: {answers} answers of {} generations, \
         0 empty, 0 failed, {mixed} mixed",
        paths.len(),
        generations.len()
    )
    .unwrap();
    assert_eq!(mixed, 0, "{figures:?}");
    assert!(generations.len() as u64 > PUBLISHES / 2, "{generations:?}");
    assert_eq!(app.get("/kpis").json()["meta"]["generation"], PUBLISHES + 1);
    shop.run(&["check"]).good();
}
