//! Requests per second of goldsmith beside a bare actix-web handler that returns the same bytes.
//! Run: `cargo bench --bench http`. Compare the two lines of a route.
//!
//! Both servers run in this process with one worker each. One client pipelines its requests on one
//! connection, so that the server is the bottleneck.

#![allow(clippy::unwrap_used)] // a bench that cannot set up should fail

#[path = "client/mod.rs"]
mod client;

use std::net::SocketAddr;
use std::sync::OnceLock;

use actix_web::{App, HttpResponse, HttpServer, web};
use divan::Bencher;
use divan::counter::ItemsCount;
use goldsmith::logging;
use goldsmith::sample::{Spec, generate};
use goldsmith::settings;
use goldsmith::startup::{Application, open_store};

use client::{Connection, in_background, request};

fn main() {
    divan::main();
}

/// Routes, each with the number of distinct requests that are sent in turn.
const ROUTES: [(&str, usize); 4] = [
    ("/kpis", 1),
    ("/revenue/country", 1),
    ("/customers?limit=100", 1),
    ("/customers/{id}", 1_000),
];
/// Requests in flight on the connection.
const DEPTH: usize = 32;
/// Requests in one measurement.
const REQUESTS: usize = 4_096;

#[divan::bench(args = ROUTES, sample_count = 30, sample_size = 1)]
fn goldsmith_cached(bencher: Bencher<'_, '_>, (route, distinct): (&str, usize)) {
    measure(bencher, servers().cached, route, distinct);
}

#[divan::bench(args = ROUTES, sample_count = 30, sample_size = 1)]
fn goldsmith_from_sqlite(bencher: Bencher<'_, '_>, (route, distinct): (&str, usize)) {
    measure(bencher, servers().uncached, route, distinct);
}

#[divan::bench(args = ROUTES, sample_count = 30, sample_size = 1)]
fn bare_handler(bencher: Bencher<'_, '_>, (route, distinct): (&str, usize)) {
    measure(bencher, servers().bare, route, distinct);
}

fn measure(bencher: Bencher<'_, '_>, addr: SocketAddr, route: &str, distinct: usize) {
    let requests: Vec<Vec<u8>> = (1..=distinct).map(|id| request(&path(route, id))).collect();
    let mut connection = Connection::open(addr);
    connection.send(&requests, distinct, DEPTH);
    bencher
        .counter(ItemsCount::new(REQUESTS))
        .bench_local(|| connection.send(&requests, REQUESTS, DEPTH));
}

fn path(route: &str, id: usize) -> String {
    route.replace("{id}", &id.to_string())
}

struct Servers {
    cached: SocketAddr,
    uncached: SocketAddr,
    bare: SocketAddr,
}

/// The three servers, started once.
fn servers() -> &'static Servers {
    static SERVERS: OnceLock<Servers> = OnceLock::new();
    SERVERS.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap().keep();
        let sources = dir.join("data/sources");
        std::fs::create_dir_all(&sources).unwrap();
        let spec = Spec { customers: 1_500, purchases: 23_663, seed: 42, dirty: 0.0 };
        for (name, bytes) in generate(spec).unwrap() {
            std::fs::write(sources.join(name), bytes).unwrap();
        }
        let refreshed = std::process::Command::new(env!("CARGO_BIN_EXE_goldsmith"))
            .arg("refresh")
            .current_dir(&dir)
            .env_clear()
            .output()
            .unwrap();
        assert!(refreshed.status.success(), "{refreshed:?}");

        let goldsmith = |cache_bytes: &str| {
            let pairs = [
                ("HTTP_ADDR", "127.0.0.1:0".to_owned()),
                ("HTTP__WORKERS", "1".to_owned()),
                ("HTTP__CACHE_BYTES", cache_bytes.to_owned()),
                ("SQLITE_PATH", dir.join("data/serving.db").display().to_string()),
            ];
            let pairs = pairs.map(|(name, value)| (name.to_owned(), value)).to_vec();
            let settings = settings::load_from(None, Vec::new(), pairs).unwrap().settings;
            // Logs at the level of `serve`, to nowhere.
            logging::init(&settings.log, "info", std::io::sink).unwrap();
            in_background(move || {
                let store = open_store(&settings).unwrap();
                let application = Application::build(&settings, store).unwrap();
                (application.addr(), async move { application.run().await.unwrap() })
            })
        };
        let cached = goldsmith("67108864");
        let uncached = goldsmith("0");
        Servers { bare: bare(cached), cached, uncached }
    })
}

/// Handlers that do nothing but return the bytes of `reference`.
fn bare(reference: SocketAddr) -> SocketAddr {
    let mut connection = Connection::open(reference);
    let mut body_of = |path: &str| {
        connection.send(&[request(path)], 1, 1);
        web::Bytes::from(connection.body.clone())
    };
    let fixed: Vec<(&str, web::Bytes)> = ["/kpis", "/revenue/country", "/customers"]
        .into_iter()
        .map(|path| {
            (path, body_of(if path == "/customers" { "/customers?limit=100" } else { path }))
        })
        .collect();
    let customers: web::Data<Vec<web::Bytes>> =
        web::Data::new((1..=1_500).map(|id| body_of(&path("/customers/{id}", id))).collect());
    in_background(move || {
        let factory = move || {
            let mut app = App::new().app_data(customers.clone());
            for (path, body) in fixed.clone() {
                let handler = move || {
                    let body = body.clone();
                    async move { HttpResponse::Ok().content_type("application/json").body(body) }
                };
                app = app.route(path, web::get().to(handler));
            }
            let one = |id: web::Path<usize>, customers: web::Data<Vec<web::Bytes>>| async move {
                HttpResponse::Ok().content_type("application/json").body(customers[*id - 1].clone())
            };
            app.route("/customers/{id}", web::get().to(one))
        };
        let server =
            HttpServer::new(factory).workers(1).tcp_nodelay(true).bind("127.0.0.1:0").unwrap();
        let addr = server.addrs()[0];
        (addr, async move { server.run().await.unwrap() })
    })
}
