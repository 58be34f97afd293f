//! Trains a supervised task: labels, split, baseline, every method, and the selection among them.
//!
//! What differs between tasks is in [`SupervisedTask`], what differs between methods in
//! [`Method`]. Start reading at [`train`].

use rayon::prelude::*;

use super::explain::importances;
use super::history::History;
use super::method::{Method, Scorer};
use super::options::TrainingOptions;
use super::report::{BASELINE, Candidate};
use super::report_text;
use super::sampling::{SeededSampler, Split};
use super::selection::{ModelSelection, error};
use super::snapshot::CustomerSnapshot;
use super::training_set::{Input, LabelledCustomers, TrainingSet};
use crate::domain::time::Timestamp;

/// What a task adds to training.
pub(crate) trait SupervisedTask: Sized {
    /// Any model that can serve the task.
    type Model: Scorer;

    /// How a sample of labelled customers was drawn, for a note.
    const STRATIFIED_BY: &'static str;

    /// The customers at the cut-off, and what they did after it.
    fn label<'a>(
        history: &'a History,
        as_of: Timestamp,
        options: &'a TrainingOptions,
    ) -> LabelledCustomers<'a>;

    /// Why nothing can be learnt from these customers, as a note.
    fn check_labels(customers: &LabelledCustomers<'_>) -> Result<(), String>;

    /// Why this split leaves nothing to fit on or to evaluate on, as a note.
    fn check_split(customers: &LabelledCustomers<'_>, split: &Split) -> Result<(), String>;

    /// The simple rules of which every method has to beat the better one, fitted on some rows. The
    /// first one is the baseline where they cannot be compared.
    fn baselines(customers: &LabelledCustomers<'_>, rows: &[usize]) -> Vec<Baseline<Self::Model>>;

    /// A rule that makes models superfluous, and why.
    fn replacement(
        _customers: &LabelledCustomers<'_>,
        _split: &Split,
    ) -> Option<(Baseline<Self::Model>, String)> {
        None
    }

    /// Runs every method of the task.
    fn try_methods(trainer: &mut Trainer<'_, Self>);

    /// Brings a prediction into the task's range.
    fn bound(prediction: f64) -> f64 {
        prediction
    }

    /// Fills in the metrics of a model on the test rows.
    fn evaluate(
        customers: &LabelledCustomers<'_>,
        model: &Self::Model,
        rows: &[usize],
        predicted: &[f64],
        candidate: &mut Candidate,
    );

    /// What the comparison of the methods shows, as a note on the one that serves.
    fn compare(_trainer: &Trainer<'_, Self>) -> Option<String> {
        None
    }

    /// Notes the limits of what serves.
    fn add_caveats(_customers: &LabelledCustomers<'_>, _candidate: &mut Candidate) {}
}

/// A rule, with what is reported of it.
pub(crate) struct Baseline<M> {
    pub model: M,
    pub algorithm: String,
    pub features: Vec<&'static str>,
    /// Customers it was fitted on.
    pub fitted: usize,
}

/// A model, and its predictions for the test customers.
pub(crate) type Evaluated<M> = (M, Vec<f64>);

/// A task during training: what methods learn from, and how they have done so far.
pub(crate) struct Trainer<'a, T: SupervisedTask> {
    pub customers: &'a LabelledCustomers<'a>,
    pub split: &'a Split,
    pub selection: ModelSelection<Evaluated<T::Model>>,
    training: TrainingSet,
}

impl<T: SupervisedTask> Trainer<'_, T> {
    /// Fits a method, evaluates the model and enters it into the selection.
    pub fn try_method<M: Method>(&mut self, method: &M, to_model: impl Fn(M::Model) -> T::Model) {
        let Self { customers, split, selection, training } = self;
        let (algorithm, input) = (method.algorithm(), method.input());
        let mut candidate = customers.candidate(method.name(), &algorithm, method.library());
        candidate.features = method.features();
        let drawn = match input {
            Input::Features => T::STRATIFIED_BY,
            Input::Transactions => report_text::RANDOM_SAMPLE,
        };
        candidate.fitted_on(training.rows(input), training.customers, drawn);
        let fit = method.fit(training, &mut candidate).map(to_model);
        selection.enter(candidate, fit, |model, candidate| {
            evaluate::<T>(customers, model, &split.test, candidate)
        });
    }
}

/// Learns from the history. Returns the model that serves and a candidate per method that was
/// tried, the one that serves first.
pub(crate) fn train<T: SupervisedTask>(
    history: &History,
    as_of: Timestamp,
    options: &TrainingOptions,
) -> (T::Model, Vec<Candidate>) {
    let customers = T::label(history, as_of, options);
    let split = match split::<T>(&customers) {
        Ok(split) => split,
        Err(reason) => return serve_baseline::<T>(&customers, &reason),
    };
    let ((baseline, mut candidate), compared) = best_baseline::<T>(&customers, &split).1;
    candidate.add_note(&compared);
    if let Some((rule, reason)) = T::replacement(&customers, &split) {
        let baseline = candidate.metrics;
        let (model, mut candidate) = report(&customers, rule);
        let (model, _) = evaluate::<T>(&customers, model, &split.test, &mut candidate);
        candidate.baseline = baseline;
        candidate.serves_because(&reason);
        return (model, vec![candidate]);
    }
    let mut trainer = Trainer {
        customers: &customers,
        split: &split,
        selection: ModelSelection::new(baseline, candidate),
        training: customers.training_set(&split),
    };
    T::try_methods(&mut trainer);
    let comparison = T::compare(&trainer);
    let ((model, predicted), mut candidates) = trainer.selection.select();
    candidates[0].add_note(&comparison.unwrap_or_default());
    report_text::note_constant(&predicted, &mut candidates[0]);
    T::add_caveats(&customers, &mut candidates[0]);
    (model, candidates)
}

/// The predictions for some rows.
pub(crate) fn predict<T: SupervisedTask>(
    model: &T::Model,
    snapshot: &CustomerSnapshot<'_>,
    rows: &[usize],
    days_ahead: f64,
) -> Vec<f64> {
    rows.par_iter().map(|row| T::bound(model.predict(snapshot, *row, days_ahead))).collect()
}

/// The rows to fit on and to evaluate on, or why nothing can be learnt.
fn split<T: SupervisedTask>(customers: &LabelledCustomers<'_>) -> Result<Split, String> {
    T::check_labels(customers)?;
    let split = hold_out(customers);
    T::check_split(customers, &split)?;
    Ok(split)
}

fn hold_out(customers: &LabelledCustomers<'_>) -> Split {
    let sampler = SeededSampler::new(customers.options.seed, customers.task.as_str());
    sampler.hold_out(&customers.snapshot.ids)
}

/// Serves a baseline where nothing can be learnt: the better one if customers can be held out, else
/// the first.
fn serve_baseline<T: SupervisedTask>(
    customers: &LabelledCustomers<'_>,
    reason: &str,
) -> (T::Model, Vec<Candidate>) {
    let all: Vec<usize> = (0..customers.len()).collect();
    let mut baselines = T::baselines(customers, &all);
    let split = hold_out(customers);
    let can_compare = baselines.len() > 1 && !split.train.is_empty() && !split.test.is_empty();
    let (position, note) = if can_compare {
        let (position, (_, note)) = best_baseline::<T>(customers, &split);
        (position, note)
    } else {
        (0, String::new())
    };
    let (model, mut candidate) = report(customers, baselines.swap_remove(position));
    candidate.serves_because(reason);
    candidate.add_note(&note);
    T::add_caveats(customers, &mut candidate);
    (model, vec![candidate])
}

/// A rule that was evaluated, with what is reported of it.
type EvaluatedBaseline<M> = (Evaluated<M>, Candidate);

/// The position of the baseline with the least error on the test customers, the first of equal ones;
/// the baseline itself, and a note on the others.
fn best_baseline<T: SupervisedTask>(
    customers: &LabelledCustomers<'_>,
    split: &Split,
) -> (usize, (EvaluatedBaseline<T::Model>, String)) {
    let evaluated = T::baselines(customers, &split.train).into_iter().map(|baseline| {
        let (model, mut candidate) = report(customers, baseline);
        let model = evaluate::<T>(customers, model, &split.test, &mut candidate);
        (model, candidate)
    });
    let mut evaluated: Vec<EvaluatedBaseline<T::Model>> = evaluated.collect();
    let of = |(_, candidate): &EvaluatedBaseline<T::Model>| error(candidate);
    let mut best = 0;
    for other in 1..evaluated.len() {
        if of(&evaluated[other]).0 < of(&evaluated[best]).0 {
            best = other;
        }
    }
    let chosen = evaluated.remove(best);
    let notes = evaluated.iter().map(|other| {
        let ((worse, name), algorithm) = (of(other), &other.1.algorithm);
        format!(
            "the better of two baselines: a held-out {name} of {:.4}, against {worse:.4} of the other, {algorithm}",
            of(&chosen).0
        )
    });
    let note = notes.collect::<Vec<_>>().join("; ");
    (best, (chosen, note))
}

fn report<M>(customers: &LabelledCustomers<'_>, rule: Baseline<M>) -> (M, Candidate) {
    let Baseline { model, algorithm, features, fitted } = rule;
    let mut candidate = customers.candidate(BASELINE, &algorithm, report_text::GOLDSMITH);
    candidate.features = features;
    candidate.fitted = fitted;
    (model, candidate)
}

/// Notes in the candidate how a model does on the test customers.
fn evaluate<T: SupervisedTask>(
    customers: &LabelledCustomers<'_>,
    model: T::Model,
    test: &[usize],
    candidate: &mut Candidate,
) -> Evaluated<T::Model> {
    let (snapshot, days_ahead) = (&customers.snapshot, customers.days_ahead());
    let predicted = predict::<T>(&model, snapshot, test, days_ahead);
    candidate.held_out = test.len();
    T::evaluate(customers, &model, test, &predicted, candidate);
    candidate.importances =
        importances(test, customers.options.seed, |row| model.effects(snapshot, row, days_ahead));
    (model, predicted)
}

/// Declares the models of a task from one list: a line has the variant of a model, its type, and
/// the methods that fit it. Makes the enum, which is stored in `models.json` under the variants'
/// serde names, its [`Scorer`], and `try_all`, which runs the methods in the order of the list.
macro_rules! task_models {
    (
        $(#[$attribute:meta])*
        pub enum $models:ident of $task:ty {
            $(
                $(#[$variant_attribute:meta])*
                $variant:ident($model:ty) by [$($method:expr),* $(,)?]
            ),+ $(,)?
        }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        pub enum $models {
            $( $(#[$variant_attribute])* $variant($model) ),+
        }

        impl $models {
            fn try_all(trainer: &mut $crate::pipeline::ml::trainer::Trainer<'_, $task>) {
                $( $( trainer.try_method(&$method, $models::$variant); )* )+
            }

            fn scorer(&self) -> &dyn $crate::pipeline::ml::method::Scorer {
                match self {
                    $( Self::$variant(model) => model ),+
                }
            }
        }

        impl $crate::pipeline::ml::method::Scorer for $models {
            fn method(&self) -> &'static str {
                self.scorer().method()
            }

            fn predict(
                &self,
                snapshot: &$crate::pipeline::ml::snapshot::CustomerSnapshot<'_>,
                row: usize,
                days_ahead: f64,
            ) -> f64 {
                self.scorer().predict(snapshot, row, days_ahead)
            }

            fn effects(
                &self,
                snapshot: &$crate::pipeline::ml::snapshot::CustomerSnapshot<'_>,
                row: usize,
                days_ahead: f64,
            ) -> Vec<(usize, f64)> {
                self.scorer().effects(snapshot, row, days_ahead)
            }

            fn classify(
                &self,
                snapshot: &$crate::pipeline::ml::snapshot::CustomerSnapshot<'_>,
                row: usize,
                probability: f64,
            ) -> bool {
                self.scorer().classify(snapshot, row, probability)
            }

            fn describe_value(
                &self,
                snapshot: &$crate::pipeline::ml::snapshot::CustomerSnapshot<'_>,
                row: usize,
                feature: usize,
            ) -> String {
                self.scorer().describe_value(snapshot, row, feature)
            }
        }
    };
}
pub(crate) use task_models;

#[cfg(test)]
mod tests {
    use polars::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::domain::time::DAY_MICROS;
    use crate::pipeline::ml::metrics::regression_metrics;
    use crate::pipeline::ml::report::{Metrics, Task};

    /// A new method: it predicts the mean of the labels.
    struct MeanMethod;

    impl Method for MeanMethod {
        type Model = Mean;

        fn name(&self) -> &'static str {
            "mean"
        }

        fn algorithm(&self) -> String {
            "the mean of the labels".to_owned()
        }

        fn library(&self) -> &'static str {
            "goldsmith"
        }

        #[allow(clippy::cast_precision_loss)]
        fn fit(&self, training: &TrainingSet, _: &mut Candidate) -> Result<Mean, String> {
            let labels = training.labels.iter().map(|label| f64::from(*label));
            Ok(Mean(labels.sum::<f64>() / training.labels.len() as f64))
        }
    }

    /// What it fits.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct Mean(f64);

    impl Scorer for Mean {
        fn method(&self) -> &'static str {
            "mean"
        }

        fn predict(&self, _: &CustomerSnapshot<'_>, _: usize, _: f64) -> f64 {
            self.0
        }

        fn effects(&self, _: &CustomerSnapshot<'_>, _: usize, _: f64) -> Vec<(usize, f64)> {
            Vec::new()
        }
    }

    task_models! {
        /// The models of a task, with a line for the new method.
        pub enum Model of SpendOfAMonth {
            Mean(Mean) by [MeanMethod],
            Nothing(Mean) by [],
        }
    }

    struct SpendOfAMonth;

    impl SupervisedTask for SpendOfAMonth {
        type Model = Model;

        const STRATIFIED_BY: &'static str = "buyers in their share";

        fn label<'a>(
            history: &'a History,
            as_of: Timestamp,
            options: &'a TrainingOptions,
        ) -> LabelledCustomers<'a> {
            LabelledCustomers::new(Task::Clv, history, as_of, options, 30, |window| {
                (window.spend, window.spend > 0.0)
            })
        }

        fn check_labels(_: &LabelledCustomers<'_>) -> Result<(), String> {
            Ok(())
        }

        fn check_split(_: &LabelledCustomers<'_>, _: &Split) -> Result<(), String> {
            Ok(())
        }

        fn baselines(_: &LabelledCustomers<'_>, rows: &[usize]) -> Vec<Baseline<Model>> {
            let algorithm = "nothing".to_owned();
            let model = Model::Nothing(Mean(0.0));
            vec![Baseline { model, algorithm, features: Vec::new(), fitted: rows.len() }]
        }

        fn try_methods(trainer: &mut Trainer<'_, Self>) {
            Model::try_all(trainer);
        }

        fn evaluate(
            customers: &LabelledCustomers<'_>,
            _: &Model,
            rows: &[usize],
            predicted: &[f64],
            candidate: &mut Candidate,
        ) {
            let actual: Vec<f64> = rows.iter().map(|row| customers.targets[*row]).collect();
            candidate.metrics = Some(Metrics::Clv(regression_metrics(&actual, predicted)));
        }
    }

    #[test]
    fn a_method_is_a_type_and_a_line_in_the_list() {
        // Forty customers spend 10 EUR on the first day and again 100 days later.
        let ids: Vec<i64> = (0..80).collect();
        let frame = df!(
            "id_client" => ids.iter().map(|id| id % 40).collect::<Vec<i64>>(),
            "date_achat" => ids.iter().map(|id| id / 40 * 100 * DAY_MICROS).collect::<Vec<i64>>(),
            "montant" => vec![10.0; 80],
            "produit" => vec!["Tea"; 80],
            "id_achat" => ids,
        );
        let history = History::new(&frame.unwrap()).unwrap();
        let options = TrainingOptions {
            seed: 42,
            min_customers: 1,
            churn_horizon_days: 60,
            max_fit_rows: 1_000,
        };
        let as_of = history.last().unwrap();
        let (model, candidates) = train::<SpendOfAMonth>(&history, as_of, &options);
        assert_eq!(model, Model::Mean(Mean(10.0)));
        let methods: Vec<_> =
            candidates.iter().map(|candidate| (candidate.method, candidate.serves)).collect();
        assert_eq!(methods, [("mean", true), (BASELINE, false)]);
        let stored = serde_json::to_string(&model).unwrap();
        assert_eq!(stored, r#"{"Mean":10.0}"#);
        assert_eq!(serde_json::from_str::<Model>(&stored).unwrap(), model);
    }
}
