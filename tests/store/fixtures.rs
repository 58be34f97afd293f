//! Tiny tables and generations, and one-call wrappers that each take the right to publish.

use goldsmith::catalogue;
use goldsmith::domain::manifest::{Manifest, Published, TableEntry, Totals};
use goldsmith::domain::quality::QualityReport;
use goldsmith::domain::rows::{Batch, ColumnValues, Value};
use goldsmith::domain::schema::Table;
use goldsmith::domain::time::{Day, Timestamp};
use goldsmith::domain::zone::Zone;
use goldsmith::runs::{RefreshRequest, RunEnd, RunQuery, RunRecord, RunSpec, RunTrigger};
use goldsmith::store::{GoldStore, Page, Publisher, RowSource, StoreError};

pub const COUNTRIES: &Table = &catalogue::REVENUE_BY_COUNTRY;
pub const MONTHS: &Table = &catalogue::MONTHLY_REVENUE;
/// The rows of [`first`].
pub const FIRST_ROWS: [(&str, f64); 3] = [("France", 30.0), ("Spain", 20.0), ("Élan", 20.0)];

/// Rows of revenue_by_country.
pub fn countries(rows: &[(&str, f64)]) -> Batch {
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
            floats(|r| r),
            floats(|_| 0.0),
            ones(),
        ],
        rows: rows.len(),
    }
}

/// A row of monthly_revenue with every nullable value null.
pub fn month() -> Batch {
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
            ColumnValues::Float(vec![Some(0.0)]),
            ColumnValues::Float(vec![Some(0.0)]),
        ],
        rows: 1,
    }
}

pub fn entry(table: &Table, hash: &str, rows: u64, revenue: f64, purchases: i64) -> TableEntry {
    let totals = Totals { revenue, purchases: Some(purchases) };
    let hash = format!("{hash:0<64}");
    TableEntry::new(table, rows, hash, Vec::new(), Some(totals))
}

/// The entry of [`FIRST_ROWS`].
pub fn first() -> TableEntry {
    entry(COUNTRIES, "a", 3, 70.0, 3)
}

pub fn source(batch: Batch) -> RowSource {
    Box::new(std::iter::once(Ok(batch)))
}

pub fn published(generation: u64, tables: Vec<TableEntry>) -> Published {
    let instant = Timestamp::parse("2024-03-01").unwrap();
    let manifest = Manifest {
        generation,
        engine: "test".to_owned(),
        fingerprint: format!("f{generation}"),
        as_of: instant,
        timezone: Zone::default(),
        started_at: instant,
        committed_at: instant,
        sources: Vec::new(),
        unread: Vec::new(),
        corrections: Vec::new(),
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

/// The first column of a page.
pub fn texts(page: &Page) -> Vec<String> {
    page.rows
        .iter()
        .map(|row| match &row[0] {
            Value::Text(text) => text.clone(),
            other => panic!("{other:?}"),
        })
        .collect()
}

/// A refresh without any option.
pub fn plain_refresh() -> RunSpec {
    RunSpec::refresh(RunTrigger::Cli, RefreshRequest::default())
}

pub fn failed(error: &str) -> RunEnd {
    RunEnd::Failed { error: error.to_owned(), causes: vec!["too much".to_owned()] }
}

pub async fn record(store: &dyn GoldStore, run: u64) -> Option<RunRecord> {
    store.runs(RunQuery::one(run)).await.unwrap().runs.pop()
}

/// Takes the right to publish, for a run of its own.
pub async fn hold(store: &dyn GoldStore) -> Box<dyn Publisher> {
    store.publisher(&plain_refresh()).await.unwrap()
}

pub async fn write(
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

pub async fn activate(store: &dyn GoldStore, published: &Published) {
    let right = hold(store).await;
    right.activate(published).await.unwrap();
    right.end(RunEnd::Succeeded).await.unwrap();
}

pub async fn has_table(store: &dyn GoldStore, entry: &TableEntry) -> bool {
    let table = catalogue::by_name(&entry.name).unwrap();
    let publisher = hold(store).await;
    let has = publisher.has_table(table, entry).await.unwrap();
    publisher.end(RunEnd::Succeeded).await.unwrap();
    has
}

pub async fn sweep(store: &dyn GoldStore, keep: usize) -> usize {
    let publisher = hold(store).await;
    let dropped = publisher.sweep(keep).await.unwrap();
    publisher.end(RunEnd::Succeeded).await.unwrap();
    dropped
}

/// Publishes a generation with one country.
pub async fn publish_country(store: &dyn GoldStore, generation: u64, hash: &str, country: &str) {
    let table = entry(COUNTRIES, hash, 1, 1.0, 1);
    write(store, COUNTRIES, &table, source(countries(&[(country, 1.0)]))).await.unwrap();
    activate(store, &published(generation, vec![table])).await;
}

/// Publishes generation 1: three countries and a month.
pub async fn publish_one(store: &dyn GoldStore) -> Published {
    write(store, COUNTRIES, &first(), source(countries(&FIRST_ROWS))).await.unwrap();
    let months = entry(MONTHS, "abc", 1, 0.0, 0);
    write(store, MONTHS, &months, source(month())).await.unwrap();
    let one = published(1, vec![first(), months]);
    activate(store, &one).await;
    one
}

/// Publishes generations 2 to 5 after [`publish_one`]: one country each, the same month. Returns
/// the last.
pub async fn publish_four_more(store: &dyn GoldStore, one: &Published) -> Published {
    let mut last = one.clone();
    for generation in 2..=5 {
        let table = entry(COUNTRIES, &format!("{generation}"), 1, 1.0, 1);
        write(store, COUNTRIES, &table, source(countries(&[("Italy", 1.0)]))).await.unwrap();
        last = published(generation, vec![table, one.manifest.tables[1].clone()]);
        activate(store, &last).await;
    }
    last
}
