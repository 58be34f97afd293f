//! Replica sets of several members: a change of primary, members that lag behind.

use std::collections::{BTreeMap, BTreeSet};

use mongodb::bson::doc;

use super::faults::{assert_no_debris, change, until_written};
use crate::support::mongo::{Cluster, Server, TestDb};
use crate::support::readers::{pause, read_during};
use crate::support::wait::{served_generation, until_served};
use crate::support::{Ran, Shop, TINY, TestApp};

/// The generation of an answer and the sum of what customers spent; `None` for an answer of 503.
type Seen = Option<(u64, String)>;

/// Reads all customers once.
fn read_customers(app: &TestApp) -> Seen {
    pause();
    let reply = app.get("/customers?limit=1000");
    if reply.status == 503 {
        assert_eq!(reply.header("retry-after"), Some("5"));
        return None;
    }
    assert_eq!(reply.status, 200, "{}", reply.text);
    let body = reply.json();
    assert_eq!(body["meta"]["count"], TINY.customers, "{}", body["meta"]);
    let generation = body["meta"]["generation"].as_u64().unwrap();
    let spent = body["data"].as_array().unwrap().iter();
    let spent: f64 = spent.map(|row| row["total_spent"].as_f64().unwrap()).sum();
    Some((generation, format!("{spent:.2}")))
}

#[test]
fn a_change_of_primary_while_serving_and_publishing_gives_no_wrong_answer() {
    const CHANGES: u64 = 3;
    /// More tables of the new generation at each change of primary.
    const TABLES_STEP: usize = 6;
    let cluster = Cluster::with_authentication();
    for read_preference in ["primary", "secondaryPreferred"] {
        let db = TestDb::at(cluster.uri("root", "root"));
        let shop = Shop::sample(TINY).serving_from(&db).with_settings(&[
            ("MONGODB__READ_PREFERENCE", read_preference),
            ("MONGODB__SERVER_SELECTION_SECS", "15"),
            ("MONGODB__LEASE_SECS", "10"),
            ("HTTP__CACHE_BYTES", "0"),
        ]);
        shop.run(&["refresh"]).good();
        let app = TestApp::spawn(&shop);
        let seen = read_during(
            4,
            |seen| seen.push(read_customers(&app)),
            || {
                for (seed, tables) in (1..=CHANGES).zip((0..).step_by(TABLES_STEP)) {
                    change(&shop, seed);
                    let before = db.names();
                    let mut publishing = shop.start(&["refresh"]);
                    until_written(&db, &before, tables, &mut publishing);
                    cluster.step_down();
                    Ran::at_end_of(publishing).good();
                    shop.run(&["check"]).good();
                }
            },
        );
        let refused = seen.iter().filter(|seen| seen.is_none()).count();
        let mut spent: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
        for (generation, cents) in seen.iter().flatten() {
            spent.entry(*generation).or_default().insert(cents);
        }
        eprintln!(
            "{read_preference}: {} answers of {} generations, {refused} refused with 503, \
             {CHANGES} changes of primary",
            seen.len() - refused,
            spent.len()
        );
        assert!(spent.values().all(|cents| cents.len() == 1), "{spent:?}");
        until_served(&app);
        assert_eq!(served_generation(&app), CHANGES + 1);
        assert_no_debris(&db, &shop, &[1, 2, 3, 4], read_preference);
    }
}

#[test]
fn members_that_lag_behind_answer_whole_generations() {
    const PUBLISHES: u64 = 6;
    /// How far one of the two secondaries lags behind.
    const LAG_SECS: i32 = 2;
    let arguments = ["--replSet", "rs", "--oplogSize", "64", "--wiredTigerCacheSizeGB", "0.25"];
    let members: Vec<Server> = (0..3).map(|_| Server::start(&arguments)).collect();
    members[0].initiate_with(&members.iter().collect::<Vec<_>>(), |id| {
        if id == 2 {
            doc! { "priority": 0, "secondaryDelaySecs": LAG_SECS }
        } else {
            doc! { "priority": if id == 0 { 2 } else { 0 } }
        }
    });
    let hosts: Vec<String> = members.iter().map(Server::host).collect();
    // Any of the two secondaries, as the connection string says.
    let uri = format!(
        "mongodb://{}/?replicaSet=rs&readPreference=secondary&localThresholdMS=1000",
        hosts.join(",")
    );
    members[2].until(|hello| hello.get_bool("secondary").unwrap_or(false));
    let db = TestDb::at(uri);
    let shop =
        Shop::sample(TINY).serving_from(&db).with_settings(&[("PUBLISH__KEEP_GENERATIONS", "2")]);
    shop.run(&["refresh"]).good();
    let app = TestApp::spawn_with(
        &shop,
        &[("HTTP__CACHE_BYTES", "0"), ("MONGODB__SERVER_SELECTION_SECS", "5")],
    );
    until_served(&app);
    let read = |seen: &mut Vec<u64>| {
        for path in ["/customers?limit=1000", "/customers?q=an", "/customers/1"] {
            pause();
            let reply = app.get(path);
            assert_eq!(reply.status, 200, "{path}: {}", reply.text);
            let meta = reply.json()["meta"].take();
            assert!(meta["total"].as_u64().unwrap() > 0, "{path}: {meta}");
            seen.push(meta["generation"].as_u64().unwrap());
        }
    };
    let seen = read_during(4, read, || {
        for seed in 1..=PUBLISHES {
            change(&shop, seed);
            shop.run(&["refresh"]).good();
        }
    });
    let generations: BTreeSet<u64> = seen.iter().copied().collect();
    eprintln!("{} answers of the generations {generations:?}", seen.len());
    // No sweep trusted what a lagging member knows.
    shop.run(&["check"]).good();
    let ran = shop.run(&["refresh"]).good();
    assert!(ran.out.contains("nothing changed"), "{ran:?}");
    shop.run(&["check"]).good();
    assert_no_debris(&db, &shop, &[PUBLISHES, PUBLISHES + 1], "lagging");
}
