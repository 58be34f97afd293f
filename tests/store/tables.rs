//! Checks of tables: writing, verification, queries, audits.

use std::collections::BTreeSet;

use goldsmith::catalogue::legacy;
use goldsmith::domain::query::{Comparison, Filter, Query, Search};
use goldsmith::domain::rows::Value;
use goldsmith::domain::schema::{Column, Direction, View};
use goldsmith::domain::time::Day;
use goldsmith::runs::RunTrigger;
use goldsmith::store::rollback::rollback;
use goldsmith::store::{GoldStore, RowSource, RowsError, StoreError};

use super::fixtures::{
    COUNTRIES, FIRST_ROWS, MONTHS, countries, entry, first, has_table, publish_one, published,
    source, texts, write,
};

/// Also when several first uses are concurrent.
pub async fn the_first_use_creates_one_identity(store: &dyn GoldStore) {
    let first_uses = futures::future::join_all((0..4).map(|_| store.identity())).await;
    let first_uses: BTreeSet<String> = first_uses.into_iter().map(Result::unwrap).collect();
    let identity = store.identity().await.unwrap();
    assert_eq!(identity.len(), 32);
    assert_eq!(first_uses, BTreeSet::from([identity]));
}

pub async fn an_empty_store_answers_and_has_no_generation(store: &dyn GoldStore) {
    store.ping().await.unwrap();
    assert!(store.active().await.unwrap().is_none());
    assert!(store.generations().await.unwrap().is_empty());
    let nothing = rollback(store, RunTrigger::Cli, None).await.unwrap_err();
    assert!(matches!(nothing, StoreError::NoGeneration(_)), "{nothing}");
}

pub async fn a_table_is_written_once_and_verified(store: &dyn GoldStore) {
    let first = first();
    assert!(!has_table(store, &first).await);
    assert!(write(store, COUNTRIES, &first, source(countries(&FIRST_ROWS))).await.unwrap());
    assert!(!write(store, COUNTRIES, &first, source(countries(&FIRST_ROWS))).await.unwrap());
    assert!(has_table(store, &first).await);
}

pub async fn a_table_that_deviates_from_its_entry_is_undone(store: &dyn GoldStore) {
    let rows = || countries(&FIRST_ROWS);
    for wrong in [
        entry(COUNTRIES, "b", 4, 70.0, 3),
        entry(COUNTRIES, "b", 3, 70.01, 3),
        entry(COUNTRIES, "b", 3, 70.0, 4),
    ] {
        let error = write(store, COUNTRIES, &wrong, source(rows())).await.unwrap_err();
        assert!(matches!(error, StoreError::Mismatch { .. }), "{error}");
        assert!(!has_table(store, &wrong).await);
    }
    let interrupted = entry(COUNTRIES, "c", 3, 70.0, 3);
    for reason in [RowsError::Failed("the source broke".into()), RowsError::Cancelled] {
        let is_cancelled = matches!(reason, RowsError::Cancelled);
        let broken: RowSource = Box::new([Ok(rows()), Err(reason)].into_iter());
        let error = write(store, COUNTRIES, &interrupted, broken).await.unwrap_err();
        assert_eq!(matches!(error, StoreError::Cancelled), is_cancelled, "{error}");
        assert!(!has_table(store, &interrupted).await);
    }
    let repeated = write(
        store,
        COUNTRIES,
        &entry(COUNTRIES, "d", 2, 2.0, 2),
        source(countries(&[("X", 1.0), ("X", 1.0)])),
    )
    .await;
    assert!(repeated.is_err(), "a repeated key was stored");
}

pub async fn a_table_without_rows_is_stored(store: &dyn GoldStore) {
    let empty = entry(COUNTRIES, "e", 0, 0.0, 0);
    assert!(write(store, COUNTRIES, &empty, source(countries(&[]))).await.unwrap());
    assert!(has_table(store, &empty).await);
    let audit = store.audit(COUNTRIES, &empty).await.unwrap().unwrap();
    assert_eq!((audit.rows, audit.totals), (0, empty.totals));
    let one = published(1, vec![empty]);
    let page = store.find(&one, &Query::first(View::of(COUNTRIES), 10)).await.unwrap();
    assert_eq!((page.rows.len(), page.total), (0, 0));
}

/// Order, ties, filters, search, pages, totals, nulls, legacy views.
pub async fn queries_are_ordered_filtered_searched_and_paged(store: &dyn GoldStore) {
    let one = &publish_one(store).await;
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

pub async fn an_audit_finds_what_is_stored(store: &dyn GoldStore) {
    let one = publish_one(store).await;
    let first = &one.manifest.tables[0];
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
