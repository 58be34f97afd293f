//! MleFit likelihood over positive parameters, with standard errors.
//!
//! Works on logarithms of the parameters, so that none can leave its domain, and climbs by L-BFGS
//! (argmin) from several starts. Standard errors come from the curvature at the top.

use argmin::core::{CostFunction, Error, Executor, Gradient, State};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;
use linfa_linalg::cholesky::InverseC;
use ndarray::Array2;
use rayon::prelude::*;

/// Logarithms beyond this one are as good as infinite, and are held back.
const LOG_BOUND: f64 = 14.0;
/// A parameter so near to that has no top of its own.
const NEAR: f64 = 1.0;
/// How strongly.
const PENALTY: f64 = 10.0;
const ITERATIONS: u64 = 200;
/// Step for the curvature, in logarithms.
const STEP: f64 = 1e-4;
/// Climbs after the first one.
const MAX_RESTARTS: usize = 8;
/// A climb that gains less has come to the top: far less than what parameters are judged by.
const LEAST_GAIN: f64 = 1e-4;
/// Observations whose sums are made on one thread at a time.
const CHUNK: usize = 4_096;

/// The logarithm of a likelihood and its derivatives, at positive parameters.
pub trait LogLikelihood: Sync {
    /// The value, and the derivative by each parameter.
    fn value_and_slope(&self, parameters: &[f64]) -> (f64, Vec<f64>);
}

/// Sums over observations. Fixed parts are added in order: the same on any number of threads.
pub fn sums<T: Sync, const N: usize>(
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

/// The parameters under which the data are most likely.
#[derive(Debug, Clone, PartialEq)]
pub struct MleFit {
    /// The parameters.
    pub parameters: Vec<f64>,
    /// Their standard errors; `None` when the likelihood has no top that curves every way.
    pub standard_errors: Option<Vec<f64>>,
    /// Positions of the parameters that the likelihood wants infinite or 0.
    pub without_end: Vec<usize>,
    /// The logarithm of the likelihood.
    pub log_likelihood: f64,
}

struct Problem<'a, L>(&'a L);

impl<L: LogLikelihood> Problem<'_, L> {
    /// The negative logarithm of the likelihood at logarithms, with its gradient.
    fn at(&self, logs: &[f64]) -> (f64, Vec<f64>) {
        let parameters = exponentials(logs);
        let (value, slope) = self.0.value_and_slope(&parameters);
        let mut cost = -value;
        let mut gradient = Vec::with_capacity(logs.len());
        for index in 0..logs.len() {
            let beyond = logs[index] - logs[index].clamp(-LOG_BOUND, LOG_BOUND);
            cost += PENALTY * beyond * beyond;
            let inside = if beyond == 0.0 { -slope[index] * parameters[index] } else { 0.0 };
            gradient.push(inside + 2.0 * PENALTY * beyond);
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
    /// An error where it is no number: the line search would look for one for ever.
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

/// The highest top that is reached from `starts`; of equally high ones that of the first start.
///
/// # Errors
/// Why no climb came to a top, for the last start that did not.
pub fn maximise<L: LogLikelihood>(likelihood: &L, starts: &[Vec<f64>]) -> Result<MleFit, String> {
    let climbs: Vec<_> = starts.par_iter().map(|start| climb(likelihood, start)).collect();
    let mut best: Option<(Vec<f64>, f64)> = None;
    let mut problem = "there is nowhere to start from".to_owned();
    for climb in climbs {
        match climb {
            Ok(top) if best.as_ref().is_none_or(|best| top.1 > best.1) => best = Some(top),
            Ok(_) => {}
            Err(why) => problem = why,
        }
    }
    let (logs, log_likelihood) = best.ok_or(problem)?;
    let parameters = exponentials(&logs);
    let without_end: Vec<usize> =
        (0..logs.len()).filter(|index| logs[*index].abs() > LOG_BOUND - NEAR).collect();
    let standard_errors = if without_end.is_empty() {
        standard_errors(&Problem(likelihood), &logs, &parameters)
    } else {
        None
    };
    Ok(MleFit { parameters, standard_errors, without_end, log_likelihood })
}

/// Logarithms of the parameters at the top above a start, and the height of it.
///
/// Climbs end early on ridges. A top is where climbing again, as though from a new start, gains
/// nothing that counts.
fn climb<L: LogLikelihood>(likelihood: &L, start: &[f64]) -> Result<(Vec<f64>, f64), String> {
    let logs = start.iter().map(|parameter| parameter.ln()).collect();
    let mut reached = climb_once(likelihood, logs)?;
    for _ in 0..MAX_RESTARTS {
        let Ok(higher) = climb_once(likelihood, reached.0.clone()) else { return Ok(reached) };
        let gain = higher.1 - reached.1;
        if gain > 0.0 {
            reached = higher;
        }
        if gain < LEAST_GAIN {
            return Ok(reached);
        }
    }
    Err("the likelihood has no top that can be reached".to_owned())
}

fn climb_once<L: LogLikelihood>(likelihood: &L, logs: Vec<f64>) -> Result<(Vec<f64>, f64), String> {
    let solver = LBFGS::new(MoreThuenteLineSearch::new(), 7)
        .with_tolerance_grad(1e-5)
        .and_then(|solver| solver.with_tolerance_cost(1e-10))
        .map_err(|error| error.to_string())?;
    let climbed = Executor::new(Problem(likelihood), solver)
        .configure(|state| state.param(logs).max_iters(ITERATIONS))
        .run()
        .map_err(|error| format!("the likelihood cannot be climbed: {error}"))?;
    let logs = climbed.state().get_best_param().cloned().unwrap_or_default();
    let (value, _) = likelihood.value_and_slope(&exponentials(&logs));
    if logs.is_empty() || !value.is_finite() {
        return Err("the likelihood is not a number at its top".to_owned());
    }
    Ok((logs, value))
}

/// From the inverse of the curvature in logarithms, by the delta method.
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
            // Wider than all that is searched: as good as flat.
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
        fn value_and_slope(&self, parameters: &[f64]) -> (f64, Vec<f64>) {
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
    fn the_highest_of_the_tops_reached_is_taken() {
        let starts = [vec![0.2], vec![15.0]];
        for (other, top) in [(2.0, 3.0_f64), (0.5, -2.0)] {
            let found = maximise(&TwoHills { other }, &starts).unwrap();
            assert!((found.parameters[0].ln() - top).abs() < 1e-4, "{found:?}");
            assert!((found.log_likelihood - other.max(1.0)).abs() < 1e-6);
            assert_eq!(found.without_end, [0; 0]);
            // Curvature 2 · height by the logarithm.
            let error = found.parameters[0] / (2.0 * other.max(1.0)).sqrt();
            assert!((found.standard_errors.unwrap()[0] - error).abs() < 1e-3 * error);
        }
    }

    /// Grows with the first parameter without end; the second has its top at 1.
    struct NoEnd;

    impl LogLikelihood for NoEnd {
        fn value_and_slope(&self, parameters: &[f64]) -> (f64, Vec<f64>) {
            let (x, y) = (parameters[0], parameters[1]);
            (-100.0 - 1.0 / x - y.ln().powi(2), vec![1.0 / (x * x), -2.0 * y.ln() / y])
        }
    }

    #[test]
    fn a_likelihood_that_grows_without_end_has_no_standard_errors() {
        let found = maximise(&NoEnd, &[vec![1e5, 2.0]]).unwrap();
        assert!((found.parameters[1] - 1.0).abs() < 1e-3);
        // Level so far out that nothing is left to gain, and as good as flat.
        assert_eq!(found.standard_errors, None, "{found:?}");
    }

    /// Rises for ever.
    struct Slope;

    impl LogLikelihood for Slope {
        fn value_and_slope(&self, parameters: &[f64]) -> (f64, Vec<f64>) {
            (parameters[0].ln(), vec![1.0 / parameters[0]])
        }
    }

    #[test]
    fn what_rises_for_ever_ends_at_the_bound_and_says_so() {
        let found = maximise(&Slope, &[vec![1.0]]).unwrap();
        assert_eq!((found.without_end, found.standard_errors), (vec![0], None));
    }

    /// Falls off a cliff everywhere.
    struct Nowhere;

    impl LogLikelihood for Nowhere {
        fn value_and_slope(&self, _: &[f64]) -> (f64, Vec<f64>) {
            (f64::NAN, vec![f64::NAN])
        }
    }

    #[test]
    fn where_there_is_no_likelihood_there_is_no_top() {
        assert!(maximise(&Nowhere, &[vec![1.0]]).is_err());
        assert!(maximise(&Nowhere, &[]).is_err());
    }
}
