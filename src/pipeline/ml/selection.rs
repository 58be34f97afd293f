//! Which method serves: the one that did best on customers held out, if that beats the baseline.

use super::report::{Candidate, Metrics};

/// Methods of one task, judged on the same customers.
#[derive(Debug)]
pub struct ModelSelection<M> {
    baseline: (M, Candidate),
    tried: Vec<(Option<M>, Candidate)>,
}

impl<M> ModelSelection<M> {
    /// A contest against a baseline that has been judged.
    pub fn against(model: M, entry: Candidate) -> Self {
        Self { baseline: (model, entry), tried: Vec::new() }
    }

    /// Enters a method; `judge` puts into the entry how it did. One that could not be fitted is
    /// told of and cannot win.
    pub fn enter<F>(
        &mut self,
        mut entry: Candidate,
        fit: Result<F, String>,
        judge: impl FnOnce(F, &mut Candidate) -> M,
    ) {
        let model = match fit {
            Ok(fitted) => {
                let model = judge(fitted, &mut entry);
                let is_number = entry.figures.is_none() || error(&entry).0.is_finite();
                if !is_number {
                    entry.figures = None;
                    entry.calibration.clear();
                    entry.importances.clear();
                    entry.say("left out: what it foretells is not always a number");
                }
                is_number.then_some(model)
            }
            Err(problem) => {
                entry.fitted = 0;
                entry.say(&format!("could not be fitted: {problem}"));
                None
            }
        };
        entry.baseline.clone_from(&self.baseline.1.figures);
        self.tried.push((model, entry));
    }

    /// The baseline, and the methods that could be fitted.
    pub fn judged(&self) -> impl Iterator<Item = (&M, &Candidate)> {
        let fitted = self.tried.iter().filter_map(|(model, entry)| Some((model.as_ref()?, entry)));
        std::iter::once((&self.baseline.0, &self.baseline.1)).chain(fitted)
    }

    /// What serves, and all entries, that of what serves first.
    pub fn decide(self) -> (M, Vec<Candidate>) {
        let (mut serving, mut of_baseline) = self.baseline;
        of_baseline.baseline.clone_from(&of_baseline.figures);
        let (least, name) = error(&of_baseline);
        let mut best = (least, None);
        let mut entries = Vec::new();
        for (model, entry) in self.tried {
            let (error, _) = error(&entry);
            if let Some(model) = model
                && error < best.0
            {
                best = (error, Some(entries.len()));
                serving = model;
            }
            entries.push(entry);
        }
        if let Some(winner) = best.1 {
            entries[winner].serves = true;
            entries.swap(0, winner);
            entries.push(of_baseline);
        } else {
            of_baseline.serves = true;
            of_baseline.say(&format!(
                "no model has a lower held-out {name} than the baseline's {least:.4}, so the baseline serves"
            ));
            entries.insert(0, of_baseline);
        }
        (serving, entries)
    }
}

/// What is compared, with its name; infinite for what was not judged.
fn error(entry: &Candidate) -> (f64, &'static str) {
    match &entry.figures {
        Some(Metrics::Churn(figures)) => (figures.brier, "Brier score"),
        Some(Metrics::Clv(figures)) => (figures.mae, "mean absolute error"),
        None => (f64::INFINITY, "error"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::ml::metrics::amounts;
    use crate::pipeline::ml::report::{Method, Task};

    fn entry(method: Method, foretold: f64) -> Candidate {
        let mut entry = Candidate::new(Task::Clv, method, "", "");
        entry.figures = Some(Metrics::Clv(amounts(&[10.0], &[foretold])));
        entry
    }

    fn decide(foretold: &[f64]) -> (usize, Vec<Candidate>) {
        let mut contest = ModelSelection::against(0, entry(Method::Baseline, 12.0));
        for (index, foretold) in foretold.iter().enumerate() {
            let fit = Ok::<_, String>(index + 1);
            contest.enter(entry(Method::Boosted, *foretold), fit, |model, _| model);
        }
        contest.enter(entry(Method::Nbd, 10.0), Err::<usize, _>("no top".to_owned()), |m, _| m);
        contest.decide()
    }

    #[test]
    fn the_least_error_serves_and_comes_first() {
        let (serving, entries) = decide(&[13.0, 10.5, 11.5]);
        assert_eq!(serving, 2);
        assert!(entries[0].serves);
        assert_eq!(entries.iter().filter(|entry| entry.serves).count(), 1);
        assert!(entries.iter().all(|entry| entry.baseline.is_some()));
    }

    #[test]
    fn what_foretells_no_number_is_left_out_and_says_so() {
        let (serving, entries) = decide(&[f64::NAN, 11.0]);
        assert_eq!(serving, 2);
        let silent =
            entries.iter().find(|entry| entry.figures.is_none() && entry.method == Method::Boosted);
        assert!(silent.unwrap().note.contains("not always a number"));
    }

    #[test]
    fn the_baseline_serves_when_nothing_beats_it_and_says_so() {
        let (serving, entries) = decide(&[12.0, 8.0]);
        assert_eq!(serving, 0);
        assert_eq!((entries[0].method, entries[0].serves), (Method::Baseline, true));
        assert!(entries[0].note.contains("no model has a lower held-out mean absolute error"));
    }

    #[test]
    fn what_could_not_be_fitted_says_why_and_never_serves() {
        let (_, entries) = decide(&[]);
        let failed = entries.iter().find(|entry| entry.method == Method::Nbd).unwrap();
        assert_eq!((failed.serves, failed.note.as_str()), (false, "could not be fitted: no top"));
    }
}
