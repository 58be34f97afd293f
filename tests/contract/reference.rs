//! Real input: gold must equal what another system computed from the same files.
//!
//! That system writes texts in title case and labels without accents, so texts are compared ignoring
//! case and accents; its period tables only contain periods with sales.

use deunicode::deunicode;
use goldsmith::domain::time::Timestamp;
use serde_json::{Map, Value};

use crate::support::{Shop, TestApp, reference_folder};

const TOLERANCE: f64 = 1e-6;

fn served() -> Option<(Shop, TestApp, Value)> {
    let folder = reference_folder()?;
    let shop = Shop::published_from(&folder);
    let expected =
        serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let app = TestApp::spawn(&shop);
    Some((shop, app, expected))
}

fn folded(text: &str) -> String {
    deunicode(text).to_lowercase()
}

fn agrees(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Number(a), Value::Number(b)) => {
            (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() <= TOLERANCE
        }
        (Value::String(a), Value::String(b)) => {
            folded(a) == folded(b)
                || (Timestamp::parse(a).is_some() && Timestamp::parse(a) == Timestamp::parse(b))
        }
        (a, b) => a == b,
    }
}

/// Checks that every row of `expected` is found by its first field and agrees in every field.
fn assert_rows(name: &str, expected: &Value, found: &[Value]) {
    let rows: &Vec<Value> = expected[name].as_array().unwrap();
    assert!(!rows.is_empty(), "{name}");
    let key = |row: &Map<String, Value>| {
        [
            "pays",
            "produit",
            "mois",
            "semaine",
            "jour",
            "bucket",
            "first_purchase_month",
            "month",
            "segment_label",
            "id_client",
        ]
        .into_iter()
        .find(|field| row.contains_key(*field))
        .unwrap()
    };
    for row in rows {
        let row = row.as_object().unwrap();
        let key =
            if name.contains("scores") || name.contains("dim") { "id_client" } else { key(row) };
        let same = found.iter().find(|candidate| agrees(&row[key], &candidate[key]));
        let same = same.unwrap_or_else(|| panic!("{name} has no {key} {}", row[key]));
        for (field, value) in row {
            assert!(
                agrees(value, &same[field]),
                "{name} {}: {field} is {} instead of {value}",
                row[key],
                same[field]
            );
        }
    }
}

#[test]
fn figures_equal_those_of_the_reference_system_to_a_millionth() {
    let Some((shop, app, expected)) = served() else { return };
    let rows = |path: &str| app.data(path).as_array().unwrap().clone();

    let kpis = app.data("/kpis");
    assert_eq!(kpis["total_revenue"], 6_008_544.91);
    assert_eq!(kpis["total_customers"], 1_500);
    assert_eq!(kpis["total_purchases"], 23_663);
    assert!(agrees(&expected["kpis"]["panier_moyen"], &kpis["avg_basket"]), "{kpis}");
    assert!(agrees(&expected["kpis"]["expected_total"], &kpis["expected_value_12m"]), "{kpis}");
    let quality = shop.json(&format!("{}/quality_report.json", shop.made("silver", 1)));
    for (dataset, rows) in [("clients", 1_500), ("achats", 23_663)] {
        assert_eq!(quality[dataset]["rows_valid"], rows);
        assert_eq!(quality[dataset]["rejected"], serde_json::json!({}));
    }

    for (name, path) in [
        ("gold_by_country", "/by_country"),
        ("gold_by_product", "/by_product"),
        ("gold_monthly", "/monthly"),
        ("gold_weekly", "/weekly"),
        ("gold_distribution", "/distribution"),
        ("gold_cohort_first_purchase", "/cohort"),
        ("gold_segment_summary", "/segments"),
        ("gold_daily_first_14", "/daily"),
        ("revenue_by_country", "/revenue/country"),
        ("revenue_by_product", "/revenue/product"),
        ("monthly_revenue", "/revenue/monthly"),
        ("gold_monthly_growth", "/monthly_growth"),
    ] {
        assert_rows(name, &expected, &rows(path));
    }
    let mut scores = rows("/scores?limit=1000");
    scores.extend(rows("/scores?limit=1000&offset=1000"));
    assert_eq!(scores.len(), 1_500);
    assert_rows("gold_client_scores_every_60th", &expected, &scores);

    // gold_dim_clients has no route: it is a view of the store.
    let store = shop.sqlite();
    let mut statement = store.prepare("SELECT * FROM gold_dim_clients").unwrap();
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let customers: Vec<Value> = statement
        .query_map([], |row| {
            let fields = names.iter().enumerate().map(|(place, name)| {
                let value = match row.get_ref(place).unwrap() {
                    rusqlite::types::ValueRef::Integer(v) => v.into(),
                    rusqlite::types::ValueRef::Real(v) => v.into(),
                    rusqlite::types::ValueRef::Text(v) => String::from_utf8_lossy(v).into(),
                    _ => Value::Null,
                };
                (name.clone(), value)
            });
            Ok(Value::Object(fields.collect()))
        })
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_rows("gold_dim_clients_every_100th", &expected, &customers);
}

#[test]
fn periods_without_a_sale_are_present_with_zeros() {
    let Some((_shop, app, expected)) = served() else { return };
    for (name, path) in [("gold_monthly", "/monthly"), ("gold_weekly", "/weekly")] {
        let sold = app.data(path).as_array().unwrap().iter().filter(|row| row["ca"] != 0.0).count();
        assert_eq!(sold, expected[name].as_array().unwrap().len(), "{name}");
    }
}
