//! What only MongoDB has: leases that expire, documents and collections that others change, dates of
//! milliseconds.

use goldsmith::catalogue::{self, CATALOGUE};
use goldsmith::domain::query::{Comparison, Filter, Query};
use goldsmith::domain::rows::{Batch, ColumnValues, Value};
use goldsmith::domain::schema::{ColumnType, View};
use goldsmith::domain::time::{Day, Timestamp};
use goldsmith::runs::{RunEnd, RunLog as _, RunQuery, RunState};
use goldsmith::store::mongo::MongoStore;
use goldsmith::store::{GoldStore as _, StoreError};
use mongodb::bson::{Document, doc};

use super::fixtures::{
    COUNTRIES, MONTHS, activate, countries, entry, failed, hold, month, published, source, write,
};
use super::generations;
use crate::support::mongo::{TestDb, shared_standalone_uri};

#[tokio::test]
async fn another_process_sees_a_publish() {
    let db = TestDb::new();
    let [writer, reader] = [0, 1].map(|_| MongoStore::open(db.options(), &CATALOGUE).unwrap());
    generations::another_process_sees_a_publish(&writer, &reader).await;
}

/// A store on a runtime of its own, which makes progress only within `block_on`: like a process that
/// is stopped or starved.
struct Stalling {
    runtime: tokio::runtime::Runtime,
    store: MongoStore,
}

impl Stalling {
    fn on(db: &TestDb) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let store = runtime.block_on(async { MongoStore::open(db.options(), &CATALOGUE).unwrap() });
        Self { runtime, store }
    }
}

#[test]
fn a_stalled_publisher_cannot_publish_after_another_took_its_lease() {
    for db in [TestDb::new(), TestDb::at(shared_standalone_uri())] {
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
        // Its lease of a second expires meanwhile, and another process publishes.
        let table = entry(COUNTRIES, "b", 1, 2.0, 1);
        let two = published(2, vec![table.clone()]);
        let second = other.runtime.block_on(async {
            let second = hold(&other.store).await;
            let rows = source(countries(&[("Spain", 2.0)]));
            second.write_table(COUNTRIES, &table, rows).await.unwrap();
            second
        });
        // Before the other process has switched, and after.
        for is_published in [false, true] {
            if is_published {
                other.runtime.block_on(second.activate(&two)).unwrap();
            }
            let error = stalled.runtime.block_on(publisher.activate(&one)).unwrap_err();
            assert!(matches!(error, StoreError::LeaseLost(_)), "{error}");
        }
        other.runtime.block_on(async {
            assert_eq!(*other.store.active().await.unwrap().unwrap(), two);
            let stored = other.store.generations().await.unwrap();
            assert!(stored.iter().all(|stored| stored.manifest.generation == 2), "{stored:?}");
            assert!(other.store.audit_names(&two).await.unwrap().is_empty());
            second.end(RunEnd::Succeeded).await.unwrap();
        });
        stalled.runtime.block_on(publisher.end(failed("fenced"))).unwrap();
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
        let store = MongoStore::open(db.options(), &CATALOGUE).unwrap();
        let table = entry(MONTHS, "abc", 1, 0.0, 0);
        write(&store, MONTHS, &table, source(month())).await.unwrap();
        let one = published(1, vec![table.clone()]);
        activate(&store, &one).await;
        let client = db.client().await;
        let stored = client.database(&db.name).collection::<Document>(table.physical_name());
        stored.update_one(doc! {}, change).await.unwrap();
        let query = Query::first(View::of(MONTHS), 1);
        let error = store.find(&one, &query).await.unwrap_err().to_string();
        for part in [table.physical_name(), "month_start", "date", "2024-02"] {
            assert!(error.contains(part), "{part} is not in {error}");
        }
    }
}

#[tokio::test]
async fn a_table_that_is_removed_while_it_is_read_is_not_read_as_empty() {
    let db = TestDb::new();
    let store = MongoStore::open(db.options(), &CATALOGUE).unwrap();
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
    // Nor can its generation be served again.
    let publisher = hold(&store).await;
    let error = publisher.activate(&one).await.unwrap_err();
    assert!(matches!(error, StoreError::Removed { .. }), "{error}");
    publisher.end(RunEnd::Succeeded).await.unwrap();
}

#[tokio::test]
async fn instants_keep_their_milliseconds_and_days_their_date() {
    let db = TestDb::new();
    let store = MongoStore::open(db.options(), &CATALOGUE).unwrap();
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
    let query = all
        .clone()
        .with(last_purchase, Value::Timestamp(cut))
        .with(day, Value::Date(instant.day()));
    let found = store.find(&one, &query).await.unwrap();
    // A finer instant than the stored one equals nothing and is greater.
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
