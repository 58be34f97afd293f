//! Full refreshes by the real binary, sources to published: the size of the older systems' data
//! set, a shop of 200 000 customers with plain sales, with orders of several lines, refunds and guests, and the same with
//! a fifth of the rows dirty. Run: `cargo bench --bench refresh`;
//! with `GOLDSMITH_PEER=/path/to/goldsmith` another version's binary works on the same files beside it.
//!
//! Each run is forced and finds its tables unpublished, so that nothing is skipped. The last run's
//! own report, with time per step and peak memory, is printed after each size.

#![allow(clippy::unwrap_used)] // a bench that cannot set up cannot report

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use divan::Bencher;
use goldsmith::sample::{Spec, generate};

fn main() {
    divan::main();
}

/// A shop.
#[derive(Clone, Copy)]
struct Shop {
    customers: u32,
    purchases: u32,
    /// The share of dirty rows.
    dirty: f64,
    /// Whether every order is one sale of a listed customer, as in the files of the older systems.
    is_plain: bool,
}

const SMALL: Shop = Shop { customers: 1_500, purchases: 23_663, dirty: 0.0, is_plain: false };
const LARGE: Shop = Shop { customers: 200_000, purchases: 1_600_000, ..SMALL };
const SHOPS: [Shop; 4] =
    [SMALL, Shop { is_plain: true, ..LARGE }, LARGE, Shop { dirty: 0.2, ..LARGE }];

impl fmt::Display for Shop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.is_plain { "plain sales" } else { "orders" };
        write!(f, "{} {what}, {:.0} % dirty", self.purchases, 100.0 * self.dirty)
    }
}

#[divan::bench(args = SHOPS, sample_count = 5, sample_size = 1)]
fn refresh(bencher: Bencher<'_, '_>, shop: Shop) {
    measure(bencher, shop, Path::new(env!("CARGO_BIN_EXE_goldsmith")));
}

#[divan::bench(args = SHOPS.into_iter().filter(|_| peer().is_some()), sample_count = 5, sample_size = 1)]
fn refresh_by_peer(bencher: Bencher<'_, '_>, shop: Shop) {
    measure(bencher, shop, &peer().unwrap());
}

/// The binary to compare with.
fn peer() -> Option<PathBuf> {
    std::env::var_os("GOLDSMITH_PEER").map(PathBuf::from)
}

/// The first sale of each order of a customer.
fn plain(purchases: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(purchases).unwrap();
    let mut sales = String::new();
    let mut last = "";
    for row in text.lines() {
        let cells: Vec<&str> = row.split(',').collect();
        let is_sale = !cells[1].is_empty() && !cells[3].starts_with('-');
        if cells[0] != last && is_sale {
            sales.push_str(row);
            sales.push('\n');
            last = cells[0];
        }
    }
    sales.into_bytes()
}

fn measure(bencher: Bencher<'_, '_>, shop: Shop, goldsmith: &Path) {
    let Shop { customers, purchases, dirty, is_plain } = shop;
    let dir = tempfile::tempdir().unwrap();
    let sources = dir.path().join("data/sources");
    std::fs::create_dir_all(&sources).unwrap();
    for (name, bytes) in generate(Spec { customers, purchases, seed: 42, dirty }).unwrap() {
        let bytes = if is_plain && name.starts_with("achats") { plain(&bytes) } else { bytes };
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
            let output = Command::new(goldsmith)
                .args(["refresh", "--force"])
                .current_dir(dir.path())
                .env_clear()
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            report = String::from_utf8(output.stdout).unwrap();
        });
    eprintln!("\n{} {shop}:\n{report}", goldsmith.display());
}
