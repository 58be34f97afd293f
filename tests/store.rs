//! The store contract: one suite for every store. A new store adds one call at the end.

use std::collections::BTreeSet;
use std::sync::Arc;

use goldsmith::catalogue::{self, legacy};
use goldsmith::domain::data_set::{DataSet, PerDataSet};
use goldsmith::domain::manifest::{Manifest, Published, QualityReport, TableEntry, Totals};
use goldsmith::domain::query::{Comparison, Filter, Query, Search};
use goldsmith::domain::rows::{Batch, ColumnValues, Value};
use goldsmith::domain::schema::{Column, ColumnType, Direction, Table, View};
use goldsmith::domain::time::{Day, Timestamp};
use goldsmith::runs::{
    Flow, IdempotencyRecord, RefreshRequest, RowCounts, RunEnd, RunKind, RunNotes, RunPage,
    RunQuality, RunQuery, RunRecord, RunSpec, RunState, RunStep, RunTrigger, StartAt,
};
use goldsmith::store::mongo::MongoStore;
use goldsmith::store::rollback::rollback;
use goldsmith::store::sqlite::SqliteStore;
use goldsmith::store::{GoldStore, Publisher, RowSource, RowsError, RunLog as _, StoreError};
use mongodb::bson::{Document, doc};

use crate::support::mongo::{Server, TestDb};

const COUNTRIES: &Table = &catalogue::REVENUE_BY_COUNTRY;
const MONTHS: &Table = &catalogue::MONTHLY_REVENUE;

/// Rows of revenue_by_country.
fn countries(rows: &[(&str, f64)]) -> Batch {
    let floats = |of: fn(f64) -> f64| {
        ColumnValues::Float(rows.iter().map(|(_, revenue)| Some(of(*revenue))).collect())
    };
    let ones = || ColumnValues::Int(vec![Some(1); rows.len()]);
    Batch {
        columns: vec![
            ColumnValues::Text(rows.iter().map(|(pays, _)| Some((*pays).to_owned())).collect()),
            floats(|r| r),
            ones(),
            floats(|r| r),
            ones(),
            floats(|r| r),
            floats(|_| 50.0),
        ],
        rows: rows.len(),
    }
}

/// A row of monthly_revenue with every nullable value null.
fn month() -> Batch {
    let null = || ColumnValues::Float(vec![None]);
    Batch {
        columns: vec![
            ColumnValues::Text(vec![Some("2024-02".to_owned())]),
            ColumnValues::Date(vec![Day::parse("2024-02-01")]),
            ColumnValues::Float(vec![Some(0.0)]),
            ColumnValues::Int(vec![Some(0)]),
            null(),
            ColumnValues::Int(vec![Some(0)]),
            null(),
            null(),
            null(),
        ],
        rows: 1,
    }
}

fn entry(table: &Table, hash: &str, rows: u64, revenue: f64, purchases: i64) -> TableEntry {
    let totals = Totals { revenue, purchases: Some(purchases) };
    let hash = format!("{hash:0<64}");
    TableEntry::new(table.name.to_owned(), rows, hash, Vec::new(), Some(totals))
}

fn source(batch: Batch) -> RowSource {
    Box::new(std::iter::once(Ok(batch)))
}

fn published(generation: u64, tables: Vec<TableEntry>) -> Published {
    let instant = Timestamp::parse("2024-03-01").unwrap();
    let manifest = Manifest {
        generation,
        engine: "test".to_owned(),
        fingerprint: format!("f{generation}"),
        as_of: instant,
        started_at: instant,
        committed_at: instant,
        sources: Vec::new(),
        is_sample: false,
        quality: QualityReport::default(),
        purchases_after_as_of: 0,
        proof: Vec::new(),
        tables,
        models: None,
        silver: None,
    };
    Published::new(manifest, instant)
}

/// Waits until a store that looks at its pointer now and then has seen what another one did.
async fn until_seen(
    store: &dyn GoldStore,
    meets: fn(&Result<Option<Arc<Published>>, StoreError>) -> bool,
) {
    /// Far more looks than the store's glance takes.
    const LOOKS: usize = 1_000_000;
    for _ in 0..LOOKS {
        if meets(&store.active().await) {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it was never seen");
}

fn texts(page: &goldsmith::store::Page) -> Vec<String> {
    page.rows
        .iter()
        .map(|row| match &row[0] {
            Value::Text(text) => text.clone(),
            other => panic!("{other:?}"),
        })
        .collect()
}

/// A refresh like any other.
fn usual() -> RunSpec {
    RunSpec::refresh(RunTrigger::Cli, RefreshRequest::default())
}

fn failed(error: &str) -> RunEnd {
    RunEnd::Failed { error: error.to_owned(), causes: vec!["too much".to_owned()] }
}

async fn record(store: &dyn GoldStore, run: u64) -> Option<RunRecord> {
    store.runs(RunQuery::one(run)).await.unwrap().runs.pop()
}

/// Does one thing with the right to publish, as a run of its own.
async fn hold(store: &dyn GoldStore) -> Box<dyn Publisher> {
    store.publisher(&usual()).await.unwrap()
}

async fn write(
    store: &dyn GoldStore,
    table: &'static Table,
    entry: &TableEntry,
    rows: RowSource,
) -> Result<bool, StoreError> {
    let publisher = hold(store).await;
    let written = publisher.write_table(table, entry, rows).await;
    publisher.end(RunEnd::Succeeded).await.unwrap();
    written
}

async fn activate(store: &dyn GoldStore, published: &Published) {
    let held = hold(store).await;
    held.activate(published).await.unwrap();
    held.end(RunEnd::Succeeded).await.unwrap();
}

async fn has_table(store: &dyn GoldStore, entry: &TableEntry) -> bool {
    let table = catalogue::by_name(&entry.name).unwrap();
    let publisher = hold(store).await;
    let has = publisher.has_table(table, entry).await.unwrap();
    publisher.end(RunEnd::Succeeded).await.unwrap();
    has
}

async fn sweep(store: &dyn GoldStore, keep: usize) -> usize {
    let publisher = hold(store).await;
    let dropped = publisher.sweep(keep).await.unwrap();
    publisher.end(RunEnd::Succeeded).await.unwrap();
    dropped
}

/// What every store must do, on an empty one.
async fn conforms(store: &dyn GoldStore) {
    has_one_identity(store).await;
    let first = writes_once_and_checks(store).await;
    keeps_an_empty_table(store).await;
    assert_eq!(sweep(store, 1).await, 2, "tables of no generation are dropped");
    let first_again = writes_again(store, &first).await;
    assert!(first_again);
    let months = entry(MONTHS, "abc", 1, 0.0, 0);
    write(store, MONTHS, &months, source(month())).await.unwrap();
    let one = published(1, vec![first.clone(), months.clone()]);
    activate(store, &one).await;
    assert_eq!(*store.active().await.unwrap().unwrap(), one);
    answers_queries(store, &one).await;
    looks_over(store, &first).await;
    keeps_goes_back_and_sweeps(store, &one).await;
    lets_one_publish_at_a_time(store).await;
    remembers_runs(store).await;
    keeps_a_line_of_one(store).await;
    stops_runs_that_go_on(store).await;
    runs_each_occurrence_once(store).await;
    keeps_keys(store).await;
    forgets_old_runs(store).await;
}

/// An id that is created once, also by concurrent first uses.
async fn has_one_identity(store: &dyn GoldStore) {
    let first_uses = futures::future::join_all((0..4).map(|_| store.identity())).await;
    let first_uses: BTreeSet<String> = first_uses.into_iter().map(Result::unwrap).collect();
    let identity = store.identity().await.unwrap();
    assert_eq!(identity.len(), 32);
    assert_eq!(first_uses, BTreeSet::from([identity]));
}

/// One run waits at most, with what it was asked for; it begins once, or is cancelled.
async fn keeps_a_line_of_one(store: &dyn GoldStore) {
    let as_of = Timestamp::parse("2025-12-31T23:59:59.999999");
    let request =
        RefreshRequest { as_of, force: true, start_at: StartAt::Bronze, inputs_of: Some(3) };
    let order = RunSpec::refresh(RunTrigger::Api, request);
    let (waiting, is_new) = store.enqueue(&order).await.unwrap();
    assert!(is_new);
    assert_eq!(store.enqueue(&usual()).await.unwrap(), (waiting, false));
    let enqueued = record(store, waiting).await.unwrap();
    assert_eq!((enqueued.state, enqueued.request), (RunState::Enqueued, request));
    assert_eq!((enqueued.trigger, enqueued.ended_at), (RunTrigger::Api, None));
    assert!(!enqueued.has_begun);
    // Others come and go, under later numbers.
    let other = hold(store).await;
    assert!(other.run() > waiting);
    other.end(RunEnd::Succeeded).await.unwrap();
    assert_eq!(record(store, waiting).await.unwrap().state, RunState::Enqueued);

    let turn = RunSpec { enqueued: Some(waiting), ..order };
    let begun = store.publisher(&turn).await.unwrap();
    assert_eq!(begun.run(), waiting);
    let running = record(store, waiting).await.unwrap();
    assert_eq!((running.state, running.request), (RunState::Running, request));
    assert!(running.has_begun && running.started_at >= enqueued.started_at);
    // The next one may wait now.
    let (next, is_new) = store.enqueue(&usual()).await.unwrap();
    assert!(is_new && next > waiting);
    begun.end(RunEnd::Succeeded).await.unwrap();
    let again = store.publisher(&turn).await.unwrap_err();
    assert!(matches!(again, StoreError::NotEnqueued(run) if run == waiting), "{again}");

    store.request_cancel(next).await.unwrap();
    let cancelled = record(store, next).await.unwrap();
    assert_eq!((cancelled.state, cancelled.ended_at.is_some()), (RunState::Cancelled, true));
    let turn = RunSpec { enqueued: Some(next), ..usual() };
    let gone = store.publisher(&turn).await.unwrap_err();
    assert!(matches!(gone, StoreError::NotEnqueued(run) if run == next), "{gone}");
    let (last, is_new) = store.enqueue(&usual()).await.unwrap();
    assert!(is_new && last > next);
    store.request_cancel(last).await.unwrap();
}

/// A wish to stop reaches the run; a run whose process is gone is found so.
async fn stops_runs_that_go_on(store: &dyn GoldStore) {
    let run = hold(store).await;
    let number = run.run();
    assert!(!run.cancel_requested().await.unwrap());
    store.request_cancel(number).await.unwrap();
    store.mark_interrupted().await.unwrap();
    assert!(run.cancel_requested().await.unwrap());
    let asked = record(store, number).await.unwrap();
    assert_eq!((asked.state, asked.cancel_requested), (RunState::Running, true));
    run.end(RunEnd::Cancelled).await.unwrap();
    store.request_cancel(number).await.unwrap();
    store.request_cancel(1 << 40).await.unwrap();
    assert_eq!(record(store, number).await.unwrap().state, RunState::Cancelled);

    // One that has switched did what it was for.
    let served = store.active().await.unwrap().unwrap();
    let switched = hold(store).await;
    let done = switched.run();
    switched.activate(&served).await.unwrap();
    let under_way = record(store, done).await.unwrap();
    assert_eq!((under_way.state, under_way.generation.is_some()), (RunState::Running, true));
    drop(switched);
    let gone = hold(store).await;
    assert_eq!(record(store, done).await.unwrap().state, RunState::Succeeded);
    let number = gone.run();
    drop(gone);
    let ends = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while record(store, number).await.unwrap().state == RunState::Running {
        assert!(std::time::Instant::now() < ends, "it was never found to be gone");
        store.mark_interrupted().await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(record(store, number).await.unwrap().state, RunState::Interrupted);
}

/// However many ask, for an instant of the schedule there is one run.
async fn runs_each_occurrence_once(store: &dyn GoldStore) {
    let at = |text: &str| Timestamp::parse(text);
    let order = |occurrence| RunSpec { occurrence, trigger: RunTrigger::Schedule, ..usual() };
    let first = order(at("2026-01-21T03:00:00"));
    let run = store.publisher(&first).await.unwrap();
    assert_eq!(record(store, run.run()).await.unwrap().occurrence, first.occurrence);
    run.end(RunEnd::Succeeded).await.unwrap();
    let all = RunQuery { counts: true, ..RunQuery::newest(1) };
    let total = store.runs(all).await.unwrap().total;
    let again = store.publisher(&first).await.unwrap_err();
    assert!(matches!(again, StoreError::AlreadyRun(_)), "{again}");
    assert_eq!(store.runs(all).await.unwrap().total, total);
    let again = store.enqueue(&first).await.unwrap_err();
    assert!(matches!(again, StoreError::AlreadyRun(_)), "{again}");
    // One in line is for it, and begins.
    let later = order(at("2026-01-21T04:00:00"));
    let (waiting, _) = store.enqueue(&later).await.unwrap();
    let again = store.publisher(&later).await.unwrap_err();
    assert!(matches!(again, StoreError::AlreadyRun(_)), "{again}");
    let turn = RunSpec { enqueued: Some(waiting), ..later };
    store.publisher(&turn).await.unwrap().end(RunEnd::Succeeded).await.unwrap();
    // One that was stopped with its process is made up for, one that somebody stopped is not.
    for (instant, is_asked) in [("2026-01-21T05:00:00", false), ("2026-01-21T06:00:00", true)] {
        let stopped = store.publisher(&order(at(instant))).await.unwrap();
        if is_asked {
            store.request_cancel(stopped.run()).await.unwrap();
        }
        stopped.end(RunEnd::Cancelled).await.unwrap();
        let again = store.publisher(&order(at(instant))).await;
        assert_eq!(again.is_err(), is_asked);
        if let Ok(again) = again {
            again.end(RunEnd::Succeeded).await.unwrap();
        }
    }
    // Also one before it: the clock may have been wrong.
    for other in ["2026-01-22T03:00:00", "2026-01-20T03:00:00"] {
        store.publisher(&order(at(other))).await.unwrap().end(RunEnd::Succeeded).await.unwrap();
    }
}

async fn keeps_keys(store: &dyn GoldStore) {
    let kept = |run| Some(IdempotencyRecord { asked: "this".to_owned(), run });
    assert_eq!(store.claim_key("k", "this").await.unwrap(), None);
    assert_eq!(store.claim_key("k", "that").await.unwrap(), kept(None));
    store.keep_key("k", Some(7)).await.unwrap();
    assert_eq!(store.claim_key("k", "this").await.unwrap(), kept(Some(7)));
    // What came to something is not given back.
    store.keep_key("k", None).await.unwrap();
    assert_eq!(store.claim_key("k", "that").await.unwrap(), kept(Some(7)));
    assert_eq!(store.claim_key("l", "that").await.unwrap(), None);
    store.keep_key("l", None).await.unwrap();
    assert_eq!(store.claim_key("l", "this").await.unwrap(), None);
}

/// Old records go; the last refresh that published stays, and what has not ended.
async fn forgets_old_runs(store: &dyn GoldStore) {
    let generation = store.active().await.unwrap().unwrap();
    let publishing = hold(store).await;
    let published = publishing.run();
    publishing.activate(&generation).await.unwrap();
    publishing.end(RunEnd::Succeeded).await.unwrap();
    let (waiting, _) = store.enqueue(&usual()).await.unwrap();
    for _ in 0..3 {
        hold(store).await.end(failed("it was too much")).await.unwrap();
    }
    let last = hold(store).await;
    last.forget_runs(2).await.unwrap();
    let left = store.runs(RunQuery::newest(100)).await.unwrap().runs;
    let left: Vec<u64> = left.iter().map(|run| run.run).collect();
    assert_eq!(left, [last.run(), last.run() - 1, waiting, published]);
    last.end(RunEnd::Succeeded).await.unwrap();
    store.request_cancel(waiting).await.unwrap();
}

/// Writing happens once, is checked, and is undone as a whole when it does not fit.
async fn writes_once_and_checks(store: &dyn GoldStore) -> TableEntry {
    store.ping().await.unwrap();
    assert!(store.active().await.unwrap().is_none());
    assert!(store.generations().await.unwrap().is_empty());
    let nothing = rollback(store, RunTrigger::Cli, None).await.unwrap_err();
    assert!(matches!(nothing, StoreError::NoGeneration(_)), "{nothing}");

    let rows = [("France", 30.0), ("Spain", 20.0), ("Élan", 20.0)];
    let first = entry(COUNTRIES, "a", 3, 70.0, 3);
    assert!(!has_table(store, &first).await);
    assert!(write(store, COUNTRIES, &first, source(countries(&rows))).await.unwrap());
    assert!(!write(store, COUNTRIES, &first, source(countries(&rows))).await.unwrap());
    assert!(has_table(store, &first).await);
    for wrong in [
        entry(COUNTRIES, "b", 4, 70.0, 3),
        entry(COUNTRIES, "b", 3, 70.01, 3),
        entry(COUNTRIES, "b", 3, 70.0, 4),
    ] {
        let error = write(store, COUNTRIES, &wrong, source(countries(&rows))).await.unwrap_err();
        assert!(matches!(error, StoreError::Mismatch { .. }), "{error}");
        assert!(!has_table(store, &wrong).await);
    }
    let broken: RowSource = Box::new(
        [Ok(countries(&rows)), Err(RowsError::Failed("the source broke".into()))].into_iter(),
    );
    assert!(write(store, COUNTRIES, &entry(COUNTRIES, "c", 3, 70.0, 3), broken).await.is_err());
    assert!(!has_table(store, &entry(COUNTRIES, "c", 3, 70.0, 3)).await);
    let repeated = write(
        store,
        COUNTRIES,
        &entry(COUNTRIES, "d", 2, 2.0, 2),
        source(countries(&[("X", 1.0), ("X", 1.0)])),
    )
    .await;
    assert!(repeated.is_err(), "a repeated key was stored");
    first
}

/// Whether a table that was dropped is written again.
async fn writes_again(store: &dyn GoldStore, first: &TableEntry) -> bool {
    let rows = [("France", 30.0), ("Spain", 20.0), ("Élan", 20.0)];
    write(store, COUNTRIES, first, source(countries(&rows))).await.unwrap()
}

/// A table without a row is one all the same.
async fn keeps_an_empty_table(store: &dyn GoldStore) {
    let empty = entry(COUNTRIES, "e", 0, 0.0, 0);
    assert!(write(store, COUNTRIES, &empty, source(countries(&[]))).await.unwrap());
    assert!(has_table(store, &empty).await);
    let audit = store.audit(COUNTRIES, &empty).await.unwrap().unwrap();
    assert_eq!((audit.rows, audit.totals), (0, empty.totals));
    let one = published(1, vec![empty]);
    let page = store.find(&one, &Query::first(View::of(COUNTRIES), 10)).await.unwrap();
    assert_eq!((page.rows.len(), page.total), (0, 0));
}

/// Order, ties, filters, search, pages, totals, nulls, other names.
async fn answers_queries(store: &dyn GoldStore, one: &Published) {
    let all = Query::first(View::of(COUNTRIES), 10);
    let page = store.find(one, &all).await.unwrap();
    assert_eq!(texts(&page), ["France", "Spain", "Élan"]);
    assert_eq!(page.total, 3);
    assert_eq!(page.fields[0], "pays");
    assert_eq!(page.rows[0][1], Value::Float(30.0));
    let column = |name: &str| -> &'static Column { COUNTRIES.column(name).unwrap() };
    let ascending =
        Query { sort: Some((column("total_revenue"), Direction::Ascending)), ..all.clone() };
    assert_eq!(texts(&store.find(one, &ascending).await.unwrap()), ["Spain", "Élan", "France"]);
    let second = store.find(one, &Query { limit: 1, offset: 1, ..all.clone() }).await.unwrap();
    assert_eq!((texts(&second), second.total), (vec!["Spain".to_owned()], 3));
    let twenty = store
        .find(one, &all.clone().with(column("total_revenue"), Value::Float(20.0)))
        .await
        .unwrap();
    assert_eq!((texts(&twenty), twenty.total), (vec!["Spain".to_owned(), "Élan".to_owned()], 2));
    for (comparison, expected) in
        [(Comparison::AtLeast, vec!["France"]), (Comparison::AtMost, vec!["Spain", "Élan"])]
    {
        let bound = if comparison == Comparison::AtLeast { 20.01 } else { 20.0 };
        let filter =
            Filter { column: column("total_revenue"), comparison, value: Value::Float(bound) };
        let found = store.find(one, &Query { filters: vec![filter], ..all.clone() }).await.unwrap();
        assert_eq!(texts(&found), expected);
    }
    for (text, expected) in
        [("éL", vec!["Élan"]), ("AN", vec!["France", "Élan"]), ("%", vec![]), ("a.", vec![])]
    {
        let search = Some(Search { columns: &["pays"], text: text.to_owned() });
        let found = store.find(one, &Query { search, ..all.clone() }).await.unwrap();
        assert_eq!(texts(&found), expected, "{text}");
        assert_eq!(found.total, expected.len() as u64);
    }
    let renamed = store.find(one, &Query::first(legacy::MONTHLY_GROWTH, 10)).await.unwrap();
    assert_eq!(renamed.fields, ["mois", "ca", "prev_ca", "growth_abs", "growth_pct"]);
    assert_eq!(renamed.rows[0][2], Value::Null);
    let whole = store.find(one, &Query::first(View::of(MONTHS), 10)).await.unwrap();
    assert_eq!(whole.rows[0][1], Value::Date(Day::parse("2024-02-01").unwrap()));
}

async fn looks_over(store: &dyn GoldStore, first: &TableEntry) {
    let audit = store.audit(COUNTRIES, first).await.unwrap().unwrap();
    assert_eq!((audit.rows, audit.rows_without_own_key), (3, 0));
    assert_eq!(audit.totals, first.totals);
    assert!(audit.wrong_values.is_empty(), "{audit:?}");
    let active = store.active().await.unwrap().unwrap();
    assert!(store.audit_names(&active).await.unwrap().is_empty());
    let elsewhere = published(9, vec![entry(COUNTRIES, "f", 3, 70.0, 3)]);
    assert!(!store.audit_names(&elsewhere).await.unwrap().is_empty());
    assert!(store.audit(COUNTRIES, &entry(COUNTRIES, "zz", 3, 0.0, 0)).await.unwrap().is_none());
}

/// Publishing again, going back, sweeping: never the active one.
async fn keeps_goes_back_and_sweeps(store: &dyn GoldStore, one: &Published) {
    let [first, months] = [&one.manifest.tables[0], &one.manifest.tables[1]];
    let all = Query::first(View::of(COUNTRIES), 10);
    let mut last = one.clone();
    for generation in 2..=5 {
        let table = entry(COUNTRIES, &format!("{generation}"), 1, 1.0, 1);
        write(store, COUNTRIES, &table, source(countries(&[("Italy", 1.0)]))).await.unwrap();
        last = published(generation, vec![table, months.clone()]);
        activate(store, &last).await;
    }
    assert_eq!(texts(&store.find(&last, &all).await.unwrap()), ["Italy"]);
    assert_eq!(
        texts(&store.find(one, &all).await.unwrap()).len(),
        3,
        "an older generation is still whole"
    );
    for (asked, from_to) in [(None, (5, 4)), (Some(1), (4, 1))] {
        let went = rollback(store, RunTrigger::Cli, asked).await.unwrap();
        assert_eq!((went.from, went.to), from_to);
        let run = record(store, went.run).await.unwrap();
        assert_eq!((run.before, run.generation), (Some(from_to.0), Some(from_to.1)));
    }
    assert!(matches!(
        rollback(store, RunTrigger::Cli, Some(9)).await.unwrap_err(),
        StoreError::NoGeneration(_)
    ));
    assert_eq!(sweep(store, 2).await, 2);
    let kept: Vec<u64> =
        store.generations().await.unwrap().iter().map(|p| p.manifest.generation).collect();
    assert_eq!(kept, [1, 4, 5]);
    assert_eq!(store.active().await.unwrap().unwrap().manifest.generation, 1);
    assert!(has_table(store, first).await && has_table(store, months).await);
    activate(store, &last).await;
    assert_eq!(sweep(store, 1).await, 2);
    assert!(!has_table(store, first).await);
}

async fn lets_one_publish_at_a_time(store: &dyn GoldStore) {
    let publisher = hold(store).await;
    let second = store.publisher(&RunSpec::rollback(RunTrigger::Cli)).await.unwrap_err();
    assert!(matches!(second, StoreError::Locked(_)), "{second}");
    publisher.end(RunEnd::Succeeded).await.unwrap();
    hold(store).await.end(failed("it was too much")).await.unwrap();
    let run = hold(store).await;
    let step = RunStep {
        step: "gold".to_owned(),
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
    hold(store).await.end(failed("it was too much")).await.unwrap();
    // Dropped without a word, as by a process that was killed.
    drop(hold(store).await);
    hold(store).await.end(RunEnd::Succeeded).await.unwrap();
}

/// Every run is recorded, with what became of it.
async fn remembers_runs(store: &dyn GoldStore) {
    let runs = store.runs(RunQuery::newest(4)).await.unwrap().runs;
    let [last, gone, failed, _] = &runs[..] else { panic!("{runs:?}") };
    assert_eq!((last.state, last.error.as_deref()), (RunState::Succeeded, None));
    assert!(last.ended_at.is_some_and(|ended| ended >= last.started_at));
    assert_eq!((gone.state, gone.ended_at), (RunState::Interrupted, None));
    assert_eq!(failed.state, RunState::Failed);
    assert_eq!(failed.error.as_deref(), Some("it was too much"));
    assert_eq!(failed.causes, ["too much"]);
    assert!(last.run > gone.run && gone.run > failed.run);
    assert!(last.holder.ends_with(&format!(":{}", std::process::id())));
    let asked = async |query: RunQuery| store.runs(query).await.unwrap();
    let newest = RunQuery { counts: true, ..RunQuery::newest(1_000) };
    assert_eq!(asked(RunQuery::one(gone.run)).await.runs, std::slice::from_ref(gone));
    assert_eq!(asked(RunQuery::one(9_999)).await, RunPage { runs: Vec::new(), total: 0 });
    let failures = asked(RunQuery { state: Some(RunState::Failed), ..newest }).await;
    assert!(failures.runs.contains(failed));
    assert!(failures.runs.iter().all(|run| run.state == RunState::Failed));
    let second = asked(RunQuery { offset: 1, limit: 1, ..newest }).await;
    assert_eq!(second.runs, std::slice::from_ref(gone));
    let since = asked(RunQuery { from: Some(gone.started_at), ..newest }).await;
    let before = asked(RunQuery { until: Some(gone.started_at), ..newest }).await;
    assert!(since.runs.contains(gone) && !before.runs.contains(gone));
    assert_eq!(since.total + before.total, second.total);
    let all = store.runs(RunQuery::newest(1_000)).await.unwrap().runs;
    let went: Vec<_> = all
        .iter()
        .filter(|run| run.kind == RunKind::Rollback && run.generation.is_some())
        .map(|run| (run.generation, run.state))
        .collect();
    assert_eq!(went, [(Some(1), RunState::Succeeded), (Some(4), RunState::Succeeded)]);
}

#[tokio::test]
async fn mongodb_conforms() {
    let db = TestDb::new();
    conforms(&MongoStore::open(db.options(), &catalogue::CATALOGUE).unwrap()).await;
}

#[tokio::test]
async fn a_standalone_mongodb_conforms() {
    let server = tokio::task::spawn_blocking(Server::standalone).await.unwrap();
    let db = TestDb::at(server.uri());
    conforms(&MongoStore::open(db.options(), &catalogue::CATALOGUE).unwrap()).await;
    // Before the server is.
    drop(db);
}

#[tokio::test]
async fn sqlite_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let store =
        SqliteStore::open(&dir.path().join("deep/serving.db"), &catalogue::CATALOGUE).unwrap();
    conforms(&store).await;
}

#[tokio::test]
async fn another_process_sees_a_publish() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("serving.db");
    let [writer, reader] = [0, 1].map(|_| SqliteStore::open(&path, &catalogue::CATALOGUE).unwrap());
    sees_what_the_other_publishes(&writer, &reader).await;
    let db = TestDb::new();
    let [writer, reader] =
        [0, 1].map(|_| MongoStore::open(db.options(), &catalogue::CATALOGUE).unwrap());
    sees_what_the_other_publishes(&writer, &reader).await;
}

async fn sees_what_the_other_publishes(writer: &dyn GoldStore, reader: &dyn GoldStore) {
    for generation in 1..=3 {
        let table = entry(COUNTRIES, &format!("{generation}"), 1, 1.0, 1);
        write(writer, COUNTRIES, &table, source(countries(&[("Italy", 1.0)]))).await.unwrap();
        activate(writer, &published(generation, vec![table])).await;
        // The one that publishes knows at once, the other one at its next look.
        assert_eq!(writer.active().await.unwrap().unwrap().manifest.generation, generation);
        while reader
            .active()
            .await
            .unwrap()
            .is_none_or(|seen| seen.manifest.generation < generation)
        {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_file_that_is_deleted_or_replaced_is_not_served_from_the_grave() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("serving.db");
    let store = SqliteStore::open(&path, &catalogue::CATALOGUE).unwrap();
    let table = entry(COUNTRIES, "a", 1, 1.0, 1);
    write(&store, COUNTRIES, &table, source(countries(&[("Italy", 1.0)]))).await.unwrap();
    activate(&store, &published(1, vec![table])).await;
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(dir.path().join(format!("serving.db{suffix}")));
    }
    until_seen(&store, Result::is_err).await;
    assert!(store.ping().await.is_err());
    assert!(!path.exists(), "a reader made an empty file");

    let other = SqliteStore::open(&path, &catalogue::CATALOGUE).unwrap();
    let table = entry(COUNTRIES, "b", 1, 2.0, 1);
    write(&other, COUNTRIES, &table, source(countries(&[("Spain", 2.0)]))).await.unwrap();
    activate(&other, &published(7, vec![table])).await;
    until_seen(&store, Result::is_ok).await;
    let active = store.active().await.unwrap().unwrap();
    assert_eq!(active.manifest.generation, 7);
    let found = store.find(&active, &Query::first(View::of(COUNTRIES), 1)).await.unwrap();
    assert_eq!(texts(&found), ["Spain"]);
}

#[tokio::test]
async fn a_sweep_leaves_tables_of_other_people_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("serving.db");
    let store = SqliteStore::open(&path, &catalogue::CATALOGUE).unwrap();
    let analyst = rusqlite::Connection::open(&path).unwrap();
    analyst
        .execute_batch(
            "CREATE TABLE budget_revision (amount REAL); INSERT INTO budget_revision VALUES (1);
             CREATE TABLE budget_0123456789abcdef_revision (amount REAL)",
        )
        .unwrap();
    let table = entry(COUNTRIES, "a", 1, 1.0, 1);
    write(&store, COUNTRIES, &table, source(countries(&[("Italy", 1.0)]))).await.unwrap();
    assert_eq!(sweep(&store, 2).await, 1, "the unused table of ours is dropped");
    for (name, rows) in [("budget_revision", 1), ("budget_0123456789abcdef_revision", 0)] {
        let count = format!("SELECT count(*) FROM {name}");
        let found: i64 = analyst.query_row(&count, [], |row| row.get(0)).unwrap();
        assert_eq!(found, rows);
    }
}

#[tokio::test]
async fn stable_and_older_names_are_views_that_analysts_can_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("serving.db");
    let store = SqliteStore::open(&path, &catalogue::CATALOGUE).unwrap();
    let table = entry(COUNTRIES, "a", 1, 5.0, 1);
    write(&store, COUNTRIES, &table, source(countries(&[("Italy", 5.0)]))).await.unwrap();
    activate(&store, &published(1, vec![table])).await;
    let analyst = rusqlite::Connection::open(&path).unwrap();
    let read = |sql: &str| -> (String, f64) {
        analyst.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    };
    assert_eq!(
        read("SELECT pays, total_revenue FROM revenue_by_country"),
        ("Italy".to_owned(), 5.0)
    );
    assert_eq!(read("SELECT pays, ca FROM gold_by_country"), ("Italy".to_owned(), 5.0));
}

#[tokio::test]
async fn a_value_of_another_type_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("serving.db");
    let store = SqliteStore::open(&path, &catalogue::CATALOGUE).unwrap();
    let table = entry(MONTHS, "abc", 1, 0.0, 0);
    write(&store, MONTHS, &table, source(month())).await.unwrap();
    let one = published(1, vec![table.clone()]);
    activate(&store, &one).await;
    let tampering = rusqlite::Connection::open(&path).unwrap();
    tampering
        .execute(&format!("UPDATE \"{}\" SET month_start = 'soon'", table.physical_name()), [])
        .unwrap();
    let error = store.find(&one, &Query::first(View::of(MONTHS), 1)).await.unwrap_err().to_string();
    for part in [table.physical_name(), "month_start", "date", "2024-02"] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
}

#[test]
fn a_file_that_is_no_database_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("serving.db");
    std::fs::write(
        &path,
        "this is a letter to my bank, not a database; it is long enough to have a header"
            .repeat(10),
    )
    .unwrap();
    let error = SqliteStore::open(&path, &catalogue::CATALOGUE).unwrap_err();
    assert!(error.to_string().contains("serving.db"), "{error}");
}

/// A store on a runtime of its own, which stands still unless something is asked of it: what a
/// process does that is stopped or starved.
struct Stalling {
    runtime: tokio::runtime::Runtime,
    store: MongoStore,
}

impl Stalling {
    fn on(db: &TestDb) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let store = runtime
            .block_on(async { MongoStore::open(db.options(), &catalogue::CATALOGUE).unwrap() });
        Self { runtime, store }
    }
}

#[test]
fn a_holder_that_stalled_cannot_publish_after_another_took_over() {
    let standalone = Server::standalone();
    for db in [TestDb::new(), TestDb::at(standalone.uri())] {
        let [stalled, other] = [0, 1].map(|_| Stalling::on(&db));
        let table = entry(COUNTRIES, "a", 1, 1.0, 1);
        let one = published(1, vec![table.clone()]);
        let (publisher, written) = stalled.runtime.block_on(async {
            let publisher = hold(&stalled.store).await;
            let rows = source(countries(&[("Italy", 1.0)]));
            let written = publisher.write_table(COUNTRIES, &table, rows).await.unwrap();
            (publisher, written)
        });
        assert!(written);
        // Its lease of a second runs out meanwhile, and another publishes.
        let table = entry(COUNTRIES, "b", 1, 2.0, 1);
        let two = published(2, vec![table.clone()]);
        let second = other.runtime.block_on(async {
            let second = hold(&other.store).await;
            let rows = source(countries(&[("Spain", 2.0)]));
            second.write_table(COUNTRIES, &table, rows).await.unwrap();
            second
        });
        // Before the other one has switched, and after.
        for is_published in [false, true] {
            if is_published {
                other.runtime.block_on(second.activate(&two)).unwrap();
            }
            let refused = stalled.runtime.block_on(publisher.activate(&one)).unwrap_err();
            assert!(matches!(refused, StoreError::LeaseLost(_)), "{refused}");
        }
        other.runtime.block_on(async {
            assert_eq!(*other.store.active().await.unwrap().unwrap(), two);
            let kept = other.store.generations().await.unwrap();
            assert!(kept.iter().all(|kept| kept.manifest.generation == 2), "{kept:?}");
            assert!(other.store.audit_names(&two).await.unwrap().is_empty());
            second.end(RunEnd::Succeeded).await.unwrap();
        });
        stalled.runtime.block_on(publisher.end(failed("overtaken"))).unwrap();
        let runs = other.runtime.block_on(other.store.runs(RunQuery::newest(10))).unwrap().runs;
        let states: Vec<_> = runs.iter().map(|run| (run.run, run.state, run.generation)).collect();
        assert_eq!(states, [(2, RunState::Succeeded, Some(2)), (1, RunState::Failed, None)]);
    }
}

#[tokio::test]
async fn a_document_that_does_not_decode_is_an_error_that_names_it() {
    for change in [
        doc! { "$set": { "month_start": "soon" } },
        doc! { "$set": { "month_start": mongodb::bson::DateTime::from_millis(1) } },
        doc! { "$unset": { "month_start": "" } },
    ] {
        let db = TestDb::new();
        let store = MongoStore::open(db.options(), &catalogue::CATALOGUE).unwrap();
        let table = entry(MONTHS, "abc", 1, 0.0, 0);
        write(&store, MONTHS, &table, source(month())).await.unwrap();
        let one = published(1, vec![table.clone()]);
        activate(&store, &one).await;
        let client = db.client().await;
        let stored = client.database(&db.name).collection::<Document>(table.physical_name());
        stored.update_one(doc! {}, change).await.unwrap();
        let asked = Query::first(View::of(MONTHS), 1);
        let error = store.find(&one, &asked).await.unwrap_err().to_string();
        for part in [table.physical_name(), "month_start", "date", "2024-02"] {
            assert!(error.contains(part), "{part} is not in {error}");
        }
    }
}

#[tokio::test]
async fn a_table_that_is_removed_while_it_is_read_is_not_an_empty_one() {
    let db = TestDb::new();
    let store = MongoStore::open(db.options(), &catalogue::CATALOGUE).unwrap();
    let table = entry(COUNTRIES, "a", 1, 1.0, 1);
    write(&store, COUNTRIES, &table, source(countries(&[("Italy", 1.0)]))).await.unwrap();
    let one = published(1, vec![table.clone()]);
    activate(&store, &one).await;
    let all = Query::first(View::of(COUNTRIES), 10);
    let nowhere = all.clone().with(&COUNTRIES.columns[0], Value::Text("Nowhere".to_owned()));
    assert_eq!(store.find(&one, &nowhere).await.unwrap().total, 0);
    let client = db.client().await;
    let stored = client.database(&db.name).collection::<Document>(table.physical_name());
    stored.drop().await.unwrap();
    for query in [all, nowhere] {
        let error = store.find(&one, &query).await.unwrap_err();
        assert!(matches!(error, StoreError::Removed { .. }), "{error}");
    }
    // Nor can it be served again.
    let publisher = hold(&store).await;
    let error = publisher.activate(&one).await.unwrap_err();
    assert!(matches!(error, StoreError::Removed { .. }), "{error}");
    publisher.end(RunEnd::Succeeded).await.unwrap();
}

#[tokio::test]
async fn instants_keep_their_milliseconds_and_days_their_date() {
    let db = TestDb::new();
    let store = MongoStore::open(db.options(), &catalogue::CATALOGUE).unwrap();
    let table = &catalogue::CUSTOMER_METRICS;
    let instant = Timestamp::parse("1999-12-31T23:59:59.999999").unwrap();
    let columns = table.columns.iter().map(|column| match column.ty {
        ColumnType::Int => ColumnValues::Int(vec![Some(7)]),
        ColumnType::Float | ColumnType::Money => ColumnValues::Float(vec![Some(1.0)]),
        ColumnType::Bool => ColumnValues::Bool(vec![Some(true)]),
        ColumnType::Text => ColumnValues::Text(vec![Some("x".to_owned())]),
        ColumnType::TextList => ColumnValues::TextList(vec![Some(Vec::new())]),
        ColumnType::Date => ColumnValues::Date(vec![Some(instant.day())]),
        ColumnType::Timestamp => ColumnValues::Timestamp(vec![Some(instant)]),
    });
    let batch = Batch { columns: columns.collect(), rows: 1 };
    let stored = entry(table, "a", 1, 1.0, 7);
    write(&store, table, &stored, source(batch)).await.unwrap();
    let one = published(1, vec![stored]);
    let last_purchase = table.column("last_purchase").unwrap();
    let day = table.column("date_inscription").unwrap();
    let cut = Timestamp::parse("1999-12-31T23:59:59.999").unwrap();
    let all = Query::first(View::of(table), 1);
    let asked = all
        .clone()
        .with(last_purchase, Value::Timestamp(cut))
        .with(day, Value::Date(instant.day()));
    let found = store.find(&one, &asked).await.unwrap();
    // What is finer than what is stored equals nothing and lies above it.
    for (comparison, total) in
        [(Comparison::Equal, 0), (Comparison::AtLeast, 0), (Comparison::AtMost, 1)]
    {
        let filter = Filter { column: last_purchase, comparison, value: Value::Timestamp(instant) };
        let finer = Query { filters: vec![filter], ..all.clone() };
        assert_eq!(store.find(&one, &finer).await.unwrap().total, total, "{comparison:?}");
    }
    let value = |name: &str| {
        let place = table.columns.iter().position(|column| column.name == name).unwrap();
        found.rows[0][place].clone()
    };
    assert_eq!(value("last_purchase"), Value::Timestamp(cut));
    assert_eq!(value("date_inscription"), Value::Date(Day::parse("1999-12-31").unwrap()));
}
