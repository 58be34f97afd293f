//! Checks of the queue of one run, of the schedule, and of idempotency keys.

use goldsmith::domain::time::Timestamp;
use goldsmith::runs::{
    IdempotencyRecord, RefreshRequest, RunEnd, RunQuery, RunSpec, RunState, RunTrigger, StartAt,
};
use goldsmith::store::{GoldStore, StoreError};

use super::fixtures::{hold, plain_refresh, record};

pub async fn one_run_is_queued_at_most_and_starts_once_or_is_cancelled(store: &dyn GoldStore) {
    let as_of = Timestamp::parse("2025-12-31T23:59:59.999999");
    let request =
        RefreshRequest { as_of, force: true, start_at: StartAt::Bronze, inputs_of: Some(3) };
    let order = RunSpec::refresh(RunTrigger::Api, request);
    let (first, is_new) = store.enqueue(&order).await.unwrap();
    assert!(is_new);
    assert_eq!(store.enqueue(&plain_refresh()).await.unwrap(), (first, false));
    let queued = record(store, first).await.unwrap();
    assert_eq!((queued.state, queued.request), (RunState::Enqueued, request));
    assert_eq!((queued.trigger, queued.ended_at), (RunTrigger::Api, None));
    assert!(!queued.has_begun);
    // Other runs start and end meanwhile, under later numbers.
    let other = hold(store).await;
    assert!(other.run() > first);
    other.end(RunEnd::Succeeded).await.unwrap();
    assert_eq!(record(store, first).await.unwrap().state, RunState::Enqueued);

    let turn = RunSpec { enqueued: Some(first), ..order };
    let publisher = store.publisher(&turn).await.unwrap();
    assert_eq!(publisher.run(), first);
    let running = record(store, first).await.unwrap();
    assert_eq!((running.state, running.request), (RunState::Running, request));
    assert!(running.has_begun && running.started_at >= queued.started_at);
    // Another one can be queued now.
    let (next, is_new) = store.enqueue(&plain_refresh()).await.unwrap();
    assert!(is_new && next > first);
    publisher.end(RunEnd::Succeeded).await.unwrap();
    let again = store.publisher(&turn).await.unwrap_err();
    assert!(matches!(again, StoreError::NotEnqueued(run) if run == first), "{again}");

    store.request_cancel(next).await.unwrap();
    let cancelled = record(store, next).await.unwrap();
    assert_eq!((cancelled.state, cancelled.ended_at.is_some()), (RunState::Cancelled, true));
    let turn = RunSpec { enqueued: Some(next), ..plain_refresh() };
    let gone = store.publisher(&turn).await.unwrap_err();
    assert!(matches!(gone, StoreError::NotEnqueued(run) if run == next), "{gone}");
    let (last, is_new) = store.enqueue(&plain_refresh()).await.unwrap();
    assert!(is_new && last > next);
    store.request_cancel(last).await.unwrap();
}

pub async fn each_instant_of_the_schedule_has_one_run(store: &dyn GoldStore) {
    let at = |text: &str| Timestamp::parse(text);
    let order =
        |scheduled_for| RunSpec { scheduled_for, trigger: RunTrigger::Schedule, ..plain_refresh() };
    let first = order(at("2026-01-21T03:00:00"));
    let run = store.publisher(&first).await.unwrap();
    assert_eq!(record(store, run.run()).await.unwrap().scheduled_for, first.scheduled_for);
    run.end(RunEnd::Succeeded).await.unwrap();
    let all = RunQuery { counts: true, ..RunQuery::newest(1) };
    let total = store.runs(all).await.unwrap().total;
    let again = store.publisher(&first).await.unwrap_err();
    assert!(matches!(again, StoreError::AlreadyRun(_)), "{again}");
    assert_eq!(store.runs(all).await.unwrap().total, total);
    let again = store.enqueue(&first).await.unwrap_err();
    assert!(matches!(again, StoreError::AlreadyRun(_)), "{again}");
    // A queued run is the one for its instant, and starts.
    let later = order(at("2026-01-21T04:00:00"));
    let (queued, _) = store.enqueue(&later).await.unwrap();
    let again = store.publisher(&later).await.unwrap_err();
    assert!(matches!(again, StoreError::AlreadyRun(_)), "{again}");
    let turn = RunSpec { enqueued: Some(queued), ..later };
    store.publisher(&turn).await.unwrap().end(RunEnd::Succeeded).await.unwrap();
    // A run cancelled by the end of its process is made up for, one cancelled on request is not.
    for (instant, is_requested) in [("2026-01-21T05:00:00", false), ("2026-01-21T06:00:00", true)] {
        let cancelled = store.publisher(&order(at(instant))).await.unwrap();
        if is_requested {
            store.request_cancel(cancelled.run()).await.unwrap();
        }
        cancelled.end(RunEnd::Cancelled).await.unwrap();
        let again = store.publisher(&order(at(instant))).await;
        assert_eq!(again.is_err(), is_requested);
        if let Ok(again) = again {
            again.end(RunEnd::Succeeded).await.unwrap();
        }
    }
    // Also one before it: the clock may have been wrong.
    for other in ["2026-01-22T03:00:00", "2026-01-20T03:00:00"] {
        store.publisher(&order(at(other))).await.unwrap().end(RunEnd::Succeeded).await.unwrap();
    }
}

pub async fn idempotency_keys_are_claimed_once(store: &dyn GoldStore) {
    let known = |run| Some(IdempotencyRecord { request_hash: "this".to_owned(), run });
    assert_eq!(store.claim_key("k", "this").await.unwrap(), None);
    assert_eq!(store.claim_key("k", "that").await.unwrap(), known(None));
    store.complete_key("k", Some(7)).await.unwrap();
    assert_eq!(store.claim_key("k", "this").await.unwrap(), known(Some(7)));
    // A key with a run is not released.
    store.complete_key("k", None).await.unwrap();
    assert_eq!(store.claim_key("k", "that").await.unwrap(), known(Some(7)));
    assert_eq!(store.claim_key("l", "that").await.unwrap(), None);
    store.complete_key("l", None).await.unwrap();
    assert_eq!(store.claim_key("l", "this").await.unwrap(), None);
}
