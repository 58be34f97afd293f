//! Publishing while clients read: every answer is whole and of one generation.

use std::collections::{BTreeMap, BTreeSet};

use goldsmith::sample::{Spec, generate};
use serde_json::Value;

use crate::support::readers::{pause, read_during};
use crate::support::{Shop, TINY, TestApp};

const PUBLISHES: u64 = 12;
const PATHS: [&str; 6] = [
    "/kpis",
    "/revenue/country",
    "/revenue/daily?limit=1000",
    "/customers?limit=1000",
    "/scores?limit=1000",
    "/customers/1",
];

/// The revenue an answer adds up to, where it does.
fn revenue(path: &str, data: &Value) -> Option<f64> {
    let sum = |field: &str| -> f64 {
        data.as_array().unwrap().iter().map(|row| row[field].as_f64().unwrap()).sum()
    };
    match path {
        "/kpis" => data["total_revenue"].as_f64(),
        "/revenue/country" => Some(sum("total_revenue")),
        "/customers?limit=1000" => Some(sum("total_spent")),
        "/scores?limit=1000" => Some(sum("total_spend_all")),
        _ => None,
    }
}

#[test]
fn no_answer_is_empty_or_mixes_generations_while_publishing() {
    let shop = Shop::published(TINY);
    let app = TestApp::spawn(&shop);
    let read = |seen: &mut Vec<(u64, String)>| {
        for path in PATHS {
            pause();
            let reply = app.get(path);
            assert_eq!(reply.status, 200, "{path}: {}", reply.text);
            let body = reply.json();
            assert_ne!(body["meta"]["count"], 0, "{path} is empty");
            let generation = body["meta"]["generation"].as_u64().unwrap();
            if let Some(revenue) = revenue(path, &body["data"]) {
                // Cents, so that sums in any order are the same.
                seen.push((generation, format!("{revenue:.2}")));
            }
        }
    };
    let seen = read_during(4, read, || {
        for seed in 1..=PUBLISHES {
            for (name, bytes) in generate(Spec { seed, ..TINY }).unwrap() {
                shop.put(name, &bytes);
            }
            shop.run(&["refresh"]).good();
        }
    });

    let mut revenues: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
    for (generation, cents) in &seen {
        revenues.entry(*generation).or_default().insert(cents);
    }
    eprintln!(
        "{} answers of {} generations during {PUBLISHES} publishes",
        seen.len(),
        revenues.len()
    );
    assert!(revenues.len() > 2, "{revenues:?}");
    for (generation, cents) in revenues {
        assert_eq!(cents.len(), 1, "generation {generation} had the revenues {cents:?}");
    }
}

#[test]
fn a_server_that_started_before_the_first_publish_answers_after_it() {
    let shop = Shop::sample(TINY);
    let app = TestApp::spawn(&shop);
    assert_eq!(app.get("/kpis").status, 503);
    shop.run(&["refresh"]).good();
    assert_eq!(app.get("/kpis").status, 200);
    assert_eq!(app.get("/health/ready").status, 200);
}
