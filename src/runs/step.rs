//! The steps of a refresh, and a step as a run's record has it.

use serde::{Deserialize, Serialize};
use strum::{Display, VariantArray as _};

use crate::domain::time::Timestamp;

/// The steps of a refresh, in order.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, strum::VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Step {
    /// Reads the source files.
    Sources,
    /// Stores them byte for byte.
    Bronze,
    /// Types, cleans and deduplicates the rows.
    Silver,
    /// Computes the tables that need no model.
    Gold,
    /// Trains, evaluates and scores.
    Models,
    /// Proves that all tables agree, and writes them to the lake.
    Proof,
    /// Writes the tables to the serving store and switches to them.
    Publish,
    /// Removes generations beyond the retention.
    Sweep,
    /// A step that this version does not have, in the record of a run of another version: replicas
    /// of two versions share a store while one replaces the other.
    #[serde(other)]
    Unknown,
}

impl Step {
    /// How many steps a complete refresh has.
    pub const COUNT: usize = Self::VARIANTS.len() - 1;
}

/// A step of a run, as far as it got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunStep {
    /// Which step.
    pub step: Step,
    /// When it began.
    pub started_at: Timestamp,
    /// When it succeeded; `None` while it runs, and when it did not succeed.
    pub ended_at: Option<Timestamp>,
    /// The result in a few words; empty until it succeeded.
    pub summary: String,
    /// What it read and wrote; empty until it succeeded.
    #[serde(default)]
    pub flow: Flow,
}

impl RunStep {
    /// A step that begins at this instant.
    #[must_use]
    pub fn starting(step: Step, started_at: Timestamp) -> Self {
        let (summary, flow) = (String::new(), Flow::default());
        Self { step, started_at, ended_at: None, summary, flow }
    }
}

/// What a step read and wrote; `None` where a step has no such number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Rows read.
    pub rows_in: Option<u64>,
    /// Rows written.
    pub rows_out: Option<u64>,
    /// Bytes read or written.
    pub bytes: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_another_version_is_read_as_unknown() {
        let text = r#"{"step":"snapshots","started_at":"2026-01-21T03:00:00","ended_at":null,
            "summary":""}"#;
        let step: RunStep = serde_json::from_str(text).unwrap();
        assert_eq!(step.step, Step::Unknown);
    }

    #[test]
    fn every_step_has_one_spelling() {
        for step in Step::VARIANTS {
            let text = serde_json::to_value(step).unwrap();
            assert_eq!(text, step.to_string());
            assert_eq!(serde_json::from_value::<Step>(text).unwrap(), *step);
        }
        assert_eq!(Step::COUNT, 8);
    }
}
