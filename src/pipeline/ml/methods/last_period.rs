//! The baseline of lifetime value: the spend of the last period again.

use serde::{Deserialize, Serialize};

use crate::domain::time::DAY_MICROS;
use crate::pipeline::ml::history::YEAR_DAYS;
use crate::pipeline::ml::method::Scorer;
use crate::pipeline::ml::report::BASELINE;
use crate::pipeline::ml::snapshot::CustomerSnapshot;

/// The spend of the last days before the cut-off less refunds in them, as many days as given, scaled
/// to 12 months.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastPeriod(pub(crate) i64);

impl Scorer for LastPeriod {
    fn method(&self) -> &'static str {
        BASELINE
    }

    #[allow(clippy::cast_precision_loss)]
    fn predict(&self, snapshot: &CustomerSnapshot<'_>, row: usize, _: f64) -> f64 {
        let from = snapshot.past.cut_off().0 - self.0 * DAY_MICROS;
        snapshot.past.purchases(row).since(from + 1).spend() * YEAR_DAYS / self.0 as f64
    }

    fn effects(&self, _: &CustomerSnapshot<'_>, _: usize, _: f64) -> Vec<(usize, f64)> {
        Vec::new()
    }
}
