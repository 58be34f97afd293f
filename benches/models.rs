//! Training, evaluating and scoring all models; the libraries compared with each other and with
//! scikit-learn. Run: `cargo bench --bench models`; with `MODELS_BENCH_CUSTOMERS=1000000` for the
//! large shop, with `SKLEARN_PYTHON` naming a Python that has scikit-learn.
//!
//! Preparation and training run in processes of their own, so that the peak memory is that of the
//! models.

#![allow(clippy::unwrap_used)] // a bench that cannot set up may panic
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]

#[path = "../tests/support/cdnow.rs"]
mod cdnow;
#[path = "../tests/support/task.rs"]
mod task;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use goldsmith::domain::time::Timestamp;
use goldsmith::pipeline::ml::history::History;
use goldsmith::pipeline::ml::matrix::Matrix;
use goldsmith::pipeline::ml::methods::bg_nbd::{self, Dropout, Pattern};
use goldsmith::pipeline::ml::methods::gamma_gamma::{self, Spend};
use goldsmith::pipeline::ml::methods::{boosted, forest};
use goldsmith::pipeline::ml::metrics::RegressionMetrics;
use goldsmith::pipeline::ml::tasks::segmentation;
use goldsmith::pipeline::ml::{LastSegments, TrainingOptions, train};
use goldsmith::pipeline::silver;
use goldsmith::sample::{Spec, generate};
use goldsmith::sources::{SourceOptions, read_in_memory};
use polars::prelude::*;
use smartcore::ensemble::random_forest_regressor::{
    RandomForestRegressor, RandomForestRegressorParameters,
};
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::xgboost::{XGRegressor, XGRegressorParameters};

const OPTIONS: TrainingOptions =
    TrainingOptions { seed: 42, min_customers: 50, churn_horizon_days: 60, max_fit_rows: 50_000 };
/// Purchases per customer.
const PURCHASES: u32 = 16;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("--prepare") => prepare(&arguments[2], arguments[3].parse().unwrap()),
        Some("--train") => train_all(&arguments[2]),
        _ => compare(),
    }
}

fn compare() {
    let customers = std::env::var("MODELS_BENCH_CUSTOMERS").unwrap_or("100000".to_owned());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("fact.parquet").display().to_string();
    let run = |arguments: &[&str]| {
        let done = Command::new(std::env::current_exe().unwrap()).args(arguments).status().unwrap();
        assert!(done.success(), "{arguments:?}");
    };
    run(&["--prepare", &file, &customers]);
    run(&["--train", &file]);
    libraries(&read(&file), dir.path());
    cdnow_fit();
}

/// A sample's purchases, in the form in which gold passes them to the models.
fn prepare(file: &str, customers: u32) {
    let spec = Spec { customers, purchases: customers * PURCHASES, seed: 42, dirty: 0.0 };
    let files = generate(spec).unwrap();
    let options = silver::CleaningOptions {
        rules: silver::CleaningRules::default(),
        run_start: Timestamp::now(),
    };
    let raw = read_in_memory(&files, &SourceOptions::default()).unwrap();
    let silver = silver::clean(raw, &options).unwrap();
    let mut fact = silver
        .purchases()
        .select([
            "id_achat",
            "id_client",
            "date_achat",
            "montant",
            "produit",
            "id_commande",
            "ligne",
            "type",
        ])
        .unwrap();
    ParquetWriter::new(std::fs::File::create(file).unwrap()).finish(&mut fact).unwrap();
}

fn read(file: &str) -> History {
    let fact = ParquetReader::new(std::fs::File::open(file).unwrap()).finish().unwrap();
    History::new(&fact).unwrap()
}

fn train_all(file: &str) {
    let fact = ParquetReader::new(std::fs::File::open(file).unwrap()).finish().unwrap();
    let purchases = fact.height();
    let started = Instant::now();
    let history = History::new(&fact).unwrap();
    let trained = train(&history, history.last().unwrap(), &OPTIONS, &LastSegments::new());
    let seconds = started.elapsed().as_secs_f64();
    let serving: Vec<String> = trained
        .candidates
        .iter()
        .filter(|candidate| candidate.serves)
        .map(|candidate| format!("{} by {}", candidate.task.as_str(), candidate.method))
        .collect();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("").to_owned();
    println!(
        "all models of {} customers, {purchases} purchases trained, evaluated and scored: {seconds:.2} s ({}); {}",
        trained.scores.len(),
        serving.join(", "),
        peak.split_whitespace().collect::<Vec<_>>().join(" "),
    );
}

fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let started = Instant::now();
    let done = work();
    (started.elapsed().as_secs_f64(), done)
}

fn libraries(history: &History, dir: &Path) {
    let (churn, value) = (task::churn(history, &OPTIONS), task::value(history, &OPTIONS));
    compare_classifiers(&churn);
    compare_regressors(&value);
    let customers = task::rfm(history);
    let (seconds, fitted) = timed(|| segmentation::fit(&customers, 42).unwrap());
    println!(
        "segments: {} customers, silhouette included {seconds:.2} s, inertia {:.1}",
        customers.len(),
        fitted.inertia.unwrap()
    );
    task::write(dir, &churn, &value, &customers);
    let python = std::env::var("SKLEARN_PYTHON").unwrap_or("python3".to_owned());
    let peer = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/scikit_learn.py");
    match Command::new(&python).arg(peer).arg(dir).status() {
        Ok(status) if status.success() => {}
        _ => println!("scikit-learn is left out: {python} does not run it; set SKLEARN_PYTHON"),
    }
}

fn dense(rows: &Matrix) -> DenseMatrix<f32> {
    DenseMatrix::new(rows.rows(), rows.width, rows.values.clone(), false).unwrap()
}

fn compare_classifiers(churn: &task::Task) {
    let (rows, labels) = &churn.train;
    println!(
        "churn: {} rows × {} features to fit, {} held out",
        rows.rows(),
        rows.width,
        churn.test.1.len()
    );
    let (seconds, trees) = timed(|| forest::fit(rows, labels, 42).unwrap());
    println!(
        "  forest, 100 trees, smartcore in parallel  {seconds:7.2} s  AUC {:.4}",
        churn.auc(&trees.predict_all(&churn.test.0))
    );
    let (x, test) = (dense(rows), dense(&churn.test.0));
    let parameters = RandomForestRegressorParameters::default()
        .with_n_trees(100)
        .with_max_depth(10)
        .with_min_samples_leaf(20)
        .with_m(4);
    let (seconds, model) = timed(|| RandomForestRegressor::fit(&x, labels, parameters).unwrap());
    let predicted: Vec<f64> = model.predict(&test).unwrap().into_iter().map(f64::from).collect();
    println!(
        "  forest, 100 trees, smartcore alone        {seconds:7.2} s  AUC {:.4}",
        churn.auc(&predicted)
    );
    let (seconds, trees) =
        timed(|| boosted::fit(rows, labels, boosted::Target::Probability, 42).unwrap());
    println!(
        "  boosted trees, hessboost, {:3} trees       {seconds:7.2} s  AUC {:.4}",
        trees.trees.len(),
        churn.auc(&trees.predict_all(&churn.test.0))
    );
}

fn compare_regressors(value: &task::Task) {
    let (rows, spend) = &value.train;
    let (seconds, trees) = timed(|| boosted::fit(rows, spend, boosted::Target::Mean, 42).unwrap());
    println!("lifetime value: {} rows to fit", rows.rows());
    let metrics = |predicted: &[f64]| {
        let RegressionMetrics { mae, rmse, .. } = value.metrics(predicted);
        format!("MAE {mae:.2}, RMSE {rmse:.2}")
    };
    let errors = metrics(&trees.predict_all(&value.test.0));
    println!(
        "  boosted trees, hessboost, {:3} trees       {seconds:7.2} s  {errors}",
        trees.trees.len()
    );
    let mean = spend.iter().map(|spend| f64::from(*spend)).sum::<f64>() / spend.len() as f64;
    let parameters = XGRegressorParameters::default()
        .with_base_score(mean)
        .with_n_estimators(trees.trees.len())
        .with_max_depth(4)
        .with_learning_rate(0.05)
        .with_min_child_weight(20)
        .with_subsample(0.8);
    let (x, test) = (dense(rows), dense(&value.test.0));
    let (seconds, model) = timed(|| XGRegressor::fit(&x, spend, parameters).unwrap());
    let predicted: Vec<f64> = model.predict(&test).unwrap().into_iter().map(f64::from).collect();
    println!(
        "  the same by smartcore                     {seconds:7.2} s  {}",
        metrics(&predicted)
    );
}

fn cdnow_fit() {
    let customers = match cdnow::customers() {
        Ok(customers) => customers,
        Err(reason) => return println!("the CDNOW sample is left out: {reason}"),
    };
    let patterns: Vec<Pattern> = customers.iter().map(|customer| customer.pattern).collect();
    let spends: Vec<Spend> = customers
        .iter()
        .filter(|customer| customer.pattern.repeats > 0)
        .map(|customer| Spend { transactions: customer.pattern.repeats, mean: customer.mean })
        .collect();
    let repeated = |name: &str, fit: &dyn Fn()| {
        let runs = 20;
        let (seconds, ()) = timed(|| (0..runs).for_each(|_| fit()));
        println!("{name}, CDNOW, with standard errors {:9.2} ms", seconds * 1e3 / f64::from(runs));
    };
    repeated("BG/NBD     ", &|| {
        divan::black_box(bg_nbd::fit(Dropout::AfterRepeat, &patterns).unwrap());
    });
    repeated("MBG/NBD    ", &|| {
        divan::black_box(bg_nbd::fit(Dropout::AfterAny, &patterns).unwrap());
    });
    repeated("Gamma-Gamma", &|| {
        divan::black_box(gamma_gamma::fit(&spends).unwrap());
    });
}
