//! The mean amount of a transaction: the Gamma-Gamma model.
//!
//! Amounts of a customer are Gamma(p, nu), with nu ~ Gamma(q, gamma) over customers, independent of
//! how often they buy (Fader & Hardie 2013, "The Gamma-Gamma Model of Monetary Value").

use serde::{Deserialize, Serialize};
use statrs::function::gamma::{digamma, ln_gamma};

use crate::pipeline::ml::history::Purchases;
use crate::pipeline::ml::methods::likelihood::{LogLikelihood, MleFit, maximise, sums};

/// A customer's transactions and their mean amount: all that the model uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spend {
    /// Transactions, at least one.
    pub transactions: u32,
    /// Their mean amount less refunds, EUR, at least 0.
    pub mean: f64,
}

impl Spend {
    /// Computed from all purchases, those of one day being one transaction. The first transaction
    /// counts too: its amount is distributed like the others.
    pub(crate) fn of(purchases: Purchases<'_>) -> Self {
        let transactions = purchases.transactions();
        Self { transactions, mean: purchases.spend() / f64::from(transactions) }
    }
}

/// A fitted model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SpendModel {
    /// Shape of the amounts.
    pub p: f64,
    /// Shape of the customers' levels.
    pub q: f64,
    /// Rate of the customers' levels, EUR.
    pub gamma: f64,
}

/// A fitted model and how well the data determine it.
#[derive(Debug, Clone, PartialEq)]
pub struct SpendFit {
    /// The model.
    pub model: SpendModel,
    /// The estimates of p, q and gamma.
    pub mle: MleFit,
}

/// Spends with the sums that the likelihood needs at any parameters.
struct SpendSums<'a> {
    spends: &'a [Spend],
    /// Customers by number of transactions.
    by_count: Vec<(u32, f64)>,
    /// Sum over customers of ln mean, and of transactions · ln(transactions · mean).
    sums: [f64; 2],
}

impl<'a> SpendSums<'a> {
    #[allow(clippy::cast_precision_loss)]
    fn new(spends: &'a [Spend]) -> Self {
        let mut counts: Vec<u32> = spends.iter().map(|spend| spend.transactions).collect();
        counts.sort_unstable();
        let by_count = counts.chunk_by(|a, b| a == b).map(|e| (e[0], e.len() as f64)).collect();
        let mut sums = [0.0; 2];
        for spend in spends {
            let x = f64::from(spend.transactions);
            sums[0] += spend.mean.ln();
            sums[1] += x * (x * spend.mean).ln();
        }
        Self { spends, by_count, sums }
    }
}

impl LogLikelihood for SpendSums<'_> {
    /// Sum of ln Γ(px + q) - ln Γ(px) - ln Γ(q) + q ln γ + (px - 1) ln m + px ln x
    /// - (px + q) ln(γ + x m), and its derivatives by p, q and γ.
    #[allow(clippy::cast_precision_loss)]
    fn value_and_gradient(&self, parameters: &[f64]) -> (f64, Vec<f64>) {
        let (p, q, gamma) = (parameters[0], parameters[1], parameters[2]);
        let customers = self.spends.len() as f64;
        let mut value =
            customers * (q * gamma.ln() - ln_gamma(q)) + p * self.sums[1] - self.sums[0];
        let mut gradient =
            vec![self.sums[1], customers * (gamma.ln() - digamma(q)), customers * q / gamma];
        for (x, count) in &self.by_count {
            let (shape, both) = (p * f64::from(*x), p * f64::from(*x) + q);
            value += count * (ln_gamma(both) - ln_gamma(shape));
            gradient[0] += count * f64::from(*x) * (digamma(both) - digamma(shape));
            gradient[1] += count * digamma(both);
        }
        let sum = sums(self.spends, |spend| {
            let x = f64::from(spend.transactions);
            let level = gamma + x * spend.mean;
            let (log, both) = (level.ln(), p * x + q);
            [both * log, x * log, log, both / level]
        });
        value -= sum[0];
        for index in 0..3 {
            gradient[index] -= sum[index + 1];
        }
        (value, gradient)
    }
}

/// Fits the model by maximum likelihood to the customers with a mean above 0: amounts of others are
/// none that the model knows.
///
/// # Errors
/// When there is no such customer, or no maximum of the likelihood.
#[allow(clippy::cast_precision_loss)]
pub fn fit(spends: &[Spend]) -> Result<SpendFit, String> {
    let positive: Vec<Spend> = spends.iter().copied().filter(|spend| spend.mean > 0.0).collect();
    let spends = positive.as_slice();
    if spends.is_empty() {
        return Err("there is no customer to learn from".to_owned());
    }
    let mean = spends.iter().map(|spend| spend.mean).sum::<f64>() / spends.len() as f64;
    // p γ / (q - 1) is the mean of all amounts.
    let level = |p: f64, q: f64| vec![p, q, (mean * (q - 1.0) / p).max(1e-3)];
    let starts = [level(4.0, 4.0), level(1.0, 2.0), level(20.0, 1.2)];
    let mle = maximise(&SpendSums::new(spends), &starts)?;
    let at = |index: usize| mle.parameters[index];
    let model = SpendModel { p: at(0), q: at(1), gamma: at(2) };
    Ok(SpendFit { model, mle })
}

impl SpendModel {
    pub(crate) const PARAMETER_NAMES: [&str; 3] = ["p", "q", "gamma"];

    /// Whether the population mean is finite, so that a customer's mean can be drawn towards it.
    pub(crate) fn has_mean(&self) -> bool {
        self.q > 1.0
    }

    /// The expected amount of a customer's transactions (Fader & Hardie 2013, equation 5), EUR:
    /// between their own mean and the population mean; their own where that is not finite (q <= 1).
    #[must_use]
    pub fn expected_amount(&self, spend: Spend) -> f64 {
        let x = f64::from(spend.transactions);
        let expected = self.p * (self.gamma + spend.mean * x) / (self.p * x + self.q - 1.0);
        if self.has_mean() && expected.is_finite() { expected } else { spend.mean }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expected_amount_lies_between_the_customers_mean_and_the_population_mean() {
        // Fader & Hardie 2013: CDNOW, p = 6.25, q = 3.74, gamma = 15.44; population mean 35.2.
        let model = SpendModel { p: 6.25, q: 3.74, gamma: 15.44 };
        let population = 6.25 * 15.44 / 2.74;
        let found = model.expected_amount(Spend { transactions: 1, mean: 50.0 });
        // 6.25 * (15.44 + 50) / (6.25 + 2.74)
        assert!((found - 45.495).abs() < 1e-2);
        assert!(population < found && found < 50.0);
        let many = model.expected_amount(Spend { transactions: 1000, mean: 50.0 });
        assert!((many - 50.0).abs() < 0.05);
    }

    #[test]
    fn the_gradient_is_that_of_the_value() {
        let spends = [(1, 20.0), (3, 55.0), (7, 31.5)]
            .map(|(transactions, mean)| Spend { transactions, mean });
        let likelihood = SpendSums::new(&spends);
        let at = [5.0, 3.0, 16.0];
        let (_, gradient) = likelihood.value_and_gradient(&at);
        for index in 0..3 {
            let moved = |step: f64| {
                let mut at = at;
                at[index] += step;
                likelihood.value_and_gradient(&at).0
            };
            let numerical = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!(
                (numerical - gradient[index]).abs() < 1e-5,
                "{index}: {numerical} {}",
                gradient[index]
            );
        }
    }
}
