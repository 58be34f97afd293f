//! Faults under a server that refreshes: it keeps answering, and the next run is clean.

use goldsmith::catalogue::CATALOGUE;
use goldsmith::runs::{RefreshRequest, RunEnd, RunSpec, RunTrigger};
use goldsmith::sample::{Spec, generate};
use goldsmith::store::GoldStore as _;
use goldsmith::store::mongo::MongoStore;
use serde_json::json;

use super::{LARGE, ended, refresh, run, until};
use crate::support::mongo::TestDb;
use crate::support::{Running, Shop, TINY, TestApp};

const TOKEN: &str = "close sesame";

/// Other sources than those that were published.
fn change(shop: &Shop, seed: u64) {
    for (name, bytes) in generate(Spec { seed, ..TINY }).unwrap() {
        shop.put(name, &bytes);
    }
}

#[test]
fn a_server_killed_at_any_step_comes_back_with_the_old_generation_and_the_next_run_is_clean() {
    let steps = ["bronze", "silver", "gold", "models", "proof", "manifest", "switch", "switched"];
    for point in steps {
        let shop = Shop::published(TINY);
        change(&shop, 77);
        let doomed = Running::start(
            &shop,
            &["serve"],
            &[("TESTING__ABORT_AT", point), ("ADMIN_TOKEN", TOKEN)],
        );
        // It may be killed before it can answer.
        doomed.http.try_send("POST", "/admin/refresh", TOKEN);
        doomed.wait_for_its_end();

        let app = TestApp::spawn(&shop);
        let served = app.get("/kpis").json()["meta"]["generation"].take();
        assert_eq!(served, if point == "switched" { 2 } else { 1 }, "{point}");
        let dead = until("the run to be marked as interrupted", || {
            let dead = run(&app, 2);
            (dead["state"] != "running").then_some(dead)
        });
        // The switch has recorded already that the run published.
        let state = if point == "switched" { "succeeded" } else { "interrupted" };
        assert_eq!(dead["state"], state, "{point}: {dead}");
        let next = refresh(&app, "", &[("Prefer", "wait=60")], "").json()["data"].take();
        let outcome = if point == "switched" { "unchanged" } else { "published" };
        assert_eq!(
            (&next["state"], &next["outcome"]),
            (&json!("succeeded"), &json!(outcome)),
            "{point}"
        );
        assert_eq!(app.get("/kpis").json()["meta"]["generation"], 2, "{point}");
        assert_eq!(shop.names("gold"), ["gen-000001", "gen-000002", "owner.json"], "{point}");
        shop.run(&["check"]).good();
    }
}

#[test]
fn a_run_that_panics_at_any_step_is_recorded_as_failed_and_the_server_continues() {
    /// In the order of the steps: each run gets past the points at which an earlier one panicked. From
    /// `manifest` on the generation is complete, and the next run only publishes it.
    const POINTS: [&str; 7] = ["bronze", "silver", "gold", "models", "proof", "manifest", "switch"];
    let shop = Shop::published(TINY);
    change(&shop, 77);
    let points = POINTS.map(|point| format!("panic:{point}")).join(",");
    let running = Running::start(
        &shop,
        &["serve"],
        &[("TESTING__ABORT_AT", &points), ("ADMIN_TOKEN", TOKEN)],
    );
    let wait = [("Prefer", "wait=60")];
    for point in POINTS {
        let ended =
            running.http.ask("POST", "/admin/refresh", TOKEN, &wait, "").json()["data"].take();
        assert_eq!(ended["state"], "failed", "{point}: {ended}");
        assert_eq!(ended["error"], "the run panicked; the log says where", "{point}");
        assert_eq!(running.http.get("/kpis").json()["meta"]["generation"], 1, "{point}");
    }
    // Another process can begin at once: no lock is left behind.
    shop.run(&["refresh"]).good();
    assert_eq!(running.http.get("/kpis").json()["meta"]["generation"], 2);
    let (code, log) = running.stop();
    assert_eq!(code, Some(0));
    for point in POINTS {
        assert!(log.contains(&format!("panic at fail point {point}")), "{point}: {log}");
    }
    shop.run(&["check"]).good();
}

#[test]
fn a_run_completes_when_its_client_disconnects() {
    use std::io::Write as _;
    let shop = Shop::sample(TINY);
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
    let shop = Shop::published(TINY);
    let app = TestApp::spawn(&shop);
    shop.clear_sources();
    refresh(&app, "", &[], "");
    let failed = ended(&app, 2);
    assert_eq!(failed["state"], "failed");
    let error = failed["error"].as_str().unwrap();
    assert!(error.contains("sources") && error.contains("purchases"), "{error}");
    let step = &failed["steps"][0];
    assert_eq!((&step["step"], &step["state"]), (&json!("sources"), &json!("failed")));
    assert_eq!(app.get("/kpis").status, 200);
    change(&shop, 5);
    refresh(&app, "", &[], "");
    assert_eq!(ended(&app, 3)["outcome"], "published");
}

/// A server whose gold lies on a file system of its own, made by these shell commands, and whether it does:
/// where file systems cannot be mounted, a file takes the place of the next generation's folder instead.
fn with_gold_on(shop: &Shop, mount: &str) -> (Running, bool) {
    let gold = shop.data("gold");
    let mount = mount.replace("GOLD", gold.to_str().unwrap());
    let tried = std::process::Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", &mount])
        .output();
    if tried.as_ref().is_ok_and(|tried| tried.status.success()) {
        return (Running::start_in_own_mounts(shop, &mount, TOKEN), true);
    }
    eprintln!("no file system can be mounted here ({tried:?}): a file takes its place");
    std::fs::write(gold.join("gen-000002"), "not a folder").unwrap();
    (Running::start(shop, &["serve"], &[("ADMIN_TOKEN", TOKEN)]), false)
}

/// Removes the file that took its place.
fn make_writable(shop: &Shop) {
    let _ = std::fs::remove_file(shop.data("gold").join("gen-000002"));
}

/// A refresh that fails, while the active generation is served all the same.
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
    let shop = Shop::published(TINY);
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
    make_writable(&shop);
    shop.run(&["refresh"]).good();
    shop.run(&["check"]).good();
}

#[test]
fn a_lake_that_cannot_be_written_fails_the_run_by_name_and_nothing_else() {
    let shop = Shop::published(TINY);
    change(&shop, 5);
    let read_only = "mount --bind GOLD GOLD && mount -o remount,ro,bind GOLD";
    let (running, is_mounted) = with_gold_on(&shop, read_only);
    let failed = fails(&running);
    let error = failed["error"].as_str().unwrap();
    assert!(error.contains("gold"), "{error}");
    assert_eq!(error.to_lowercase().contains("read-only"), is_mounted, "{error}");
    assert_eq!(running.stop().0, Some(0));
    make_writable(&shop);
    shop.run(&["refresh"]).good();
}

#[test]
fn a_server_that_stalled_while_publishing_is_fenced_off() {
    let db = TestDb::new();
    let shop = Shop::sample(TINY).serving_from(&db);
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
    // Its lease of a second expires; another process publishes meanwhile.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = MongoStore::open(db.options(), &CATALOGUE).unwrap();
        let order = RunSpec::refresh(RunTrigger::Cli, RefreshRequest::default());
        let publisher = store.publisher(&order).await.unwrap();
        let served = publisher.active().await.unwrap().unwrap();
        publisher.activate(&served).await.unwrap();
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
