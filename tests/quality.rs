//! `/quality`, the money in `/health`, and the checks of sources against the last published run.

use std::fmt::Write as _;

use serde_json::Value;

use crate::support::{Shop, TestApp};

/// A shop of 300 orders of 10 to 39 euros; of the last ones so many in another shape.
fn orders(changed: usize, change: impl Fn(usize) -> String) -> String {
    let mut text = "id_achat,id_client,date_achat,montant,produit\n".to_owned();
    for order in 0..300 {
        if order < 300 - changed {
            let (day, amount) = (order % 28 + 1, 10 + order % 30);
            writeln!(text, "{order}1,{},2026-01-{day:02},{amount}.00,Mug", order % 40 + 1).unwrap();
        } else {
            text += &change(order);
        }
    }
    text
}

#[track_caller]
fn check(quality: &Value, name: &str, set: &str) -> Value {
    let checks = quality["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["check"] == name && check["data_set"] == set);
    found.unwrap_or_else(|| panic!("no {name} among {checks:#?}")).clone()
}

#[test]
fn what_changed_since_the_last_published_run_is_checked() {
    let shop = Shop::with(&[("achats.csv", &orders(0, |_| String::new()))]);
    shop.run(&["refresh"]).good();
    let app = TestApp::spawn(&shop);
    let first = app.data("/quality");
    assert_eq!(check(&first, "reject_ratio", "achats")["value"], 0.0);
    assert_eq!(first["statistics"]["amounts"]["p50"], 24.0);
    assert_eq!(first["statistics"]["distinct"]["produit"], 1);
    let names: Vec<&Value> =
        first["checks"].as_array().unwrap().iter().map(|check| &check["check"]).collect();
    assert!(
        !names.contains(&&"amount_drift".into()),
        "there is nothing to compare with: {names:?}"
    );

    // A third of the orders is a hundred times as large, of another product, and without a product half of them.
    let change = |order: usize| {
        let product = if order.is_multiple_of(2) { "Sofa" } else { "" };
        format!("{order}1,7,2026-01-05,2500.00,{product}\n")
    };
    shop.put("achats.csv", orders(100, change).as_bytes());
    let ran = shop.run(&["refresh"]).good();
    let second = app.data("/quality");
    for (name, value, holds) in
        [("row_drop", 0.0, true), ("null_share", 1.0 / 6.0, false), ("new_categories", 0.2, true)]
    {
        let check = check(&second, name, "achats");
        assert!((check["value"].as_f64().unwrap() - value).abs() < 1e-9, "{check:#}");
        assert_eq!(check["holds"], holds, "{check:#}");
    }
    let drift = check(&second, "amount_drift", "achats");
    assert!(drift["value"].as_f64().unwrap() > 0.25 && drift["holds"] == false, "{drift:#}");
    assert_eq!((&drift["severity"], &drift["limit"]), (&"warn".into(), &0.25.into()));
    assert!(ran.out.contains("  check amount_mean: the mean amount of a line is"), "{}", ran.out);
    assert!(!ran.out.contains("check new_categories"), "it holds: {}", ran.out);

    // The run's record has the same, and gold depends on inputs alone.
    let run = app.admin("GET", "/admin/runs/2").json()["data"].take();
    assert_eq!(run["quality"]["checks"], second["checks"]);
}

#[test]
fn any_check_may_stop_a_run() {
    let shop = Shop::with(&[("achats.csv", &orders(0, |_| String::new()))]);
    shop.run(&["refresh"]).good();
    let doubled = |order: usize| format!("{order}1,7,2026-01-05,5000.00,Mug\n");
    shop.put("achats.csv", orders(60, doubled).as_bytes());
    let strict = [("QUALITY__SEVERITY__AMOUNT_MEAN", "block")];
    let ran = shop.run_with(&["refresh"], &strict);
    ran.refused(1, &["the mean amount of a line is 1019.6", "quality.max_mean_change = 0.25"]);
    shop.run_with(&["refresh", "--force"], &strict).good();
    let lax = [("QUALITY__SEVERITY__REJECT_RATIO", "warn")];
    shop.put("achats.csv", orders(100, |order| format!("{order}1,7,soon,1,Mug\n")).as_bytes());
    shop.run(&["refresh"]).refused(1, &["33.3 % of the purchases were rejected"]);
    shop.run_with(&["refresh"], &lax).good();
}

#[test]
fn health_reports_the_money_that_was_read_and_where_it_went() {
    let change = |order: usize| match order {
        298 => "2981,7,soon,20.00,Mug\n".to_owned(),
        _ => "2991,7,2026-01-05,-5.00,Mug\n".to_owned(),
    };
    let shop = Shop::with(&[("achats.csv", &orders(2, change))]);
    shop.run(&["refresh"]).good();
    let app = TestApp::spawn_with(&shop, &[("READ_TOKEN", "open sesame")]);
    assert_eq!(app.data_as("/health", None)["money"], Value::Null, "money is data");
    let money = app.data_as("/health", Some("open sesame"))["money"][0].take();
    let kpis = app.data_as("/kpis", Some("open sesame"));
    assert_eq!(money["sales"], kpis["gross_revenue"]);
    assert_eq!(money["refunds"], 5.0);
    let read = money["sales"].as_f64().unwrap() - 5.0 + 20.0;
    assert_eq!(money["read"], read);
    let left_out = &money["left_out"][0];
    for (key, value) in [
        ("reason", "invalid_date".into()),
        ("file", "achats.csv".into()),
        ("rows", 1.into()),
        ("sum", 20.0.into()),
        ("line", 300.into()),
        ("value", "soon".into()),
        ("hint", "correct the dates in the export".into()),
    ] {
        let value: Value = value;
        assert_eq!(left_out[key], value, "{key}: {left_out:#}");
    }
}
