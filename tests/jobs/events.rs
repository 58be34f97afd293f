//! Server-sent events, received by a client that reads them as they come.

use std::io::{BufRead as _, BufReader};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{LARGE, ended, refresh};
use crate::support::{Http, Shop, TINY, TestApp, orders_and_rows};

/// An event as it was received.
#[derive(Debug, Clone, PartialEq)]
struct Received {
    id: String,
    name: String,
    data: Value,
}

impl Received {
    /// Its name and data in short.
    fn short(&self) -> String {
        let text = |field: &str| self.data[field].as_str().unwrap_or_default().to_owned();
        match self.name.as_str() {
            "step" => format!("{} {}", text("step"), text("state")),
            "generation" => format!("generation {}", self.data["generation"]),
            name => format!("{name} {}", text("state")),
        }
    }
}

/// Listens until the stream ends, on a thread of its own.
fn listen(
    http: &Http,
    path: &str,
    token: Option<&str>,
    last_id: Option<&str>,
) -> mpsc::Receiver<Received> {
    let stream = http.stream(path, token, last_id);
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut id, mut name) = (String::new(), String::new());
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { return };
            match line.split_once(": ") {
                Some(("id", text)) => text.clone_into(&mut id),
                Some(("event", text)) => text.clone_into(&mut name),
                Some(("data", text)) => {
                    let data = serde_json::from_str(text).unwrap();
                    let event = Received { id: id.clone(), name: name.clone(), data };
                    if sender.send(event).is_err() {
                        return;
                    }
                }
                _ => {}
            }
        }
    });
    receiver
}

fn next(events: &mpsc::Receiver<Received>) -> Received {
    events.recv_timeout(Duration::from_mins(5)).unwrap()
}

fn all(events: &mpsc::Receiver<Received>) -> Vec<Received> {
    let mut received = Vec::new();
    loop {
        match events.recv_timeout(Duration::from_mins(5)) {
            Ok(event) => received.push(event),
            Err(mpsc::RecvTimeoutError::Disconnected) => return received,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                panic!("the stream neither sends an event nor ends")
            }
        }
    }
}

fn until_end(events: &mpsc::Receiver<Received>) -> Vec<Received> {
    let mut received = Vec::new();
    while received.last().is_none_or(|event: &Received| event.name != "end") {
        received.push(next(events));
    }
    received
}

#[test]
fn a_run_sends_events_from_its_beginning_to_its_end_or_since_the_last_one_received() {
    let shop = Shop::sample(LARGE);
    let app = TestApp::spawn(&shop);
    refresh(&app, "", &[], "");
    let token = Some(app.admin_token());
    let received = all(&listen(&app, "/admin/runs/1/events", token, None));
    let short: Vec<String> = received.iter().map(Received::short).collect();
    assert_eq!(short[0], "run running");
    for step in ["sources", "bronze", "silver", "gold", "models", "proof", "publish", "sweep"] {
        let place = short.iter().position(|text| *text == format!("{step} running"));
        let place = place.unwrap_or_else(|| panic!("no {step} in {short:?}"));
        assert_eq!(short[place + 1], format!("{step} succeeded"));
    }
    assert_eq!(
        short[short.len() - 4..],
        ["generation 1", "sweep running", "sweep succeeded", "end succeeded"]
    );
    let silver = received.iter().find(|event| event.short() == "silver succeeded").unwrap();
    let rows = orders_and_rows(LARGE).1 + u64::from(LARGE.customers);
    assert_eq!(silver.data["rows_out"], rows);

    // A client that reconnects gets the rest; after the end it gets 204 and does not reconnect.
    let rest = all(&listen(&app, "/admin/runs/1/events", token, Some(&silver.id)));
    let place = received.iter().position(|event| event.id == silver.id).unwrap();
    assert_eq!(rest, received[place + 1..]);
    let last = &received.last().unwrap().id;
    let done = app.admin_with("GET", "/admin/runs/1/events", &[("Last-Event-ID", last)], "");
    assert_eq!((done.status, done.text.as_str()), (204, ""));
    let wrong = app.admin_with("GET", "/admin/runs/1/events", &[("Last-Event-ID", "soon")], "");
    assert_eq!((wrong.status, &wrong.json()["parameter"]), (400, &json!("Last-Event-ID")));
    assert_eq!(app.admin("GET", "/admin/runs/9/events").status, 404);
    assert_eq!(app.get("/admin/runs/1/events").status, 401);
}

#[test]
fn every_client_receives_new_generations_and_misses_none() {
    let shop = Shop::sample(TINY).with_settings(&[("READ_TOKEN", "open")]);
    let app = TestApp::spawn(&shop);
    assert_eq!(app.get("/events").status, 401);
    let read = Some("open");
    // Also before anything is published, and for runs of other processes.
    let events = listen(&app, "/events", read, None);
    shop.run(&["refresh"]).good();
    let first = until_end(&events);
    assert!(first.iter().any(|event| event.short() == "generation 1"), "{first:?}");
    assert_eq!(first[0].short(), "run running");
    refresh(&app, "", &[("Prefer", "wait=60")], r#"{"force": true}"#);
    let second = until_end(&events);
    assert!(second.iter().any(|event| event.short() == "generation 2"), "{second:?}");
    assert_eq!(app.admin("POST", "/admin/generations/1/activate").status, 200);
    let third: Vec<String> = until_end(&events).iter().map(Received::short).collect();
    assert_eq!(third, ["run running", "generation 1", "end succeeded"]);
    // Also for a run that is cancelled before its first step.
    refresh(&app, "", &[], r#"{"force": true}"#);
    assert_eq!(app.admin("POST", "/admin/runs/4/cancel").status, 202);
    let stopped = until_end(&events);
    assert_eq!(stopped.first().unwrap().short(), "run running");
    // The event does not say why a run failed, which only operators may read.
    shop.put("achats.csv", b"nothing");
    refresh(&app, "", &[], "");
    let failure = until_end(&events);
    assert_eq!(failure.last().unwrap().short(), "end failed");
    assert!(failure.iter().all(|event| !event.data.to_string().contains("achats")), "{failure:?}");

    let again = listen(&app, "/events", read, Some(&first.last().unwrap().id));
    assert_eq!(until_end(&again), second);
    assert_eq!(until_end(&again).iter().map(Received::short).collect::<Vec<_>>(), third);
    assert_eq!(until_end(&again), stopped);
    assert_eq!(until_end(&again), failure);
    let head = app.send_as("HEAD", "/events", read);
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    let wrong = app.get_as("/events?since=1", read);
    assert_eq!(wrong.status, 400);
}

#[test]
fn an_open_stream_does_not_keep_the_server_from_stopping() {
    let shop = Shop::published(TINY);
    let running =
        crate::support::Running::start(&shop, &["serve"], &[("SHUTDOWN__GRACE_SECS", "50")]);
    let events = listen(&running.http, "/events", None, None);
    let (code, log) = running.stop();
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(all(&events), []);
}

#[test]
fn a_queued_run_sends_events() {
    let shop = Shop::sample(LARGE);
    let app = TestApp::spawn(&shop);
    refresh(&app, "", &[], "");
    refresh(&app, "?if_running=queue", &[], "");
    let events = listen(&app, "/admin/runs/2/events", Some(app.admin_token()), None);
    assert_eq!(next(&events).short(), "run enqueued");
    assert_eq!(next(&events).short(), "run running");
    ended(&app, 2);
    assert_eq!(all(&events).last().unwrap().short(), "end succeeded");
}
