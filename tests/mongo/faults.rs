//! Killed processes, servers that go away, hang or refuse: the old generation stays served or the
//! answer is 503, and everything recovers by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use goldsmith::catalogue::CATALOGUE;
use goldsmith::runs::{RefreshRequest, RunEnd, RunSpec, RunTrigger};
use goldsmith::sample::{Spec, generate};
use goldsmith::store::GoldStore;
use goldsmith::store::mongo::MongoStore;
use mongodb::bson::{Document, doc};

use crate::support::mongo::{Cluster, Server, TestDb, shared_uri, wait};
use crate::support::{Ran, Running, SMALL, Shop, Stop, TestApp};

/// A shop with generation 1 published and other sources waiting.
fn about_to_change(db: &TestDb) -> Shop {
    let shop = Shop::sample(SMALL).serving_from(db);
    shop.run(&["refresh"]).good();
    change(&shop, 77);
    shop
}

fn change(shop: &Shop, seed: u64) {
    for (name, bytes) in generate(Spec { seed, ..SMALL }).unwrap() {
        shop.put(name, &bytes);
    }
}

/// The collections that the kept generations use and nothing else.
fn assert_no_debris(db: &TestDb, shop: &Shop, generations: &[u64], at: &str) {
    let stored: BTreeSet<String> =
        db.names().into_iter().filter(|name| name.ends_with("_revision")).collect();
    assert_eq!(stored, shop.physical_names(generations), "{at}");
}

/// What must hold after a run that ended badly.
fn assert_recovers(db: &TestDb, shop: &Shop, app: &TestApp, at: &str) {
    let served = app.get("/kpis").json()["meta"]["generation"].as_u64().unwrap();
    assert!(served == 1 || served == 2, "{at}: generation {served}");
    shop.run(&["refresh"]).good();
    assert_eq!(app.get("/kpis").json()["meta"]["generation"], 2, "{at}");
    assert_no_debris(db, shop, &[1, 2], at);
    shop.run(&["check"]).good();
}

#[test]
fn goldsmith_killed_at_any_step_of_a_publish_leaves_a_whole_generation() {
    let standalone = Server::standalone();
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
    for (uri, point) in on_set.into_iter().chain(alone.map(|point| (standalone.uri(), point))) {
        let db = TestDb::at(uri);
        let shop = about_to_change(&db);
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
fn mongod_killed_while_publishing_is_waited_for() {
    /// From before the first write to after the last.
    const MOMENTS_MS: [u64; 6] = [150, 400, 550, 700, 850, 1_000];
    let mut server = Server::replica_set();
    let mut retried = 0;
    for moment in MOMENTS_MS {
        let db = TestDb::at(server.uri());
        let shop = about_to_change(&db);
        let app = TestApp::spawn_with(&shop, &[("HTTP__CACHE_BYTES", "0")]);
        let publishing = shop.start(&["refresh"]);
        std::thread::sleep(Duration::from_millis(moment));
        server.kill();
        let away = app.get("/kpis");
        assert_eq!((away.status, away.header("retry-after")), (503, Some("5")), "{}", away.text);
        server.start_again();
        let ran = Ran::at_end_of(publishing).good();
        retried += usize::from(ran.err.contains("transient failure; retrying"));
        until_answered(&app);
        assert_recovers(&db, &shop, &app, &format!("after {moment} ms"));
    }
    eprintln!("{retried} of {} runs had to try a write again", MOMENTS_MS.len());
    assert!(retried > 0);
}

/// Waits until the application answers again, which it must without being started again.
fn until_answered(app: &TestApp) {
    let started = Instant::now();
    while app.get("/kpis").status != 200 {
        assert!(started.elapsed() < Duration::from_mins(1), "{}", app.get("/kpis").text);
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_server_that_goes_away_or_hangs_is_served_again_when_it_is_back() {
    let mut server = Server::replica_set();
    let db = TestDb::at(server.uri());
    let shop = Shop::sample(SMALL).serving_from(&db).with_settings(&[
        ("MONGODB__QUERY_SECS", "1"),
        ("MONGODB__SERVER_SELECTION_SECS", "1"),
        ("HTTP__CACHE_BYTES", "0"),
    ]);
    shop.run(&["refresh"]).good();
    let app = TestApp::spawn(&shop);
    let before = app.data("/customers?limit=1000");
    let paths = ["/kpis", "/customers?q=an", "/customers/1"];
    for hangs in [false, true] {
        if hangs {
            server.signal("STOP");
        } else {
            server.kill();
        }
        // Ten at once: nobody waits for the others' waiting.
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
        until_answered(&app);
        assert_eq!(app.data("/customers?limit=1000"), before);
        assert_eq!(app.get("/health/ready").status, 200);
    }
}

#[test]
fn a_server_that_starts_after_goldsmith_is_found() {
    let mut server = Server::replica_set();
    let db = TestDb::at(server.uri());
    let shop = Shop::sample(SMALL).serving_from(&db);
    shop.run(&["refresh"]).good();
    server.kill();
    let running = Running::start(&shop, &["serve"], &[("MONGODB__SERVER_SELECTION_SECS", "1")]);
    assert_eq!(running.http.get("/kpis").status, 503);
    server.start_again();
    let started = Instant::now();
    while running.http.get("/kpis").status != 200 {
        assert!(started.elapsed() < Duration::from_mins(1));
        std::thread::sleep(Duration::from_millis(50));
    }
    let (code, log) = running.stop();
    assert_eq!(code, Some(0));
    assert!(log.contains("no server answers at"), "{log}");
    assert!(log.contains("the serving store answers again"), "{log}");
}

#[test]
fn refusals_that_pass_are_tried_again() {
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
        // Enough rows for indexes.
        let shop = if command == "createIndexes" {
            Shop::sample(Spec { customers: 200, purchases: 2_000, seed: 5, dirty: 0.0 })
        } else {
            Shop::sample(SMALL)
        };
        let shop = shop.serving_from(&db).with_settings(&[("RUST_LOG", "warn")]);
        if command == "collMod" {
            shop.run(&["refresh"]).good();
            change(&shop, 5);
        }
        let mut data = failure.clone();
        data.insert("failCommands", vec![command]);
        data.insert("appName", "goldsmith");
        // The server counts on from earlier ones.
        let before = server.failed();
        server.fail(2, data);
        let ran = shop.run(&["refresh"]).good();
        let failed = server.failed() - before;
        // Views are pointed several at once: one more was seen refused there than was asked for.
        let most = if command == "collMod" { 3 } else { 2 };
        assert!((2..=most).contains(&failed), "{command} {failure}: {failed}");
        retried += usize::from(ran.err.contains("transient failure; retrying"));
        shop.run(&["check"]).good();
    }
    // The driver itself has another try at some of them, and then it is ours.
    eprintln!("{retried} of the refusals were seen by the store itself");
    assert!(retried > 0);
}

#[test]
fn a_change_of_primary_while_serving_and_publishing_gives_no_wrong_answer() {
    const CHANGES: u64 = 3;
    let cluster = Cluster::with_authentication();
    for read_preference in ["primary", "secondaryPreferred"] {
        let db = TestDb::at(cluster.uri("root", "root"));
        let shop = Shop::sample(SMALL).serving_from(&db).with_settings(&[
            ("MONGODB__READ_PREFERENCE", read_preference),
            ("MONGODB__SERVER_SELECTION_SECS", "15"),
            ("MONGODB__LEASE_SECS", "10"),
            ("HTTP__CACHE_BYTES", "0"),
        ]);
        shop.run(&["refresh"]).good();
        let app = TestApp::spawn(&shop);
        let is_done = AtomicBool::new(false);
        let seen = std::thread::scope(|scope| {
            let readers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut seen = Vec::new();
                        while !is_done.load(Ordering::Relaxed) {
                            let reply = app.get("/customers?limit=1000");
                            if reply.status == 503 {
                                assert_eq!(reply.header("retry-after"), Some("5"));
                                seen.push(None);
                                continue;
                            }
                            assert_eq!(reply.status, 200, "{}", reply.text);
                            let body = reply.json();
                            assert_eq!(body["meta"]["count"], 120, "{}", body["meta"]);
                            let generation = body["meta"]["generation"].as_u64().unwrap();
                            let spent = body["data"].as_array().unwrap().iter();
                            let spent: f64 =
                                spent.map(|row| row["total_spent"].as_f64().unwrap()).sum();
                            seen.push(Some((generation, format!("{spent:.2}"))));
                        }
                        seen
                    })
                })
                .collect();
            let end = Stop(&is_done);
            for seed in 1..=CHANGES {
                change(&shop, seed);
                let publishing = shop.start(&["refresh"]);
                std::thread::sleep(Duration::from_millis(300 + 250 * seed));
                cluster.step_down();
                Ran::at_end_of(publishing).good();
                shop.run(&["check"]).good();
            }
            drop(end);
            let readers = readers.into_iter();
            readers.flat_map(|reader| reader.join().unwrap()).collect::<Vec<_>>()
        });
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
        until_answered(&app);
        assert_eq!(app.get("/kpis").json()["meta"]["generation"], CHANGES + 1);
        assert_no_debris(&db, &shop, &[1, 2, 3, 4], read_preference);
    }
}

#[test]
fn a_second_refresh_is_refused_while_one_is_publishing() {
    let db = TestDb::new();
    let shop = about_to_change(&db);
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
    let served = TestApp::spawn(&shop).get("/kpis").json()["meta"]["generation"].clone();
    assert_eq!(served, 1);
    shop.run(&["refresh"]).good();
}

#[test]
fn members_that_lag_behind_answer_whole_generations() {
    const PUBLISHES: u64 = 6;
    /// How far one of the two secondaries is behind.
    const BEHIND_SECS: i32 = 2;
    let arguments = ["--replSet", "rs", "--oplogSize", "64", "--wiredTigerCacheSizeGB", "0.25"];
    let members: Vec<Server> = (0..3).map(|_| Server::start(&arguments)).collect();
    members[0].initiate_with(&members.iter().collect::<Vec<_>>(), |id| {
        if id == 2 {
            doc! { "priority": 0, "secondaryDelaySecs": BEHIND_SECS }
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
        Shop::sample(SMALL).serving_from(&db).with_settings(&[("PUBLISH__KEEP_GENERATIONS", "2")]);
    shop.run(&["refresh"]).good();
    let app = TestApp::spawn_with(
        &shop,
        &[("HTTP__CACHE_BYTES", "0"), ("MONGODB__SERVER_SELECTION_SECS", "5")],
    );
    until_answered(&app);
    let is_done = AtomicBool::new(false);
    let seen: Vec<u64> = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = Vec::new();
                    while !is_done.load(Ordering::Relaxed) {
                        for path in ["/customers?limit=1000", "/customers?q=an", "/customers/1"] {
                            let reply = app.get(path);
                            assert_eq!(reply.status, 200, "{path}: {}", reply.text);
                            let meta = reply.json()["meta"].take();
                            assert!(meta["total"].as_u64().unwrap() > 0, "{path}: {meta}");
                            seen.push(meta["generation"].as_u64().unwrap());
                        }
                    }
                    seen
                })
            })
            .collect();
        let end = Stop(&is_done);
        for seed in 1..=PUBLISHES {
            change(&shop, seed);
            shop.run(&["refresh"]).good();
        }
        drop(end);
        readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect()
    });
    let generations: BTreeSet<u64> = seen.iter().copied().collect();
    eprintln!("{} answers of the generations {generations:?}", seen.len());
    // Nothing that is served was swept by what a lagging member knows.
    shop.run(&["check"]).good();
    let ran = shop.run(&["refresh"]).good();
    assert!(ran.out.contains("nothing changed"), "{ran:?}");
    shop.run(&["check"]).good();
    assert_no_debris(&db, &shop, &[PUBLISHES, PUBLISHES + 1], "lagging");
}

#[test]
fn what_somebody_drops_is_brought_back_by_the_next_refresh() {
    let db = TestDb::new();
    let shop = Shop::sample(SMALL).serving_from(&db);
    shop.run(&["refresh"]).good();
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
