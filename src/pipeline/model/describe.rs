//! Words for models of buying, wherever they are offered.

use super::buying::{self, Dropout, Fitted};
use super::likelihood::Maximum;
use super::report::Entry;
use super::spending;

/// What fits a model that no library of ours has: our own code, with the library it climbs by.
pub const CLIMBED: &str = "goldsmith, argmin 0.11";
/// What makes a rule.
pub const OURS: &str = "goldsmith";

/// The algorithm of a model of buying that foretells silence.
#[must_use]
pub fn churn(dropout: Dropout) -> &'static str {
    match dropout {
        Dropout::Never => "NBD: buying without an end; P(no purchase in the horizon)",
        Dropout::AfterRepeat => "BG/NBD; P(no purchase in the horizon)",
        Dropout::AfterAny => "MBG/NBD; P(no purchase in the horizon)",
    }
}

/// Puts parameters and likelihood of a fit into its entry.
pub fn buying(fitted: &Fitted, entry: &mut Entry) {
    let buying::Buying { r, alpha, a, b, .. } = fitted.model;
    entry.log_likelihood = Some(fitted.maximum.log_likelihood);
    parameters(fitted.model.parameter_names(), &[r, alpha, a, b], &fitted.maximum, entry);
}

/// Puts the parameters of a fit of amounts into its entry.
pub fn spending(fitted: &spending::Fitted, entry: &mut Entry) {
    let spending::Spending { p, q, gamma } = fitted.model;
    parameters(&spending::Spending::PARAMETER_NAMES, &[p, q, gamma], &fitted.maximum, entry);
    if !fitted.model.has_mean() {
        entry.say("amounts vary so much between customers that everybody's mean is not finite (q <= 1), so each customer's own mean is what a transaction is worth");
    }
}

/// `r = 0.243 (standard error 0.013)`, one text per parameter, and a sentence where there is no
/// top.
fn parameters(names: &[&str], values: &[f64], maximum: &Maximum, entry: &mut Entry) {
    for (index, (name, value)) in names.iter().zip(values).enumerate() {
        let error = maximum.standard_errors.as_ref().map(|errors| errors[index]);
        let error = error
            .map_or("no standard error".to_owned(), |error| format!("standard error {error:.4}"));
        entry.parameters.push(format!("{name} = {value:.4} ({error})"));
    }
    let without_end: Vec<&str> = maximum.without_end.iter().map(|index| names[*index]).collect();
    if !without_end.is_empty() {
        entry.say(&format!(
            "the data do not determine {}: the likelihood grows towards a bound, so there are no standard errors",
            without_end.join(" and ")
        ));
    } else if maximum.standard_errors.is_none() {
        entry.say("the likelihood is flat at its top, so there are no standard errors");
    }
}
