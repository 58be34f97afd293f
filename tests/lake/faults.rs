//! Faults between goldsmith and an S3 server.

use std::collections::HashSet;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use goldsmith::lake::Layer;
use goldsmith::lake::reading::PART;

use super::pattern;
use super::s3::{assert_no_keys, shop_on};
use crate::support::proxy::{Fault, Proxy};
use crate::support::s3::{Server, own, shared, unique};
use crate::support::wait::until;
use crate::support::{Running, Shop, TINY};

/// Tells the first attempt of each request. Probes have another name each time.
struct FirstTries(Mutex<HashSet<String>>);

impl FirstTries {
    fn new() -> Self {
        Self(Mutex::default())
    }

    fn is_first(&self, method: &str, path: &str) -> bool {
        let upload = path.split("uploadId=").next().unwrap();
        !path.contains(".probe-") && self.0.lock().unwrap().insert(format!("{method} {upload}"))
    }
}

/// A shop on the shared server behind the proxy.
fn shop_by(proxy: &Proxy) -> (Shop, Server, String) {
    let server = Server { endpoint: proxy.endpoint.clone(), ..shared() };
    let (shop, template) = shop_on(&server, Shop::sample(TINY));
    (shop, server, template)
}

/// Asserts that every object is intact, read without the proxy.
fn assert_whole(shop: &Shop) {
    let direct = [("AWS_ENDPOINT_URL", shared().endpoint)];
    let direct: Vec<(&str, &str)> = direct.iter().map(|(n, v)| (*n, v.as_str())).collect();
    assert_eq!(shop.run_with(&["lake", "verify"], &direct).good().code, Some(0));
    assert_eq!(shop.run_with(&["check"], &direct).good().code, Some(0));
}

#[test]
fn every_retry_of_a_store_that_asks_to_slow_down_is_logged_and_counted() {
    let first = FirstTries::new();
    let proxy = Proxy::to(&shared().endpoint, move |_, method, path| {
        if first.is_first(method, path) { Fault::SlowDown } else { Fault::None }
    });
    let (shop, server, _) = shop_by(&proxy);
    let ran = shop.run_with(&["refresh"], &[("RUST_LOG", "warn")]).good();
    let faults = proxy.faults();
    assert!(faults > 100, "{faults}");
    assert_eq!(ran.err.matches("transient failure of a lake request").count(), faults);
    assert_eq!(ran.err.matches("cause=\"503\"").count(), faults, "{}", ran.err);
    assert!(ran.out.contains(&format!("{faults} transient failures, each retried")), "{}", ran.out);
    assert_no_keys(&server, &ran.err);
    assert_whole(&shop);

    // The metric of a serving process counts the same.
    let running = Running::start(&shop, &["serve"], &[("ADMIN_TOKEN", "t")]);
    let run = start_refresh(&running);
    let ended = end_of(&running, &run);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    let more = proxy.faults() - faults;
    let counted = running.http.get("/metrics").text;
    let line = format!("goldsmith_retries_total{{cause=\"503\",what=\"lake request\"}} {more}");
    assert!(
        more > 50 && counted.lines().any(|counted| counted == line),
        "{line} is not in {counted}"
    );
}

#[test]
fn requests_that_are_reset_in_mid_transfer_are_retried() {
    let first = FirstTries::new();
    let proxy = Proxy::to(&shared().endpoint, move |number, method, path| {
        match (first.is_first(method, path), method, number % 2) {
            (false, ..) => Fault::None,
            (true, "PUT" | "POST", 0) => Fault::ResetBody(700),
            (true, ..) => Fault::ResetAnswer(40),
        }
    });
    let (shop, ..) = shop_by(&proxy);
    let ran = shop.run(&["refresh"]).good();
    assert!(proxy.faults() > 50, "{ran:?}");
    assert_whole(&shop);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_objects_survive_resets_of_their_parts() {
    let first = FirstTries::new();
    let count = Mutex::new(0);
    let proxy = Proxy::to(&shared().endpoint, move |number, method, path| {
        // All parts of an object have one path: some of them are cut off, not all.
        let is_part = method == "GET" && path.contains("large") && number % 3 == 0;
        let mut cut = count.lock().unwrap();
        if is_part && *cut < 6 {
            *cut += 1;
            return Fault::ResetAnswer(PART / 2);
        }
        match (first.is_first(method, path), number % 2) {
            (false, _) => Fault::None,
            (true, 0) if method == "PUT" => Fault::ResetBody(PART / 3),
            (true, _) => Fault::ResetAnswer(10),
        }
    });
    let server = Server { endpoint: proxy.endpoint.clone(), ..shared() };
    let lake = server.lake(&format!("s3://{}/{{layer}}", unique()));
    while let Err(error) = lake.prepare().await {
        assert!(error.is_transient(), "{error}");
    }
    let content = pattern(6 * PART + 12_345);
    let written = content.clone();
    let file =
        lake.write(Layer::Gold, "large.parquet", move |to| to.write_all(&written)).await.unwrap();
    assert!(lake.get_file(Layer::Gold, &file).await.unwrap() == content);
    assert!(lake.get_file(Layer::Gold, &file).await.unwrap() == content);
    assert!(proxy.faults() > 10, "{}", proxy.faults());
    // An upload whose id was lost with its response is found only afterwards.
    assert!(lake.remove_incomplete(Layer::Gold, |_| true, false).await.unwrap() <= 1);
    assert_eq!(lake.remove_incomplete(Layer::Gold, |_| true, true).await.unwrap(), 0);
}

#[test]
fn a_server_that_stalls_at_times_only_costs_time() {
    /// Longer than any timeout.
    const LONG: Duration = Duration::from_mins(10);
    let first = FirstTries::new();
    let proxy = Proxy::to(&shared().endpoint, move |_, method, path| {
        let is_chosen = ["clients.parquet", "kpis.parquet", "/bronze", "manifest.json", "uploads"]
            .iter()
            .any(|part| path.contains(part));
        if is_chosen && first.is_first(method, path) { Fault::Stall(LONG) } else { Fault::None }
    });
    let (shop, ..) = shop_by(&proxy);
    shop.run_with(&["refresh"], &[("S3__REQUEST_SECS", "2")]).good();
    assert!(proxy.faults() >= 5, "{}", proxy.faults());
    assert_whole(&shop);
}

#[test]
fn a_server_that_is_far_away_only_costs_time() {
    let far = Duration::from_millis(300);
    let proxy = Proxy::to(&shared().endpoint, move |_, _, _| Fault::Delay(far));
    let (shop, ..) = shop_by(&proxy);
    shop.run(&["refresh"]).good();
    assert_whole(&shop);
}

#[test]
fn a_server_that_stalls_fails_the_run_and_the_next_run_succeeds() {
    const LONG: Duration = Duration::from_mins(10);
    let is_broken = Arc::new(Mutex::new(true));
    let broken = Arc::clone(&is_broken);
    let proxy = Proxy::to(&shared().endpoint, move |_, method, path| {
        let is_table = method == "PUT" && path.contains("customers.parquet");
        if is_table && *broken.lock().unwrap() { Fault::Stall(LONG) } else { Fault::None }
    });
    let (shop, ..) = shop_by(&proxy);
    let limits = [("S3__REQUEST_SECS", "5"), ("REFRESH__STEP_SECS", "30")];
    let ran = shop.run_with(&["refresh"], &limits);
    ran.refused(1, &["the step proof did not end within 30 s", "last failure: cannot write s3://"]);
    *is_broken.lock().unwrap() = false;
    shop.run(&["refresh"]).good();
    assert_whole(&shop);
}

#[test]
fn a_gateway_that_is_restarted_during_a_run_does_not_fail_the_run() {
    let gateway = Arc::new(Mutex::new(own().gateway()));
    let endpoint = gateway.lock().unwrap().server().endpoint;
    let first = FirstTries::new();
    let doomed = Arc::clone(&gateway);
    let proxy = Proxy::to(&endpoint, move |_, method, path| {
        let is_moment = method == "PUT" && path.contains("/customer_features.parquet");
        if is_moment && first.is_first(method, path) {
            let mut gateway = doomed.lock().unwrap();
            gateway.kill();
            let doomed = Arc::clone(&doomed);
            std::thread::spawn(move || doomed.lock().unwrap().start_again());
        }
        Fault::None
    });
    let own = gateway.lock().unwrap().server();
    let server = Server { endpoint: proxy.endpoint.clone(), ..own.clone() };
    let (shop, _) = shop_on(&server, Shop::sample(TINY));
    let ran = shop.run(&["refresh"]).good();
    assert!(ran.out.contains("each retried"), "{}", ran.out);
    shop.run(&["lake", "verify"]).good();
    shop.run(&["check"]).good();
}

/// A proxy on which the requests that `is_chosen` hang for as long as it is broken.
fn hanging(
    is_chosen: impl Fn(&str, &str) -> bool + Send + Sync + 'static,
) -> (Proxy, Arc<Mutex<bool>>) {
    const LONG: Duration = Duration::from_mins(10);
    let is_broken = Arc::new(Mutex::new(true));
    let broken = Arc::clone(&is_broken);
    let proxy = Proxy::to(&shared().endpoint, move |_, method, path| {
        let hangs = *broken.lock().unwrap() && is_chosen(method, path);
        if hangs { Fault::Stall(LONG) } else { Fault::None }
    });
    (proxy, is_broken)
}

#[test]
fn no_request_to_the_lake_can_hold_a_run_longer_than_a_step_may_take() {
    let hanging_request = Arc::new(Mutex::new(("", "")));
    let now = Arc::clone(&hanging_request);
    let (proxy, _) = hanging(move |method, path| {
        let (chosen, part) = *now.lock().unwrap();
        !part.is_empty() && method == chosen && path.contains(part)
    });
    let (shop, ..) = shop_by(&proxy);
    shop.run(&["refresh"]).good();
    for what in [
        ("GET", "uploads"),
        ("GET", "-gold?"),
        ("GET", "manifest.json"),
        ("PUT", "/models.json"),
        ("HEAD", "-silver/"),
        ("PUT", "/kpis.parquet"),
    ] {
        *hanging_request.lock().unwrap() = what;
        let limits = [("S3__REQUEST_SECS", "60"), ("REFRESH__STEP_SECS", "6")];
        let ran = shop.run_with(&["refresh", "--force"], &limits);
        assert_eq!(ran.code, Some(1), "{what:?}: {ran:?}");
        ran.refused(1, &["did not end within 6 s (refresh.step_secs)"]);
    }
    *hanging_request.lock().unwrap() = ("", "");
    shop.run(&["refresh", "--force"]).good();
    assert_whole(&shop);
}

/// Starts a refresh; the path of its run.
fn start_refresh(running: &Running) -> String {
    let force = r#"{"force": true}"#;
    let accepted = running.http.ask("POST", "/admin/refresh", "t", &[], force).json();
    format!("/admin/runs/{}", accepted["data"]["run"])
}

/// The record of a run once it has ended.
fn end_of(running: &Running, run: &str) -> serde_json::Value {
    let record = || running.http.get_as(run, Some("t")).json()["data"].take();
    let started = std::time::Instant::now();
    loop {
        match record() {
            record if record["state"] == "running" => {
                assert!(started.elapsed() < Duration::from_mins(5), "{record}");
            }
            record => return record,
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_cancel_does_not_wait_for_a_server_that_hangs() {
    let (proxy, is_broken) = hanging(|_, path| path.contains("uploads"));
    let (shop, ..) = shop_by(&proxy);
    *is_broken.lock().unwrap() = false;
    shop.run(&["refresh"]).good();
    *is_broken.lock().unwrap() = true;
    let running = Running::start(&shop, &["serve"], &[("ADMIN_TOKEN", "t")]);
    let run = start_refresh(&running);
    // The run hangs once the step before has ended.
    until("a request hangs", || proxy.faults() > 0);
    running.http.ask("POST", &format!("{run}/cancel"), "t", &[], "");
    assert_eq!(end_of(&running, &run)["state"], "cancelled");
}
