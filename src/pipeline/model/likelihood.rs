//! Maximum likelihood over positive parameters, with standard errors.
//!
//! Works on logarithms of the parameters, so that none can leave its domain, and climbs by L-BFGS
//! (argmin). Standard errors come from the curvature at the top.

use argmin::core::{CostFunction, Error, Executor, Gradient, State};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;
use linfa_linalg::cholesky::InverseC;
use ndarray::Array2;

/// Logarithms beyond this one are as good as infinite, and are held back.
const MOST_LOG: f64 = 14.0;
/// A parameter so near to that has no top of its own.
const NEAR: f64 = 1.0;
/// How strongly.
const HOLD_BACK: f64 = 10.0;
const ITERATIONS: u64 = 200;
/// Step for the curvature, in logarithms.
const STEP: f64 = 1e-4;

/// The logarithm of a likelihood and its derivatives, at positive parameters.
pub trait LogLikelihood: Sync {
    /// The value, and the derivative by each parameter.
    fn value_and_slope(&self, parameters: &[f64]) -> (f64, Vec<f64>);
}

/// The parameters under which the data are most likely.
#[derive(Debug, Clone, PartialEq)]
pub struct Maximum {
    /// The parameters.
    pub parameters: Vec<f64>,
    /// Their standard errors; `None` for a parameter that the data do not determine.
    pub standard_errors: Vec<Option<f64>>,
    /// The logarithm of the likelihood.
    pub log_likelihood: f64,
}

struct Problem<'a, L>(&'a L);

impl<L: LogLikelihood> Problem<'_, L> {
    /// The negative mean-free objective at logarithms, with its gradient.
    fn at(&self, logs: &[f64]) -> (f64, Vec<f64>) {
        let held: Vec<f64> = logs.iter().map(|log| log.clamp(-MOST_LOG, MOST_LOG)).collect();
        let parameters: Vec<f64> = held.iter().map(|log| log.exp()).collect();
        let (value, slope) = self.0.value_and_slope(&parameters);
        let mut cost = -value;
        let mut gradient = Vec::with_capacity(logs.len());
        for index in 0..logs.len() {
            let beyond = logs[index] - held[index];
            cost += HOLD_BACK * beyond * beyond;
            let inside = if beyond == 0.0 { -slope[index] * parameters[index] } else { 0.0 };
            gradient.push(inside + 2.0 * HOLD_BACK * beyond);
        }
        (cost, gradient)
    }
}

impl<L: LogLikelihood> CostFunction for Problem<'_, L> {
    type Param = Vec<f64>;
    type Output = f64;
    fn cost(&self, logs: &Vec<f64>) -> Result<f64, Error> {
        Ok(self.at(logs).0)
    }
}

impl<L: LogLikelihood> Gradient for Problem<'_, L> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;
    fn gradient(&self, logs: &Vec<f64>) -> Result<Vec<f64>, Error> {
        Ok(self.at(logs).1)
    }
}

/// Climbs to the top from `start`.
///
/// # Errors
/// When the climb does not come to an end on a finite likelihood.
pub fn maximise<L: LogLikelihood>(likelihood: &L, start: &[f64]) -> Result<Maximum, String> {
    let logs: Vec<f64> = start.iter().map(|parameter| parameter.ln()).collect();
    let solver = LBFGS::new(MoreThuenteLineSearch::new(), 7)
        .with_tolerance_grad(1e-5)
        .and_then(|solver| solver.with_tolerance_cost(1e-10))
        .map_err(|error| error.to_string())?;
    let climbed = Executor::new(Problem(likelihood), solver)
        .configure(|state| state.param(logs).max_iters(ITERATIONS))
        .run()
        .map_err(|error| format!("the likelihood has no top that can be reached: {error}"))?;
    let state = climbed.state();
    let best = state.get_best_param().cloned().unwrap_or_default();
    let log_likelihood = -state.get_best_cost();
    if best.is_empty() || !log_likelihood.is_finite() {
        return Err("the likelihood is not finite anywhere near the start".to_owned());
    }
    let parameters: Vec<f64> =
        best.iter().map(|log| log.clamp(-MOST_LOG, MOST_LOG).exp()).collect();
    let standard_errors = standard_errors(&Problem(likelihood), &best, &parameters);
    Ok(Maximum { parameters, standard_errors, log_likelihood })
}

/// From the inverse of the curvature in logarithms, by the delta method.
fn standard_errors<L: LogLikelihood>(
    problem: &Problem<'_, L>,
    best: &[f64],
    parameters: &[f64],
) -> Vec<Option<f64>> {
    let count = best.len();
    let mut curvature = Array2::<f64>::zeros((count, count));
    for column in 0..count {
        let moved = |step: f64| {
            let mut logs = best.to_vec();
            logs[column] += step;
            problem.at(&logs).1
        };
        let (ahead, behind) = (moved(STEP), moved(-STEP));
        for row in 0..count {
            curvature[[row, column]] = (ahead[row] - behind[row]) / (2.0 * STEP);
        }
    }
    let symmetric = (&curvature + &curvature.t()) / 2.0;
    let Ok(covariance) = symmetric.invc() else { return vec![None; count] };
    (0..count)
        .map(|index| {
            let variance = covariance[[index, index]];
            let is_inside = best[index].abs() < MOST_LOG - NEAR;
            (is_inside && variance.is_finite() && variance > 0.0)
                .then(|| variance.sqrt() * parameters[index])
                .filter(|error| error.is_finite())
        })
        .collect()
}
