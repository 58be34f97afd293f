//! Churn by models of purchase frequency: the probability of no purchase in the horizon.

use serde::{Deserialize, Serialize};

use super::bg_nbd::{self, Dropout, PurchaseModel};
use crate::domain::text::counted;
use crate::pipeline::ml::explain::ReferenceCustomer;
use crate::pipeline::ml::features::{DAYS_SINCE_LAST, FREQUENCY, NAMES, TENURE, describe_value};
use crate::pipeline::ml::method::{Method, Scorer};
use crate::pipeline::ml::report::Candidate;
use crate::pipeline::ml::report_text;
use crate::pipeline::ml::snapshot::CustomerSnapshot;
use crate::pipeline::ml::training_set::{Input, TrainingSet};

/// NBD, BG/NBD or MBG/NBD.
pub(crate) struct PurchaseChurnMethod {
    pub dropout: Dropout,
}

impl Method for PurchaseChurnMethod {
    type Model = PurchaseChurn;

    fn name(&self) -> &'static str {
        self.dropout.method()
    }

    fn algorithm(&self) -> String {
        format!("{}; P(no purchase in the horizon)", self.dropout.model_name())
    }

    fn library(&self) -> &'static str {
        report_text::LIKELIHOOD_LIBRARY
    }

    fn input(&self) -> Input {
        Input::Transactions
    }

    fn features(&self) -> Vec<&'static str> {
        match self.dropout {
            Dropout::Never => vec![NAMES[FREQUENCY], NAMES[TENURE]],
            _ => vec![NAMES[DAYS_SINCE_LAST], NAMES[FREQUENCY], NAMES[TENURE]],
        }
    }

    fn fit(
        &self,
        training: &TrainingSet,
        candidate: &mut Candidate,
    ) -> Result<PurchaseChurn, String> {
        let fit = bg_nbd::fit(self.dropout, &training.patterns)?;
        report_text::report_purchases(&fit, candidate);
        Ok(PurchaseChurn(fit.model, training.reference))
    }
}

/// A model of purchase frequency, and the customer that others are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PurchaseChurn(pub PurchaseModel, pub ReferenceCustomer);

impl Scorer for PurchaseChurn {
    fn method(&self) -> &'static str {
        self.0.dropout.method()
    }

    fn predict(&self, snapshot: &CustomerSnapshot<'_>, row: usize, days_ahead: f64) -> f64 {
        self.0.p_no_purchase(snapshot.patterns[row], days_ahead)
    }

    fn effects(
        &self,
        snapshot: &CustomerSnapshot<'_>,
        row: usize,
        days_ahead: f64,
    ) -> Vec<(usize, f64)> {
        let Self(model, reference) = self;
        let pattern = snapshot.patterns[row];
        let prediction = model.p_no_purchase(pattern, days_ahead);
        let effect = |(feature, other)| {
            // Without dropout, the days since the last purchase only count as part of the tenure.
            let is_tenure = model.dropout == Dropout::Never && feature == DAYS_SINCE_LAST;
            let feature = if is_tenure { TENURE } else { feature };
            (feature, prediction - model.p_no_purchase(other, days_ahead))
        };
        reference.counterfactuals(pattern).into_iter().map(effect).collect()
    }

    fn describe_value(
        &self,
        snapshot: &CustomerSnapshot<'_>,
        row: usize,
        feature: usize,
    ) -> String {
        if feature == FREQUENCY {
            // The model counts days with a purchase, not purchases.
            return format!("bought on {}", counted(snapshot.spends[row].transactions, "day"));
        }
        describe_value(feature, snapshot.features.row(row))
    }
}
