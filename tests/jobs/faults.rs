//! What can go wrong under a server that refreshes: it goes on answering, and the next run is clean.

use goldsmith::catalogue;
use goldsmith::runs::{RefreshRequest, RunEnd, RunSpec, RunTrigger};
use goldsmith::sample::{Spec, generate};
use goldsmith::store::GoldStore as _;
use goldsmith::store::mongo::MongoStore;
use serde_json::json;

use super::{LARGE, ended, refresh, run, until};
use crate::support::mongo::TestDb;
use crate::support::{Running, SMALL, Shop, TestApp};

const TOKEN: &str = "close sesame";

/// Other sources than those that were published.
fn change(shop: &Shop, seed: u64) {
    for (name, bytes) in generate(Spec { seed, ..SMALL }).unwrap() {
        shop.put(name, &bytes);
    }
}

#[test]
fn a_server_killed_at_any_step_comes_back_with_the_old_figures_and_the_next_run_is_clean() {
    let steps = ["bronze", "silver", "gold", "models", "proof", "manifest", "switch", "switched"];
    for point in steps {
        let shop = Shop::published(SMALL);
        change(&shop, 77);
        let doomed = Running::start(
            &shop,
            &["serve"],
            &[("TESTING__ABORT_AT", point), ("ADMIN_TOKEN", TOKEN)],
        );
        // Killed before or after it could answer.
        doomed.http.try_send("POST", "/admin/refresh", TOKEN);
        doomed.wait_for_its_end();

        let app = TestApp::spawn(&shop);
        let served = app.get("/kpis").json()["meta"]["generation"].take();
        assert_eq!(served, if point == "switched" { 2 } else { 1 }, "{point}");
        let gone = until("the run to be found interrupted", || {
            let gone = run(&app, 2);
            (gone["state"] != "running").then_some(gone)
        });
        // After the switch the record says already what the run did.
        let state = if point == "switched" { "succeeded" } else { "interrupted" };
        assert_eq!(gone["state"], state, "{point}: {gone}");
        let next = refresh(&app, "", &[("Prefer", "wait=60")], "").json()["data"].take();
        let outcome = if point == "switched" { "unchanged" } else { "published" };
        assert_eq!(
            (&next["state"], &next["outcome"]),
            (&json!("succeeded"), &json!(outcome)),
            "{point}"
        );
        assert_eq!(app.get("/kpis").json()["meta"]["generation"], 2, "{point}");
        assert_eq!(shop.names("gold"), ["gen-000001", "gen-000002"], "{point}");
        shop.run(&["check"]).good();
    }
}

#[test]
fn a_run_that_panics_is_recorded_as_failed_and_the_server_goes_on() {
    let shop = Shop::published(SMALL);
    change(&shop, 77);
    let running = Running::start(
        &shop,
        &["serve"],
        &[("TESTING__ABORT_AT", "panic:gold"), ("ADMIN_TOKEN", TOKEN)],
    );
    let wait = [("Prefer", "wait=60")];
    let ended = running.http.ask("POST", "/admin/refresh", TOKEN, &wait, "").json()["data"].take();
    assert_eq!(ended["state"], "failed", "{ended}");
    assert_eq!(ended["error"], "the run panicked; the log says where");
    assert_eq!(running.http.get("/kpis").json()["meta"]["generation"], 1);
    // Another process may begin at once: nothing is held any more.
    shop.run(&["refresh"]).good();
    assert_eq!(running.http.get("/kpis").json()["meta"]["generation"], 2);
    let (code, log) = running.stop();
    assert_eq!(code, Some(0));
    assert!(log.contains("asked to panic at gold"), "{log}");
}

#[test]
fn a_request_that_is_given_up_leaves_a_whole_run() {
    use std::io::Write as _;
    let shop = Shop::sample(SMALL);
    let app = TestApp::spawn(&shop);
    for _ in 0..3 {
        let address = app.url().trim_start_matches("http://");
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let token = app.admin_token();
        let request = format!(
            "POST /admin/refresh HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
             Prefer: wait=60\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
    }
    assert_eq!(ended(&app, 1)["outcome"], "published");
    let last = refresh(&app, "", &[("Prefer", "wait=60")], "").json();
    assert_eq!(last["data"]["state"], "succeeded", "{last}");
}

#[test]
fn sources_that_vanish_fail_the_run_by_name_and_nothing_else() {
    let shop = Shop::published(SMALL);
    let app = TestApp::spawn(&shop);
    shop.clear_sources();
    refresh(&app, "", &[], "");
    let failed = ended(&app, 2);
    assert_eq!(failed["state"], "failed");
    let error = failed["error"].as_str().unwrap();
    assert!(error.contains("sources") && error.contains("clients"), "{error}");
    let step = &failed["steps"][0];
    assert_eq!((&step["step"], &step["state"]), (&json!("sources"), &json!("failed")));
    assert_eq!(app.get("/kpis").status, 200);
    change(&shop, 5);
    refresh(&app, "", &[], "");
    assert_eq!(ended(&app, 3)["outcome"], "published");
}

/// A server whose gold lies on a file system of its own, made by these shell commands, and whether it does:
/// where no file system may be mounted, a file lies in the way of the next generation instead, and that is
/// said on standard error.
fn with_gold_on(shop: &Shop, mount: &str) -> (Running, bool) {
    let gold = shop.data("gold");
    let mount = mount.replace("GOLD", gold.to_str().unwrap());
    let tried = std::process::Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", &mount])
        .output();
    if tried.as_ref().is_ok_and(|tried| tried.status.success()) {
        return (Running::start_in_own_mounts(shop, &mount, TOKEN), true);
    }
    eprintln!("no file system can be mounted here ({tried:?}): a file in the way stands for it");
    std::fs::write(gold.join("gen-000002"), "in the way").unwrap();
    (Running::start(shop, &["serve"], &[("ADMIN_TOKEN", TOKEN)]), false)
}

/// Clears the way again.
fn put_right(shop: &Shop) {
    let _ = std::fs::remove_file(shop.data("gold").join("gen-000002"));
}

/// What becomes of a refresh there, and that the figures are served all the same.
fn fails(running: &Running) -> serde_json::Value {
    let wait = [("Prefer", "wait=60")];
    let body = r#"{"force": true}"#;
    let ended =
        running.http.ask("POST", "/admin/refresh", TOKEN, &wait, body).json()["data"].take();
    assert_eq!(ended["state"], "failed", "{ended}");
    assert_eq!(running.http.get("/kpis").status, 200);
    assert_eq!(running.http.get("/customers?limit=5").status, 200);
    ended
}

#[test]
fn a_disk_that_is_full_fails_the_run_by_name_and_nothing_else() {
    let shop = Shop::published(SMALL);
    change(&shop, 5);
    // Enough for the first files of a generation.
    let (running, is_mounted) = with_gold_on(&shop, "mount -t tmpfs -o size=40k none GOLD");
    let failed = fails(&running);
    let error = failed["error"].as_str().unwrap();
    assert!(error.contains("cannot write") && error.contains("gold/gen-"), "{error}");
    assert_eq!(error.to_lowercase().contains("no space left"), is_mounted, "{error}");
    assert!(!failed["causes"].as_array().unwrap().is_empty());
    assert_eq!(running.stop().0, Some(0));
    // With room again, the next run is clean.
    put_right(&shop);
    shop.run(&["refresh"]).good();
    shop.run(&["check"]).good();
}

#[test]
fn a_lake_that_cannot_be_written_fails_the_run_by_name_and_nothing_else() {
    let shop = Shop::published(SMALL);
    change(&shop, 5);
    let read_only = "mount --bind GOLD GOLD && mount -o remount,ro,bind GOLD";
    let (running, is_mounted) = with_gold_on(&shop, read_only);
    let failed = fails(&running);
    let error = failed["error"].as_str().unwrap();
    assert!(error.contains("gold"), "{error}");
    assert_eq!(error.to_lowercase().contains("read-only"), is_mounted, "{error}");
    assert_eq!(running.stop().0, Some(0));
    put_right(&shop);
    shop.run(&["refresh"]).good();
}

#[test]
fn a_server_that_stalled_while_publishing_is_fenced_off() {
    let db = TestDb::new();
    let shop = Shop::sample(SMALL).serving_from(&db);
    shop.run(&["refresh"]).good();
    for (name, bytes) in generate(LARGE).unwrap() {
        shop.put(name, &bytes);
    }
    let running = Running::start(&shop, &["serve"], &[("ADMIN_TOKEN", TOKEN)]);
    let ask = |method: &str, path: &str| running.http.send_as(method, path, Some(TOKEN)).json();
    let number = ask("POST", "/admin/refresh")["data"]["run"].as_u64().unwrap();
    let path = format!("/admin/runs/{number}");
    until("the run to publish", || {
        let run = ask("GET", &path)["data"].take();
        assert_eq!(run["state"], "running", "it ended too soon: {run}");
        run["steps"].as_array().unwrap().iter().any(|step| step["step"] == "publish").then_some(())
    });
    running.signal("STOP");
    // Its lease of a second runs out; somebody else publishes meanwhile.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = MongoStore::open(db.options(), &catalogue::CATALOGUE).unwrap();
        let order = RunSpec::refresh(RunTrigger::Cli, RefreshRequest::default());
        let publisher = store.publisher(&order).await.unwrap();
        let served = publisher.active().await.unwrap().unwrap();
        publisher.activate(&served, &|_| {}).await.unwrap();
        publisher.end(RunEnd::Succeeded).await.unwrap();
    });
    running.signal("CONT");
    let ended = until("the end of the run", || {
        let run = ask("GET", &path)["data"].take();
        (run["state"] == "failed").then_some(run)
    });
    let error = ended["error"].as_str().unwrap();
    assert!(error.contains("another refresh took over publishing"), "{error}");
    assert_eq!(running.http.get("/kpis").json()["meta"]["generation"], 1);
    let next =
        running.http.ask("POST", "/admin/refresh", TOKEN, &[("Prefer", "wait=60")], "").json();
    assert_eq!(next["data"]["outcome"], "published", "{next}");
    let (code, log) = running.stop();
    assert_eq!(code, Some(0), "{log}");
    shop.run(&["check"]).good();
}
