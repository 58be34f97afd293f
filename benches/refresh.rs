//! Full refreshes by the real binary, sources to published: the size of the older systems' data
//! set, and a shop of 100 000 customers. Run: `cargo bench --bench refresh`.
//!
//! Each run is forced and finds its tables unpublished, so that nothing is skipped. The last run's
//! own report, with time per step and peak memory, is printed after each size.

#![allow(clippy::unwrap_used)] // a bench that cannot set up cannot report

use std::process::Command;

use divan::Bencher;
use goldsmith::sample::{Spec, generate};

fn main() {
    divan::main();
}

/// Customers and purchases.
const SIZES: [(u32, u32); 2] = [(1_500, 23_663), (100_000, 1_600_000)];

#[divan::bench(args = SIZES, sample_count = 5, sample_size = 1)]
fn refresh(bencher: Bencher<'_, '_>, (customers, purchases): (u32, u32)) {
    let dir = tempfile::tempdir().unwrap();
    let sources = dir.path().join("data/sources");
    std::fs::create_dir_all(&sources).unwrap();
    for (name, bytes) in generate(Spec { customers, purchases, seed: 42, dirty: 0.0 }).unwrap() {
        std::fs::write(sources.join(name), bytes).unwrap();
    }
    let mut report = String::new();
    bencher
        .with_inputs(|| {
            for layer in ["bronze", "silver", "gold"] {
                let _ = std::fs::remove_dir_all(dir.path().join("data").join(layer));
            }
            for suffix in ["", "-wal", "-shm"] {
                let _ = std::fs::remove_file(dir.path().join(format!("data/serving.db{suffix}")));
            }
        })
        .bench_local_values(|()| {
            let output = Command::new(env!("CARGO_BIN_EXE_goldsmith"))
                .args(["refresh", "--force"])
                .current_dir(dir.path())
                .env_clear()
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            report = String::from_utf8(output.stdout).unwrap();
        });
    eprintln!("\n{customers} customers, {purchases} purchases:\n{report}");
}
