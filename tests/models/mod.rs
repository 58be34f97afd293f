//! Models: what they learn, what they leave to the baseline, and what they report.

mod edges;
mod purchase_models;
mod scikit_learn;
mod score;
mod stability;

use goldsmith::domain::time::Timestamp;
use goldsmith::pipeline::ml::history::History;
use goldsmith::pipeline::ml::report::{Candidate, Task};
use goldsmith::pipeline::ml::{Trained, TrainingOptions};
use goldsmith::pipeline::silver::{self, Silver};
use goldsmith::sample::{Spec, generate};
use goldsmith::sources::{SourceOptions, read_in_memory};

/// The training options of the default settings.
const OPTIONS: TrainingOptions =
    TrainingOptions { seed: 42, min_customers: 50, churn_horizon_days: 60, max_fit_rows: 50_000 };

fn files(spec: Spec) -> Vec<(&'static str, Vec<u8>)> {
    generate(spec).unwrap()
}

fn refined(files: &[(&str, Vec<u8>)]) -> Silver {
    let sources = read_in_memory(files, &SourceOptions::default()).unwrap();
    let run_start = Timestamp::parse("2026-06-01").unwrap();
    let options = silver::CleaningOptions { rules: silver::CleaningRules::default(), run_start };
    silver::clean(sources, &options).unwrap()
}

fn history(spec: Spec) -> History {
    History::new(refined(&files(spec)).purchases()).unwrap()
}

/// The true parameters of a generated shop.
fn truth(spec: Spec) -> serde_json::Value {
    let files = files(spec);
    let (_, bytes) = files.iter().find(|(name, _)| *name == "ground_truth.json").unwrap();
    let all: serde_json::Value = serde_json::from_slice(bytes).unwrap();
    all["purchase_process"].clone()
}

/// The candidate that serves a task.
fn serving(trained: &Trained, task: Task) -> &Candidate {
    trained.candidates.iter().find(|candidate| candidate.task == task && candidate.serves).unwrap()
}
