//! Waiting for a condition instead of for a time.

use std::time::{Duration, Instant};

use super::{Http, TestApp};

/// How long a test waits for anything.
const TIMEOUT: Duration = Duration::from_mins(1);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Waits until a condition holds.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < TIMEOUT, "not within {} s: {what}", TIMEOUT.as_secs());
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Waits until a server answers from its store again, without having been restarted.
#[track_caller]
pub fn until_served(http: &Http) {
    until("/kpis answers", || http.get("/kpis").status == 200);
}

/// The generation that the application serves.
#[track_caller]
pub fn served_generation(app: &TestApp) -> u64 {
    app.get("/kpis").json()["meta"]["generation"].as_u64().unwrap()
}
