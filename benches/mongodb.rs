//! Publishing to MongoDB compared with pymongo, answering compared with the bare driver.
//! Run: `cargo bench --bench mongodb`, with `-- publish` or `-- answer` for one half. It starts a
//! server and installs pymongo once, into a virtual environment under the target directory.
//!
//! Publishing: 1,000,000 customer documents by the store, and the same documents by pymongo's
//! `insert_many` from memory into the same server; then the same indexes. Answering: requests over
//! one connection, one after the other, and the driver's own `find` in a loop, in this process.

#![allow(clippy::unwrap_used)] // a bench that cannot set up cannot report

#[path = "client/mod.rs"]
mod client;
#[allow(dead_code)] // the tests use the rest
#[path = "../tests/support/mongo.rs"]
mod mongo;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use goldsmith::catalogue::{CATALOGUE, CUSTOMERS};
use goldsmith::domain::manifest::{TableEntry, Totals, table_in_physical_name};
use goldsmith::domain::rows::{Batch, ColumnValues};
use goldsmith::domain::schema::ColumnType;
use goldsmith::domain::time::{Day, Timestamp};
use goldsmith::runs::{RefreshRequest, RunEnd, RunSpec, RunTrigger};
use goldsmith::sample::{Spec, generate};
use goldsmith::settings;
use goldsmith::startup::{Application, open_store};
use goldsmith::store::mongo::MongoStore;
use goldsmith::store::{GoldStore, Publisher};
use mongodb::Collection;
use mongodb::bson::{Document, doc};
use tokio::runtime::Runtime;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use client::{Connection, in_background, request};
use mongo::{Server, TestDb, wait};

/// When the store logged the end of each phase of writing a table.
#[derive(Clone, Default)]
struct Phases(Arc<Mutex<Vec<(String, Instant)>>>);

impl<S: tracing::Subscriber> Layer<S> for Phases {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        event.record(&mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
            if field.name() == "message" {
                self.0.lock().unwrap().push((format!("{value:?}"), Instant::now()));
            }
        });
    }
}

/// Documents published.
const ROWS: usize = 1_000_000;
/// Rows of one block handed to the store.
const BLOCK: usize = 65_536;
/// Measurements of each; the median is reported.
const PUBLISHES: usize = 3;
/// Requests of one measurement.
const REQUESTS: usize = 2_000;
/// Measurements of each kind of answer, taken in turn.
const ROUNDS: usize = 9;
/// Copies the rows and indexes of a collection with pymongo.
const PYMONGO: &str = r"
import sys, time, pymongo
uri, name, source = sys.argv[1:4]
db = pymongo.MongoClient(uri)[name]
documents = list(db[source].find())
indexes = [pymongo.IndexModel(list(i['key'].items()), name=i['name'])
           for i in db[source].list_indexes() if i['name'] != '_id_']
for _ in range(int(sys.argv[4])):
    db.peer.drop()
    started = time.perf_counter()
    db.peer.insert_many(documents, ordered=False)
    inserted = time.perf_counter()
    db.peer.create_indexes(indexes)
    print(inserted - started, time.perf_counter() - inserted)
";

fn main() {
    let server = Server::replica_set_with(&["--wiredTigerCacheSizeGB", "2"]);
    let is_selected = |part: &str| {
        let mut selected = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
        selected.next().is_none_or(|selected| selected == part)
    };
    if is_selected("publish") {
        publish(&server);
    }
    if is_selected("answer") {
        answer(&server);
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Customers as a refresh produces them.
fn customers(first: usize, rows: usize) -> Batch {
    let ids = || first..first + rows;
    let number = |id: usize| i32::try_from(id).unwrap();
    let columns = CUSTOMERS.columns.iter().enumerate().map(|(place, column)| {
        let mixed = move |id: usize| id.wrapping_mul(2_654_435_761).rotate_left(7) % 99_991 + place;
        if column.nullable && !column.name.ends_with("_purchase") {
            return match column.ty {
                ColumnType::Text => ColumnValues::Text(vec![None; rows]),
                ColumnType::Int => ColumnValues::Int(vec![None; rows]),
                _ => ColumnValues::Float(vec![None; rows]),
            };
        }
        let day = move |id: usize| Day(number(16_000 + mixed(id) % 4_000));
        match column.ty {
            ColumnType::Int if column.name == "id_client" => {
                ColumnValues::Int(ids().map(|id| Some(i64::from(number(id)))).collect())
            }
            ColumnType::Int => ColumnValues::Int(
                ids().map(|id| Some(i64::from(number(mixed(id) % 500)))).collect(),
            ),
            ColumnType::Float | ColumnType::Money => ColumnValues::Float(
                ids().map(|id| Some(f64::from(number(mixed(id))) / 100.0)).collect(),
            ),
            ColumnType::Bool => {
                ColumnValues::Bool(ids().map(|id| Some(mixed(id) % 2 == 0)).collect())
            }
            ColumnType::Date => ColumnValues::Date(ids().map(|id| Some(day(id))).collect()),
            ColumnType::Timestamp => ColumnValues::Timestamp(
                ids().map(|id| Some(Timestamp(day(id).start().0 + 1_000_000))).collect(),
            ),
            ColumnType::Text | ColumnType::TextList => ColumnValues::Text(
                ids()
                    .map(|id| {
                        Some(match column.name {
                            "nom" => format!("Customer Number {id}"),
                            "email" => format!("customer.{id}@mail.example"),
                            _ => format!("Some text {}", mixed(id) % 15),
                        })
                    })
                    .collect(),
            ),
        }
    });
    Batch { columns: columns.collect(), rows }
}

fn publish(server: &Server) {
    let db = TestDb::at(server.uri());
    let blocks: Vec<Batch> = (0..ROWS)
        .step_by(BLOCK)
        .map(|first| customers(first + 1, BLOCK.min(ROWS - first)))
        .collect();
    #[allow(clippy::cast_possible_truncation)] // a count
    let totals = Totals {
        revenue: sum(&blocks, "total_spent"),
        purchases: Some(sum(&blocks, "purchase_count").round() as i64),
    };
    let (times, last) = wait(publish_repeatedly(&db, &blocks, totals));
    let [inserted, indexed, proved] = times.map(median);
    let [peer_inserted, peer_indexed] = publish_with_pymongo(&db, &last).map(median);
    println!("publish {ROWS} customers, median of {PUBLISHES}, seconds");
    println!("  goldsmith: insert {inserted:.1}, index {indexed:.1}, read back {proved:.1}");
    println!("  pymongo:   insert_many {peer_inserted:.1}, create_indexes {peer_indexed:.1}");
    println!(
        "  insert: {:.2} times as fast; with indexes and proof: {:.2}",
        peer_inserted / inserted,
        (peer_inserted + peer_indexed) / (inserted + indexed + proved)
    );
}

/// The sum of a column of customers.
fn sum(blocks: &[Batch], name: &str) -> f64 {
    let place = CUSTOMERS.columns.iter().position(|column| column.name == name).unwrap();
    let values = blocks.iter().map(|block| match &block.columns[place] {
        ColumnValues::Float(values) => values.iter().flatten().sum(),
        ColumnValues::Int(values) => {
            values.iter().flatten().map(|v| f64::from(i32::try_from(*v).unwrap())).sum()
        }
        _ => 0.0,
    });
    values.sum()
}

/// Returns the seconds of inserting, indexing and reading back, and the last collection's name.
async fn publish_repeatedly(
    db: &TestDb,
    blocks: &[Batch],
    totals: Totals,
) -> ([Vec<f64>; 3], String) {
    let mut times: [Vec<f64>; 3] = Default::default();
    let mut last = String::new();
    let mut options = db.options();
    options.write_timeout = Duration::from_mins(10);
    let store = MongoStore::open(options, &CATALOGUE).unwrap();
    for turn in 0..PUBLISHES {
        let hash = format!("{turn:016}{:048}", 0);
        let entry = TableEntry::new(&CUSTOMERS, ROWS as u64, hash, Vec::new(), Some(totals));
        let rows = blocks.to_vec();
        let publisher = store
            .publisher(&RunSpec::refresh(RunTrigger::Cli, RefreshRequest::default()))
            .await
            .unwrap();
        if !last.is_empty() {
            let client = db.client().await;
            client.database(&db.name).collection::<Document>(&last).drop().await.unwrap();
        }
        let seconds = write_customers(publisher.as_ref(), &entry, rows).await;
        for (times, seconds) in times.iter_mut().zip(seconds) {
            times.push(seconds);
        }
        publisher.end(RunEnd::Succeeded).await.unwrap();
        entry.physical_name().clone_into(&mut last);
    }
    (times, last)
}

/// Returns the seconds of inserting, indexing and reading back.
async fn write_customers(
    publisher: &dyn Publisher,
    entry: &TableEntry,
    rows: Vec<Batch>,
) -> [f64; 3] {
    let started = Instant::now();
    let phases = Phases::default();
    let recording = tracing_subscriber::registry().with(phases.clone());
    let recording = tracing::subscriber::set_default(recording);
    let source = Box::new(rows.into_iter().map(Ok));
    assert!(publisher.write_table(&CUSTOMERS, entry, source).await.unwrap());
    drop(recording);
    let whole = started.elapsed().as_secs_f64();
    let at = |name: &str| {
        let ended = phases.0.lock().unwrap();
        let (_, at) = ended.iter().find(|(phase, _)| phase == name).unwrap();
        at.duration_since(started).as_secs_f64()
    };
    let (inserted, indexed) = (at("inserted the rows"), at("built the indexes"));
    [inserted, indexed - inserted, whole - indexed]
}

/// Returns the seconds of inserting and indexing.
fn publish_with_pymongo(db: &TestDb, source: &str) -> [Vec<f64>; 2] {
    let peer = Command::new(python())
        .args(["-c", PYMONGO, &db.uri, &db.name, source, &PUBLISHES.to_string()])
        .output()
        .unwrap();
    assert!(peer.status.success(), "{}", String::from_utf8_lossy(&peer.stderr));
    let mut times: [Vec<f64>; 2] = Default::default();
    for line in String::from_utf8(peer.stdout).unwrap().lines() {
        let (insert, index) = line.split_once(' ').unwrap();
        times[0].push(insert.parse().unwrap());
        times[1].push(index.parse().unwrap());
    }
    times
}

/// A Python with pymongo.
fn python() -> std::path::PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pymongo");
    let python = place.join("bin/python");
    if !python.exists() {
        let made = Command::new("python3").args(["-m", "venv"]).arg(&place).status().unwrap();
        assert!(made.success());
    }
    let got = Command::new(&python).args(["-m", "pip", "install", "-q", "pymongo"]).status();
    assert!(got.unwrap().success());
    python
}

fn answer(server: &Server) {
    let db = TestDb::at(server.uri());
    let dir = tempfile::tempdir().unwrap();
    let mut connection = Connection::open(serve(refresh_sample(&db, dir.path())));
    let driver = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let database = driver.block_on(db.client()).database(&db.name);
    println!(
        "answer, {REQUESTS} requests one after the other, median of {ROUNDS}, microseconds each"
    );
    for (path, name) in
        [("/revenue/country", "revenue_by_country"), ("/customers/{id}", "customers")]
    {
        let names = driver.block_on(async { database.list_collection_names().await.unwrap() });
        let is_physical = |found: &&String| table_in_physical_name(found) == Some(name);
        let collection = database.collection::<Document>(names.iter().find(is_physical).unwrap());
        let mut ways: [Vec<f64>; 2] = Default::default();
        for _ in 0..ROUNDS {
            ways[0].push(time_requests(&mut connection, path));
            ways[1].push(time_finds(&driver, &collection, name));
        }
        #[allow(clippy::cast_precision_loss)]
        let [ours, bare] = ways.map(|times| median(times) * 1e6 / REQUESTS as f64);
        println!(
            "  {path}: goldsmith {ours:.0}, the driver's find {bare:.0}, ratio {:.2}",
            ours / bare
        );
    }
}

/// Publishes a sample from this directory; returns the settings to serve it with.
fn refresh_sample(db: &TestDb, dir: &Path) -> Vec<(String, String)> {
    let sources = dir.join("sources");
    std::fs::create_dir_all(&sources).unwrap();
    let spec = Spec { customers: 1_500, purchases: 23_663, seed: 42, dirty: 0.0 };
    for (name, bytes) in generate(spec).unwrap() {
        std::fs::write(sources.join(name), bytes).unwrap();
    }
    let mut pairs = db.variables();
    for (name, value) in [
        ("LAKE_URL", dir.join("{layer}").display().to_string()),
        ("HTTP_ADDR", "127.0.0.1:0".to_owned()),
        ("HTTP__WORKERS", "1".to_owned()),
        ("HTTP__CACHE_BYTES", "0".to_owned()),
    ] {
        pairs.push((name.to_owned(), value));
    }
    let refreshed = Command::new(env!("CARGO_BIN_EXE_goldsmith"))
        .arg("refresh")
        .env_clear()
        .envs(pairs.iter().map(|(name, value)| (name, value)))
        .output()
        .unwrap();
    assert!(refreshed.status.success(), "{refreshed:?}");
    pairs
}

fn serve(pairs: Vec<(String, String)>) -> SocketAddr {
    let settings = settings::load_from(None, Vec::new(), pairs).unwrap().settings;
    in_background(move || {
        let application = Application::build(&settings, open_store(&settings).unwrap()).unwrap();
        (application.addr(), async move { application.run().await.unwrap() })
    })
}

/// Returns the seconds of all requests.
fn time_requests(connection: &mut Connection, path: &str) -> f64 {
    let requests: Vec<Vec<u8>> = (1..=REQUESTS)
        .map(|id| request(&path.replace("{id}", &(1 + id % 1_500).to_string())))
        .collect();
    let started = Instant::now();
    connection.send(&requests, REQUESTS, 1);
    started.elapsed().as_secs_f64()
}

/// Returns the seconds of as many queries by the bare driver.
fn time_finds(driver: &Runtime, collection: &Collection<Document>, table: &str) -> f64 {
    let started = Instant::now();
    driver.block_on(async {
        for id in 1..=REQUESTS {
            assert!(find(collection, table, 1 + id % 1_500).await > 0);
        }
    });
    started.elapsed().as_secs_f64()
}

/// Returns the number of documents found.
async fn find(collection: &Collection<Document>, table: &str, id: usize) -> usize {
    if table == "customers" {
        let filter = doc! { "_id": i64::try_from(id).unwrap() };
        return usize::from(collection.find_one(filter).await.unwrap().is_some());
    }
    let sort = doc! { "total_revenue": -1, "_id": 1 };
    let found = collection.find(doc! {}).limit(100).sort(sort).await.unwrap();
    let found: Vec<Document> = found.try_collect().await.unwrap();
    found.len()
}
