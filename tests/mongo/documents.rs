//! What analysts find who read the database directly: declared types, every key, natural `_id`s,
//! business names only; and what happens when they change it.

use futures::TryStreamExt;
use goldsmith::catalogue::{self, legacy};
use goldsmith::domain::manifest::table_in_physical_name;
use goldsmith::domain::schema::{Column, ColumnType, Table, View};
use goldsmith::sample::{Spec, generate};
use mongodb::bson::{Bson, Document, doc};

use crate::support::mongo::TestDb;
use crate::support::{SMALL, Shop, TINY};

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
    let shop = Shop::published_to(SMALL, &db);
    (db, shop)
}

#[test]
fn every_value_of_every_table_has_its_declared_type_and_every_key_is_there() {
    let (db, shop) = published();
    for table in catalogue::ALL {
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
fn legacy_views_show_exactly_their_fields_with_the_types_of_their_columns() {
    let (db, _shop) = published();
    for view in legacy::ALL {
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
    assert!(dates(&legacy::DAILY) && dates(&legacy::WEEKLY) && dates(&legacy::DIM_CLIENTS));
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
    let tables = catalogue::ALL.iter().map(|table| table.name);
    let mut expected: Vec<&str> = tables.chain(legacy::ALL.iter().map(|view| view.name)).collect();
    expected.sort_unstable();
    assert_eq!(shown, expected);
    let ops = db.with(|db| async move {
        let ops = db.client().database(&format!("{}_ops", db.name()));
        let mut names = ops.list_collection_names().await.unwrap();
        names.sort();
        names
    });
    assert_eq!(ops, ["active", "identity", "leases", "manifests", "runs"]);
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
fn an_unchanged_table_is_not_written_again() {
    let (db, shop) = published();
    // These tables describe the run itself: they change with each.
    let unchanged = |db| {
        let mut all = identities(db);
        all.retain(|(name, _)| !name.contains("model_metrics") && !name.contains("migration"));
        all
    };
    let before = unchanged(&db);
    let ran = shop.run(&["refresh", "--force"]).good();
    assert!(ran.out.contains("2 tables written, 23 unchanged"), "{}", ran.out);
    assert_eq!(unchanged(&db), before);
}

#[test]
fn a_damaged_table_is_written_again() {
    let (db, shop) = published();
    db.with(|db| async move {
        let customers = physical(&db, "customers").await;
        customers.delete_one(doc! { "_id": 5_i64 }).await.unwrap();
    });
    shop.run(&["check"]).refused(1, &["deviates"]);
    let ran = shop.run(&["refresh", "--force"]).good();
    assert!(ran.out.contains("3 tables written, 22 unchanged"), "{}", ran.out);
    shop.run(&["check"]).good();
}

/// The physical collection of a table.
async fn physical(db: &mongodb::Database, table: &str) -> mongodb::Collection<Document> {
    let names = db.list_collection_names().await.unwrap();
    let is_physical = |name: &&String| table_in_physical_name(name) == Some(table);
    db.collection(names.iter().find(is_physical).unwrap())
}

#[test]
fn check_finds_every_change_by_hand() {
    let spent = |value: Bson| doc! { "$set": { "total_spent": value } };
    let millisecond = mongodb::bson::DateTime::from_millis(1);
    for (table, change, problem) in [
        ("customers", spent("much".into()), "total_spent is missing, mistyped"),
        ("customers", spent(f64::NAN.into()), "total_spent is missing, mistyped"),
        (
            "customers",
            doc! { "$set": { "refunds": -1.0 } },
            "refunds is missing, mistyped or out of range",
        ),
        ("customers", doc! { "$set": { "purchase_count": 3_i32 } }, "purchase_count is missing"),
        ("customers", doc! { "$set": { "date_inscription": millisecond } }, "date_inscription is"),
        ("customers", doc! { "$unset": { "nom": "" } }, "columns are"),
        ("customers", doc! { "$set": { "note": 1 } }, "columns are"),
        ("customers", doc! { "$set": { "id_client": 999_i64 } }, "1 rows have no key of their own"),
        ("daily_revenue", doc! { "$set": { "growth_abs": f64::NAN } }, "growth_abs is missing"),
        (
            "revenue_by_product",
            doc! { "$set": { "top_countries": ["France", null] } },
            "top_countries is missing",
        ),
        ("cohort_retention", doc! { "$set": { "month_offset": { "a": 1 } } }, "month_offset is"),
    ] {
        let (db, shop) = published();
        db.with(|db| async move {
            physical(&db, table).await.update_one(doc! {}, change).await.unwrap();
        });
        let ran = shop.run(&["check"]).refused(1, &["deviates"]);
        let is_line = |line: &&str| line.split_whitespace().next() == Some(table);
        let line = ran.out.lines().find(is_line).unwrap();
        assert!(line.contains(problem), "{problem}: {line}");
    }
}

#[test]
fn a_dropped_index_is_found_and_built_again() {
    let (db, shop) = published();
    let drop_indexes = || {
        db.with(|db| async move {
            physical(&db, "fact_achats").await.drop_indexes().await.unwrap();
        });
    };
    drop_indexes();
    let ran = shop.run(&["check"]).refused(1, &["deviates"]);
    assert!(ran.out.contains("the indexes id_client_1__id_1, date_achat_1__id_1 are missing"));
    shop.run(&["refresh"]).good();
    shop.run(&["check"]).good();
    drop_indexes();
    shop.run(&["refresh", "--force"]).good();
    shop.run(&["check"]).good();
}

#[test]
fn foreign_collections_and_views_stay_untouched() {
    let db = TestDb::new();
    let shop =
        Shop::sample(TINY).serving_from(&db).with_settings(&[("PUBLISH__KEEP_GENERATIONS", "2")]);
    let foreign = ["budget", "budget_revision", "budget_0123456789abcdef_revision"];
    db.with(|db| async move {
        for name in foreign {
            db.collection(name).insert_one(doc! { "a": 1 }).await.unwrap();
        }
        let view = doc! { "create": "gold_foreign", "viewOn": "budget", "pipeline": [] };
        db.run_command(view).await.unwrap();
    });
    for seed in 1..=4 {
        for (name, bytes) in generate(Spec { seed, ..TINY }).unwrap() {
            shop.put(name, &bytes);
        }
        shop.run(&["refresh"]).good();
    }
    for name in foreign.into_iter().chain(["gold_foreign"]) {
        assert_eq!(all(&db, name).len(), 1, "{name}");
    }
}

#[test]
fn a_foreign_view_under_a_stable_name_is_refused_and_kept() {
    let db = TestDb::new();
    let shop = Shop::sample(TINY).serving_from(&db);
    let create_foreign = || {
        db.with(|db| async move {
            db.collection::<Document>("kpis").drop().await.unwrap();
            db.collection("foreign").insert_one(doc! { "a": 1 }).await.unwrap();
            let view = doc! { "create": "kpis", "viewOn": "foreign", "pipeline": [] };
            db.run_command(view).await.unwrap();
        });
    };
    // Before the first publish, and in place of the published view when the sources are unchanged.
    for _ in 0..2 {
        create_foreign();
        shop.run(&["refresh"]).refused(1, &["kpis", &db.name, "rename or drop"]);
        assert_eq!(all(&db, "kpis")[0].get_i32("a").unwrap(), 1);
        db.with(|db| async move { db.collection::<Document>("kpis").drop().await.unwrap() });
        shop.run(&["refresh"]).good();
        shop.run(&["check"]).good();
    }
}

#[test]
fn a_removed_lease_does_not_stop_publishing() {
    let (db, shop) = published();
    for _ in 0..3 {
        shop.run(&["refresh", "--force"]).good();
    }
    db.with(|db| async move {
        let ops = db.client().database(&format!("{}_ops", db.name()));
        ops.collection::<Document>("leases").drop().await.unwrap();
    });
    shop.run(&["refresh", "--force"]).good();
    let runs = db.with(|db| async move {
        let ops = db.client().database(&format!("{}_ops", db.name()));
        let runs = ops.collection::<Document>("runs");
        let found = runs.find(doc! {}).sort(doc! { "_id": 1 });
        let runs: Vec<Document> = found.await.unwrap().try_collect().await.unwrap();
        runs.iter().map(|run| run.get_i64("_id").unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(runs, [1, 2, 3, 4, 5]);
}

#[test]
fn a_foreign_collection_under_a_legacy_name_is_refused_and_kept() {
    let db = TestDb::new();
    let shop = Shop::sample(TINY).serving_from(&db);
    db.with(|db| async move {
        let foreign = db.collection::<Document>("gold_monthly");
        foreign.insert_one(doc! { "mois": "2024-01", "ca": 1.0 }).await.unwrap();
    });
    shop.run(&["refresh"]).refused(1, &["gold_monthly", &db.name, "rename or drop"]);
    assert_eq!(all(&db, "gold_monthly").len(), 1);
    db.with(|db| async move { db.collection::<Document>("gold_monthly").drop().await.unwrap() });
    shop.run(&["refresh"]).good();
    assert!(all(&db, "gold_monthly").len() > 1);
}
