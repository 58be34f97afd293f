//! Requests for a refresh: their options, and their treatment while another run is running.

use serde_json::{Value, json};

use super::{LARGE, data, ended, refresh, run};
use crate::support::{Http, Running, Shop, TINY, TestApp, orders_and_rows};

#[test]
fn a_queued_run_begins_when_the_running_one_has_ended() {
    let shop = Shop::sample(LARGE);
    let app = TestApp::spawn(&shop);
    assert_eq!(refresh(&app, "", &[], "").status, 202);
    let queued = refresh(&app, "?if_running=queue", &[], "");
    assert_eq!(queued.status, 202, "{}", queued.text);
    assert_eq!(queued.header("location"), Some("/admin/runs/2"));
    let view = &queued.json()["data"];
    assert_eq!((&view["state"], &view["steps"]), (&json!("enqueued"), &json!([])));
    // At most one run is queued.
    let again = refresh(&app, "?if_running=queue", &[], "");
    assert_eq!((again.status, &again.json()["data"]["run"]), (200, &json!(2)));
    let other = refresh(&app, "?if_running=queue", &[], r#"{"force": true}"#);
    assert_eq!(other.status, 409, "{}", other.text);
    assert!(other.text.contains("run 2 is queued"), "{}", other.text);
    assert_eq!(app.admin("GET", "/admin/runs?state=enqueued").json()["meta"]["total"], 1);

    assert_eq!(ended(&app, 2)["outcome"], "unchanged");
    assert_eq!(run(&app, 1)["outcome"], "published");
    assert!(run(&app, 2)["started_at"].as_str() >= run(&app, 1)["ended_at"].as_str());
    // With no run running, the request starts one.
    let wait = [("Prefer", "wait=60")];
    let at_once = refresh(&app, "?if_running=queue", &wait, "").json();
    assert_eq!(
        (&at_once["data"]["run"], &at_once["data"]["state"]),
        (&json!(3), &json!("succeeded"))
    );
    let wrong = refresh(&app, "?if_running=kill", &[], "");
    assert_eq!(wrong.status, 400);
    assert!(wrong.text.contains(r#"if_running: \"kill\" is not join or queue"#), "{}", wrong.text);
}

#[test]
fn a_queued_run_is_cancelled_or_survives_the_end_of_its_process() {
    let shop = Shop::sample(LARGE);
    let token = [("ADMIN_TOKEN", "close sesame")];
    let first = Running::start(&shop, &["serve"], &token);
    let ask = |path: &str| first.http.send_as("POST", path, Some("close sesame"));
    assert_eq!(ask("/admin/refresh").status, 202);
    assert_eq!(ask("/admin/refresh?if_running=queue").status, 202);
    let cancelled = ask("/admin/runs/2/cancel").json();
    assert_eq!(cancelled["data"]["state"], "cancelled");
    let next = ask("/admin/refresh?if_running=queue").json();
    assert_eq!((&next["data"]["run"], &next["data"]["state"]), (&json!(3), &json!("enqueued")));
    drop(first);

    // Killed: its run is marked interrupted, the queued one begins in the next process.
    let app = TestApp::spawn(&shop);
    assert_eq!(ended(&app, 3)["outcome"], "published");
    assert_eq!(run(&app, 1)["state"], "interrupted");
    assert_eq!(run(&app, 2)["state"], "cancelled");
}

#[test]
fn the_same_key_and_body_are_the_same_run() {
    let shop = Shop::sample(TINY);
    let app = TestApp::spawn(&shop);
    let with = |key: &str, body: &str| {
        refresh(&app, "", &[("Idempotency-Key", key), ("Prefer", "wait=60")], body)
    };
    let first = with("night-1", r#"{"force": true}"#);
    assert_eq!((first.status, &first.json()["data"]["run"]), (200, &json!(1)));
    for body in [r#"{"force": true}"#, r#"{ "force":true, "as_of":null }"#] {
        let again = with("night-1", body);
        assert_eq!(
            (again.status, &again.json()["data"]["run"]),
            (200, &json!(1)),
            "{}",
            again.text
        );
    }
    let other = with("night-1", "");
    assert_eq!((other.status, &other.json()["code"]), (422, &json!("key_reused")));
    assert!(other.text.contains("night-1"), "{}", other.text);
    assert_eq!(with("night-2", r#"{"force": true}"#).json()["data"]["run"], 2);
    assert_eq!(app.admin("GET", "/admin/runs").json()["meta"]["total"], 2);
    for key in ["", &"x".repeat(256)] {
        assert_eq!(with(key, "").status, 400, "{key}");
    }
    // A key does not make a request join a run with other options.
    let large = Shop::sample(LARGE);
    let busy = TestApp::spawn(&large);
    refresh(&busy, "", &[], "");
    let keyed = refresh(&busy, "", &[("Idempotency-Key", "k")], r#"{"force": true}"#);
    assert_eq!((keyed.status, &keyed.json()["code"]), (409, &json!("conflict")), "{}", keyed.text);
    assert_eq!(ended(&busy, 1)["state"], "succeeded");
    let wait = [("Idempotency-Key", "k"), ("Prefer", "wait=60")];
    let keyed = refresh(&busy, "", &wait, r#"{"force": true}"#).json();
    assert_eq!(keyed["data"]["generation"], 2, "{keyed}");
    // Ten requests at once under one key.
    let runs: Vec<Value> = std::thread::scope(|scope| {
        let ask =
            || refresh(&app, "", &[("Idempotency-Key", "ten")], "").json()["data"]["run"].take();
        let requests: Vec<_> = (0..10).map(|_| scope.spawn(ask)).collect();
        requests.into_iter().map(|request| request.join().unwrap()).collect()
    });
    assert!(runs.iter().all(|run| *run == 3), "{runs:?}");
}

#[test]
fn one_key_sent_to_two_processes_at_once_is_one_run() {
    let shop = Shop::sample(TINY);
    let token = "close sesame";
    let other = Running::start(&shop, &["serve"], &[("ADMIN_TOKEN", token)]);
    let app = TestApp::spawn(&shop);
    for round in 1..=3_u64 {
        let key = format!("round {round}");
        let headers = [("Idempotency-Key", key.as_str())];
        let (path, body) = ("/admin/refresh?if_running=queue", r#"{"force": true}"#);
        let runs: Vec<Value> = std::thread::scope(|scope| {
            let requests: Vec<_> = (0..8)
                .map(|place| {
                    let (http, token): (&Http, _) = if place % 2 == 0 {
                        (&app, app.admin_token())
                    } else {
                        (&other.http, token)
                    };
                    let ask = move || http.ask("POST", path, token, &headers, body);
                    scope.spawn(move || ask().json()["data"]["run"].take())
                })
                .collect();
            requests.into_iter().map(|request| request.join().unwrap()).collect()
        });
        assert!(runs.iter().all(|run| *run == round), "{runs:?}");
        ended(&app, round);
    }
    assert_eq!(app.admin("GET", "/admin/runs").json()["meta"]["total"], 3);
    assert_eq!(other.stop().0, Some(0));
}

#[test]
fn a_replay_takes_the_inputs_of_an_earlier_run() {
    let shop = Shop::sample(TINY);
    let app = TestApp::spawn(&shop);
    let wait = [("Prefer", "wait=60")];
    let go = |body: &str| refresh(&app, "", &wait, body).json()["data"].take();
    go("");
    let first = app.get("/kpis").json()["data"].take();
    let day = r#"{"as_of": "2025-06-30"}"#;
    assert_eq!(go(day)["generation"], 2);
    let second = app.get("/kpis").json()["data"].take();
    shop.put(
        "clients.csv",
        "id_client,nom,email,date_inscription,pays\n1,A,a@x.fr,2024-01-01,France\n".as_bytes(),
    );
    shop.put(
        "achats.csv",
        "id_achat,id_client,date_achat,montant,produit\n1,1,2024-02-01,5,P\n".as_bytes(),
    );
    assert_eq!(go(r#"{"force": true}"#)["generation"], 3);
    assert_eq!(app.get("/kpis").json()["data"]["total_customers"], 1);

    // The source files of generation 2, although there are others now; as of the same day.
    let replayed = go(r#"{"replay": 2}"#);
    assert_eq!(
        (&replayed["generation"], &replayed["request"]["start_at"]),
        (&json!(4), &json!("bronze"))
    );
    assert_eq!(replayed["request"]["inputs_of"], 2);
    assert_eq!(app.get("/kpis").json()["data"], second);
    assert_eq!(go(r#"{"replay": true}"#)["outcome"], "unchanged");
    go(r#"{"replay": 1}"#);
    assert_eq!(app.get("/kpis").json()["data"], first);

    let lost = go(r#"{"replay": 99}"#);
    assert_eq!(lost["state"], "failed");
    assert!(lost["error"].as_str().unwrap().contains("no generation 99 in the lake"), "{lost}");
    shop.run(&["check"]).good();
}

#[test]
fn gold_and_models_are_rebuilt_without_the_sources() {
    let shop = Shop::sample(TINY);
    let app = TestApp::spawn(&shop);
    let wait = [("Prefer", "wait=60")];
    let go = |body: &str| refresh(&app, "", &wait, body).json()["data"].take();
    go("");
    let before = app.get("/customers?limit=1000").json()["data"].take();
    shop.clear_sources();
    let again = go(r#"{"only": ["gold", "models"]}"#);
    assert_eq!(
        (&again["state"], &again["generation"]),
        (&json!("succeeded"), &json!(2)),
        "{again}"
    );
    let steps: Vec<&str> =
        again["steps"].as_array().unwrap().iter().map(|s| s["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["sources", "silver", "gold", "models", "proof", "publish", "sweep"]);
    assert_eq!(app.get("/customers?limit=1000").json()["data"], before);
    // Only tables that depend on the run itself differ.
    let diff = data(&app, "/admin/generations/1/diff/2");
    let changed: Vec<&Value> = diff["tables"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|table| table["changed"] != 0 || table["added"] != 0 || table["removed"] != 0)
        .map(|table| &table["table"])
        .collect();
    assert_eq!(changed, ["segment_migration", "ml_model_metrics"]);
    assert_eq!(go(r#"{"only": ["models", "silver", "gold"], "force": true}"#)["generation"], 3);
    for (body, reason) in [
        (r#"{"only": ["models"]}"#, "gold and models go together"),
        (r#"{"only": ["gold"]}"#, "gold and models go together"),
        (r#"{"only": []}"#, "gold and models go together"),
        (
            r#"{"only": ["sources"]}"#,
            "only[0]: unknown variant `sources`, expected one of `silver`, `gold`, `models`",
        ),
    ] {
        let refused = refresh(&app, "", &[], body);
        assert_eq!(refused.status, 400, "{body}");
        assert!(refused.text.contains(reason), "{}", refused.text);
    }
    shop.run(&["check"]).good();
}

#[test]
fn every_process_on_a_store_sees_awaits_and_stops_the_runs_of_the_others() {
    let shop = Shop::sample(LARGE);
    let token = [("ADMIN_TOKEN", "close sesame")];
    let other = Running::start(&shop, &["serve"], &token);
    let app = TestApp::spawn(&shop);
    let started = other.http.send_as("POST", "/admin/refresh", Some("close sesame"));
    assert_eq!(started.status, 202, "{}", started.text);
    let joined = refresh(&app, "", &[], "");
    assert_eq!((joined.status, &joined.json()["data"]["run"]), (200, &json!(1)));
    let cancelled = app.admin("POST", "/admin/runs/1/cancel");
    assert_eq!(cancelled.status, 202, "{}", cancelled.text);
    assert_eq!(ended(&app, 1)["state"], "cancelled");
    let next = other.http.send_as("POST", "/admin/refresh", Some("close sesame"));
    assert_eq!(next.json()["data"]["run"], 2);
    let waited = refresh(&app, "", &[("Prefer", "wait=60")], "").json();
    assert_eq!(
        (&waited["data"]["run"], &waited["data"]["state"]),
        (&json!(2), &json!("succeeded"))
    );
    assert_eq!(other.stop().0, Some(0));
}

#[test]
fn a_run_reports_rows_and_bytes_and_when_it_is_expected_to_end() {
    let shop = Shop::sample(LARGE);
    let app = TestApp::spawn(&shop);
    refresh(&app, "", &[], "");
    let first = ended(&app, 1);
    let step = |run: &Value, name: &str| {
        let steps = run["steps"].as_array().unwrap();
        steps.iter().find(|step| step["step"] == name).unwrap().clone()
    };
    let silver = step(&first, "silver");
    assert_eq!(silver["state"], "succeeded");
    let (_, purchases) = orders_and_rows(LARGE);
    let rows = purchases + u64::from(LARGE.customers);
    assert_eq!((&silver["rows_in"], &silver["rows_out"]), (&json!(rows), &json!(rows)));
    assert_eq!(step(&first, "sources")["bytes"], step(&first, "bronze")["bytes"]);
    assert!(step(&first, "proof")["rows_out"].as_u64() > Some(rows));
    assert_eq!(step(&first, "publish")["rows_out"], step(&first, "proof")["rows_out"]);
    let quality = &first["quality"];
    assert_eq!(quality["achats"], json!({"read": purchases, "valid": purchases, "rejected": 0}));
    assert_eq!((&first["generation_before"], &first["eta"]), (&Value::Null, &Value::Null));

    refresh(&app, "", &[], r#"{"force": true}"#);
    let (mut last, mut has_eta) = (0.0, false);
    loop {
        let now = run(&app, 2);
        let progress = now["progress"].as_f64().unwrap();
        assert!(progress >= last && progress <= 1.0, "{progress} after {last}");
        last = progress;
        if now["state"] != "running" {
            assert_eq!((&now["generation_before"], &now["generation"]), (&json!(1), &json!(2)));
            break;
        }
        has_eta |= now["eta"].as_str().is_some_and(|eta| Some(eta) >= now["started_at"].as_str());
    }
    assert!(has_eta && last == 1.0);
}

#[test]
fn of_more_than_ten_thousand_runs_the_newest_and_the_last_that_published_are_retained() {
    let shop = Shop::published(TINY);
    let store = shop.sqlite();
    store
        .execute_batch(
            "WITH RECURSIVE later (run) AS (SELECT 2 UNION ALL SELECT run + 1 FROM later WHERE run < 10050)
             INSERT INTO goldsmith_runs
             SELECT later.run, json_set(record, '$.run', later.run, '$.state', 'failed', '$.generation', NULL)
             FROM later, goldsmith_runs WHERE goldsmith_runs.run = 1",
        )
        .unwrap();
    let app = TestApp::spawn(&shop);
    assert_eq!(app.admin("GET", "/admin/runs").json()["meta"]["total"], 10_050);
    refresh(&app, "", &[("Prefer", "wait=60")], "");
    assert_eq!(run(&app, 10_051)["outcome"], "unchanged");
    assert_eq!(app.admin("GET", "/admin/runs").json()["meta"]["total"], 10_001);
    assert_eq!(run(&app, 1)["outcome"], "published");
    assert_eq!(app.admin("GET", "/admin/runs/51").status, 404);
    assert_eq!(app.admin("GET", "/admin/runs/52").status, 200);
}

#[test]
fn runs_beyond_the_configured_limit_are_deleted() {
    let shop = Shop::sample(TINY).with_settings(&[("PUBLISH__KEEP_RUNS", "3")]);
    let app = TestApp::spawn(&shop);
    let wait = [("Prefer", "wait=60")];
    for _ in 0..6 {
        refresh(&app, "", &wait, "");
    }
    let left = app.admin("GET", "/admin/runs").json();
    let left: Vec<u64> =
        left["data"].as_array().unwrap().iter().map(|run| run["run"].as_u64().unwrap()).collect();
    // The first run published; the others were unchanged.
    assert_eq!(left, [6, 5, 4, 1]);
}
