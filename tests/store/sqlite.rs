//! What only SQLite has: a file that can be replaced, and other programs that write to it.

use std::sync::Arc;

use goldsmith::catalogue::CATALOGUE;
use goldsmith::domain::manifest::Published;
use goldsmith::domain::query::Query;
use goldsmith::domain::schema::View;
use goldsmith::store::sqlite::SqliteStore;
use goldsmith::store::{GoldStore, StoreError};

use super::fixtures::{
    COUNTRIES, MONTHS, activate, countries, entry, month, published, source, sweep, texts, write,
};
use super::generations;

/// Reads the pointer until the store, which caches it for a moment, has noticed a change.
async fn until_active(
    store: &dyn GoldStore,
    meets: fn(&Result<Option<Arc<Published>>, StoreError>) -> bool,
) {
    /// Far more reads than fit into the time that the pointer is cached.
    const MAX_READS: usize = 1_000_000;
    for _ in 0..MAX_READS {
        if meets(&store.active().await) {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the store never noticed the change");
}

#[tokio::test]
async fn another_process_sees_a_publish() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("serving.db");
    let [writer, reader] = [0, 1].map(|_| SqliteStore::open(&path, &CATALOGUE).unwrap());
    generations::another_process_sees_a_publish(&writer, &reader).await;
}

#[test]
fn many_that_create_the_file_at_once_all_open_it() {
    for _ in 0..10 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("serving.db");
        let start = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            let open = || {
                start.wait();
                SqliteStore::open(&path, &CATALOGUE)
            };
            let opened: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            for opened in opened {
                opened.join().unwrap().unwrap();
            }
        });
    }
}

#[tokio::test]
async fn a_file_that_is_deleted_or_replaced_is_not_served_any_longer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("serving.db");
    let store = SqliteStore::open(&path, &CATALOGUE).unwrap();
    let table = entry(COUNTRIES, "a", 1, 1.0, 1);
    write(&store, COUNTRIES, &table, source(countries(&[("Italy", 1.0)]))).await.unwrap();
    activate(&store, &published(1, vec![table])).await;
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(dir.path().join(format!("serving.db{suffix}")));
    }
    until_active(&store, Result::is_err).await;
    assert!(store.ping().await.is_err());
    assert!(!path.exists(), "a reader made an empty file");

    let other = SqliteStore::open(&path, &CATALOGUE).unwrap();
    let table = entry(COUNTRIES, "b", 1, 2.0, 1);
    write(&other, COUNTRIES, &table, source(countries(&[("Spain", 2.0)]))).await.unwrap();
    activate(&other, &published(7, vec![table])).await;
    until_active(&store, Result::is_ok).await;
    let active = store.active().await.unwrap().unwrap();
    assert_eq!(active.manifest.generation, 7);
    let found = store.find(&active, &Query::first(View::of(COUNTRIES), 1)).await.unwrap();
    assert_eq!(texts(&found), ["Spain"]);
}

#[tokio::test]
async fn a_sweep_leaves_foreign_tables_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("serving.db");
    let store = SqliteStore::open(&path, &CATALOGUE).unwrap();
    let analyst = rusqlite::Connection::open(&path).unwrap();
    analyst
        .execute_batch(
            "CREATE TABLE budget_revision (amount REAL); INSERT INTO budget_revision VALUES (1);
             CREATE TABLE budget_0123456789abcdef_revision (amount REAL)",
        )
        .unwrap();
    let table = entry(COUNTRIES, "a", 1, 1.0, 1);
    write(&store, COUNTRIES, &table, source(countries(&[("Italy", 1.0)]))).await.unwrap();
    assert_eq!(sweep(&store, 2).await, 1, "the unused table is dropped");
    for (name, rows) in [("budget_revision", 1), ("budget_0123456789abcdef_revision", 0)] {
        let count = format!("SELECT count(*) FROM {name}");
        let found: i64 = analyst.query_row(&count, [], |row| row.get(0)).unwrap();
        assert_eq!(found, rows);
    }
}

#[tokio::test]
async fn stable_and_legacy_names_are_views_that_analysts_can_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("serving.db");
    let store = SqliteStore::open(&path, &CATALOGUE).unwrap();
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
    let store = SqliteStore::open(&path, &CATALOGUE).unwrap();
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
fn a_file_that_is_not_a_database_is_rejected_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("serving.db");
    std::fs::write(
        &path,
        "this is a letter to my bank, not a database; it is long enough to have a header"
            .repeat(10),
    )
    .unwrap();
    let error = SqliteStore::open(&path, &CATALOGUE).unwrap_err();
    assert!(error.to_string().contains("serving.db"), "{error}");
}
