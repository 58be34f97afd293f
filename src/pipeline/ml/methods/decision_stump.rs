//! Decision stumps: "churned if recency is above its median", which every model has to beat, and
//! the stump with the best split where a single feature determines the label.

use serde::{Deserialize, Serialize};

use crate::pipeline::ml::method::Scorer;
use crate::pipeline::ml::report::BASELINE;
use crate::pipeline::ml::snapshot::CustomerSnapshot;

/// A threshold on one feature, with the churn rate observed on each side.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DecisionStump {
    /// Position of the feature in [`NAMES`](crate::pipeline::ml::features::NAMES).
    pub feature: usize,
    /// The value between the two sides.
    pub threshold: f32,
    /// Whether customers above it are classified as churned, or those up to it.
    pub is_above: bool,
    /// Churn rate up to the threshold.
    pub below: f64,
    /// Churn rate above it.
    pub above: f64,
}

impl DecisionStump {
    /// Churned if above the median of the feature's values.
    pub(crate) fn at_median(feature: usize, values: &[f32], churned: &[bool]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f32::total_cmp);
        let median = match sorted.len() {
            0 => 0.0,
            n if n % 2 == 1 => sorted[n / 2],
            n => f32::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
        };
        Self { is_above: true, ..Self::at(feature, median, values, churned) }
    }

    /// The threshold with the least Gini impurity of the two sides.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn best_split(feature: usize, values: &[f32], churned: &[bool]) -> Self {
        let mut pairs: Vec<(f32, bool)> =
            values.iter().copied().zip(churned.iter().copied()).collect();
        pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let cases = churned.iter().filter(|churned| **churned).count();
        let impurity = |cases: usize, of: usize| {
            let share = cases as f64 / of as f64;
            of as f64 * share * (1.0 - share)
        };
        let mut best = (f64::INFINITY, pairs.last().map_or(0.0, |last| last.0));
        let mut seen = 0;
        for (index, two) in pairs.windows(2).enumerate() {
            seen += usize::from(two[0].1);
            if two[0].0 < two[1].0 {
                let below = index + 1;
                let total = impurity(seen, below) + impurity(cases - seen, pairs.len() - below);
                if total < best.0 {
                    best = (total, f32::midpoint(two[0].0, two[1].0));
                }
            }
        }
        Self::at(feature, best.1, values, churned)
    }

    /// Rates by Laplace's rule of succession, so that few customers do not make a certainty and no
    /// customers make one half. A side without a customer has the rate of all.
    fn at(feature: usize, threshold: f32, values: &[f32], churned: &[bool]) -> Self {
        let rate = |is_above: bool| {
            let pairs = || values.iter().zip(churned);
            let has_customers = pairs().any(|(value, _)| (*value > threshold) == is_above);
            let (mut customers, mut gone) = (0.0, 0.0);
            for (_, churned) in
                pairs().filter(|(value, _)| !has_customers || (**value > threshold) == is_above)
            {
                customers += 1.0;
                gone += f64::from(u8::from(*churned));
            }
            (gone + 1.0) / (customers + 2.0)
        };
        let (below, above) = (rate(false), rate(true));
        Self { feature, threshold, is_above: above > below, below, above }
    }

    /// Whether a customer with this value is classified as churned.
    fn classifies(self, value: f32) -> bool {
        (value > self.threshold) == self.is_above
    }

    /// The churn rate on the side of this value.
    fn probability(self, value: f32) -> f64 {
        if value > self.threshold { self.above } else { self.below }
    }
}

impl Scorer for DecisionStump {
    fn method(&self) -> &'static str {
        BASELINE
    }

    fn predict(&self, snapshot: &CustomerSnapshot<'_>, row: usize, _: f64) -> f64 {
        self.probability(snapshot.features.row(row)[self.feature])
    }

    fn effects(
        &self,
        snapshot: &CustomerSnapshot<'_>,
        row: usize,
        days_ahead: f64,
    ) -> Vec<(usize, f64)> {
        let prediction = self.predict(snapshot, row, days_ahead);
        vec![(self.feature, prediction - f64::midpoint(self.below, self.above))]
    }

    /// By the side of the threshold, whatever the rate observed there.
    fn classify(&self, snapshot: &CustomerSnapshot<'_>, row: usize, _: f64) -> bool {
        self.classifies(snapshot.features.row(row)[self.feature])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_the_rates_observed_on_each_side_of_the_median() {
        let stump =
            DecisionStump::at_median(0, &[1.0, 2.0, 3.0, 4.0], &[false, false, true, false]);
        assert!((stump.probability(2.5) - 1.0 / 4.0).abs() < 1e-12);
        assert!((stump.probability(3.0) - 2.0 / 4.0).abs() < 1e-12);
        assert!(stump.classifies(3.0) && !stump.classifies(2.5));
        assert!((DecisionStump::at_median(0, &[], &[]).probability(5.0) - 0.5).abs() < 1e-12);
        let unseen = DecisionStump::at_median(0, &[9.0, 9.0], &[true, true]);
        assert!((unseen.probability(20.0) - 3.0 / 4.0).abs() < 1e-12);
    }

    #[test]
    fn the_best_split_separates_the_classes_whichever_side_they_are_on() {
        let values = [1.0, 2.0, 3.0, 10.0, 12.0];
        let stump = DecisionStump::best_split(0, &values, &[false, false, false, true, true]);
        assert!((stump.threshold - 6.5).abs() < 1e-6);
        assert!(stump.classifies(11.0) && !stump.classifies(5.0));
        assert!((stump.below - 1.0 / 5.0).abs() < 1e-12 && (stump.above - 3.0 / 4.0).abs() < 1e-12);
        let reversed = DecisionStump::best_split(0, &values, &[true, true, true, false, false]);
        assert!(!reversed.classifies(11.0) && reversed.classifies(5.0));
        let alike = DecisionStump::best_split(0, &[4.0, 4.0], &[true, false]);
        assert!((alike.probability(4.0) - 0.5).abs() < 1e-12);
    }
}
