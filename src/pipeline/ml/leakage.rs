//! The leak check: a feature that tells the label on its own stops the model.
//!
//! The older recipe took "more than 60 days since the last purchase" for churn and gave the model
//! that very column; every figure was perfect and nothing was learnt.

use crate::pipeline::ml::matrix::Matrix;
use crate::pipeline::ml::metrics::auc;

/// A single feature that ranks the label better than this tells it: the contract's.
const LEAK_AUC: f64 = 0.98;

/// A feature that tells the label on its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Leak {
    /// Its column.
    pub feature: usize,
    /// What is to be said of it.
    pub sentence: String,
}

/// The feature that tells the label on its own, the first of several; `None` when none does.
/// `names` are those of the columns.
#[must_use]
pub fn leak(names: &[&'static str], features: &Matrix, labels: &[bool]) -> Option<Leak> {
    names.iter().enumerate().find_map(|(feature, name)| {
        let values: Vec<f64> = features.column(feature).map(f64::from).collect();
        let ranks = auc(labels, &values)?;
        let ranks = ranks.max(1.0 - ranks);
        (ranks > LEAK_AUC).then(|| Leak {
            feature,
            sentence: format!(
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
    fn the_older_recipe_is_caught_by_the_name_of_its_feature() {
        // Label: more than 60 days since the last purchase; feature: days since the last purchase.
        let chance = SeededSampler::new(42, "older recipe");
        let mut values = Vec::new();
        let mut labels = Vec::new();
        for id in 0..500 {
            let days = (chance.of_customer(id) * 300.0).floor();
            #[allow(clippy::cast_possible_truncation)]
            values.extend([(chance.of_customer(-id) * 9.0) as f32, days as f32]);
            labels.push(days > 60.0);
        }
        let features = Matrix { values, width: 2 };
        let found = leak(&["frequency", "days_since_last"], &features, &labels).unwrap();
        assert_eq!(found.feature, 1);
        let said = "the feature days_since_last alone tells the label (AUC 1.000 > 0.98)";
        assert!(found.sentence.contains(said), "{}", found.sentence);
        // What the leak does: a forest that is given the column knows everything.
        let labels_f32: Vec<f32> = labels.iter().map(|label| f32::from(*label)).collect();
        let trees = forest::fit(&features, &labels_f32, 42).unwrap();
        assert!(auc(&labels, &trees.predict_all(&features)).unwrap() > 0.999);
        // Without it, nothing is left to know.
        let honest = Matrix { values: features.column(0).collect(), width: 1 };
        assert_eq!(leak(&["frequency"], &honest, &labels), None);
    }
}
