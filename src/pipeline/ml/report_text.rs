//! Words for models of buying, wherever they are offered.

use super::report::Candidate;
use crate::domain::text::counted;
use crate::pipeline::ml::methods::bg_nbd::{self, Dropout, Fitted};
use crate::pipeline::ml::methods::gamma_gamma;
use crate::pipeline::ml::methods::likelihood::MleFit;

/// What fits a model that no library of ours has: our own code, with the library it climbs by.
pub const CLIMBED: &str = "goldsmith, argmin 0.11";
/// What makes a rule.
pub const OURS: &str = "goldsmith";

/// What the model of amounts is called.
pub const GAMMA_GAMMA: &str = "Gamma-Gamma";

/// What a model of buying is called.
#[must_use]
pub fn name(dropout: Dropout) -> &'static str {
    match dropout {
        Dropout::Never => "NBD",
        Dropout::AfterRepeat => "BG/NBD",
        Dropout::AfterAny => "MBG/NBD",
    }
}

/// Why nothing is learnt from few customers.
#[must_use]
pub fn too_few_by_the_cut_off(customers: usize, least: usize) -> String {
    format!(
        "skipped: {} had bought by the cut-off, and fewer than {least} are too few to learn from, so the baseline serves",
        counted(customers, "customer")
    )
}

/// Says so when the same is foretold of everybody.
pub fn constant(foretold: &[f64], entry: &mut Candidate) {
    if foretold.len() > 1 && foretold.windows(2).all(|two| two[0].total_cmp(&two[1]).is_eq()) {
        entry.say("it foretells the same of all customers held out: nothing that was tried tells them apart better");
    }
}

/// A parameter: four decimals, small ones in scientific notation.
fn figure(value: f64) -> String {
    if value.abs() < 0.01 { format!("{value:.3e}") } else { format!("{value:.4}") }
}

/// Puts parameters and likelihood of a fit into its entry.
pub fn buying(fitted: &Fitted, entry: &mut Candidate) {
    let bg_nbd::PurchaseModel { r, alpha, a, b, .. } = fitted.model;
    entry.log_likelihood = Some(fitted.maximum.log_likelihood);
    let name = name(fitted.model.dropout);
    parameters(name, fitted.model.parameter_names(), &[r, alpha, a, b], &fitted.maximum, entry);
}

/// Puts the parameters of a fit of amounts into its entry.
pub fn spending(fitted: &gamma_gamma::Fitted, entry: &mut Candidate) {
    let gamma_gamma::SpendModel { p, q, gamma } = fitted.model;
    let names = &gamma_gamma::SpendModel::PARAMETER_NAMES;
    parameters(GAMMA_GAMMA, names, &[p, q, gamma], &fitted.maximum, entry);
    if !fitted.model.has_mean() {
        entry.say(&format!(
            "{GAMMA_GAMMA}: amounts vary so much between customers that their mean is not finite (q <= 1), so each customer's own mean is what a transaction is worth"
        ));
    }
}

/// `r = 0.243 (standard error 0.013)`, one text per parameter, and a sentence where there is no
/// top.
fn parameters(
    model: &str,
    names: &[&str],
    values: &[f64],
    maximum: &MleFit,
    entry: &mut Candidate,
) {
    for (index, (name, value)) in names.iter().zip(values).enumerate() {
        let error = maximum.standard_errors.as_ref().map(|errors| errors[index]);
        let error = error.map_or("no standard error".to_owned(), |error| {
            format!("standard error {}", figure(error))
        });
        entry.parameters.push(format!("{name} = {} ({error})", figure(*value)));
    }
    let without_end: Vec<&str> = maximum.without_end.iter().map(|index| names[*index]).collect();
    if !without_end.is_empty() {
        entry.say(&format!(
            "{model}: the data do not determine {}, whose likelihood grows towards a bound, so there are no standard errors",
            without_end.join(", ")
        ));
    } else if maximum.standard_errors.is_none() {
        entry.say(&format!(
            "{model}: the likelihood is flat at its top, so there are no standard errors"
        ));
    }
}
