//! Maximum likelihood over positive parameters, with standard errors.
//!
//! Optimises the logarithms of the parameters, so that none can leave its domain, by L-BFGS
//! (argmin) from several starting points. Standard errors come from the curvature at the maximum.

use argmin::core::{CostFunction, Error, Executor, Gradient, State};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;
use linfa_linalg::cholesky::InverseC;
use ndarray::Array2;
use rayon::prelude::*;

/// Logarithms beyond this bound are as good as infinite, and are penalised.
const LOG_BOUND: f64 = 14.0;
/// A parameter within this distance of the bound has no maximum of its own.
const BOUND_MARGIN: f64 = 1.0;
/// Weight of the squared excess over the bound.
const PENALTY: f64 = 10.0;
const MAX_ITERATIONS: u64 = 200;
/// Step of the finite differences for the curvature, in logarithms.
const STEP: f64 = 1e-4;
/// Searches after the first one.
const MAX_RESTARTS: usize = 8;
/// A restart that gains less has converged: far less than the standard errors can show.
const MIN_GAIN: f64 = 1e-4;
/// Observations that one thread adds up at a time.
const CHUNK: usize = 4_096;

/// The logarithm of a likelihood and its gradient, at positive parameters.
pub(crate) trait LogLikelihood: Sync {
    /// The value, and the derivative by each parameter.
    fn value_and_gradient(&self, parameters: &[f64]) -> (f64, Vec<f64>);
}

/// Sums over observations. Chunks of a fixed size are added in order, so that the result is the
/// same on any number of threads.
pub(crate) fn sums<T: Sync, const N: usize>(
    observations: &[T],
    values: impl Fn(&T) -> [f64; N] + Sync,
) -> [f64; N] {
    let add = |mut sum: [f64; N], more: [f64; N]| {
        for (total, value) in sum.iter_mut().zip(more) {
            *total += value;
        }
        sum
    };
    let of_chunk = |chunk: &[T]| chunk.iter().map(&values).fold([0.0; N], add);
    let parts: Vec<[f64; N]> = observations.par_chunks(CHUNK).map(of_chunk).collect();
    parts.into_iter().fold([0.0; N], add)
}

/// A maximum likelihood estimate.
#[derive(Debug, Clone, PartialEq)]
pub struct MleFit {
    /// The estimates.
    pub parameters: Vec<f64>,
    /// Their standard errors; `None` when the likelihood is flat in some direction.
    pub standard_errors: Option<Vec<f64>>,
    /// Positions of the parameters that the likelihood drives to infinity or 0.
    pub unbounded: Vec<usize>,
    /// The logarithm of the likelihood at the estimates.
    pub log_likelihood: f64,
}

struct Problem<'a, L>(&'a L);

impl<L: LogLikelihood> Problem<'_, L> {
    /// The negative logarithm of the likelihood at logarithms, with its gradient.
    fn at(&self, logs: &[f64]) -> (f64, Vec<f64>) {
        let parameters = exponentials(logs);
        let (value, by_parameter) = self.0.value_and_gradient(&parameters);
        let mut cost = -value;
        let mut gradient = Vec::with_capacity(logs.len());
        for index in 0..logs.len() {
            let excess = logs[index] - logs[index].clamp(-LOG_BOUND, LOG_BOUND);
            cost += PENALTY * excess * excess;
            let inside = if excess == 0.0 { -by_parameter[index] * parameters[index] } else { 0.0 };
            gradient.push(inside + 2.0 * PENALTY * excess);
        }
        (cost, gradient)
    }
}

fn exponentials(logs: &[f64]) -> Vec<f64> {
    logs.iter().map(|log| log.clamp(-LOG_BOUND, LOG_BOUND).exp()).collect()
}

impl<L: LogLikelihood> CostFunction for Problem<'_, L> {
    type Param = Vec<f64>;
    type Output = f64;
    /// An error where the cost is not a number: the line search would never end.
    fn cost(&self, logs: &Vec<f64>) -> Result<f64, Error> {
        let (cost, _) = self.at(logs);
        if cost.is_finite() { Ok(cost) } else { Err(Error::msg("it is not a number everywhere")) }
    }
}

impl<L: LogLikelihood> Gradient for Problem<'_, L> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;
    fn gradient(&self, logs: &Vec<f64>) -> Result<Vec<f64>, Error> {
        Ok(self.at(logs).1)
    }
}

/// The highest maximum that is reached from `starts`; of equal ones, that of the first start.
///
/// # Errors
/// When no search converges: the reason of the last one.
pub(crate) fn maximise<L: LogLikelihood>(
    likelihood: &L,
    starts: &[Vec<f64>],
) -> Result<MleFit, String> {
    let searches: Vec<_> = starts.par_iter().map(|start| search(likelihood, start)).collect();
    let mut best: Option<(Vec<f64>, f64)> = None;
    let mut problem = "there is no starting point".to_owned();
    for found in searches {
        match found {
            Ok(found) if best.as_ref().is_none_or(|best| found.1 > best.1) => best = Some(found),
            Ok(_) => {}
            Err(reason) => problem = reason,
        }
    }
    let (logs, log_likelihood) = best.ok_or(problem)?;
    let parameters = exponentials(&logs);
    let unbounded: Vec<usize> =
        (0..logs.len()).filter(|index| logs[*index].abs() > LOG_BOUND - BOUND_MARGIN).collect();
    let standard_errors = if unbounded.is_empty() {
        standard_errors(&Problem(likelihood), &logs, &parameters)
    } else {
        None
    };
    Ok(MleFit { parameters, standard_errors, unbounded, log_likelihood })
}

/// Logarithms of the parameters at the maximum that is reached from a start, and its value.
///
/// A search ends early on a ridge. It has converged when searching again from where it ended gains
/// nothing that counts.
fn search<L: LogLikelihood>(likelihood: &L, start: &[f64]) -> Result<(Vec<f64>, f64), String> {
    let logs = start.iter().map(|parameter| parameter.ln()).collect();
    let mut best = search_once(likelihood, logs)?;
    for _ in 0..MAX_RESTARTS {
        let Ok(higher) = search_once(likelihood, best.0.clone()) else { return Ok(best) };
        let gain = higher.1 - best.1;
        if gain > 0.0 {
            best = higher;
        }
        if gain < MIN_GAIN {
            return Ok(best);
        }
    }
    Err("the likelihood has no top that can be reached".to_owned())
}

fn search_once<L: LogLikelihood>(
    likelihood: &L,
    logs: Vec<f64>,
) -> Result<(Vec<f64>, f64), String> {
    let solver = LBFGS::new(MoreThuenteLineSearch::new(), 7)
        .with_tolerance_grad(1e-5)
        .and_then(|solver| solver.with_tolerance_cost(1e-10))
        .map_err(|error| error.to_string())?;
    let result = Executor::new(Problem(likelihood), solver)
        .configure(|state| state.param(logs).max_iters(MAX_ITERATIONS))
        .run()
        .map_err(|error| format!("the likelihood cannot be climbed: {error}"))?;
    let logs = result.state().get_best_param().cloned().unwrap_or_default();
    let (value, _) = likelihood.value_and_gradient(&exponentials(&logs));
    if logs.is_empty() || !value.is_finite() {
        return Err("the likelihood is not a number at its top".to_owned());
    }
    Ok((logs, value))
}

/// From the inverse of the curvature (in logarithms), by the delta method.
fn standard_errors<L: LogLikelihood>(
    problem: &Problem<'_, L>,
    logs: &[f64],
    parameters: &[f64],
) -> Option<Vec<f64>> {
    let count = logs.len();
    let mut curvature = Array2::<f64>::zeros((count, count));
    for column in 0..count {
        let moved = |step: f64| {
            let mut logs = logs.to_vec();
            logs[column] += step;
            problem.at(&logs).1
        };
        let (ahead, behind) = (moved(STEP), moved(-STEP));
        for row in 0..count {
            curvature[[row, column]] = (ahead[row] - behind[row]) / (2.0 * STEP);
        }
    }
    let symmetric = (&curvature + &curvature.t()) / 2.0;
    let covariance = symmetric.invc().ok()?;
    (0..count)
        .map(|index| {
            let error = covariance[[index, index]].sqrt();
            // Wider than the range that is searched: as good as flat.
            (error > 0.0 && error < LOG_BOUND).then(|| error * parameters[index])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two hills over the logarithm of one parameter: at -2 of height 1, at 3 of height `other`.
    struct TwoHills {
        other: f64,
    }

    impl LogLikelihood for TwoHills {
        fn value_and_gradient(&self, parameters: &[f64]) -> (f64, Vec<f64>) {
            let log = parameters[0].ln();
            let hill = |at: f64, height: f64| {
                let value = height * (-(log - at).powi(2)).exp();
                (value, -2.0 * (log - at) * value)
            };
            let (one, other) = (hill(-2.0, 1.0), hill(3.0, self.other));
            (one.0 + other.0, vec![(one.1 + other.1) / parameters[0]])
        }
    }

    #[test]
    fn the_highest_maximum_reached_is_taken() {
        let starts = [vec![0.2], vec![15.0]];
        for (other, top) in [(2.0, 3.0_f64), (0.5, -2.0)] {
            let found = maximise(&TwoHills { other }, &starts).unwrap();
            assert!((found.parameters[0].ln() - top).abs() < 1e-4, "{found:?}");
            assert!((found.log_likelihood - other.max(1.0)).abs() < 1e-6);
            assert_eq!(found.unbounded, [0; 0]);
            // The curvature by the logarithm is 2 · height.
            let error = found.parameters[0] / (2.0 * other.max(1.0)).sqrt();
            assert!((found.standard_errors.unwrap()[0] - error).abs() < 1e-3 * error);
        }
    }

    /// Grows with the first parameter without bound; the second has its maximum at 1.
    struct Unbounded;

    impl LogLikelihood for Unbounded {
        fn value_and_gradient(&self, parameters: &[f64]) -> (f64, Vec<f64>) {
            let (x, y) = (parameters[0], parameters[1]);
            (-100.0 - 1.0 / x - y.ln().powi(2), vec![1.0 / (x * x), -2.0 * y.ln() / y])
        }
    }

    #[test]
    fn a_likelihood_that_grows_without_bound_has_no_standard_errors() {
        let found = maximise(&Unbounded, &[vec![1e5, 2.0]]).unwrap();
        assert!((found.parameters[1] - 1.0).abs() < 1e-3);
        // So far out nothing is left to gain: as good as flat.
        assert_eq!(found.standard_errors, None, "{found:?}");
    }

    /// Rises everywhere.
    struct Slope;

    impl LogLikelihood for Slope {
        fn value_and_gradient(&self, parameters: &[f64]) -> (f64, Vec<f64>) {
            (parameters[0].ln(), vec![1.0 / parameters[0]])
        }
    }

    #[test]
    fn a_likelihood_that_rises_everywhere_is_reported_as_unbounded() {
        let found = maximise(&Slope, &[vec![1.0]]).unwrap();
        assert_eq!((found.unbounded, found.standard_errors), (vec![0], None));
    }

    /// Not a number anywhere.
    struct Undefined;

    impl LogLikelihood for Undefined {
        fn value_and_gradient(&self, _: &[f64]) -> (f64, Vec<f64>) {
            (f64::NAN, vec![f64::NAN])
        }
    }

    #[test]
    fn an_undefined_likelihood_has_no_maximum() {
        assert!(maximise(&Undefined, &[vec![1.0]]).is_err());
        assert!(maximise(&Undefined, &[]).is_err());
    }
}
