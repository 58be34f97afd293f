//! Notifications of webhooks and Metabase at the end of runs. The receiver is a small HTTP server
//! of the test, since what matters is what is sent.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

use super::refresh;
use crate::support::{Shop, TINY, TestApp, orders_and_rows};

/// A request that the receiver got.
#[derive(Debug)]
struct Notification {
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Notification {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A receiver that answers with these statuses in turn, then with 200.
fn receiver(statuses: &'static [u16]) -> (String, mpsc::Receiver<Notification>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut statuses = statuses.iter().copied().chain(std::iter::repeat(200));
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let line = |stream: &mut BufReader<_>| {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                line.trim_end().to_owned()
            };
            let path = line(&mut stream).split(' ').nth(1).unwrap_or_default().to_owned();
            let mut headers = Vec::new();
            loop {
                let line = line(&mut stream);
                let Some((name, value)) = line.split_once(": ") else { break };
                headers.push((name.to_owned(), value.to_owned()));
            }
            let mut request = Notification { path, headers, body: String::new() };
            let length =
                request.header("content-length").map_or(0, |length| length.parse().unwrap());
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            request.body = String::from_utf8(body).unwrap();
            let status = statuses.next().unwrap();
            let answer =
                format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
            if sender.send(request).is_err() {
                return;
            }
        }
    });
    (address, receiver)
}

fn next(requests: &mpsc::Receiver<Notification>) -> Notification {
    requests.recv_timeout(Duration::from_mins(5)).unwrap()
}

/// The HMAC that Python computes of a message.
fn signed_by_python(secret: &str, message: &str) -> String {
    let script = "import hashlib, hmac, sys; secret, message = (text.encode() for text in sys.argv[1:]); \
                  print(hmac.new(secret, message, hashlib.sha256).hexdigest())";
    let output = Command::new("python3").args(["-c", script, secret, message]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn webhooks_get_every_end_signed_and_are_retried_after_transient_failures() {
    let (good, requests) = receiver(&[]);
    let (flaky, flaky_requests) = receiver(&[503]);
    let (rejecting, rejecting_requests) = receiver(&[400]);
    let urls = format!("{good}/hook?key=s3cret, {flaky}/a,{rejecting}/b");
    let shop = Shop::sample(TINY);
    let settings = [("NOTIFY_URLS", urls.as_str()), ("NOTIFY_SECRET", "open sesame")];
    let app = TestApp::spawn_with(&shop, &settings);
    refresh(&app, "", &[], "");
    let first = next(&requests);
    assert_eq!(first.path, "/hook?key=s3cret");
    let message = first.json();
    assert_eq!((&message["event"], &message["run"]), (&json!("run.succeeded"), &json!(1)));
    assert_eq!((&message["outcome"], &message["generation"]), (&json!("published"), &json!(1)));
    assert_eq!(message["quality"]["achats"]["valid"], orders_and_rows(TINY).1);
    let timestamp = first.header("x-goldsmith-timestamp").unwrap();
    let signed = signed_by_python("open sesame", &format!("{timestamp}.{}", first.body));
    assert_eq!(first.header("x-goldsmith-signature"), Some(format!("sha256={signed}").as_str()));

    // A transient failure is retried with the same body; a rejection is not.
    let (failed, again) = (next(&flaky_requests), next(&flaky_requests));
    assert_eq!(failed.body, again.body);
    assert_eq!(next(&rejecting_requests).path, "/b");

    shop.put("achats.csv", b"nothing");
    refresh(&app, "", &[], "");
    let failure = next(&requests).json();
    assert_eq!(failure["event"], "run.failed");
    assert!(failure["error"].as_str().unwrap().contains("achats.csv"), "{failure}");
    assert_eq!(next(&rejecting_requests).json()["event"], "run.failed");

    // A command notifies as well, and so does a rollback.
    assert_eq!(shop.run_with(&["refresh"], &settings).code, Some(1));
    assert_eq!(next(&requests).json()["trigger"], "cli");
    assert_eq!(app.admin("POST", "/admin/generations/1/activate").status, 200);
    let back = next(&requests).json();
    assert_eq!((&back["kind"], &back["generation"]), (&json!("rollback"), &json!(1)));
}

#[test]
fn metabase_is_notified_of_new_generations() {
    let (metabase, requests) = receiver(&[]);
    let shop = Shop::sample(TINY);
    let settings = [
        ("METABASE_URL", metabase.as_str()),
        ("METABASE__DATABASE_ID", "7"),
        ("METABASE_API_KEY", "mb_key"),
    ];
    let app = TestApp::spawn_with(&shop, &settings);
    refresh(&app, "", &[("Prefer", "wait=60")], "");
    let first = next(&requests);
    assert_eq!(first.path, "/api/notify/db/7");
    assert_eq!(
        (first.header("x-api-key"), first.header("x-metabase-apikey")),
        (Some("mb_key"), Some("mb_key"))
    );
    // Unchanged: Metabase is not notified.
    refresh(&app, "", &[("Prefer", "wait=60")], "");
    assert!(requests.recv_timeout(Duration::from_secs(1)).is_err());
    refresh(&app, "", &[("Prefer", "wait=60")], r#"{"force": true}"#);
    next(&requests);
}

#[test]
fn a_failed_notification_is_logged_without_the_address() {
    let shop = Shop::sample(TINY);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (rejecting, rejecting_requests) = receiver(&[403]);
    let urls = format!("{rejecting}/s3cret");
    let settings = [("NOTIFY_URLS", urls.as_str()), ("NOTIFY_SECRET", "open sesame")];
    let ran = shop.run_with(&["refresh"], &settings).good();
    assert!(
        ran.err.contains("address 1 of notify.urls was not notified of the end of the run"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("403") && !ran.err.contains("s3cret"), "{}", ran.err);
    next(&rejecting_requests);
    // The process can be stopped during the retries.
    let urls = format!("http://{closed}/s3cret");
    let settings =
        [("NOTIFY_URLS", urls.as_str()), ("NOTIFY_SECRET", "open sesame"), ("ADMIN_TOKEN", "x y")];
    let running = crate::support::Running::start(&shop, &["serve"], &settings);
    let started = running.http.send_as("POST", "/admin/refresh", Some("x y"));
    assert!(started.status == 202 || started.status == 200, "{}", started.text);
    let (code, log) = running.stop();
    assert_eq!(code, Some(0));
    assert!(!log.contains("s3cret"), "{log}");
}
