//! Webhooks and Metabase, told of the end of runs; the other side is a small server of the test's own that
//! says what it was sent, since what matters is what goes over the wire.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

use super::refresh;
use crate::support::{SMALL, Shop, TestApp};

/// What somebody was told.
#[derive(Debug)]
struct Told {
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Told {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Somebody who is told: answers with these statuses in turn, then with 200.
fn somebody(statuses: &'static [u16]) -> (String, mpsc::Receiver<Told>) {
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
            let mut told = Told { path, headers, body: String::new() };
            let length = told.header("content-length").map_or(0, |length| length.parse().unwrap());
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            told.body = String::from_utf8(body).unwrap();
            let status = statuses.next().unwrap();
            let answer =
                format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
            if sender.send(told).is_err() {
                return;
            }
        }
    });
    (address, receiver)
}

fn next(told: &mpsc::Receiver<Told>) -> Told {
    told.recv_timeout(Duration::from_mins(5)).unwrap()
}

/// What Python makes of a message under a key.
fn signed_by_python(secret: &str, message: &str) -> String {
    let script = "import hashlib, hmac, sys; secret, message = (text.encode() for text in sys.argv[1:]); \
                  print(hmac.new(secret, message, hashlib.sha256).hexdigest())";
    let said = Command::new("python3").args(["-c", script, secret, message]).output().unwrap();
    assert!(said.status.success(), "{said:?}");
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

#[test]
fn hooks_are_told_of_every_end_signed_and_again_while_they_fail_in_passing() {
    let (good, told) = somebody(&[]);
    let (flaky, flaky_told) = somebody(&[503]);
    let (rude, rude_told) = somebody(&[400]);
    let urls = format!("{good}/hook?key=s3cret, {flaky}/a,{rude}/b");
    let shop = Shop::sample(SMALL);
    let settings = [("NOTIFY_URLS", urls.as_str()), ("NOTIFY_SECRET", "open sesame")];
    let app = TestApp::spawn_with(&shop, &settings);
    refresh(&app, "", &[], "");
    let first = next(&told);
    assert_eq!(first.path, "/hook?key=s3cret");
    let message = first.json();
    assert_eq!((&message["event"], &message["run"]), (&json!("run.succeeded"), &json!(1)));
    assert_eq!((&message["outcome"], &message["generation"]), (&json!("published"), &json!(1)));
    assert_eq!(message["quality"]["achats"]["valid"], 1_500);
    let timestamp = first.header("x-goldsmith-timestamp").unwrap();
    let signed = signed_by_python("open sesame", &format!("{timestamp}.{}", first.body));
    assert_eq!(first.header("x-goldsmith-signature"), Some(format!("sha256={signed}").as_str()));

    // One that fails in passing is told again, the same; one that does not want it is not.
    let (failed, again) = (next(&flaky_told), next(&flaky_told));
    assert_eq!(failed.body, again.body);
    assert_eq!(next(&rude_told).path, "/b");

    shop.put("achats.csv", b"nothing");
    refresh(&app, "", &[], "");
    let failure = next(&told).json();
    assert_eq!(failure["event"], "run.failed");
    assert!(failure["error"].as_str().unwrap().contains("achats.csv"), "{failure}");
    assert_eq!(next(&rude_told).json()["event"], "run.failed");

    // A command tells as well, and going back.
    assert_eq!(shop.run_with(&["refresh"], &settings).code, Some(1));
    assert_eq!(next(&told).json()["trigger"], "cli");
    assert_eq!(app.admin("POST", "/admin/generations/1/activate").status, 200);
    let back = next(&told).json();
    assert_eq!((&back["kind"], &back["generation"]), (&json!("rollback"), &json!(1)));
}

#[test]
fn metabase_is_told_of_what_is_new() {
    let (metabase, told) = somebody(&[]);
    let shop = Shop::sample(SMALL);
    let settings = [
        ("METABASE_URL", metabase.as_str()),
        ("METABASE__DATABASE_ID", "7"),
        ("METABASE_API_KEY", "mb_key"),
    ];
    let app = TestApp::spawn_with(&shop, &settings);
    refresh(&app, "", &[("Prefer", "wait=60")], "");
    let first = next(&told);
    assert_eq!(first.path, "/api/notify/db/7");
    assert_eq!(
        (first.header("x-api-key"), first.header("x-metabase-apikey")),
        (Some("mb_key"), Some("mb_key"))
    );
    // Nothing new, nothing to look at.
    refresh(&app, "", &[("Prefer", "wait=60")], "");
    assert!(told.recv_timeout(Duration::from_secs(1)).is_err());
    refresh(&app, "", &[("Prefer", "wait=60")], r#"{"force": true}"#);
    next(&told);
}

#[test]
fn who_cannot_be_told_is_named_in_the_log_without_the_address() {
    let shop = Shop::sample(SMALL);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (rude, rude_told) = somebody(&[403]);
    let urls = format!("{rude}/s3cret");
    let settings = [("NOTIFY_URLS", urls.as_str()), ("NOTIFY_SECRET", "open sesame")];
    let ran = shop.run_with(&["refresh"], &settings).good();
    assert!(
        ran.err.contains("address 1 of notify.urls was not told how the run ended"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("403") && !ran.err.contains("s3cret"), "{}", ran.err);
    next(&rude_told);
    // While one is tried again the process can be stopped.
    let urls = format!("http://{closed}/s3cret");
    let settings =
        [("NOTIFY_URLS", urls.as_str()), ("NOTIFY_SECRET", "open sesame"), ("ADMIN_TOKEN", "x y")];
    let running = crate::support::Running::start(&shop, &["serve"], &settings);
    let asked = running.http.send_as("POST", "/admin/refresh", Some("x y"));
    assert!(asked.status == 202 || asked.status == 200, "{}", asked.text);
    let (code, log) = running.stop();
    assert_eq!(code, Some(0));
    assert!(!log.contains("s3cret"), "{log}");
}
