//! The rows that models learn from and are judged on, for comparing libraries and other programs.

use std::path::Path;

use goldsmith::domain::time::{DAY_MICROS, Timestamp};
use goldsmith::pipeline::ml::TrainingOptions;
use goldsmith::pipeline::ml::features::features;
use goldsmith::pipeline::ml::history::{History, Window};
use goldsmith::pipeline::ml::matrix::{Matrix, select};
use goldsmith::pipeline::ml::metrics::{RegressionMetrics, amounts, auc};
use goldsmith::pipeline::ml::sampling::{SeededSampler, Split};
use goldsmith::pipeline::ml::snapshot::CustomerSnapshot;
use goldsmith::pipeline::ml::tasks::segmentation::Rfm;

/// Rows of a task, split as training splits them.
pub struct Task {
    /// Features and labels of the customers that fits see.
    pub fit: (Matrix, Vec<f32>),
    /// Of those that judge.
    pub held: (Matrix, Vec<f32>),
}

impl Task {
    fn new(
        history: &History,
        days: i64,
        chance: SeededSampler,
        label: impl Fn(Window) -> f32,
    ) -> Self {
        let as_of = history.last().unwrap();
        let past = history.up_to(Timestamp(as_of.0 - days * DAY_MICROS));
        let rows = features(&past);
        let windows = history.after(&past, as_of);
        let labels: Vec<f32> = windows.iter().map(|window| label(*window)).collect();
        let ids: Vec<i64> = past.ids().collect();
        let Split { kept, held } = chance.hold_out(&ids);
        let of_rows = |chosen: &[usize]| (rows.select(chosen), select(&labels, chosen));
        Self { fit: of_rows(&kept), held: of_rows(&held) }
    }

    fn write(&self, dir: &Path, name: &str) {
        for (part, (rows, labels)) in [("fit", &self.fit), ("held", &self.held)] {
            let line = |(row, label): (usize, &f32)| {
                let values: Vec<String> = rows.row(row).iter().map(f32::to_string).collect();
                format!("{},{label}\n", values.join(","))
            };
            let text: String = labels.iter().enumerate().map(line).collect();
            std::fs::write(dir.join(format!("{name}_{part}.csv")), text).unwrap();
        }
    }

    /// Area under the ROC curve of probabilities foretold for those that judge.
    pub fn auc(&self, foretold: &[f64]) -> f64 {
        let labels: Vec<bool> = self.held.1.iter().map(|label| *label > 0.5).collect();
        auc(&labels, foretold).unwrap()
    }

    /// How amounts foretold for those that judge, at least 0, do.
    pub fn amounts(&self, foretold: &[f64]) -> RegressionMetrics {
        let came: Vec<f64> = self.held.1.iter().map(|label| f64::from(*label)).collect();
        let foretold: Vec<f64> = foretold.iter().map(|value| value.max(0.0)).collect();
        amounts(&came, &foretold)
    }
}

/// Who stayed away.
pub fn churn(history: &History, rules: &TrainingOptions) -> Task {
    let chance = SeededSampler::new(rules.seed, "churn");
    let label = |window: Window| f32::from(u8::from(window.purchases == 0));
    Task::new(history, rules.churn_horizon_days.into(), chance, label)
}

/// What was spent in a year.
#[allow(clippy::cast_possible_truncation)]
pub fn value(history: &History, rules: &TrainingOptions) -> Task {
    let chance = SeededSampler::new(rules.seed, "clv");
    Task::new(history, 365, chance, |window| window.spend as f32)
}

/// What segments are made of, at the last purchase.
pub fn rfm(history: &History) -> Vec<Rfm> {
    let facts = CustomerSnapshot::of(history.up_to(history.last().unwrap()));
    (0..facts.len()).map(|row| facts.rfm(row)).collect()
}

/// Writes everything for `benches/scikit_learn.py`: features and then the label.
pub fn write(dir: &Path, churn: &Task, value: &Task, customers: &[Rfm]) {
    churn.write(dir, "churn");
    value.write(dir, "clv");
    let line = |c: &Rfm| format!("{},{},{}\n", c.recency, c.frequency, c.monetary);
    std::fs::write(dir.join("rfm.csv"), customers.iter().map(line).collect::<String>()).unwrap();
}
