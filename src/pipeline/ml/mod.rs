//! Models: segments, churn, lifetime value, purchase forecast.
//!
//! [`train`] cuts the purchases off ([`history`]), computes what models see ([`snapshot`]) and
//! trains each task ([`tasks`]). For churn and lifetime value, [`methods`] compete ([`selection`]) on
//! customers that no fit has seen. The winners are stored as an [`Artefact`], from which [`score`]
//! makes the same predictions every time. Start reading at [`trainer`].

mod artefact;
mod columns;
pub mod explain;
pub mod features;
pub(crate) mod frames;
pub mod history;
pub(crate) mod leakage;
pub mod matrix;
pub(crate) mod method;
pub mod methods;
pub mod metrics;
pub(crate) mod metrics_frames;
mod options;
pub mod purchase_forecast;
pub mod report;
pub mod report_text;
mod rfm;
pub mod sampling;
pub(crate) mod selection;
pub mod snapshot;
pub mod tasks;
pub(crate) mod trainer;
pub(crate) mod training_set;

pub use artefact::{Artefact, Score, Trained, score};
pub use options::TrainingOptions;
pub use rfm::Rfm;
pub use tasks::segmentation::LastSegments;

use crate::domain::time::Timestamp;
use history::History;
use snapshot::CustomerSnapshot;
use tasks::churn::Churn;
use tasks::clv::Clv;
use tasks::segmentation;

/// Trains all models on the purchases up to `as_of` and scores every customer.
#[must_use]
pub fn train(
    history: &History,
    as_of: Timestamp,
    options: &TrainingOptions,
    last: &LastSegments,
) -> Trained {
    let snapshot = CustomerSnapshot::of(history.up_to(as_of));
    let (segmentation, segments) = segmentation::train(&snapshot, options, last);
    let (churn, churn_candidates) = trainer::train::<Churn>(history, as_of, options);
    let (clv, clv_candidates) = trainer::train::<Clv>(history, as_of, options);
    let (forecaster, forecast) = purchase_forecast::train(&snapshot, options);
    let artefact = Artefact {
        as_of,
        churn_horizon_days: options.churn_horizon_days,
        segmentation,
        churn,
        clv,
        forecaster,
    };
    let scores = score(&artefact, &snapshot);
    let mut candidates = vec![segments];
    candidates.extend(churn_candidates.into_iter().chain(clv_candidates).chain([forecast]));
    Trained { artefact, scores, candidates }
}
