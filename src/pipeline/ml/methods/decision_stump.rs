//! A rule of one feature: "churned if recency is above its median", which every model has to beat,
//! and the one that parts best where a single feature tells all.

use serde::{Deserialize, Serialize};

/// A threshold, with a probability for each side of it as it was seen there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DecisionStump {
    /// The feature's place in [`NAMES`](crate::pipeline::ml::features::NAMES).
    pub feature: usize,
    /// What parts the customers.
    pub threshold: f32,
    /// Whether those above it count as churned, or those up to it.
    pub is_above: bool,
    /// Churn rate up to the threshold.
    pub below: f64,
    /// Churn rate above it.
    pub above: f64,
}

impl DecisionStump {
    /// Churned if above the median. Learns from the feature's values, and who churned.
    #[must_use]
    pub fn at_median(feature: usize, values: &[f32], churned: &[bool]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f32::total_cmp);
        let median = match sorted.len() {
            0 => 0.0,
            n if n % 2 == 1 => sorted[n / 2],
            n => f32::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
        };
        Self { is_above: true, ..Self::at(feature, median, values, churned) }
    }

    /// The threshold that parts those who churned from the others best: with the least impurity
    /// (Gini) of the two sides.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn best_split(feature: usize, values: &[f32], churned: &[bool]) -> Self {
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

    /// Rates by Laplace's rule of succession, so that few customers make no certainty and none
    /// make one half; a side without a customer has the rate of all.
    fn at(feature: usize, threshold: f32, values: &[f32], churned: &[bool]) -> Self {
        let rate = |is_above: bool| {
            let pairs = || values.iter().zip(churned);
            let is_seen = pairs().any(|(value, _)| (*value > threshold) == is_above);
            let (mut customers, mut gone) = (0.0, 0.0);
            for (_, churned) in
                pairs().filter(|(value, _)| !is_seen || (**value > threshold) == is_above)
            {
                customers += 1.0;
                gone += f64::from(u8::from(*churned));
            }
            (gone + 1.0) / (customers + 2.0)
        };
        let (below, above) = (rate(false), rate(true));
        Self { feature, threshold, is_above: above > below, below, above }
    }

    /// Whether it counts a customer with this value as churned.
    #[must_use]
    pub fn says(self, value: f32) -> bool {
        (value > self.threshold) == self.is_above
    }

    /// The probability to churn.
    #[must_use]
    pub fn probability(self, value: f32) -> f64 {
        if value > self.threshold { self.above } else { self.below }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_tells_the_rates_it_saw_on_each_side_of_the_median() {
        let rule = DecisionStump::at_median(0, &[1.0, 2.0, 3.0, 4.0], &[false, false, true, false]);
        assert!((rule.probability(2.5) - 1.0 / 4.0).abs() < 1e-12);
        assert!((rule.probability(3.0) - 2.0 / 4.0).abs() < 1e-12);
        assert!(rule.says(3.0) && !rule.says(2.5));
        assert!((DecisionStump::at_median(0, &[], &[]).probability(5.0) - 0.5).abs() < 1e-12);
        let unseen = DecisionStump::at_median(0, &[9.0, 9.0], &[true, true]);
        assert!((unseen.probability(20.0) - 3.0 / 4.0).abs() < 1e-12);
    }

    #[test]
    fn the_best_threshold_parts_the_classes_whichever_side_they_are_on() {
        let values = [1.0, 2.0, 3.0, 10.0, 12.0];
        let rule = DecisionStump::best_split(0, &values, &[false, false, false, true, true]);
        assert!((rule.threshold - 6.5).abs() < 1e-6);
        assert!(rule.says(11.0) && !rule.says(5.0));
        assert!((rule.below - 1.0 / 5.0).abs() < 1e-12 && (rule.above - 3.0 / 4.0).abs() < 1e-12);
        let other_way = DecisionStump::best_split(0, &values, &[true, true, true, false, false]);
        assert!(!other_way.says(11.0) && other_way.says(5.0));
        let alike = DecisionStump::best_split(0, &[4.0, 4.0], &[true, false]);
        assert!((alike.probability(4.0) - 0.5).abs() < 1e-12);
    }
}
