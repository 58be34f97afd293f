//! The same shop gives the same predictions: with rows in another order, on other numbers of
//! threads, with a few more customers.

use std::collections::{BTreeMap, BTreeSet};

use goldsmith::pipeline::ml::history::History;
use goldsmith::pipeline::ml::metrics::adjusted_rand_index;
use goldsmith::pipeline::ml::report::Task;
use goldsmith::pipeline::ml::tasks::segmentation::PROSPECT;
use goldsmith::pipeline::ml::{LastSegments, Score, Trained, train};
use goldsmith::sample::Spec;
use polars::prelude::*;

use super::{OPTIONS, files, refined, serving};
use crate::support::{Shop, TestApp};

const SPEC: Spec = Spec { customers: 3_000, purchases: 30_000, seed: 21, dirty: 0.0 };

fn trained(purchases: &DataFrame, last: &LastSegments) -> Trained {
    let history = History::new(purchases).unwrap();
    train(&history, history.last().unwrap(), &OPTIONS, last)
}

fn segments(trained: &Trained) -> LastSegments {
    let segment = |score: &Score| (score.id_client, score.segment_name().to_owned());
    trained.scores.iter().map(segment).collect()
}

#[test]
fn the_order_of_rows_changes_nothing() {
    let purchases = refined(&files(SPEC)).purchases().clone();
    let shuffled = purchases
        .clone()
        .lazy()
        .sort(["montant"], SortMultipleOptions::default())
        .collect()
        .unwrap();
    let (one, other) =
        (trained(&purchases, &LastSegments::new()), trained(&shuffled, &LastSegments::new()));
    assert_eq!(one.scores, other.scores);
    assert_eq!(one.artefact, other.artefact);
}

#[test]
fn one_percent_more_customers_leaves_names_and_memberships_as_they_are() {
    let purchases = refined(&files(SPEC)).purchases().clone();
    let fewer = purchases
        .clone()
        .lazy()
        .filter((col("id_client") % lit(100)).neq(lit(7)))
        .collect()
        .unwrap();
    let before = segments(&trained(&fewer, &LastSegments::new()));
    let after = trained(&purchases, &before);
    let names = segments(&after);
    let pairs: Vec<(&String, &String)> =
        before.iter().map(|(id, name)| (name, &names[id])).collect();
    let stayed = pairs.iter().filter(|(before, after)| before == after).count();
    assert!(names.len() > before.len());
    assert!(stayed * 100 >= pairs.len() * 98, "{stayed} of {} stayed", pairs.len());
    let index = adjusted_rand_index(&pairs).unwrap();
    assert!(index > 0.95, "{index}");
    let metrics = serving(&after, Task::Segmentation).segments.clone().unwrap();
    assert_eq!(metrics.adjusted_rand_index, Some(index));
    // Prospects were in no segment of a model, so that they do not count.
    let newcomers = names.keys().filter(|id| !before.contains_key(id));
    let mut with_prospects = before.clone();
    with_prospects.extend(newcomers.map(|id| (*id, PROSPECT.to_owned())));
    assert_eq!(with_prospects.len(), names.len());
    let trained = trained(&purchases, &with_prospects);
    let metrics = serving(&trained, Task::Segmentation).segments.clone();
    assert_eq!(metrics.unwrap().adjusted_rand_index, Some(index));
}

/// The gold files that a refresh writes with this number of threads: those that depend on models,
/// and the metrics without the instant of the training.
fn gold_bytes(spec: Spec, threads: &str, max_fit_rows: &str) -> Vec<Vec<u8>> {
    let shop = Shop::sample(spec);
    let settings = [
        ("RAYON_NUM_THREADS", threads),
        ("POLARS_MAX_THREADS", threads),
        ("MODELS__MAX_FIT_ROWS", max_fit_rows),
    ];
    shop.run_with(&["refresh"], &settings).good();
    let folder = shop.made("gold", 1);
    let path = |file: &str| shop.data(&format!("{folder}/{file}"));
    let files = [
        "churn_predictions.parquet",
        "clv_predictions.parquet",
        "customer_segments.parquet",
        "ml_calibration.parquet",
        "customers.parquet",
        "models.json",
    ];
    let mut bytes: Vec<Vec<u8>> =
        files.iter().map(|file| std::fs::read(path(file)).unwrap()).collect();
    let metrics = std::fs::File::open(path("ml_model_metrics.parquet")).unwrap();
    let mut metrics = ParquetReader::new(metrics).finish().unwrap().drop("trained_at").unwrap();
    let mut written = Vec::new();
    ParquetWriter::new(&mut written).finish(&mut metrics).unwrap();
    bytes.push(written);
    bytes
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let runs: BTreeSet<Vec<Vec<u8>>> =
        ["1", "2", "5"].map(|threads| gold_bytes(SPEC, threads, "50000")).into();
    assert_eq!(runs.len(), 1);
}

#[test]
fn samples_of_many_customers_give_the_same_bytes_on_any_number_of_threads() {
    // More than K-Means tries its starts on, and ten times as many as models are fitted on.
    let many = Spec { customers: 21_000, purchases: 63_000, ..SPEC };
    let runs: BTreeSet<Vec<Vec<u8>>> =
        ["1", "3"].map(|threads| gold_bytes(many, threads, "2000")).into();
    assert_eq!(runs.len(), 1);
}

#[test]
fn the_next_run_reports_moves_between_segments() {
    let shop = Shop::sample(SPEC);
    // Without its ground truth the shop is not a sample, so that runs are compared.
    std::fs::remove_file(shop.data("sources/ground_truth.json")).unwrap();
    let all = std::fs::read_to_string(shop.data("sources/achats.csv")).unwrap();
    let (header, rows) = all.split_once('\n').unwrap();
    let early: Vec<&str> = rows.lines().filter(|row| !row.contains(",2025-1")).collect();
    assert!(early.len() < rows.lines().count());
    shop.put("achats.csv", format!("{header}\n{}\n", early.join("\n")).as_bytes());
    shop.run(&["refresh"]).good();
    let migration = |app: &TestApp| -> BTreeMap<(String, String), i64> {
        let rows = app.data("/ml/segments/migration");
        let text = |row: &serde_json::Value, field: &str| row[field].as_str().unwrap().to_owned();
        rows.as_array()
            .unwrap()
            .iter()
            .map(|row| {
                (
                    (text(row, "from_segment"), text(row, "to_segment")),
                    row["clients"].as_i64().unwrap(),
                )
            })
            .collect()
    };
    let app = TestApp::spawn(&shop);
    let first = migration(&app);
    assert!(first.keys().all(|(from, _)| from == "New"), "{first:?}");
    assert_eq!(first.values().sum::<i64>(), 3_000);
    assert_eq!(
        app.data("/ml/model-metrics/segmentation")["adjusted_rand_index"],
        serde_json::Value::Null
    );
    let before: BTreeMap<String, i64> =
        first.iter().map(|((_, to), clients)| (to.clone(), *clients)).collect();
    drop(app);

    shop.put("achats.csv", all.as_bytes());
    shop.run(&["refresh"]).good();
    let app = TestApp::spawn(&shop);
    let second = migration(&app);
    assert_eq!(second.values().sum::<i64>(), 3_000);
    let mut before_second: BTreeMap<String, i64> = BTreeMap::new();
    for ((from, _), clients) in &second {
        *before_second.entry(from.clone()).or_default() += clients;
    }
    assert_eq!(before_second, before);
    let moved: i64 = second.iter().filter(|((from, to), _)| from != to).map(|(_, n)| n).sum();
    assert!(moved > 0);
    let index = app.data("/ml/model-metrics/segmentation")["adjusted_rand_index"].as_f64().unwrap();
    assert!(index > 0.2 && index < 1.0, "{index}");
}
