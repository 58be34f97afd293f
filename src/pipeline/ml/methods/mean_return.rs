//! The other baseline of lifetime value: what customers came back for on average.

use serde::{Deserialize, Serialize};

use crate::pipeline::ml::method::Scorer;
use crate::pipeline::ml::report::BASELINE;
use crate::pipeline::ml::snapshot::CustomerSnapshot;

/// The mean spend of 12 months of customers known at the cut-off, those who did not come back
/// included, EUR: the same for everybody, and 0 where no customer came back.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeanReturn(pub(crate) f64);

impl MeanReturn {
    /// The mean of these spends; 0 without any.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn of(spends: &[f64]) -> Self {
        Self(spends.iter().sum::<f64>() / spends.len().max(1) as f64)
    }
}

impl Scorer for MeanReturn {
    fn method(&self) -> &'static str {
        BASELINE
    }

    fn predict(&self, _: &CustomerSnapshot<'_>, _: usize, _: f64) -> f64 {
        self.0
    }

    fn effects(&self, _: &CustomerSnapshot<'_>, _: usize, _: f64) -> Vec<(usize, f64)> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn customers_who_stayed_away_are_in_the_mean() {
        assert_eq!(MeanReturn::of(&[30.0, 0.0, 0.0]), MeanReturn(10.0));
        assert_eq!(MeanReturn::of(&[0.0, 0.0]), MeanReturn(0.0));
        assert_eq!(MeanReturn::of(&[]), MeanReturn(0.0));
    }
}
