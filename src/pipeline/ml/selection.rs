//! Model selection: the method with the least error on the test customers serves, if that beats
//! the baseline.

use super::report::{Candidate, Metrics};

/// The methods of one task, evaluated on the same customers.
#[derive(Debug)]
pub(crate) struct ModelSelection<M> {
    baseline: (M, Candidate),
    tried: Vec<(Option<M>, Candidate)>,
}

impl<M> ModelSelection<M> {
    /// A selection against an evaluated baseline.
    pub fn new(baseline: M, candidate: Candidate) -> Self {
        Self { baseline: (baseline, candidate), tried: Vec::new() }
    }

    /// Enters a method; `evaluate` fills in the candidate's metrics. One without a fit or with
    /// predictions that are not numbers is reported but cannot win.
    pub fn enter<F>(
        &mut self,
        mut candidate: Candidate,
        fit: Result<F, String>,
        evaluate: impl FnOnce(F, &mut Candidate) -> M,
    ) {
        let model = match fit {
            Ok(fitted) => {
                let model = evaluate(fitted, &mut candidate);
                let is_finite = candidate.metrics.is_none() || error(&candidate).0.is_finite();
                if !is_finite {
                    candidate.metrics = None;
                    candidate.calibration.clear();
                    candidate.importances.clear();
                    candidate.add_note("left out: what it predicts is not always a number");
                }
                is_finite.then_some(model)
            }
            Err(problem) => {
                candidate.fitted = 0;
                candidate.add_note(&format!("could not be fitted: {problem}"));
                None
            }
        };
        candidate.baseline.clone_from(&self.baseline.1.metrics);
        self.tried.push((model, candidate));
    }

    /// The baseline, and the methods that can win.
    pub fn evaluated(&self) -> impl Iterator<Item = (&M, &Candidate)> {
        let fitted = self.tried.iter();
        let fitted = fitted.filter_map(|(model, candidate)| Some((model.as_ref()?, candidate)));
        std::iter::once((&self.baseline.0, &self.baseline.1)).chain(fitted)
    }

    /// The model that serves, and all candidates, that of the model that serves first.
    pub fn select(self) -> (M, Vec<Candidate>) {
        let (mut serving, mut baseline) = self.baseline;
        baseline.baseline.clone_from(&baseline.metrics);
        let (baseline_error, name) = error(&baseline);
        let mut best = (baseline_error, None);
        let mut candidates = Vec::new();
        for (model, candidate) in self.tried {
            let (error, _) = error(&candidate);
            if let Some(model) = model
                && error < best.0
            {
                best = (error, Some(candidates.len()));
                serving = model;
            }
            candidates.push(candidate);
        }
        if let Some(winner) = best.1 {
            candidates[winner].serves = true;
            candidates.swap(0, winner);
            candidates.push(baseline);
        } else {
            baseline.serves_because(&format!(
                "no model has a lower held-out {name} than the baseline's {baseline_error:.4}, so the baseline serves"
            ));
            candidates.insert(0, baseline);
        }
        (serving, candidates)
    }
}

/// The error that is compared, with its name; infinite without an evaluation.
pub(crate) fn error(candidate: &Candidate) -> (f64, &'static str) {
    match &candidate.metrics {
        Some(Metrics::Churn(metrics)) => (metrics.brier, "Brier score"),
        Some(Metrics::Clv(metrics)) => (metrics.mae, "mean absolute error"),
        None => (f64::INFINITY, "error"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::ml::metrics::regression_metrics;
    use crate::pipeline::ml::report::{BASELINE, Task};

    fn candidate(method: &'static str, predicted: f64) -> Candidate {
        let mut candidate = Candidate::new(Task::Clv, method, "", "");
        candidate.metrics = Some(Metrics::Clv(regression_metrics(&[10.0], &[predicted])));
        candidate
    }

    fn select(predicted: &[f64]) -> (usize, Vec<Candidate>) {
        let mut selection = ModelSelection::new(0, candidate(BASELINE, 12.0));
        for (index, predicted) in predicted.iter().enumerate() {
            let fit = Ok::<_, String>(index + 1);
            selection.enter(candidate("trees", *predicted), fit, |model, _| model);
        }
        let no_fit = Err::<usize, _>("no top".to_owned());
        selection.enter(candidate("nbd", 10.0), no_fit, |model, _| model);
        selection.select()
    }

    #[test]
    fn the_least_error_serves_and_comes_first() {
        let (serving, candidates) = select(&[13.0, 10.5, 11.5]);
        assert_eq!(serving, 2);
        assert!(candidates[0].serves);
        assert_eq!(candidates.iter().filter(|candidate| candidate.serves).count(), 1);
        assert!(candidates.iter().all(|candidate| candidate.baseline.is_some()));
    }

    #[test]
    fn a_method_whose_predictions_are_not_numbers_is_left_out_with_a_note() {
        let (serving, candidates) = select(&[f64::NAN, 11.0]);
        assert_eq!(serving, 2);
        let left_out = candidates
            .iter()
            .find(|candidate| candidate.metrics.is_none() && candidate.method == "trees");
        assert!(left_out.unwrap().note.contains("not always a number"));
    }

    #[test]
    fn the_baseline_serves_when_nothing_beats_it_with_a_note() {
        let (serving, candidates) = select(&[12.0, 8.0]);
        assert_eq!(serving, 0);
        assert_eq!((candidates[0].method, candidates[0].serves), (BASELINE, true));
        assert!(candidates[0].note.contains("no model has a lower held-out mean absolute error"));
    }

    #[test]
    fn a_method_without_a_fit_says_why_and_never_serves() {
        let (_, candidates) = select(&[]);
        let failed = candidates.iter().find(|candidate| candidate.method == "nbd").unwrap();
        assert_eq!((failed.serves, failed.note.as_str()), (false, "could not be fitted: no top"));
    }
}
