//! Lifetime value by models of purchase frequency: expected transactions times their mean amount.

use serde::{Deserialize, Serialize};

use super::bg_nbd::{self, Dropout, PurchaseModel};
use super::gamma_gamma::SpendModel;
use crate::pipeline::ml::explain::ReferenceCustomer;
use crate::pipeline::ml::features::{AVG_BASKET, DAYS_SINCE_LAST, FREQUENCY, NAMES, TENURE};
use crate::pipeline::ml::history::YEAR_DAYS;
use crate::pipeline::ml::method::{Method, Scorer};
use crate::pipeline::ml::report::Candidate;
use crate::pipeline::ml::report_text::{self, GAMMA_GAMMA};
use crate::pipeline::ml::snapshot::CustomerSnapshot;
use crate::pipeline::ml::training_set::{Input, TrainingSet};

/// BG/NBD or MBG/NBD, with Gamma-Gamma.
pub(crate) struct PurchaseValueMethod {
    pub dropout: Dropout,
}

impl Method for PurchaseValueMethod {
    type Model = PurchaseValue;

    fn name(&self) -> &'static str {
        self.dropout.method()
    }

    fn algorithm(&self) -> String {
        format!("{} transactions × {GAMMA_GAMMA} spend", self.dropout.model_name())
    }

    fn library(&self) -> &'static str {
        report_text::LIKELIHOOD_LIBRARY
    }

    fn input(&self) -> Input {
        Input::Transactions
    }

    fn features(&self) -> Vec<&'static str> {
        [DAYS_SINCE_LAST, FREQUENCY, TENURE, AVG_BASKET].map(|feature| NAMES[feature]).to_vec()
    }

    fn fit(
        &self,
        training: &TrainingSet,
        candidate: &mut Candidate,
    ) -> Result<PurchaseValue, String> {
        let purchases = bg_nbd::fit(self.dropout, &training.patterns)?;
        let spend = training.spend_fit().map_err(|reason| format!("{GAMMA_GAMMA}: {reason}"))?;
        report_text::report_purchases(&purchases, candidate);
        report_text::report_spend(spend, candidate);
        Ok(PurchaseValue(purchases.model, spend.model, training.reference))
    }
}

/// A model of purchase frequency, a model of amounts, and the customer that others are compared
/// with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PurchaseValue(PurchaseModel, SpendModel, ReferenceCustomer);

impl Scorer for PurchaseValue {
    fn method(&self) -> &'static str {
        self.0.dropout.method()
    }

    fn predict(&self, snapshot: &CustomerSnapshot<'_>, row: usize, days_ahead: f64) -> f64 {
        let Self(purchases, spend, _) = self;
        let transactions = purchases.expected_transactions(snapshot.patterns[row], days_ahead);
        transactions * spend.expected_amount(snapshot.spends[row]) * YEAR_DAYS / days_ahead
    }

    fn effects(
        &self,
        snapshot: &CustomerSnapshot<'_>,
        row: usize,
        days_ahead: f64,
    ) -> Vec<(usize, f64)> {
        let Self(model, spend_model, reference) = self;
        let (pattern, spend) = (snapshot.patterns[row], snapshot.spends[row]);
        let scale = YEAR_DAYS / days_ahead;
        let in_a_year = |pattern| model.expected_transactions(pattern, days_ahead) * scale;
        let (transactions, amount) = (in_a_year(pattern), spend_model.expected_amount(spend));
        let mut effects: Vec<(usize, f64)> = reference
            .counterfactuals(pattern)
            .into_iter()
            .map(|(feature, other)| (feature, (transactions - in_a_year(other)) * amount))
            .collect();
        let usual = spend_model.expected_amount(reference.with_median_amount(spend));
        effects.push((AVG_BASKET, transactions * (amount - usual)));
        effects
    }
}
