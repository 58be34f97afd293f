//! How far a run is and when it is expected to end, from its record and a complete run before it.

use crate::domain::time::Timestamp;
use crate::runs::kind::RunState;
use crate::runs::record::RunRecord;
use crate::runs::step::{RunStep, Step};

/// How far a run is and when it is expected to end.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Progress {
    /// The share that is done, 0 to 1; `None` of a run that did not succeed, or has not begun.
    pub share: Option<f64>,
    /// When it is expected to end; `None` unless it is running and there is a run to predict it
    /// from.
    pub eta: Option<Timestamp>,
}

impl Progress {
    /// The progress of a run, predicted from how long the steps of `past`, a complete run, took. A
    /// step that takes longer than it did then counts as about to end. Without a past run every
    /// step counts alike and there is no ETA.
    #[must_use]
    pub fn of(record: &RunRecord, past: Option<&RunRecord>, now: Timestamp) -> Self {
        match record.state {
            RunState::Succeeded => return Self { share: Some(1.0), eta: None },
            RunState::Running => {}
            _ => return Self::default(),
        }
        let Some(past) = past.filter(|past| past.steps.len() > 1) else {
            let done = record.steps.iter().filter(|step| step.ended_at.is_some()).count();
            #[allow(clippy::cast_precision_loss)] // a handful
            let share = (done as f64 / Step::COUNT as f64).min(1.0);
            return Self { share: Some(share), eta: None };
        };
        let total: i64 = past.steps.iter().map(duration).sum();
        let done = done_micros(record, past, now);
        Self {
            share: Some(ratio(done, total)),
            eta: Some(Timestamp(now.0 + (total - done).max(0))),
        }
    }
}

/// How much of the past run's time corresponds to what the run has done.
fn done_micros(record: &RunRecord, past: &RunRecord, now: Timestamp) -> i64 {
    let own = |step: Step| record.steps.iter().find(|own| own.step == step);
    // The last step of the past run that this one has begun: those before it count, also where this
    // run skipped them.
    let Some(current) = past.steps.iter().rposition(|step| own(step.step).is_some()) else {
        return 0;
    };
    let before: i64 = past.steps[..current].iter().map(duration).sum();
    let usual = duration(&past.steps[current]);
    let within = match own(past.steps[current].step) {
        Some(own) if own.ended_at.is_some() => usual,
        // Not negative when the clock was set back.
        Some(own) => (now.0 - own.started_at.0).clamp(0, usual),
        None => 0,
    };
    before + within
}

/// How long a step took, microseconds.
fn duration(step: &RunStep) -> i64 {
    step.ended_at.map_or(0, |ended_at| ended_at.0 - step.started_at.0).max(1)
}

/// A share from 0 to 1.
#[allow(clippy::cast_precision_loss)]
fn ratio(part: i64, whole: i64) -> f64 {
    (part as f64 / whole.max(1) as f64).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::kind::{RunEnd, RunTrigger};
    use crate::runs::request::{RefreshRequest, RunSpec};

    fn at(secs: i64) -> Timestamp {
        Timestamp(secs * 1_000_000)
    }

    fn step(step: Step, from: i64, until: Option<i64>) -> RunStep {
        RunStep { ended_at: until.map(at), ..RunStep::starting(step, at(from)) }
    }

    fn run(steps: Vec<RunStep>) -> RunRecord {
        let spec = RunSpec::refresh(RunTrigger::Cli, RefreshRequest::default());
        RunRecord { steps, ..RunRecord::starting(1, &spec, String::new()) }
    }

    #[test]
    fn progress_is_predicted_from_the_steps_of_a_past_run() {
        let past = run(vec![
            step(Step::Sources, 0, Some(1)),
            step(Step::Silver, 1, Some(4)),
            step(Step::Publish, 4, Some(10)),
        ]);
        let predicted = |steps, now| Progress::of(&run(steps), Some(&past), at(now));
        let close = |found: Progress, share: f64, end: i64| {
            assert!((found.share.unwrap() - share).abs() < 1e-9, "{found:?}");
            assert_eq!(found.eta, Some(at(end)), "{found:?}");
        };
        let sources = step(Step::Sources, 0, Some(1));
        close(predicted(vec![], 0), 0.0, 10);
        close(predicted(vec![sources.clone()], 1), 0.1, 10);
        // Two of three seconds of the second step.
        close(predicted(vec![sources.clone(), step(Step::Silver, 1, None)], 3), 0.3, 10);
        // A step that takes much longer than it did.
        close(predicted(vec![sources.clone(), step(Step::Silver, 1, None)], 60), 0.4, 66);
        // A clock that was set back.
        close(predicted(vec![sources.clone(), step(Step::Silver, 50, None)], 2), 0.1, 11);
        // A run that skipped the second step.
        close(predicted(vec![step(Step::Publish, 2, None)], 4), 0.6, 8);
        let alone = run(vec![sources, step(Step::Silver, 1, None)]);
        assert_eq!(Progress::of(&alone, None, at(5)), Progress { share: Some(0.125), eta: None });
        let mut ended = alone.clone();
        ended.end(&RunEnd::Succeeded);
        let whole = Progress { share: Some(1.0), eta: None };
        assert_eq!(Progress::of(&ended, Some(&past), at(5)), whole);
        ended.end(&RunEnd::Cancelled);
        assert_eq!(Progress::of(&ended, Some(&past), at(5)), Progress::default());
    }
}
