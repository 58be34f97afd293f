//! The leakage check: a feature that determines the label on its own stops the model.
//!
//! An earlier pipeline defined churn as "more than 60 days since the last purchase" and gave the
//! model that very column: every metric was perfect and nothing was learnt.

use super::matrix::Matrix;
use super::metrics::auc;

/// A feature with a greater AUC determines the label; from the contract.
const LEAK_AUC: f64 = 0.98;

/// A feature that determines the label on its own.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Leak {
    /// Its column.
    pub feature: usize,
    /// The note on it.
    pub note: String,
}

/// The first feature that determines the label on its own, if any. `names` are the columns.
pub(crate) fn find_leak(
    names: &[&'static str],
    features: &Matrix,
    labels: &[bool],
) -> Option<Leak> {
    names.iter().enumerate().find_map(|(feature, name)| {
        let values: Vec<f64> = features.column(feature).map(f64::from).collect();
        let ranks = auc(labels, &values)?;
        let ranks = ranks.max(1.0 - ranks);
        (ranks > LEAK_AUC).then(|| Leak {
            feature,
            note: format!(
                "stopped by the leak check: the feature {name} alone tells the label (AUC {ranks:.3} > {LEAK_AUC}), so that it is either the label in disguise or makes a model superfluous; no model is trained, and a rule on {name} serves"
            ),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::ml::methods::forest;
    use crate::pipeline::ml::sampling::SeededSampler;

    #[test]
    fn a_label_made_of_a_feature_is_caught_by_the_name_of_the_feature() {
        // Label: more than 60 days since the last purchase; feature: days since the last purchase.
        let sampler = SeededSampler::new(42, "older recipe");
        let mut values = Vec::new();
        let mut labels = Vec::new();
        for id in 0..500 {
            let days = (sampler.of_customer(id) * 300.0).floor();
            #[allow(clippy::cast_possible_truncation)]
            values.extend([(sampler.of_customer(-id) * 9.0) as f32, days as f32]);
            labels.push(days > 60.0);
        }
        let features = Matrix { values, width: 2 };
        let found = find_leak(&["frequency", "days_since_last"], &features, &labels).unwrap();
        assert_eq!(found.feature, 1);
        let expected = "the feature days_since_last alone tells the label (AUC 1.000 > 0.98)";
        assert!(found.note.contains(expected), "{}", found.note);
        // What the leak does: a forest with that column predicts perfectly.
        let labels_f32: Vec<f32> = labels.iter().map(|label| f32::from(*label)).collect();
        let trees = forest::fit(&features, &labels_f32, 42).unwrap();
        assert!(auc(&labels, &trees.predict_all(&features)).unwrap() > 0.999);
        // Without that column there is no leak.
        let clean = Matrix { values: features.column(0).collect(), width: 1 };
        assert_eq!(find_leak(&["frequency"], &clean, &labels), None);
    }
}
