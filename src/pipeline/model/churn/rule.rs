//! "Churned if recency is above its median": what every model has to beat, and what serves where
//! none does.

use serde::{Deserialize, Serialize};

/// The rule, with a probability for each side of the median as it was seen there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Days since the last purchase above which a customer counts as churned.
    pub median: f32,
    /// Churn rate up to the median.
    pub below: f64,
    /// Churn rate above it.
    pub above: f64,
}

impl Rule {
    /// Learns from days since the last purchase, and who churned.
    ///
    /// Rates by Laplace's rule of succession, so that few customers make no certainty and none
    /// make one half; a side without a customer has the rate of all.
    #[must_use]
    pub fn learn(days_since_last: &[f32], churned: &[bool]) -> Self {
        let mut sorted = days_since_last.to_vec();
        sorted.sort_unstable_by(f32::total_cmp);
        let median = match sorted.len() {
            0 => 0.0,
            n if n % 2 == 1 => sorted[n / 2],
            n => f32::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
        };
        let rate = |is_above: bool| {
            let pairs = || days_since_last.iter().zip(churned);
            let is_seen = pairs().any(|(days, _)| (*days > median) == is_above);
            let (mut customers, mut gone) = (0.0, 0.0);
            for (_, churned) in
                pairs().filter(|(days, _)| !is_seen || (**days > median) == is_above)
            {
                customers += 1.0;
                gone += f64::from(u8::from(*churned));
            }
            (gone + 1.0) / (customers + 2.0)
        };
        Self { median, below: rate(false), above: rate(true) }
    }

    /// Whether it counts a customer as churned.
    #[must_use]
    pub fn says(self, days_since_last: f32) -> bool {
        days_since_last > self.median
    }

    /// The probability to churn.
    #[must_use]
    pub fn probability(self, days_since_last: f32) -> f64 {
        if self.says(days_since_last) { self.above } else { self.below }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_tells_the_rates_it_saw_on_each_side_of_the_median() {
        let rule = Rule::learn(&[1.0, 2.0, 3.0, 4.0], &[false, false, true, false]);
        assert!((rule.probability(2.5) - 1.0 / 4.0).abs() < 1e-12);
        assert!((rule.probability(3.0) - 2.0 / 4.0).abs() < 1e-12);
        assert!((Rule::learn(&[], &[]).probability(5.0) - 0.5).abs() < 1e-12);
        let unseen = Rule::learn(&[9.0, 9.0], &[true, true]);
        assert!((unseen.probability(20.0) - 3.0 / 4.0).abs() < 1e-12);
    }
}
