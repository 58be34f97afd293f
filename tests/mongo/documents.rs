//! What people find who read the database themselves: declared types, every key, natural `_id`s,
//! business names only.

use futures::TryStreamExt;
use goldsmith::domain::schema::{Column, ColumnType, Table, View};
use goldsmith::pipeline::tables::{self, older};
use mongodb::bson::{Bson, Document, doc};

use crate::support::mongo::TestDb;
use crate::support::{SMALL, Shop};

fn is_declared(column: &Column, value: &Bson) -> bool {
    match (column.ty, value) {
        (_, Bson::Null) => column.nullable,
        (ColumnType::Int, Bson::Int64(_))
        | (ColumnType::Float | ColumnType::Money, Bson::Double(_))
        | (ColumnType::Bool, Bson::Boolean(_))
        | (ColumnType::Text, Bson::String(_))
        | (ColumnType::Timestamp, Bson::DateTime(_)) => true,
        (ColumnType::Date, Bson::DateTime(date)) => date.timestamp_millis() % 86_400_000 == 0,
        (ColumnType::TextList, Bson::Array(texts)) => {
            texts.iter().all(|text| text.as_str().is_some())
        }
        _ => false,
    }
}

/// The `_id` that a document of a table must have.
fn natural_id(table: &Table, document: &Document) -> Bson {
    match table.key {
        [] => Bson::String("_all".to_owned()),
        [only] => document.get(only).unwrap().clone(),
        several => {
            let parts: Vec<String> = several
                .iter()
                .map(|name| match document.get(name).unwrap() {
                    Bson::String(text) => text.clone(),
                    other => other.to_string(),
                })
                .collect();
            Bson::String(parts.join("/"))
        }
    }
}

fn all(db: &TestDb, name: &'static str) -> Vec<Document> {
    let found = db.with(|db| async move {
        let found = db.collection::<Document>(name).find(doc! {}).await.unwrap();
        found.try_collect::<Vec<_>>().await.unwrap()
    });
    assert!(!found.is_empty(), "{name} is empty");
    found
}

fn published() -> (TestDb, Shop) {
    let db = TestDb::new();
    let shop = Shop::sample(SMALL).serving_from(&db);
    shop.run(&["refresh"]).good();
    (db, shop)
}

#[test]
fn every_value_of_every_table_has_its_declared_type_and_every_key_is_there() {
    let (db, shop) = published();
    for table in tables::ALL {
        let documents = all(&db, table.name);
        for document in &documents {
            let keys: Vec<&str> = document.keys().map(String::as_str).collect();
            let columns = table.columns.iter().map(|column| column.name);
            let declared: Vec<&str> = std::iter::once("_id").chain(columns).collect();
            assert_eq!(keys, declared, "{}", table.name);
            assert_eq!(document.get("_id").unwrap(), &natural_id(table, document));
            for column in table.columns {
                let value = document.get(column.name).unwrap();
                assert!(is_declared(column, value), "{}.{}: {value}", table.name, column.name);
            }
        }
        if table.is_single() {
            assert_eq!(documents.len(), 1, "{}", table.name);
        }
    }
    shop.run(&["check"]).good();
}

#[test]
fn older_names_show_exactly_their_fields_with_the_types_of_their_columns() {
    let (db, _shop) = published();
    for view in older::ALL {
        for document in all(&db, view.name) {
            let mut keys: Vec<&str> = document.keys().map(String::as_str).collect();
            assert_eq!(keys.remove(0), "_id", "{}", view.name);
            let fields: Vec<&str> = view.columns().iter().map(|(field, _)| *field).collect();
            assert_eq!(keys, fields, "{}", view.name);
            for (field, column) in view.columns() {
                let value = document.get(field).unwrap();
                assert!(is_declared(column, value), "{}.{field}: {value}", view.name);
            }
        }
    }
    let dates = |view: &View| {
        let found = all(&db, view.name);
        found.iter().all(|document| {
            view.columns().iter().all(|(field, column)| {
                let is_date = matches!(column.ty, ColumnType::Date | ColumnType::Timestamp);
                !is_date || matches!(document.get(field), Some(Bson::DateTime(_) | Bson::Null))
            })
        })
    };
    assert!(dates(&older::DAILY) && dates(&older::WEEKLY) && dates(&older::DIM_CLIENTS));
}

#[test]
fn a_database_browser_sees_business_names_and_nothing_else() {
    let (db, _shop) = published();
    let names = db.names();
    let mut shown: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| !name.ends_with("_revision") && *name != "system.views")
        .collect();
    shown.sort_unstable();
    let tables = tables::ALL.iter().map(|table| table.name);
    let mut expected: Vec<&str> = tables.chain(older::ALL.iter().map(|view| view.name)).collect();
    expected.sort_unstable();
    assert_eq!(shown, expected);
    let ops = db.with(|db| async move {
        let ops = db.client().database(&format!("{}_ops", db.name()));
        let mut names = ops.list_collection_names().await.unwrap();
        names.sort();
        names
    });
    assert_eq!(ops, ["active", "leases", "manifests", "runs"]);
}

/// The identity of each collection: another one for a collection written anew.
fn identities(db: &TestDb) -> Vec<(String, Bson)> {
    let mut found: Vec<(String, Bson)> = db.with(|db| async move {
        let listed: Vec<Document> = db
            .run_cursor_command(doc! { "listCollections": 1, "filter": { "type": "collection" } })
            .await
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        listed
            .iter()
            .map(|collection| {
                let info = collection.get_document("info").unwrap();
                (collection.get_str("name").unwrap().to_owned(), info.get("uuid").unwrap().clone())
            })
            .collect()
    });
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

#[test]
fn a_table_that_did_not_change_is_used_again() {
    let (db, shop) = published();
    let before = identities(&db);
    let ran = shop.run(&["refresh", "--force"]).good();
    assert!(ran.out.contains("0 tables written, 16 unchanged"), "{}", ran.out);
    assert_eq!(identities(&db), before);
}

#[test]
fn a_table_that_was_damaged_is_written_anew() {
    let (db, shop) = published();
    db.with(|db| async move {
        let names = db.list_collection_names().await.unwrap();
        let customers = names.iter().find(|name| name.starts_with("customers_")).unwrap();
        let damaged = db.collection::<Document>(customers);
        damaged.delete_one(doc! { "_id": 5_i64 }).await.unwrap();
    });
    shop.run(&["check"]).refused(1, &["deviates"]);
    let ran = shop.run(&["refresh", "--force"]).good();
    assert!(ran.out.contains("1 tables written, 15 unchanged"), "{}", ran.out);
    shop.run(&["check"]).good();
}

#[test]
fn check_sees_what_somebody_changed() {
    for (change, said) in [
        (doc! { "$set": { "total_spent": "much" } }, "total_spent is missing, mistyped"),
        (doc! { "$set": { "purchase_count": 3_i32 } }, "purchase_count is missing, mistyped"),
        (
            doc! { "$set": { "date_inscription": mongodb::bson::DateTime::from_millis(1) } },
            "date_inscription",
        ),
        (doc! { "$unset": { "nom": "" } }, "columns are"),
        (doc! { "$set": { "note": 1 } }, "columns are"),
        (doc! { "$set": { "id_client": 999_i64 } }, "1 rows have no key of their own"),
    ] {
        let (db, shop) = published();
        db.with(|db| async move {
            let names = db.list_collection_names().await.unwrap();
            let customers = names.iter().find(|name| name.starts_with("customers_")).unwrap();
            let damaged = db.collection::<Document>(customers);
            damaged.update_one(doc! { "_id": 5_i64 }, change).await.unwrap();
        });
        let ran = shop.run(&["check"]).refused(1, &["deviates"]);
        let line =
            ran.out.lines().find(|line| line.trim_start().starts_with("customers ")).unwrap();
        assert!(line.contains(said), "{said}: {line}");
    }
}

#[test]
fn a_name_that_belongs_to_somebody_else_is_refused_and_kept() {
    let db = TestDb::new();
    let shop = Shop::sample(SMALL).serving_from(&db);
    db.with(|db| async move {
        let theirs = db.collection::<Document>("gold_monthly");
        theirs.insert_one(doc! { "mois": "2024-01", "ca": 1.0 }).await.unwrap();
    });
    shop.run(&["refresh"]).refused(1, &["gold_monthly", &db.name, "rename or drop"]);
    assert_eq!(all(&db, "gold_monthly").len(), 1);
    db.with(|db| async move { db.collection::<Document>("gold_monthly").drop().await.unwrap() });
    shop.run(&["refresh"]).good();
    assert!(all(&db, "gold_monthly").len() > 1);
}
