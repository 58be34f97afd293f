//! `/admin/*`: authorisation, runs, generations, refreshing.

use serde_json::Value;

use crate::jobs::LARGE;
use crate::support::{Running, SMALL, Shop, TestApp, concrete};

#[track_caller]
fn data(app: &TestApp, method: &str, path: &str) -> Value {
    let reply = app.admin(method, path);
    assert_eq!(reply.status, 200, "{path}: {}", reply.text);
    reply.json()["data"].take()
}

#[test]
fn no_admin_route_answers_without_the_admin_token() {
    let shop = Shop::published(SMALL);
    let variables = [("READ_TOKEN", "open sesame"), ("ADMIN_TOKEN", "close sesame")];
    let app = TestApp::spawn_with(&shop, &variables);
    let document = app.get("/openapi.json").json();
    let mut guarded = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        if !path.starts_with("/admin/") {
            continue;
        }
        for method in item.as_object().unwrap().keys().filter(|key| *key != "parameters") {
            guarded += 1;
            let (method, path) = (method.to_uppercase(), concrete(path, "1"));
            for token in [None, Some("open sesame"), Some(""), Some("close sesame 2")] {
                let reply = app.send_as(&method, &path, token);
                assert_eq!(reply.status, 401, "{method} {path} with {token:?}");
                assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
                assert!(reply.json()["detail"].as_str().unwrap().contains("ADMIN_TOKEN"));
                assert!(!reply.text.contains("sesame"));
            }
            assert!(app.admin(&method, &path).status < 300, "{method} {path}");
        }
    }
    assert!(guarded >= 4, "{guarded} guarded routes");
    // The admin token does not read data.
    assert_eq!(app.get_as("/kpis", Some("close sesame")).status, 401);
}

#[test]
fn on_loopback_a_token_is_generated_and_printed_elsewhere_one_is_required() {
    let shop = Shop::published(SMALL);
    let running = Running::start(&shop, &["serve"], &[("HTTP_ADDR", "127.0.0.1:0")]);
    let line = running.stdout.lines().find(|line| line.starts_with("admin token")).unwrap();
    let token = line.split(": ").nth(1).unwrap().split(' ').next().unwrap();
    assert_eq!(token.len(), 48, "{line}");
    assert_eq!(running.http.get_as("/admin/runs", Some(token)).status, 200);
    assert_eq!(running.http.get("/admin/runs").status, 401);
    assert_eq!(running.stop().0, Some(0));

    let wide = [("HTTP_ADDR", "0.0.0.0:0")];
    shop.run_with(&["serve"], &wide).refused(2, &["0.0.0.0:", "ADMIN_TOKEN is not set"]);
    let with_token = [wide[0], ("ADMIN_TOKEN", "close sesame")];
    let running = Running::start(&shop, &["serve"], &with_token);
    assert!(!running.stdout.contains("admin token"), "{}", running.stdout);
    assert_eq!(running.stop().0, Some(0));
}

#[test]
fn runs_are_listed_filtered_and_paged() {
    let shop = Shop::sample(SMALL);
    shop.run(&["refresh"]).good();
    shop.run(&["refresh", "--force"]).good();
    let app = TestApp::spawn(&shop);
    let runs = data(&app, "GET", "/admin/runs");
    let runs = runs.as_array().unwrap();
    assert_eq!(runs.len(), 2);
    assert_eq!((&runs[0]["run"], &runs[0]["generation"]), (&2.into(), &2.into()));
    for run in runs {
        assert_eq!(
            (run["kind"].as_str(), run["state"].as_str()),
            (Some("refresh"), Some("succeeded"))
        );
        assert!(run["seconds"].as_f64().unwrap() > 0.0 && run["error"].is_null());
        assert!(run["started_at"].as_str().unwrap() < run["ended_at"].as_str().unwrap());
    }
    assert_eq!(data(&app, "GET", "/admin/runs/1"), runs[1]);
    assert_eq!(data(&app, "GET", "/admin/runs?offset=1&limit=1")[0], runs[1]);
    let second = runs[0]["started_at"].as_str().unwrap().trim_end_matches('Z');
    assert_eq!(data(&app, "GET", &format!("/admin/runs?from={second}"))[0], runs[0]);
    assert_eq!(data(&app, "GET", &format!("/admin/runs?until={second}"))[0], runs[1]);
    let failed = app.admin("GET", "/admin/runs?state=failed").json();
    assert_eq!((&failed["data"], &failed["meta"]["total"]), (&Value::Array(Vec::new()), &0.into()));

    for (path, detail) in [
        ("/admin/runs?state=lost", "state: \"lost\" is not one of enqueued, running"),
        ("/admin/runs?from=soon", "from: \"soon\" is not an instant"),
        ("/admin/runs?limit=0", "limit: \"0\" is not a whole number from 1 to 1000"),
        ("/admin/runs?page=2", "page: there is no such parameter here"),
        ("/admin/runs?limit=1&limit=2", "limit: it is given twice"),
    ] {
        let reply = app.admin("GET", path);
        assert_eq!(reply.status, 400, "{path}");
        assert!(reply.json()["detail"].as_str().unwrap().starts_with(detail), "{}", reply.text);
    }
    for path in ["/admin/runs/3", "/admin/runs/first"] {
        assert_eq!(app.admin("GET", path).status, 404, "{path}");
    }
}

#[test]
fn a_generation_is_served_again_and_the_switch_is_a_run() {
    let shop = Shop::sample(SMALL);
    shop.run(&["refresh"]).good();
    shop.run(&["refresh", "--force"]).good();
    let app = TestApp::spawn(&shop);
    let of_generations = |app: &TestApp| -> Vec<(u64, bool)> {
        let all = data(app, "GET", "/admin/generations");
        let all = all.as_array().unwrap().iter();
        all.map(|g| (g["generation"].as_u64().unwrap(), g["is_active"].as_bool().unwrap()))
            .collect()
    };
    assert_eq!(of_generations(&app), [(2, true), (1, false)]);
    let switch = data(&app, "POST", "/admin/generations/1/activate");
    assert_eq!((&switch["from"], &switch["to"]), (&2.into(), &1.into()));
    assert_eq!(of_generations(&app), [(2, false), (1, true)]);
    assert_eq!(app.get("/kpis").json()["meta"]["generation"], 1);
    let last = &data(&app, "GET", "/admin/runs?limit=1")[0];
    assert_eq!((&last["kind"], &last["generation"]), (&"rollback".into(), &1.into()));

    let missing = app.admin("POST", "/admin/generations/9/activate");
    assert_eq!(missing.status, 404);
    let detail = missing.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("there is no generation 9 to go back to; kept are 1, 2"), "{detail}");
    let wrong = app.admin("GET", "/admin/generations/1/activate");
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("POST")));
    let wrong = app.admin("POST", "/admin/generations");
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET, HEAD")));
}

fn state(app: &TestApp, run: u64) -> String {
    data(app, "GET", &format!("/admin/runs/{run}"))["state"].as_str().unwrap().to_owned()
}

#[test]
fn a_refresh_runs_in_the_background_and_can_be_observed() {
    let shop = Shop::sample(SMALL);
    let app = TestApp::spawn(&shop);
    assert_eq!(app.get("/kpis").status, 503);
    let started = app.admin("POST", "/admin/refresh");
    assert_eq!(started.status, 202, "{}", started.text);
    assert_eq!(started.header("location"), Some("/admin/runs/1"));
    let run = started.json()["data"].take();
    assert_eq!((&run["run"], &run["trigger"]), (&1.into(), &"api".into()));

    let ended = app.admin_with("POST", "/admin/refresh", &[("Prefer", "wait=60")], "");
    assert_eq!((ended.status, ended.header("preference-applied")), (200, Some("wait=60")));
    let run = data(&app, "GET", "/admin/runs/1");
    assert_eq!((&run["state"], &run["progress"]), (&"succeeded".into(), &1.0.into()));
    assert_eq!((&run["generation"], &run["outcome"]), (&1.into(), &"published".into()));
    let steps: Vec<&str> =
        run["steps"].as_array().unwrap().iter().map(|s| s["step"].as_str().unwrap()).collect();
    let all = ["sources", "bronze", "silver", "gold", "models", "proof", "publish", "sweep"];
    assert_eq!(steps, all);
    assert!(run["steps"].as_array().unwrap().iter().all(|step| step["seconds"].is_f64()));
    assert_eq!(app.get("/kpis").status, 200);

    // Nothing changed: the run ends at once, unless the body forces it.
    let wait = [("Prefer", "wait=60")];
    let same = app.admin_with("POST", "/admin/refresh", &wait, "").json();
    assert_eq!(
        (&same["data"]["state"], &same["data"]["outcome"]),
        (&"succeeded".into(), &"unchanged".into())
    );
    let body = r#"{"force": true, "as_of": "2025-06-30"}"#;
    let forced = app.admin_with("POST", "/admin/refresh", &wait, body).json();
    assert_eq!(forced["data"]["generation"], 2);
    assert_eq!(app.get("/kpis").json()["meta"]["as_of"], "2025-06-30T23:59:59.999999");
}

#[test]
fn simultaneous_requests_get_one_run() {
    let shop = Shop::sample(LARGE);
    let app = TestApp::spawn(&shop);
    let replies: Vec<(u16, u64)> = std::thread::scope(|scope| {
        let request = || {
            let reply = app.admin("POST", "/admin/refresh");
            (reply.status, reply.json()["data"]["run"].as_u64().unwrap())
        };
        let requests: Vec<_> = (0..10).map(|_| scope.spawn(request)).collect();
        requests.into_iter().map(|request| request.join().unwrap()).collect()
    });
    assert!(replies.iter().all(|(_, run)| *run == 1), "{replies:?}");
    assert_eq!(replies.iter().filter(|(status, _)| *status == 202).count(), 1, "{replies:?}");
    // A request for something else does not join the running one.
    let more = app.admin_with("POST", "/admin/refresh", &[], r#"{"force": true}"#);
    assert_eq!((more.status, &more.json()["code"]), (409, &"conflict".into()), "{}", more.text);
    // Neither does a command of another process.
    shop.run(&["refresh"]).refused(1, &["another refresh is running"]);
    app.admin_with("POST", "/admin/refresh", &[("Prefer", "wait=60")], "");
    assert_eq!(state(&app, 1), "succeeded");
}

#[test]
fn a_run_that_is_cancelled_publishes_nothing_and_the_next_one_is_clean() {
    let shop = Shop::sample(LARGE);
    let app = TestApp::spawn(&shop);
    let run = app.admin("POST", "/admin/refresh").json()["data"]["run"].as_u64().unwrap();
    let cancelled = app.admin("POST", &format!("/admin/runs/{run}/cancel"));
    assert_eq!(cancelled.status, 202, "{}", cancelled.text);
    let wait = [("Prefer", "wait=60")];
    let ends = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while state(&app, run) == "running" && std::time::Instant::now() < ends {
        std::thread::yield_now();
    }
    assert_eq!(state(&app, run), "cancelled");
    assert_eq!(app.get("/kpis").status, 503);
    assert_eq!(data(&app, "GET", "/admin/generations"), Value::Array(Vec::new()));
    let next = app.admin_with("POST", "/admin/refresh", &wait, "").json();
    assert_eq!(
        (&next["data"]["state"], &next["data"]["generation"]),
        (&"succeeded".into(), &1.into())
    );
    // Cancelling a run that has ended is accepted and has no effect.
    let again = app.admin("POST", &format!("/admin/runs/{run}/cancel"));
    assert_eq!((again.status, &again.json()["data"]["state"]), (202, &"cancelled".into()));
    assert_eq!(app.admin("POST", "/admin/runs/99/cancel").status, 404);
    shop.run(&["check"]).good();
}

#[test]
fn stopping_the_server_cancels_the_run() {
    let shop = Shop::sample(LARGE);
    let running = Running::start(&shop, &["serve"], &[("ADMIN_TOKEN", "close sesame")]);
    let started = running.http.send_as("POST", "/admin/refresh", Some("close sesame"));
    assert_eq!(started.status, 202, "{}", started.text);
    let (code, err) = running.stop();
    assert_eq!(code, Some(0), "{err}");
    let app = TestApp::spawn(&shop);
    assert_eq!(state(&app, 1), "cancelled");
    assert_eq!(app.get("/kpis").status, 503);
}

#[test]
fn a_run_that_cannot_start_or_fails_reports_the_reason() {
    let shop = Shop::empty();
    let app = TestApp::spawn(&shop);
    let wait = [("Prefer", "wait=60")];
    let failed = app.admin_with("POST", "/admin/refresh", &wait, "").json()["data"].take();
    assert_eq!(failed["state"], "failed");
    assert!(
        failed["error"].as_str().unwrap().contains("there is no file with purchases"),
        "{failed}"
    );
    for (body, detail) in [
        ("{", "body: it is not a JSON object (EOF"),
        ("[null, true]", "body: it is not a JSON object ("),
        (r#"{"speed": 9}"#, "body: speed: unknown field `speed`, expected one of `as_of`, `force`"),
        (r#"{"as_of": "9999-12-31"}"#, "body: as_of lies in the future: the last day is 2"),
        (r#"{"as_of": "soon"}"#, "body: as_of: \"soon\" is not a day or instant"),
        (r#"{"as_of": 5}"#, "body: as_of: invalid type: integer `5`, expected a string"),
        (r#"{"force": "yes"}"#, "body: force: invalid type: string \"yes\", expected a boolean"),
        (r#"{"replay": -1}"#, "body: replay: it must be true, false or the number of a generation"),
        (r#"{"only": "gold"}"#, "body: only: invalid type: string \"gold\", expected a sequence"),
    ] {
        let reply = app.admin_with("POST", "/admin/refresh", &[], body);
        assert_eq!(reply.status, 400, "{body}");
        assert!(reply.json()["detail"].as_str().unwrap().starts_with(detail), "{}", reply.text);
    }
    let large = app.admin_with("POST", "/admin/refresh", &[], &" ".repeat(300_000));
    assert_eq!(
        (large.status, &large.json()["code"]),
        (413, &"large_body".into()),
        "{}",
        large.text
    );
    // A lake needs a directory.
    let file = shop.path().join("file");
    std::fs::write(&file, "").unwrap();
    let lake = format!("{}/{{layer}}", file.display());
    let app = TestApp::spawn_with(&shop, &[("LAKE_URL", &lake)]);
    let failed = app.admin_with("POST", "/admin/refresh", &wait, "").json()["data"].take();
    assert_eq!(failed["state"], "failed", "{failed}");
    assert!(failed["error"].as_str().unwrap().contains("cannot be used"), "{failed}");
}
