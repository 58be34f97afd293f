//! Training and held-out rows, for comparing libraries and other programs on the same data.

use std::path::Path;

use goldsmith::domain::time::{DAY_MICROS, Timestamp};
use goldsmith::pipeline::ml::features::features;
use goldsmith::pipeline::ml::history::{History, Window};
use goldsmith::pipeline::ml::matrix::{Matrix, select};
use goldsmith::pipeline::ml::metrics::{RegressionMetrics, auc, regression_metrics};
use goldsmith::pipeline::ml::sampling::{SeededSampler, Split};
use goldsmith::pipeline::ml::snapshot::CustomerSnapshot;
use goldsmith::pipeline::ml::{Rfm, TrainingOptions};

/// Rows of a task, split as training splits them.
pub struct Task {
    /// Features and labels of the customers that models are fitted on.
    pub train: (Matrix, Vec<f32>),
    /// Of the held-out customers.
    pub test: (Matrix, Vec<f32>),
}

impl Task {
    fn new(
        history: &History,
        days: i64,
        sampler: SeededSampler,
        label: impl Fn(Window) -> f32,
    ) -> Self {
        let as_of = history.last().unwrap();
        let past = history.up_to(Timestamp(as_of.0 - days * DAY_MICROS));
        let rows = features(&past);
        let windows = history.after(&past, as_of);
        let labels: Vec<f32> = windows.iter().map(|window| label(*window)).collect();
        let ids: Vec<i64> = past.ids().collect();
        let Split { train, test } = sampler.hold_out(&ids);
        let of_rows = |chosen: &[usize]| (rows.select(chosen), select(&labels, chosen));
        Self { train: of_rows(&train), test: of_rows(&test) }
    }

    fn write(&self, dir: &Path, name: &str) {
        for (part, (rows, labels)) in [("train", &self.train), ("test", &self.test)] {
            let line = |(row, label): (usize, &f32)| {
                let values: Vec<String> = rows.row(row).iter().map(f32::to_string).collect();
                format!("{},{label}\n", values.join(","))
            };
            let text: String = labels.iter().enumerate().map(line).collect();
            std::fs::write(dir.join(format!("{name}_{part}.csv")), text).unwrap();
        }
    }

    /// Area under the ROC curve of the probabilities predicted for the held-out customers.
    pub fn auc(&self, predicted: &[f64]) -> f64 {
        let labels: Vec<bool> = self.test.1.iter().map(|label| *label > 0.5).collect();
        auc(&labels, predicted).unwrap()
    }

    /// Metrics of the amounts predicted for the held-out customers, taken as at least 0.
    pub fn metrics(&self, predicted: &[f64]) -> RegressionMetrics {
        let actual: Vec<f64> = self.test.1.iter().map(|label| f64::from(*label)).collect();
        let predicted: Vec<f64> = predicted.iter().map(|value| value.max(0.0)).collect();
        regression_metrics(&actual, &predicted)
    }
}

/// Whether a customer churned.
pub fn churn(history: &History, options: &TrainingOptions) -> Task {
    let sampler = SeededSampler::new(options.seed, "churn");
    let label = |window: Window| f32::from(u8::from(window.purchases == 0));
    Task::new(history, options.churn_horizon_days.into(), sampler, label)
}

/// What a customer spent in a year.
#[allow(clippy::cast_possible_truncation)]
pub fn value(history: &History, options: &TrainingOptions) -> Task {
    let sampler = SeededSampler::new(options.seed, "clv");
    Task::new(history, 365, sampler, |window| window.spend as f32)
}

/// The input of segmentation, at the last purchase.
pub fn rfm(history: &History) -> Vec<Rfm> {
    let snapshot = CustomerSnapshot::of(history.up_to(history.last().unwrap()));
    (0..snapshot.len()).map(|row| snapshot.rfm(row)).collect()
}

/// Writes the files that `benches/scikit_learn.py` reads: features, then the label.
pub fn write(dir: &Path, churn: &Task, value: &Task, customers: &[Rfm]) {
    churn.write(dir, "churn");
    value.write(dir, "clv");
    let line = |c: &Rfm| format!("{},{},{}\n", c.recency, c.frequency, c.monetary);
    std::fs::write(dir.join("rfm.csv"), customers.iter().map(line).collect::<String>()).unwrap();
}
