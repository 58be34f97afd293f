//! Latency of `/kpis` during a refresh of 1.6 million purchases in the same process, compared with the
//! latency when idle. Run: `cargo bench --bench latency_during_refresh`.
//!
//! A `goldsmith serve` of its own with default settings; one client sends one request after the other, with
//! a pause between them, so that latency is measured and not throughput.

#![allow(clippy::unwrap_used)] // a bench that cannot set up cannot report

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use goldsmith::sample::{Spec, generate};

const SPEC: Spec = Spec { customers: 100_000, purchases: 1_600_000, seed: 42, dirty: 0.0 };
const TOKEN: &str = "bench";
/// Between an answer and the next request.
const PAUSE: Duration = Duration::from_millis(2);
/// Requests when idle.
const IDLE: usize = 5_000;

/// Killed however the bench ends.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn open(addr: &str) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    /// Status and body.
    fn send(&mut self, method: &str, path: &str, body: &str) -> (u16, String) {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut length = 0;
        loop {
            line.clear();
            self.0.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        (status, String::from_utf8(body).unwrap())
    }

    /// The latency of one request, milliseconds.
    fn latency(&mut self) -> f64 {
        std::thread::sleep(PAUSE);
        let started = Instant::now();
        let (status, _) = self.send("GET", "/kpis", "");
        assert_eq!(status, 200);
        started.elapsed().as_secs_f64() * 1e3
    }
}

/// Prints quantiles of latencies and returns the 99th percentile.
fn report(what: &str, mut latencies: Vec<f64>) -> f64 {
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss
        )]
        let place = ((latencies.len() - 1) as f64 * share) as usize;
        latencies[place]
    };
    println!(
        "{what:<24} {:>6} answers   p50 {:>7.3} ms   p90 {:>7.3} ms   p99 {:>7.3} ms   most {:>7.3} ms",
        latencies.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    );
    at(0.99)
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let sources = dir.path().join("data/sources");
    std::fs::create_dir_all(&sources).unwrap();
    for (name, bytes) in generate(SPEC).unwrap() {
        std::fs::write(sources.join(name), bytes).unwrap();
    }
    let goldsmith = |command: &str| {
        let mut goldsmith = Command::new(env!("CARGO_BIN_EXE_goldsmith"));
        goldsmith.arg(command).current_dir(dir.path()).env_clear();
        goldsmith.env("HTTP_ADDR", "127.0.0.1:0").env("ADMIN_TOKEN", TOKEN);
        goldsmith
    };
    assert!(goldsmith("refresh").output().unwrap().status.success());
    let mut child =
        goldsmith("serve").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let _server = Server(child);
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let addr = line.split("http://").nth(1).unwrap().split(',').next().unwrap().to_owned();

    let mut client = Client::open(&addr);
    for _ in 0..200 {
        client.latency();
    }
    let idle = report("idle", (0..IDLE).map(|_| client.latency()).collect());
    let (status, answer) = client.send("POST", "/admin/refresh", r#"{"force": true}"#);
    assert_eq!(status, 202, "{answer}");
    let mut busy = Vec::new();
    let state = loop {
        busy.extend((0..50).map(|_| client.latency()));
        let (_, run) = client.send("GET", "/admin/runs/2", "");
        let state = run.split(r#""state":""#).nth(1).unwrap().split('"').next().unwrap().to_owned();
        if state != "running" {
            break state;
        }
    };
    assert_eq!(state, "succeeded");
    let busy = report("during a refresh", busy);
    println!("p99 during a refresh is {:.1} times that when idle", busy / idle);
}
