//! Killed processes, servers that go away, hang or reject commands: the old generation stays served
//! or the answer is 503, and everything recovers by itself. `failover.rs` has sets of several members.

use std::collections::BTreeSet;
use std::process::Child;

use goldsmith::catalogue::CATALOGUE;
use goldsmith::runs::{RefreshRequest, RunEnd, RunSpec, RunTrigger};
use goldsmith::sample::{Spec, generate};
use goldsmith::store::GoldStore;
use goldsmith::store::mongo::MongoStore;
use mongodb::bson::{Document, doc};

use crate::support::mongo::{Server, TestDb, shared_standalone_uri, shared_uri, wait};
use crate::support::wait::{served_generation, until, until_served};
use crate::support::{Ran, Running, Shop, TINY, TestApp};

/// Fewer customers than models learn from, and enough purchases for indexes.
const INDEXED: Spec = Spec { customers: 45, purchases: 2_000, seed: 5, dirty: 0.0 };

/// A shop with generation 1 published, whose sources have changed since.
fn changed_shop(db: &TestDb) -> Shop {
    let shop = Shop::published_to(TINY, db);
    change(&shop, 77);
    shop
}

/// Replaces the sources by those of another seed.
pub fn change(shop: &Shop, seed: u64) {
    for (name, bytes) in generate(Spec { seed, ..TINY }).unwrap() {
        shop.put(name, &bytes);
    }
}

/// Waits until a refresh has written so many tables of a new generation, or has ended.
pub fn until_written(db: &TestDb, before: &[String], tables: usize, refresh: &mut Child) {
    until("tables are written", || {
        db.names().len() >= before.len() + tables || refresh.try_wait().unwrap().is_some()
    });
}

/// Asserts that only the collections of these generations are stored.
pub fn assert_no_debris(db: &TestDb, shop: &Shop, generations: &[u64], at: &str) {
    let stored: BTreeSet<String> =
        db.names().into_iter().filter(|name| name.ends_with("_revision")).collect();
    assert_eq!(stored, shop.physical_names(generations), "{at}");
}

/// Asserts what must hold after a run that ended badly.
fn assert_recovers(db: &TestDb, shop: &Shop, app: &TestApp, at: &str) {
    let served = served_generation(app);
    assert!(served == 1 || served == 2, "{at}: generation {served}");
    shop.run(&["refresh"]).good();
    assert_eq!(served_generation(app), 2, "{at}");
    assert_no_debris(db, shop, &[1, 2], at);
    shop.run(&["check"]).good();
}

#[test]
fn goldsmith_killed_at_any_step_of_a_publish_leaves_a_whole_generation() {
    let on_set = [
        "inserting:fact_achats",
        "inserted:customers",
        "indexed:fact_achats",
        "renamed:revenue_by_country",
        "publish:customer_scores",
        "switch",
        "committed",
        "named:gold_monthly",
        "switched",
    ];
    let alone = ["renamed:customers", "kept", "committed"];
    let on_set = on_set.map(|point| (shared_uri(), point));
    for (uri, point) in
        on_set.into_iter().chain(alone.map(|point| (shared_standalone_uri(), point)))
    {
        let db = TestDb::at(uri);
        let shop = changed_shop(&db);
        let app = TestApp::spawn_with(&shop, &[("HTTP__CACHE_BYTES", "0")]);
        let ran = shop.run_with(&["refresh"], &[("TESTING__ABORT_AT", point)]);
        assert_eq!(ran.code, None, "{point} was never reached: {ran:#?}");
        assert_recovers(&db, &shop, &app, point);
        let states: Vec<String> = db.with(|db| async move {
            let ops = db.client().database(&format!("{}_ops", db.name()));
            let runs = ops.collection::<Document>("runs");
            let mut states = Vec::new();
            for run in [1_i64, 2, 3] {
                let found = runs.find_one(doc! { "_id": run }).await.unwrap().unwrap();
                states.push(found.get_str("state").unwrap().to_owned());
            }
            states
        });
        // Where the switch had happened the record changed with it.
        let is_switched = ["committed", "named:gold_monthly", "switched"].contains(&point);
        let second = if is_switched { "succeeded" } else { "interrupted" };
        assert_eq!(states, ["succeeded", second, "succeeded"], "{point}");
    }
}

#[test]
fn a_refresh_waits_for_a_mongod_that_is_killed_while_it_publishes() {
    /// Tables of the new generation at the moment of the kill: from the first to the last ones.
    const WRITTEN: [usize; 6] = [1, 3, 6, 9, 12, 15];
    let mut server = Server::replica_set();
    let mut retried = 0;
    for tables in WRITTEN {
        let db = TestDb::at(server.uri());
        let shop = changed_shop(&db);
        let app = TestApp::spawn_with(&shop, &[("HTTP__CACHE_BYTES", "0")]);
        let before = db.names();
        let mut publishing = shop.start(&["refresh"]);
        until_written(&db, &before, tables, &mut publishing);
        server.kill();
        let away = app.get("/kpis");
        assert_eq!((away.status, away.header("retry-after")), (503, Some("5")), "{}", away.text);
        server.start_again();
        let ran = Ran::at_end_of(publishing).good();
        retried += usize::from(ran.err.contains("transient failure; retrying"));
        until_served(&app);
        assert_recovers(&db, &shop, &app, &format!("after {tables} tables"));
    }
    eprintln!("{retried} of {} runs retried a write", WRITTEN.len());
    assert!(retried > 0);
}

#[test]
fn a_server_that_goes_away_or_hangs_is_used_again_when_it_is_back() {
    let mut server = Server::replica_set();
    let db = TestDb::at(server.uri());
    let shop = Shop::published_to(TINY, &db).with_settings(&[
        ("MONGODB__QUERY_SECS", "1"),
        ("MONGODB__SERVER_SELECTION_SECS", "1"),
        ("HTTP__CACHE_BYTES", "0"),
    ]);
    let app = TestApp::spawn(&shop);
    let before = app.data("/customers?limit=1000");
    let paths = ["/kpis", "/customers?q=an", "/customers/1"];
    for hangs in [false, true] {
        if hangs {
            server.signal("STOP");
        } else {
            server.kill();
        }
        // Ten at once: no request waits for another one's time limit.
        std::thread::scope(|scope| {
            for n in 0..10 {
                let app = &app;
                scope.spawn(move || {
                    let reply = app.get(paths[n % paths.len()]);
                    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("5")));
                    assert_eq!(reply.json()["code"], "store_unavailable");
                });
            }
        });
        assert_eq!(app.get("/health/live").status, 200);
        assert_eq!(app.get("/health/ready").json()["code"], "degraded");
        assert_eq!(app.get("/health").json()["data"]["store"]["reachable"], false);
        if hangs {
            server.signal("CONT");
        } else {
            server.start_again();
        }
        until_served(&app);
        assert_eq!(app.data("/customers?limit=1000"), before);
        assert_eq!(app.get("/health/ready").status, 200);
    }
}

#[test]
fn a_server_that_starts_after_goldsmith_is_found() {
    let mut server = Server::replica_set();
    let db = TestDb::at(server.uri());
    let shop = Shop::published_to(TINY, &db);
    server.kill();
    let running = Running::start(&shop, &["serve"], &[("MONGODB__SERVER_SELECTION_SECS", "1")]);
    assert_eq!(running.http.get("/kpis").status, 503);
    server.start_again();
    until_served(&running.http);
    let (code, log) = running.stop();
    assert_eq!(code, Some(0));
    assert!(log.contains("no server answers at"), "{log}");
    assert!(log.contains("the serving store answers again"), "{log}");
}

#[test]
fn transient_failures_are_retried() {
    let server = Server::replica_set();
    let not_primary = doc! { "errorCode": 10_107 };
    let closed = doc! { "closeConnection": true };
    let retryable = doc! { "errorCode": 91, "errorLabels": ["RetryableWriteError"] };
    let concern = doc! { "writeConcernError": { "code": 189, "errmsg": "stepped down" } };
    let mut retried = 0;
    for (command, failure) in [
        ("insert", &not_primary),
        ("insert", &closed),
        ("insert", &concern),
        ("createIndexes", &not_primary),
        ("renameCollection", &closed),
        ("renameCollection", &concern),
        ("create", &closed),
        ("collMod", &not_primary),
        ("commitTransaction", &retryable),
        ("commitTransaction", &closed),
        ("update", &closed),
        ("findAndModify", &retryable),
        ("aggregate", &not_primary),
    ] {
        let db = TestDb::at(server.uri());
        let shop = Shop::sample(if command == "createIndexes" { INDEXED } else { TINY });
        let shop = shop.serving_from(&db).with_settings(&[("RUST_LOG", "warn")]);
        if command == "collMod" {
            shop.run(&["refresh"]).good();
            change(&shop, 5);
        }
        let mut data = failure.clone();
        data.insert("failCommands", vec![command]);
        data.insert("appName", "goldsmith");
        // The server does not reset its count.
        let before = server.failed();
        server.fail(2, data);
        let ran = shop.run(&["refresh"]).good();
        let failed = server.failed() - before;
        // Views are pointed several at once: there one failure more than configured was seen.
        let most = if command == "collMod" { 3 } else { 2 };
        assert!((2..=most).contains(&failed), "{command} {failure}: {failed}");
        retried += usize::from(ran.err.contains("transient failure; retrying"));
        shop.run(&["check"]).good();
    }
    // The driver retries some of them by itself, the store retries the others.
    eprintln!("{retried} of the failures were retried by the store itself");
    assert!(retried > 0);
}

#[test]
fn a_second_refresh_is_refused_while_one_is_publishing() {
    let db = TestDb::new();
    let shop = changed_shop(&db);
    wait(async {
        let store = MongoStore::open(db.options(), &CATALOGUE).unwrap();
        let publisher = store
            .publisher(&RunSpec::refresh(RunTrigger::Cli, RefreshRequest::default()))
            .await
            .unwrap();
        let second = tokio::task::block_in_place(|| shop.run(&["refresh"]));
        second.refused(1, &["another refresh is publishing to mongodb", &db.name]);
        publisher.end(RunEnd::Succeeded).await.unwrap();
    });
    assert_eq!(served_generation(&TestApp::spawn(&shop)), 1);
    shop.run(&["refresh"]).good();
}

#[test]
fn dropped_collections_and_views_are_restored_by_the_next_refresh() {
    let db = TestDb::new();
    let shop = Shop::published_to(TINY, &db);
    let app = TestApp::spawn_with(&shop, &[("HTTP__CACHE_BYTES", "0")]);
    db.with(|db| async move {
        let names = db.list_collection_names().await.unwrap();
        let kpis = names.iter().find(|name| name.starts_with("kpis_")).unwrap();
        for name in [kpis.as_str(), "customers", "gold_monthly"] {
            db.collection::<Document>(name).drop().await.unwrap();
        }
    });
    assert_eq!(app.get("/kpis").status, 503);
    assert_eq!(app.get("/customers").status, 200);
    let ran = shop.run(&["refresh"]).good();
    assert!(ran.out.contains("nothing changed"), "{ran:?}");
    assert_eq!(app.get("/kpis").status, 200);
    shop.run(&["check"]).good();
}
