//! The events of a run, derived from its record.
//!
//! Events are not stored: every process derives the same events, with the same numbers, from the
//! same record, however late.

use crate::domain::time::Timestamp;
use crate::runs::kind::RunState;
use crate::runs::record::RunRecord;
use crate::runs::step::{RunStep, Step};

/// Numbers reserved for each step: its start, its end, the new generation.
const NUMBERS_PER_STEP: u32 = 3;
/// The number of the first step's start; 0 and 1 are the run queued and the run begun.
const FIRST_STEP: u32 = 2;
/// The number of the end, beyond those of any number of steps.
const END: u32 = 9_999;

/// An event of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEvent {
    /// The run.
    pub run: u64,
    /// Grows within the run. The same event has the same number whenever it is derived.
    pub number: u32,
    /// When, UTC; `None` of an end that its process did not record.
    pub at: Option<Timestamp>,
    /// What happened.
    pub kind: RunEventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum RunEventKind {
    /// The run was queued, or began.
    Run(RunState),
    /// A step began, or ended if it has an end.
    Step(RunStep),
    /// Another generation is served.
    Generation(u64),
    /// The run ended.
    End(RunState),
}

impl RunEvent {
    /// Whether no event of the run can follow.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.number == END
    }
}

/// The events of a run so far, in spec.
#[must_use]
pub fn events_of(record: &RunRecord) -> Vec<RunEvent> {
    let mut events = Vec::new();
    let mut add = |number: u32, at: Option<Timestamp>, kind: RunEventKind| {
        events.push(RunEvent { run: record.run, number, at, kind });
    };
    if record.state == RunState::Enqueued {
        add(0, Some(record.started_at), RunEventKind::Run(RunState::Enqueued));
        return events;
    }
    if record.has_begun {
        add(1, Some(record.started_at), RunEventKind::Run(RunState::Running));
    }
    let has_switched = |step: &RunStep| step.step == Step::Publish && step.ended_at.is_some();
    for (place, step) in (0..).zip(&record.steps) {
        let first = FIRST_STEP + place * NUMBERS_PER_STEP;
        let started = RunStep::starting(step.step, step.started_at);
        add(first, Some(step.started_at), RunEventKind::Step(started));
        if step.ended_at.is_some() {
            add(first + 1, step.ended_at, RunEventKind::Step(step.clone()));
        }
        if let Some(generation) = record.generation.filter(|_| has_switched(step)) {
            add(first + 2, step.ended_at, RunEventKind::Generation(generation));
        }
    }
    if record.state.has_ended() {
        // A rollback has no steps, and a process can die between the switch and the end of the
        // step.
        let is_reported = record.steps.iter().any(has_switched);
        if let Some(generation) = record.generation.filter(|_| !is_reported) {
            add(END - 1, record.ended_at, RunEventKind::Generation(generation));
        }
        add(END, record.ended_at, RunEventKind::End(record.state));
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::kind::{RunEnd, RunTrigger};
    use crate::runs::request::{RefreshRequest, RunSpec};

    fn numbers(record: &RunRecord) -> Vec<u32> {
        events_of(record).iter().map(|event| event.number).collect()
    }

    fn step(step: Step, has_ended: bool) -> RunStep {
        let at = Timestamp(0);
        RunStep { ended_at: has_ended.then_some(at), ..RunStep::starting(step, at) }
    }

    #[test]
    fn events_keep_their_numbers_while_a_run_advances() {
        let spec = RunSpec::refresh(RunTrigger::Api, RefreshRequest::default());
        let mut run = RunRecord::enqueued(1, &spec, String::new());
        assert_eq!(numbers(&run), [0]);
        run = RunRecord::starting(1, &spec, String::new());
        assert_eq!(numbers(&run), [1]);
        run.steps.push(step(Step::Sources, false));
        assert_eq!(numbers(&run), [1, 2]);
        run.steps[0].ended_at = Some(Timestamp(1));
        run.steps.push(step(Step::Publish, false));
        // The generation is served already; its event comes when the step has ended.
        assert_eq!(run.state, RunState::Running);
        run.generation = Some(7);
        assert_eq!(numbers(&run), [1, 2, 3, 5]);
        run.steps[1].ended_at = Some(Timestamp(2));
        run.steps.push(step(Step::Sweep, false));
        assert_eq!(numbers(&run), [1, 2, 3, 5, 6, 7, 8]);
        assert_eq!(events_of(&run)[5].kind, RunEventKind::Generation(7));
        run.end(&RunEnd::Succeeded);
        assert_eq!(numbers(&run), [1, 2, 3, 5, 6, 7, 8, END]);
        assert!(events_of(&run).last().unwrap().is_last());
    }

    #[test]
    fn a_rollback_and_a_run_that_never_began_have_an_end() {
        let mut run = RunRecord::starting(1, &RunSpec::rollback(RunTrigger::Api), String::new());
        run.generation = Some(3);
        run.end(&RunEnd::Succeeded);
        assert_eq!(numbers(&run), [1, END - 1, END]);
        let spec = RunSpec::refresh(RunTrigger::Api, RefreshRequest::default());
        let mut waited = RunRecord::enqueued(2, &spec, String::new());
        waited.end(&RunEnd::Cancelled);
        assert_eq!(numbers(&waited), [END]);
        // A run that was cancelled before its first step had begun.
        let mut cancelled = RunRecord::starting(3, &spec, String::new());
        cancelled.end(&RunEnd::Cancelled);
        assert_eq!(numbers(&cancelled), [1, END]);
    }
}
