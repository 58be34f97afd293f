//! Comparison with scikit-learn on the same rows. The constants come from `benches/scikit_learn.py`
//! (scikit-learn 1.9.1, numpy 2.4.6), run on the rows that these tests write to the folder in the
//! environment variable `PEER_ROWS`.

use std::path::Path;

use goldsmith::pipeline::ml::methods::{boosted, forest};
use goldsmith::pipeline::ml::report::Metrics;
use goldsmith::pipeline::ml::tasks::segmentation;
use goldsmith::pipeline::ml::{LastSegments, train};
use goldsmith::sample::Spec;

use super::{OPTIONS, history};
use crate::support::task;

const SPEC: Spec = Spec { customers: 6_000, purchases: 60_000, seed: 7, dirty: 0.0 };

/// `RandomForestClassifier(100, max_depth=10, min_samples_leaf=20, max_features=4, random_state=42)`
const FOREST_AUC: f64 = 0.9254;
/// `HistGradientBoostingClassifier(max_iter=400, learning_rate=0.05, max_depth=4, early_stopping=True)`
const BOOSTED_AUC: f64 = 0.9262;
/// `HistGradientBoostingRegressor` with the same parameters.
const BOOSTED_MAE: f64 = 178.40;
/// `KMeans(4, n_init=10, random_state=42)` after `StandardScaler`.
const INERTIA: f64 = 5_190.3;

#[test]
fn the_libraries_do_as_well_as_scikit_learn_on_the_same_rows() {
    let history = history(SPEC);
    let (churn, value) = (task::churn(&history, &OPTIONS), task::value(&history, &OPTIONS));
    let customers = task::rfm(&history);
    if let Ok(folder) = std::env::var("PEER_ROWS") {
        task::write(Path::new(&folder), &churn, &value, &customers);
    }
    let (rows, labels) = &churn.train;
    let trees = forest::fit(rows, labels, 42).unwrap();
    let auc = churn.auc(&trees.predict_all(&churn.test.0));
    assert!((auc - FOREST_AUC).abs() < 0.02, "forest: {auc}");
    let trees = boosted::fit(rows, labels, boosted::Target::Probability, 42).unwrap();
    let auc = churn.auc(&trees.predict_all(&churn.test.0));
    assert!((auc - BOOSTED_AUC).abs() < 0.02, "boosted trees: {auc}");
    let (rows, spend) = &value.train;
    let trees = boosted::fit(rows, spend, boosted::Target::Mean, 42).unwrap();
    let mae = value.metrics(&trees.predict_all(&value.test.0)).mae;
    assert!((mae / BOOSTED_MAE - 1.0).abs() < 0.05, "boosted trees: {mae}");
    let inertia = segmentation::fit(&customers, 42).unwrap().inertia.unwrap();
    assert!((inertia / INERTIA - 1.0).abs() < 0.01, "K-Means: {inertia}");
}

#[test]
fn training_evaluates_on_the_rows_it_did_not_fit() {
    let history = history(SPEC);
    let churn = task::churn(&history, &OPTIONS);
    let (rows, labels) = &churn.train;
    let trees = forest::fit(rows, labels, OPTIONS.seed).unwrap();
    let trained = train(&history, history.last().unwrap(), &OPTIONS, &LastSegments::new());
    let mut candidates = trained.candidates.iter();
    let candidate = candidates.find(|candidate| candidate.method == forest::NAME).unwrap();
    assert_eq!((candidate.fitted, candidate.held_out), (labels.len(), churn.test.1.len()));
    let Some(Metrics::Churn(metrics)) = &candidate.metrics else { panic!("{candidate:?}") };
    let auc = churn.auc(&trees.predict_all(&churn.test.0));
    assert!((metrics.roc_auc.unwrap() - auc).abs() < 1e-12);
    assert_eq!(
        candidate.calibration.iter().map(|bin| bin.count).sum::<usize>(),
        candidate.held_out
    );
}
