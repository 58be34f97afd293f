//! Words for models of buying, wherever they are offered.

use super::buying::{Dropout, Fitted};
use super::likelihood::Maximum;
use super::report::{Entry, Method};
use super::spending;

/// What fits a model that no library of ours has: our own code, with the library it climbs by.
pub const CLIMBED: &str = "goldsmith, argmin 0.11";
/// What makes a rule.
pub const OURS: &str = "goldsmith";

/// The method that goes by a kind of dropout.
#[must_use]
pub fn method(dropout: Dropout) -> Method {
    match dropout {
        Dropout::Never => Method::Nbd,
        Dropout::AfterRepeat => Method::BgNbd,
        Dropout::AfterAny => Method::MbgNbd,
    }
}

/// Algorithm and library of a model of buying that foretells silence.
#[must_use]
pub fn churn(dropout: Dropout) -> (&'static str, &'static str) {
    let algorithm = match dropout {
        Dropout::Never => "NBD: buying without an end; P(no purchase in the horizon)",
        Dropout::AfterRepeat => "BG/NBD; P(no purchase in the horizon)",
        Dropout::AfterAny => "MBG/NBD; P(no purchase in the horizon)",
    };
    (algorithm, CLIMBED)
}

/// Puts parameters and likelihood of a fit into its entry.
pub fn buying(fitted: &Fitted, entry: &mut Entry) {
    entry.log_likelihood = Some(fitted.maximum.log_likelihood);
    entry.parameters.extend(parameters(&fitted.model.parameters(), &fitted.maximum));
}

/// The parameters of a fit of amounts, in words.
#[must_use]
pub fn spending(fitted: &spending::Fitted) -> Vec<String> {
    let model = &fitted.model;
    let named = [("p", model.p), ("q", model.q), ("gamma", model.gamma)];
    parameters(&named, &fitted.maximum)
}

/// `r = 0.243 (standard error 0.013)`, one text per parameter.
fn parameters(named: &[(&'static str, f64)], maximum: &Maximum) -> Vec<String> {
    named
        .iter()
        .zip(&maximum.standard_errors)
        .map(|((name, value), error)| match error {
            Some(error) => format!("{name} = {value:.4} (standard error {error:.4})"),
            None => format!("{name} = {value:.4} (not determined by the data)"),
        })
        .collect()
}
