//! Runs that a process starts without a request: by the schedule, on changed files, at its start.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{ended, run, until};
use crate::support::mongo::TestDb;
use crate::support::{Running, Shop, TINY, TestApp};

/// The runs there are, oldest first.
fn runs(app: &TestApp) -> Vec<Value> {
    let answer = app.admin("GET", "/admin/runs?limit=1000").json();
    answer["data"].as_array().unwrap().iter().rev().cloned().collect()
}

/// Three processes with the same schedule, which is due every second.
fn three_processes_start_one_run_per_instant(shop: &Shop) {
    let every_second = [
        ("REFRESH_SCHEDULE", "* * * * * *"),
        ("REFRESH__JITTER_SECS", "0"),
        ("ADMIN_TOKEN", "x y"),
    ];
    let replicas = [0, 1, 2].map(|_| Running::start(shop, &["serve"], &every_second));
    let app = TestApp::spawn(shop);
    until("runs of the schedule", || {
        let is_done = |run: &&Value| run["state"] == "succeeded";
        (runs(&app).iter().filter(is_done).count() >= 6).then_some(())
    });
    for replica in replicas {
        let (code, log) = replica.stop();
        assert_eq!(code, Some(0), "{log}");
    }
    // Read only now: while processes run, one may be about to withdraw the run that it has queued for
    // an instant at which another process has just begun one.
    let scheduled = runs(&app);
    assert!(scheduled.iter().all(|run| run["trigger"] == "schedule"), "{scheduled:#?}");
    // A run that was cancelled with its process is made up for by another one.
    let counted = scheduled.iter().filter(|run| run["state"] != "cancelled");
    let instants: Vec<&str> = counted.map(|run| run["scheduled_for"].as_str().unwrap()).collect();
    let different: BTreeSet<&&str> = instants.iter().collect();
    assert_eq!(different.len(), instants.len(), "{instants:?}");
    let published = scheduled.iter().filter(|run| run["outcome"] == "published").count();
    assert_eq!(published, 1, "{scheduled:#?}");
    let failed: Vec<&Value> = scheduled.iter().filter(|run| run["state"] == "failed").collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn three_processes_on_sqlite_start_one_run_per_instant() {
    three_processes_start_one_run_per_instant(&Shop::sample(TINY));
}

#[test]
fn three_processes_on_mongodb_start_one_run_per_instant() {
    let db = TestDb::new();
    // A lease of a second may expire on a busy machine, so that a run fails.
    let lease = [("MONGODB__LEASE_SECS", "10")];
    let shop = Shop::sample(TINY).serving_from(&db).with_settings(&lease);
    three_processes_start_one_run_per_instant(&shop);
}

#[test]
fn a_missed_run_is_caught_up_once() {
    let shop = Shop::sample(TINY);
    // Once a year: the last instant was long ago.
    let yearly = [("REFRESH_SCHEDULE", "0 0 1 1 *"), ("REFRESH__JITTER_SECS", "0")];
    let app = TestApp::spawn_with(&shop, &yearly);
    let caught_up = ended(&app, 1);
    assert_eq!(
        (&caught_up["trigger"], &caught_up["outcome"]),
        (&json!("schedule"), &json!("published"))
    );
    drop(app);
    let app = TestApp::spawn_with(&shop, &yearly);
    // The next run is the one requested here: the schedule was satisfied.
    std::thread::sleep(std::time::Duration::from_secs(1));
    app.admin_with("POST", "/admin/refresh", &[("Prefer", "wait=60")], "");
    assert_eq!(run(&app, 2)["trigger"], "api");
    assert_eq!(runs(&app).len(), 2);
}

#[test]
fn changed_source_files_start_a_refresh() {
    let shop = Shop::empty();
    let watch = [("SOURCES__WATCH", "true"), ("SOURCES__WATCH_SECS", "1")];
    let app = TestApp::spawn_with(&shop, &watch);
    let sample =
        |seed| goldsmith::sample::generate(goldsmith::sample::Spec { seed, ..TINY }).unwrap();
    // Without files, and with files of one data set only, no run starts.
    let files = sample(1);
    let (customers, purchases): (Vec<_>, Vec<_>) = files
        .iter()
        .filter(|(name, _)| *name != "ground_truth.json")
        .partition(|(name, _)| name.starts_with("clients"));
    shop.put(customers[0].0, &customers[0].1);
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    assert_eq!(runs(&app), Vec::<Value>::new());
    shop.put(purchases[0].0, &purchases[0].1);
    let first = ended(&app, 1);
    assert_eq!((&first["trigger"], &first["outcome"]), (&json!("watch"), &json!("published")));
    for (name, bytes) in sample(2) {
        shop.put(name, &bytes);
    }
    assert_eq!(ended(&app, 2)["outcome"], "published");
    // A file that makes a run fail does not start a run at every poll.
    shop.put("achats.csv", b"nothing");
    assert_eq!(ended(&app, 3)["state"], "failed");
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    assert_eq!(runs(&app).len(), 3);
}

#[test]
fn the_run_before_serving_has_the_trigger_startup() {
    let shop = Shop::sample(TINY);
    let running = Running::start(&shop, &["up"], &[("ADMIN_TOKEN", "x y")]);
    let first = running.http.get_as("/admin/runs/1", Some("x y")).json();
    assert_eq!(first["data"]["trigger"], "startup");
    assert_eq!(running.stop().0, Some(0));
}
