//! Exports of other systems, each with every pitfall that its profile knows: the figures are computed
//! by hand, in `expected.toml` beside the files.

use std::collections::BTreeMap;
use std::path::Path;

use goldsmith::domain::data_set::DataSet;
use goldsmith::domain::time::Timestamp;
use goldsmith::pipeline::silver::{CleaningOptions, CleaningRules, Silver, clean};
use goldsmith::sources::{SourceOptions, read_in_memory};
use polars::prelude::*;
use serde::Deserialize;

/// What is right.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    total_revenue: String,
    gross_revenue: String,
    refunds: String,
    total_purchases: usize,
    sale_lines: usize,
    refund_lines: usize,
    total_customers: usize,
    purchasing_customers: usize,
    guest_revenue: String,
    as_of: String,
    currency: String,
    #[serde(default)]
    left_out: BTreeMap<String, Rows>,
    #[serde(default)]
    set_aside: BTreeMap<String, Rows>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Rows {
    rows: u64,
    sum: String,
}

/// Millionths as an amount with two decimals.
fn shown(micros: i64) -> String {
    assert_eq!(micros % 10_000, 0, "{micros} is no amount of cents");
    format!(
        "{}{}.{:02}",
        if micros < 0 { "-" } else { "" },
        micros.abs() / 1_000_000,
        micros.abs() / 10_000 % 100
    )
}

fn read_folder(folder: &Path) -> Silver {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name != "expected.toml" {
            files.push((name, std::fs::read(&path).unwrap()));
        }
    }
    files.sort();
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let raw = read_in_memory(&files, &SourceOptions::default()).unwrap();
    let run_start = Timestamp::parse("2026-11-01").unwrap();
    clean(raw, &CleaningOptions { run_start, rules: CleaningRules::default() }).unwrap()
}

/// The figures of silver, as gold shows them.
fn totals(silver: &Silver) -> Expected {
    let lines = silver.purchases();
    let number = |name: &str| lines.column(name).unwrap().i64().unwrap().clone();
    let text = |name: &str| lines.column(name).unwrap().str().unwrap().clone();
    let amounts = lines.column("montant").unwrap().f64().unwrap().clone();
    let micros: Vec<i64> =
        amounts.iter().map(|amount| (amount.unwrap() * 1e6).round() as i64).collect();
    let (kinds, orders, customers) = (text("type"), number("id_commande"), number("id_client"));
    let is_sale: Vec<bool> = kinds.iter().map(|kind| kind == Some("sale")).collect();
    let sum = |is_counted: &dyn Fn(usize) -> bool| {
        (0..micros.len()).filter(|row| is_counted(*row)).map(|row| micros[row]).sum::<i64>()
    };
    let distinct = |values: &Int64Chunked| {
        let sold = (0..micros.len()).filter(|row| is_sale[*row]);
        let mut values: Vec<i64> = sold.filter_map(|row| values.get(row)).collect();
        values.sort_unstable();
        values.dedup();
        values.len()
    };
    let sale_lines = is_sale.iter().filter(|is_sale| **is_sale).count();
    let latest = lines.column("date_achat").unwrap().to_physical_repr();
    let latest = latest.i64().unwrap().max().unwrap_or(0);
    let add = |to: &mut BTreeMap<String, (u64, i64)>, reason: &String, rows: u64, sum: i64| {
        let entry = to.entry(reason.clone()).or_default();
        *entry = (entry.0 + rows, entry.1 + sum);
    };
    let (mut left_out, mut set_aside) = (BTreeMap::new(), BTreeMap::new());
    for account in &silver.report.accounts {
        for (reason, entry) in &account.left_out {
            add(&mut left_out, reason, entry.rows, entry.sum);
        }
        for (reason, entry) in &account.set_aside {
            add(&mut set_aside, reason, entry.rows, entry.sum);
        }
    }
    let rows = |entries: BTreeMap<String, (u64, i64)>| {
        let entries = entries.into_iter();
        entries.map(|(reason, (rows, sum))| (reason, Rows { rows, sum: shown(sum) })).collect()
    };
    Expected {
        total_revenue: shown(sum(&|_| true)),
        gross_revenue: shown(sum(&|row| is_sale[row])),
        refunds: shown(-sum(&|row| !is_sale[row])),
        total_purchases: distinct(&orders),
        sale_lines,
        refund_lines: is_sale.len() - sale_lines,
        total_customers: silver.valid[DataSet::Customers].height(),
        purchasing_customers: distinct(&customers),
        guest_revenue: shown(sum(&|row| customers.get(row).is_none())),
        as_of: Timestamp(latest).to_string(),
        currency: text("devise").first().unwrap_or("EUR").to_owned(),
        left_out: rows(left_out),
        set_aside: rows(set_aside),
    }
}

#[test]
fn exports_of_every_profile_give_the_figures_computed_by_hand() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/exports");
    let mut folders: Vec<_> =
        std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= 12, "{folders:?}");
    let mut wrong = String::new();
    for folder in folders {
        let expected = std::fs::read_to_string(folder.join("expected.toml")).unwrap();
        let expected: Expected = toml::from_str(&expected).unwrap();
        let silver = read_folder(&folder);
        let found = totals(&silver);
        if found != expected {
            wrong += &format!("{}\nfound {found:#?}\nexpected {expected:#?}\n", folder.display());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
