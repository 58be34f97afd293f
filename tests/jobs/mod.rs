//! Runs in the background: requested, watched, started on their own, and notified of.

mod events;
mod faults;
mod notify;
mod requests;
mod schedule;

use std::time::{Duration, Instant};

use goldsmith::sample::Spec;
use serde_json::Value;

use crate::support::{Reply, TestApp};

/// Large enough for a run to take seconds, with fewer customers than models learn from.
pub const LARGE: Spec = Spec { customers: 45, purchases: 60_000, seed: 3, dirty: 0.0 };

/// Requests a refresh.
pub fn refresh(app: &TestApp, query: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    app.admin_with("POST", &format!("/admin/refresh{query}"), headers, body)
}

/// The `data` of an admin route.
pub fn data(app: &TestApp, path: &str) -> Value {
    let reply = app.admin("GET", path);
    assert_eq!(reply.status, 200, "{path}: {}", reply.text);
    reply.json()["data"].take()
}

/// A run now.
pub fn run(app: &TestApp, run: u64) -> Value {
    data(app, &format!("/admin/runs/{run}"))
}

/// A run once it has ended, within five minutes.
pub fn ended(app: &TestApp, number: u64) -> Value {
    until(&format!("the end of run {number}"), || {
        let reply = app.admin("GET", &format!("/admin/runs/{number}"));
        let view = (reply.status == 200).then(|| reply.json()["data"].take())?;
        let has_ended = !["enqueued", "running"].contains(&view["state"].as_str().unwrap());
        has_ended.then_some(view)
    })
}

/// Polls until there is something, for five minutes at most.
pub fn until<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let ends = Instant::now() + Duration::from_mins(5);
    loop {
        if let Some(found) = poll() {
            return found;
        }
        assert!(Instant::now() < ends, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
