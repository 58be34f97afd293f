//! Checks of runs: the right to publish, records, cancellation, retention.

use std::time::{Duration, Instant};

use goldsmith::domain::data_set::{DataSet, PerDataSet};
use goldsmith::domain::time::Timestamp;
use goldsmith::runs::{
    Flow, RowCounts, RunEnd, RunKind, RunNotes, RunPage, RunQuality, RunQuery, RunRecord, RunSpec,
    RunState, RunStep, RunTrigger, Step,
};
use goldsmith::store::rollback::rollback;
use goldsmith::store::{GoldStore, StoreError};

use super::fixtures::{failed, hold, plain_refresh, publish_four_more, publish_one, record};

pub async fn one_process_publishes_at_a_time(store: &dyn GoldStore) {
    let publisher = hold(store).await;
    let second = store.publisher(&RunSpec::rollback(RunTrigger::Cli)).await.unwrap_err();
    assert!(matches!(second, StoreError::Locked(_)), "{second}");
    publisher.end(RunEnd::Succeeded).await.unwrap();
    hold(store).await.end(failed("it was too much")).await.unwrap();
    // Dropped without an end, as by a process that was killed.
    drop(hold(store).await);
    hold(store).await.end(RunEnd::Succeeded).await.unwrap();
}

pub async fn progress_is_recorded_and_kept_after_the_end(store: &dyn GoldStore) {
    let run = hold(store).await;
    let step = RunStep {
        step: Step::Gold,
        started_at: Timestamp::parse("2026-01-21T03:00:01").unwrap(),
        ended_at: None,
        summary: "under way".to_owned(),
        flow: Flow { rows_in: Some(3), rows_out: None, bytes: Some(1 << 40) },
    };
    let rejected = [("unknown_customer".to_owned(), 2)].into();
    let mut data_sets = PerDataSet::default();
    data_sets[DataSet::Customers] = RowCounts { read: 5, valid: 3, rejected: 2 };
    let quality = Some(RunQuality { data_sets, rejected, ..RunQuality::default() });
    let notes = RunNotes { steps: vec![step], before: Some(4), quality };
    run.note(&notes).await.unwrap();
    let number = run.run();
    let RunRecord { state, steps, before, quality, .. } = record(store, number).await.unwrap();
    assert_eq!((state, RunNotes { steps, before, quality }), (RunState::Running, notes.clone()));
    run.end(RunEnd::Cancelled).await.unwrap();
    let ended = record(store, number).await.unwrap();
    let is_as_noted = (ended.state, ended.error, ended.steps);
    assert_eq!(is_as_noted, (RunState::Cancelled, None, notes.steps));
}

pub async fn every_run_is_recorded_with_its_outcome(store: &dyn GoldStore) {
    let one = publish_one(store).await;
    publish_four_more(store, &one).await;
    for requested in [None, Some(1)] {
        rollback(store, RunTrigger::Cli, requested).await.unwrap();
    }
    rollback(store, RunTrigger::Cli, Some(9)).await.unwrap_err();
    hold(store).await.end(RunEnd::Cancelled).await.unwrap();
    hold(store).await.end(failed("it was too much")).await.unwrap();
    // Dropped without an end, as by a process that was killed.
    drop(hold(store).await);
    hold(store).await.end(RunEnd::Succeeded).await.unwrap();

    let runs = store.runs(RunQuery::newest(4)).await.unwrap().runs;
    let [last, gone, failed, _] = &runs[..] else { panic!("{runs:?}") };
    assert_eq!((last.state, last.error.as_deref()), (RunState::Succeeded, None));
    assert!(last.ended_at.is_some_and(|ended| ended >= last.started_at));
    assert_eq!((gone.state, gone.ended_at), (RunState::Interrupted, None));
    assert_eq!(failed.state, RunState::Failed);
    assert_eq!(failed.error.as_deref(), Some("it was too much"));
    assert_eq!(failed.causes, ["too much"]);
    assert!(last.run > gone.run && gone.run > failed.run);
    assert!(last.owner.ends_with(&format!(":{}", std::process::id())));
    let find = async |query: RunQuery| store.runs(query).await.unwrap();
    let newest = RunQuery { counts: true, ..RunQuery::newest(1_000) };
    assert_eq!(find(RunQuery::one(gone.run)).await.runs, std::slice::from_ref(gone));
    assert_eq!(find(RunQuery::one(9_999)).await, RunPage { runs: Vec::new(), total: 0 });
    let failures = find(RunQuery { state: Some(RunState::Failed), ..newest }).await;
    assert!(failures.runs.contains(failed));
    assert!(failures.runs.iter().all(|run| run.state == RunState::Failed));
    let second = find(RunQuery { offset: 1, limit: 1, ..newest }).await;
    assert_eq!(second.runs, std::slice::from_ref(gone));
    let since = find(RunQuery { from: Some(gone.started_at), ..newest }).await;
    let before = find(RunQuery { until: Some(gone.started_at), ..newest }).await;
    assert!(since.runs.contains(gone) && !before.runs.contains(gone));
    assert_eq!(since.total + before.total, second.total);
    let all = store.runs(RunQuery::newest(1_000)).await.unwrap().runs;
    let rollbacks: Vec<_> = all
        .iter()
        .filter(|run| run.kind == RunKind::Rollback && run.generation.is_some())
        .map(|run| (run.generation, run.state))
        .collect();
    assert_eq!(rollbacks, [(Some(1), RunState::Succeeded), (Some(4), RunState::Succeeded)]);
}

pub async fn a_cancel_request_reaches_its_run(store: &dyn GoldStore) {
    let run = hold(store).await;
    let number = run.run();
    assert!(!run.cancel_requested().await.unwrap());
    store.request_cancel(number).await.unwrap();
    store.mark_interrupted().await.unwrap();
    assert!(run.cancel_requested().await.unwrap());
    let running = record(store, number).await.unwrap();
    assert_eq!((running.state, running.cancel_requested), (RunState::Running, true));
    run.end(RunEnd::Cancelled).await.unwrap();
    store.request_cancel(number).await.unwrap();
    store.request_cancel(1 << 40).await.unwrap();
    assert_eq!(record(store, number).await.unwrap().state, RunState::Cancelled);
}

pub async fn a_run_whose_process_is_gone_is_marked(store: &dyn GoldStore) {
    // After its switch a run did what it was for.
    let served = publish_one(store).await;
    let switched = hold(store).await;
    let done = switched.run();
    switched.activate(&served).await.unwrap();
    let running = record(store, done).await.unwrap();
    assert_eq!((running.state, running.generation.is_some()), (RunState::Running, true));
    drop(switched);
    let gone = hold(store).await;
    assert_eq!(record(store, done).await.unwrap().state, RunState::Succeeded);
    let number = gone.run();
    drop(gone);
    let deadline = Instant::now() + Duration::from_secs(30);
    while record(store, number).await.unwrap().state == RunState::Running {
        assert!(Instant::now() < deadline, "run {number} was never marked");
        store.mark_interrupted().await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(record(store, number).await.unwrap().state, RunState::Interrupted);
}

/// What has not ended stays too.
pub async fn old_runs_are_deleted_but_the_last_that_published(store: &dyn GoldStore) {
    let generation = publish_one(store).await;
    let publishing = hold(store).await;
    let published = publishing.run();
    publishing.activate(&generation).await.unwrap();
    publishing.end(RunEnd::Succeeded).await.unwrap();
    let (queued, _) = store.enqueue(&plain_refresh()).await.unwrap();
    for _ in 0..3 {
        hold(store).await.end(failed("it was too much")).await.unwrap();
    }
    let last = hold(store).await;
    last.forget_runs(2).await.unwrap();
    let left = store.runs(RunQuery::newest(100)).await.unwrap().runs;
    let left: Vec<u64> = left.iter().map(|run| run.run).collect();
    assert_eq!(left, [last.run(), last.run() - 1, queued, published]);
    last.end(RunEnd::Succeeded).await.unwrap();
    store.request_cancel(queued).await.unwrap();
}
