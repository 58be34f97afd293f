//! Phrases that candidates of several tasks share: parameters of purchase models, reasons, notes.

use super::methods::bg_nbd::{PurchaseFit, PurchaseModel};
use super::methods::gamma_gamma::{SpendFit, SpendModel};
use super::methods::likelihood::MleFit;
use super::report::Candidate;
use crate::domain::text::counted;

/// The library column of purchase models: no library has them, argmin optimises their likelihood.
pub(crate) const LIKELIHOOD_LIBRARY: &str = "goldsmith, argmin 0.11";
/// The library column of rules.
pub(crate) const GOLDSMITH: &str = "goldsmith";
/// How a sample was drawn that does not look at labels.
pub(crate) const RANDOM_SAMPLE: &str = "drawn at random";
/// The name of the model of amounts.
pub(crate) const GAMMA_GAMMA: &str = "Gamma-Gamma";

/// The reason that so few customers are not learnt from.
pub(crate) fn too_few_by_the_cut_off(customers: usize, least: usize) -> String {
    format!(
        "skipped: {} had bought by the cut-off, and fewer than {least} are too few to learn from, so the baseline serves",
        counted(customers, "customer")
    )
}

/// Notes that all customers have the same prediction, if so.
pub(crate) fn note_constant(predicted: &[f64], candidate: &mut Candidate) {
    if predicted.len() > 1 && predicted.windows(2).all(|two| two[0].total_cmp(&two[1]).is_eq()) {
        candidate.add_note("it predicts the same for all customers held out: nothing that was tried tells them apart better");
    }
}

/// Four decimals; small values in scientific notation.
fn format_parameter(value: f64) -> String {
    if value.abs() < 0.01 { format!("{value:.3e}") } else { format!("{value:.4}") }
}

/// Puts parameters and likelihood of a fit of purchase frequency into its candidate.
pub(crate) fn report_purchases(fit: &PurchaseFit, candidate: &mut Candidate) {
    let PurchaseModel { dropout, r, alpha, a, b } = fit.model;
    candidate.log_likelihood = Some(fit.mle.log_likelihood);
    let names = fit.model.parameter_names();
    report_parameters(dropout.model_name(), names, &[r, alpha, a, b], &fit.mle, candidate);
}

/// Puts the parameters of a fit of amounts into its candidate.
pub fn report_spend(fit: &SpendFit, candidate: &mut Candidate) {
    let SpendModel { p, q, gamma } = fit.model;
    let names = &SpendModel::PARAMETER_NAMES;
    report_parameters(GAMMA_GAMMA, names, &[p, q, gamma], &fit.mle, candidate);
    if !fit.model.has_mean() {
        candidate.add_note(&format!(
            "{GAMMA_GAMMA}: amounts vary so much between customers that their mean is not finite (q <= 1), so each customer's own mean is what a transaction is worth"
        ));
    }
}

/// `r = 0.243 (standard error 0.013)`, one text per parameter, with a note where the likelihood has
/// no proper maximum.
fn report_parameters(
    model: &str,
    names: &[&str],
    values: &[f64],
    mle: &MleFit,
    candidate: &mut Candidate,
) {
    for (index, (name, value)) in names.iter().zip(values).enumerate() {
        let error = mle.standard_errors.as_ref().map(|errors| errors[index]);
        let error = error.map_or("no standard error".to_owned(), |error| {
            format!("standard error {}", format_parameter(error))
        });
        candidate.parameters.push(format!("{name} = {} ({error})", format_parameter(*value)));
    }
    let unbounded: Vec<&str> = mle.unbounded.iter().map(|index| names[*index]).collect();
    if !unbounded.is_empty() {
        candidate.add_note(&format!(
            "{model}: the data do not determine {}, whose likelihood grows towards a bound, so there are no standard errors",
            unbounded.join(", ")
        ));
    } else if mle.standard_errors.is_none() {
        candidate.add_note(&format!(
            "{model}: the likelihood is flat at its top, so there are no standard errors"
        ));
    }
}
