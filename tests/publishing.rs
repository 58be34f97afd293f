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

/// The revenues an answer adds up to, where it does: of all, and of customers without guests.
fn revenues(path: &str, data: &Value) -> Vec<(&'static str, f64)> {
    let sum = |field: &str| -> f64 {
        data.as_array().unwrap().iter().map(|row| row[field].as_f64().unwrap()).sum()
    };
    match path {
        "/kpis" => {
            let (all, guests) = (&data["total_revenue"], &data["guest_revenue"]);
            let (all, guests) = (all.as_f64().unwrap(), guests.as_f64().unwrap());
            vec![("all", all), ("customers", all - guests)]
        }
        "/revenue/country" => vec![("all", sum("total_revenue"))],
        "/customers?limit=1000" => vec![("customers", sum("total_spent"))],
        "/scores?limit=1000" => vec![("customers", sum("total_spend_all"))],
        _ => Vec::new(),
    }
}

#[test]
fn no_answer_is_empty_or_mixes_generations_while_publishing() {
    let shop = Shop::published(TINY);
    let app = TestApp::spawn(&shop);
    let read = |seen: &mut Vec<(u64, &str, String)>| {
        for path in PATHS {
            pause();
            let reply = app.get(path);
            assert_eq!(reply.status, 200, "{path}: {}", reply.text);
            let body = reply.json();
            assert_ne!(body["meta"]["count"], 0, "{path} is empty");
            let generation = body["meta"]["generation"].as_u64().unwrap();
            for (name, revenue) in revenues(path, &body["data"]) {
                // Cents, so that sums in any order are the same.
                seen.push((generation, name, format!("{revenue:.2}")));
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

    let mut revenues: BTreeMap<(u64, &str), BTreeSet<&str>> = BTreeMap::new();
    for (generation, name, cents) in &seen {
        revenues.entry((*generation, name)).or_default().insert(cents);
    }
    let generations: BTreeSet<u64> = seen.iter().map(|(generation, ..)| *generation).collect();
    eprintln!(
        "{} answers of {} generations during {PUBLISHES} publishes",
        seen.len(),
        generations.len()
    );
    assert!(generations.len() > 2, "{revenues:?}");
    for (generation, cents) in revenues {
        assert_eq!(cents.len(), 1, "{generation:?} had the revenues {cents:?}");
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
