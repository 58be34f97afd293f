//! What happens in a run, one event after the other, as its record tells it.
//!
//! Events are not kept: they follow from the record, so that everyone who looks at the store sees the same,
//! under the same numbers, however late.

use crate::domain::time::Timestamp;
use crate::runs::{Flow, RunRecord, RunState, RunStep};

/// The name of the step that switches to a new generation.
const SWITCHING_STEP: &str = "publish";
/// Numbers that each step has: its start, its end, the new generation.
const PER_STEP: u32 = 3;
/// The number of the first step's start; before it a run waits and begins.
const FIRST_STEP: u32 = 2;
/// The number of the end, beyond those of any number of steps.
const END: u32 = 9_999;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEvent {
    /// The run.
    pub run: u64,
    /// Grows within the run; the same for the same event whenever it is asked for.
    pub number: u32,
    /// When, UTC; `None` of an end that nobody saw.
    pub at: Option<Timestamp>,
    /// What.
    pub what: Happening,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// The run waits, or begins.
    Run(RunState),
    /// A step began; or ended, if it has an end.
    Step(RunStep),
    /// Another generation is served.
    Generation(u64),
    /// The run ended.
    End(RunState),
}

impl RunEvent {
    /// Whether nothing more comes of the run.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.number == END
    }
}

/// All that has happened in a run so far, in order.
#[must_use]
pub fn events_of(record: &RunRecord) -> Vec<RunEvent> {
    let mut events = Vec::new();
    let mut add = |number: u32, at: Option<Timestamp>, what: Happening| {
        events.push(RunEvent { run: record.run, number, at, what });
    };
    if record.state == RunState::Enqueued {
        add(0, Some(record.started_at), Happening::Run(RunState::Enqueued));
        return events;
    }
    if record.has_begun {
        add(1, Some(record.started_at), Happening::Run(RunState::Running));
    }
    for (place, step) in (0..).zip(&record.steps) {
        let first = FIRST_STEP + place * PER_STEP;
        let (summary, flow) = (String::new(), Flow::default());
        let begun = RunStep { ended_at: None, summary, flow, ..step.clone() };
        add(first, Some(step.started_at), Happening::Step(begun));
        if step.ended_at.is_some() {
            add(first + 1, step.ended_at, Happening::Step(step.clone()));
            if let Some(generation) = record.generation.filter(|_| step.step == SWITCHING_STEP) {
                add(first + 2, step.ended_at, Happening::Generation(generation));
            }
        }
    }
    if record.state.has_ended() {
        let is_told = record.steps.iter().any(|s| s.step == SWITCHING_STEP && s.ended_at.is_some());
        if let Some(generation) = record.generation.filter(|_| !is_told) {
            add(END - 1, record.ended_at, Happening::Generation(generation));
        }
        add(END, record.ended_at, Happening::End(record.state));
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::{RefreshRequest, RunEnd, RunSpec, RunTrigger};

    fn numbers(record: &RunRecord) -> Vec<u32> {
        events_of(record).iter().map(|event| event.number).collect()
    }

    fn step(name: &str, has_ended: bool) -> RunStep {
        let at = Timestamp(0);
        let (step, ended_at) = (name.to_owned(), has_ended.then_some(at));
        RunStep { step, started_at: at, ended_at, summary: String::new(), flow: Flow::default() }
    }

    #[test]
    fn events_keep_their_numbers_while_a_run_goes_on() {
        let order = RunSpec::refresh(RunTrigger::Api, RefreshRequest::default());
        let mut run = RunRecord::enqueued(1, &order, String::new());
        assert_eq!(numbers(&run), [0]);
        run = RunRecord::starting(1, &order, String::new());
        assert_eq!(numbers(&run), [1]);
        run.steps.push(step("sources", false));
        assert_eq!(numbers(&run), [1, 2]);
        run.steps[0].ended_at = Some(Timestamp(1));
        run.steps.push(step("publish", false));
        // Served already, and told of when the step has ended.
        assert_eq!(run.state, RunState::Running);
        run.generation = Some(7);
        assert_eq!(numbers(&run), [1, 2, 3, 5]);
        run.steps[1].ended_at = Some(Timestamp(2));
        run.steps.push(step("sweep", false));
        assert_eq!(numbers(&run), [1, 2, 3, 5, 6, 7, 8]);
        assert_eq!(events_of(&run)[5].what, Happening::Generation(7));
        run.end(&RunEnd::Succeeded);
        assert_eq!(numbers(&run), [1, 2, 3, 5, 6, 7, 8, END]);
        assert!(events_of(&run).last().unwrap().is_last());
    }

    #[test]
    fn a_rollback_and_a_run_that_never_began_tell_their_ends() {
        let mut run = RunRecord::starting(1, &RunSpec::rollback(RunTrigger::Api), String::new());
        run.generation = Some(3);
        run.end(&RunEnd::Succeeded);
        assert_eq!(numbers(&run), [1, END - 1, END]);
        let order = RunSpec::refresh(RunTrigger::Api, RefreshRequest::default());
        let mut waited = RunRecord::enqueued(2, &order, String::new());
        waited.end(&RunEnd::Cancelled);
        assert_eq!(numbers(&waited), [END]);
        // One that was cancelled before its first step began all the same.
        let mut cancelled = RunRecord::starting(3, &order, String::new());
        cancelled.end(&RunEnd::Cancelled);
        assert_eq!(numbers(&cancelled), [1, END]);
    }
}
