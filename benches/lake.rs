//! The lake on a real S3 server, compared with a directory and with one request at a time. Run:
//! `cargo bench --bench lake`.
//!
//! The server is the tests' own (`scripts/s3-server.sh`, or `TEST_S3_ENDPOINT`), on the same machine.

#![allow(clippy::unwrap_used)] // a bench that cannot set up has no result

#[path = "../tests/support/s3.rs"]
#[allow(dead_code)]
mod s3;

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use goldsmith::domain::files::TableFile;
use goldsmith::lake::http::InstrumentedClient;
use goldsmith::lake::{Lake, Layer, parquet};
use goldsmith::sample::{Spec, generate};
use object_store::ObjectStoreExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder};

/// The size of an object.
const MIB: usize = 256;
const TIMES: usize = 5;
const SPEC: Spec = Spec { customers: 20_000, purchases: 300_000, seed: 42, dirty: 0.0 };

/// The median of the measurements, with the fastest and the slowest.
fn timed(mut work: impl FnMut()) -> (Duration, String) {
    let mut times: Vec<Duration> = (0..TIMES)
        .map(|_| {
            let started = Instant::now();
            work();
            started.elapsed()
        })
        .collect();
    times.sort();
    let secs = |time: Duration| time.as_secs_f64();
    let (fastest, slowest) = (secs(times[0]), secs(times[TIMES - 1]));
    (times[TIMES / 2], format!("({fastest:.2} to {slowest:.2})"))
}

fn show(what: &str, (took, range): &(Duration, String)) {
    println!("{what:60} {:6.2} s {range}", took.as_secs_f64());
}

/// A client that sends one request at a time, with the whole object in memory.
fn plain(server: &s3::Server, bucket: &str) -> Arc<AmazonS3> {
    let store = AmazonS3Builder::new()
        .with_endpoint(&server.endpoint)
        .with_allow_http(true)
        .with_bucket_name(bucket)
        .with_access_key_id(&server.key)
        .with_secret_access_key(&server.secret)
        .with_http_connector(InstrumentedClient::new(Duration::from_mins(5), &[]).unwrap());
    Arc::new(store.build().unwrap())
}

fn transfers(runtime: &tokio::runtime::Runtime, server: &s3::Server) {
    let bucket = s3::unique();
    let lake = server.lake(&format!("s3://{bucket}/{{layer}}"));
    runtime.block_on(lake.prepare()).unwrap();
    let content: bytes::Bytes = (0..=250_u8).cycle().take(MIB << 20).collect();
    let plain = plain(server, &bucket);
    let path = object_store::path::Path::from("plain");
    println!("an object of {MIB} MiB, medians of {TIMES} (fastest to slowest)");
    let one = timed(|| {
        runtime.block_on(plain.put(&path, content.clone().into())).unwrap();
    });
    show("put in one request", &one);
    let parts = timed(|| {
        let content = content.clone();
        let write = lake.write(Layer::Gold, "parts", move |to| to.write_all(&content));
        runtime.block_on(write).unwrap();
    });
    show("written in parts, four at a time, and hashed", &parts);
    let get = timed(|| {
        let got = async { plain.get(&path).await.unwrap().bytes().await.unwrap() };
        assert_eq!(runtime.block_on(got).len(), content.len());
    });
    show("got in one request, into memory", &get);
    let (_, sha256) = runtime.block_on(lake.digest(Layer::Gold, "parts")).unwrap().unwrap();
    let read = timed(|| {
        runtime.block_on(lake.verify(Layer::Gold, "parts", &sha256)).unwrap();
    });
    show("read in parts, four at a time, and verified", &read);
    let ratio =
        |a: &(Duration, String), b: &(Duration, String)| a.0.as_secs_f64() / b.0.as_secs_f64();
    println!(
        "write {:.2} times, read {:.2} times as fast\n",
        ratio(&one, &parts),
        ratio(&get, &read)
    );
}

/// Refreshes with the binary.
fn refresh(dir: &Path, variables: &[(&str, &str)]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_goldsmith"));
    command.args(["refresh", "--force"]).current_dir(dir).env_clear();
    let ran = command.envs(variables.iter().copied()).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

fn refreshes(server: &s3::Server) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let sources = dir.path().join("data/sources");
    std::fs::create_dir_all(&sources).unwrap();
    for (name, bytes) in generate(SPEC).unwrap() {
        std::fs::write(sources.join(name), bytes).unwrap();
    }
    let template = format!("s3://{}/{{layer}}", s3::unique());
    println!("a whole refresh of {} customers and {} purchases", SPEC.customers, SPEC.purchases);
    let on_disk = timed(|| refresh(dir.path(), &[("SQLITE_PATH", "disk.db")]));
    show("lake on disk", &on_disk);
    let mut variables = server.variables();
    variables.extend([("LAKE_URL", template.as_str()), ("SQLITE_PATH", "s3.db")]);
    variables.push(("LAKE_SOURCES_URL", "./data/sources"));
    let on_s3 = timed(|| refresh(dir.path(), &variables));
    show("lake on S3", &on_s3);
    println!("{:.2} times the disk's\n", on_s3.0.as_secs_f64() / on_disk.0.as_secs_f64());
    (dir, template)
}

/// Two columns of `customers`: the object whole and verified, or lazily by Polars' own reader of S3.
fn two_columns(runtime: &tokio::runtime::Runtime, server: &s3::Server, template: &str) {
    let lake: Lake = server.lake(template);
    let path = "gen-000001/manifest.json";
    let manifest = runtime.block_on(lake.get(Layer::Gold, path)).unwrap().unwrap();
    let manifest: goldsmith::domain::manifest::Manifest =
        serde_json::from_slice(&manifest).unwrap();
    let file: TableFile = manifest.table("customers").unwrap().files[0].clone();
    println!("two columns of customers ({} bytes)", file.size_bytes);
    let fetched = timed(|| {
        let fetched = runtime.block_on(lake.fetch(Layer::Gold, &file)).unwrap();
        let columns = ["id_client", "segment_name"];
        let frame = parquet::decode(&fetched, None, Some(&columns)).unwrap();
        assert_eq!(frame.height(), SPEC.customers as usize);
    });
    show("fetched whole, verified, two columns decoded", &fetched);
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tmp/readers/bin/python");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/install-readers.sh");
    let place = python.parent().unwrap().parent().unwrap();
    assert!(Command::new(script).arg(place).status().unwrap().success());
    let place = lake.locate(Layer::Gold, &file.path);
    let program = format!(
        r#"
import os, time
import polars as pl
options = {{"aws_endpoint_url": os.environ["AWS_ENDPOINT_URL"], "aws_allow_http": "true",
            "aws_access_key_id": os.environ["AWS_ACCESS_KEY_ID"], "aws_region": "us-east-1",
            "aws_secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"]}}
times = []
for _ in range({TIMES} + 1):
    started = time.perf_counter()
    frame = pl.scan_parquet("{place}", storage_options=options).select("id_client", "segment_name").collect()
    times.append(time.perf_counter() - started)
times = sorted(times[1:])
print(times[len(times) // 2], times[0], times[-1])
"#
    );
    let mut command = Command::new(python);
    let ran = command.args(["-c", &program]).envs(server.variables()).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let out = String::from_utf8(ran.stdout).unwrap();
    let times: Vec<f64> = out.split_whitespace().map(|time| time.parse().unwrap()).collect();
    let lazily =
        (Duration::from_secs_f64(times[0]), format!("({:.2} to {:.2})", times[1], times[2]));
    show("scanned lazily by Polars (Python), not verified", &lazily);
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = s3::shared();
    transfers(&runtime, &server);
    let (_dir, template) = refreshes(&server);
    two_columns(&runtime, &server, &template);
}
