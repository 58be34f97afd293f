//! What an earlier version wrote is served, refreshed, rolled back and checked.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use goldsmith::domain::time::Timestamp;
use serde_json::Value;

use crate::support::mongo::TestDb;
use crate::support::{Dump, Running, Shop};

/// Answers that depend on the moment or on where the store is.
const OF_THE_MOMENT: [&str; 1] = ["/health/ready"];

/// A shop as commit 5153dbb left it; `answers.json` in it has what that version answered.
fn old_shop(fixture: &str) -> Shop {
    let shop = Shop::empty();
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/5153dbb").join(fixture);
    let mut unpack = Command::new("python3");
    unpack.args(["-m", "tarfile", "-e"]).arg(archive).arg(shop.path());
    assert!(unpack.status().unwrap().success());
    shop
}

/// Removes the fields that an answer did not have and that are null, empty or the time zone of all earlier data.
fn remove_added(found: &mut Value, expected: &Value) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            let is_empty = |value: &Value| match value {
                Value::Null => true,
                Value::Array(list) => list.is_empty(),
                Value::Object(map) => map.is_empty(),
                _ => false,
            };
            let is_added = |name: &str, value: &Value| {
                is_empty(value) || (name == "timezone" && value == "UTC")
            };
            found.retain(|name, value| !is_added(name, value) || expected.contains_key(name));
            for (name, value) in found {
                remove_added(value, &expected[name]);
            }
        }
        (Value::Array(found), Value::Array(expected)) => {
            found
                .iter_mut()
                .zip(expected)
                .for_each(|(found, expected)| remove_added(found, expected));
        }
        _ => {}
    }
}

/// Asserts that columns and tables that the version did not have read as null and as missing, in
/// every form of a request.
fn assert_added_are_null(shop: &Shop) {
    let running = Running::start(shop, &["serve"], &[]);
    let get = |path: &str| running.http.get_as(path, None);
    let kpis = get("/kpis").json()["data"].clone();
    for column in ["gross_revenue", "refunds", "guest_revenue", "currency", "predicted_clv_12m"] {
        assert_eq!(kpis.get(column), Some(&Value::Null), "{column}");
    }
    assert!(kpis["total_revenue"].is_f64());
    let total = |path: &str| get(path).json()["meta"]["total"].clone();
    assert_eq!(total("/customers?ref_client=1"), 0);
    assert_eq!(total("/customers?gross_revenue_min=0"), 0);
    let sorted = get("/customers?sort=gross_revenue:desc&limit=3").json();
    assert_eq!(sorted["data"][0]["ref_client"], Value::Null);
    assert_eq!(sorted["data"].as_array().unwrap().len(), 3);
    let missing = get("/revenue/statistics/product");
    assert_eq!(missing.status, 503);
    assert!(
        missing.text.contains("by a version without statistics_by_product"),
        "{}",
        missing.text
    );
    running.stop();
}

/// Asserts that everything is answered as it was.
fn assert_answers(shop: &Shop, answers: &Value, is_compared: impl Fn(&str) -> bool) {
    let running = Running::start(shop, &["serve"], &[("ADMIN_TOKEN", "t")]);
    let mut compared = 0;
    for (path, expected) in answers.as_object().unwrap() {
        if !path.starts_with('/') || !is_compared(path) {
            continue;
        }
        let is_limited = ["/customers", "/segments", "/scores"].contains(&path.as_str());
        let query = if is_limited { "?limit=20" } else { "" };
        let reply = running.http.get_as(&format!("{path}{query}"), Some("t"));
        let mut body = reply.json();
        if let Some(meta) = body.get_mut("meta").and_then(Value::as_object_mut) {
            meta.remove("query_ms");
        }
        remove_added(&mut body, &expected["body"]);
        assert_eq!(
            (&expected["status"], &expected["body"]),
            (&reply.status.into(), &body),
            "{path}"
        );
        compared += 1;
    }
    assert!(compared > 20, "{compared}");
    running.stop();
}

/// The rows of purchases that the version did not reject: of rows with one number the last.
fn accepted_before(csv: &str) -> String {
    let mut lines = csv.lines();
    let header = lines.next().unwrap();
    let is_accepted = |line: &&str| {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let is_id = |cell: &str| cell.parse::<u64>().is_ok_and(|id| id > 0);
        let at = Timestamp::parse(cells[2]);
        is_id(cells[0])
            && is_id(cells[1])
            && at.is_some_and(|at| {
                at < Timestamp::now() && at > Timestamp::parse("2000-01-01").unwrap()
            })
            && cells[3].parse::<f64>().is_ok_and(|amount| amount > 0.0 && amount <= 10_000.0)
            && !cells[4].is_empty()
    };
    let accepted: Vec<&str> = lines.filter(is_accepted).collect();
    let number = |line: &str| line.split(',').next().unwrap().trim().to_owned();
    let last: BTreeMap<String, usize> =
        accepted.iter().enumerate().map(|(row, line)| (number(line), row)).collect();
    let rows = accepted.iter().enumerate().filter(|(row, line)| last[&number(line)] == *row);
    [header].into_iter().chain(rows.map(|(_, line)| *line)).collect::<Vec<_>>().join("\n") + "\n"
}

fn assert_is_carried_on(shop: &Shop) {
    let answers: Value =
        serde_json::from_slice(&std::fs::read(shop.path().join("answers.json")).unwrap()).unwrap();
    assert_answers(shop, &answers, |path| !OF_THE_MOMENT.contains(&path));
    assert_added_are_null(shop);
    shop.run(&["check"]).good();
    shop.run(&["lake", "verify"]).good();
    let purchases = std::fs::read_to_string(shop.data("sources/achats.csv")).unwrap();
    std::fs::write(shop.path().join("accepted.csv"), accepted_before(&purchases)).unwrap();
    let scored = shop.run(&["score", "--customers", "accepted.csv"]).good();
    assert_eq!(scored.out, answers["score"].as_str().unwrap());

    // The rules of that version rejected what is served now: its generation is not up to date.
    let refreshed = shop.run(&["refresh"]).good();
    assert!(refreshed.out.contains("published generation 3"), "{}", refreshed.out);
    let unchanged = shop.run(&["refresh"]).good();
    assert_eq!(unchanged.out, "nothing changed: generation 3 is up to date\n");
    let forced = shop.run(&["refresh", "--force"]).good();
    assert!(forced.out.contains("published generation 4"), "{}", forced.out);
    shop.run(&["check"]).good();
    shop.run(&["lake", "verify"]).good();
    for generation in ["1", "2"] {
        shop.run(&["rollback", generation]).good();
        shop.run(&["check"]).good();
    }
    assert_answers(shop, &answers, |path| {
        !OF_THE_MOMENT.contains(&path) && !path.starts_with("/admin")
    });
    shop.run(&["lake", "verify"]).good();
}

#[test]
fn a_data_directory_of_commit_5153dbb_is_served_refreshed_rolled_back_and_checked() {
    assert_is_carried_on(&old_shop("sqlite.tar.xz"));
}

#[test]
fn a_mongodb_of_commit_5153dbb_is_served_refreshed_rolled_back_and_checked() {
    let db = TestDb::new();
    let shop = old_shop("mongodb.tar.xz").serving_from(&db);
    Dump::read(&shop.path().join("dump")).restore(&db);
    assert_is_carried_on(&shop);
}
