//! What a run would make of source files: `goldsmith sources inspect` and `GET /admin/sources`.

use serde_json::Value;

use crate::support::{Shop, TestApp};

/// Two orders of two lines, a refund, a guest, a row without a date, and one that repeats.
const ORDERS: &str = "id_achat;id_client;date_achat;montant;produit\n\
    1;7;31/12/2025;1.250,00;Mug\n1;7;31/12/2025;10,00;Lamp\n2;8;01/02/2026;20,50;Mug\n\
    3;;02/02/2026;5,00;Tea\n4;7;03/02/2026;-10,00;Lamp\n5;8;someday;7,25;Mug\n";

fn sources(app: &TestApp) -> Value {
    let reply = app.admin("GET", "/admin/sources");
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json()["data"].take()
}

#[test]
fn an_inspection_shows_how_files_are_read_and_where_their_money_would_go() {
    let shop = Shop::with(&[("ventes.csv", ORDERS), ("liste.csv", "a,b\n1,2\n")]);
    let app = TestApp::spawn(&shop);
    let found = sources(&app);
    assert_eq!(found["stops"], Value::Null, "{found:#}");
    let files = found["files"].as_array().unwrap();
    let [orders, other] = &files[..] else { panic!("{files:#?}") };
    assert_eq!(orders["verdict"]["separator"], ";");
    assert_eq!(orders["verdict"]["columns"][2]["column"], "date_achat");
    let forms: Vec<&str> =
        orders["forms"].as_array().unwrap().iter().map(|form| form.as_str().unwrap()).collect();
    assert_eq!(
        forms,
        [
            "date_achat: day first, as line 2 \"31/12/2025\" shows",
            "montant: decimals after a comma, as line 2 \"1.250,00\" shows",
        ]
    );
    assert_eq!(orders["rows"]["served"], 5);
    assert_eq!(orders["rows"]["left_out"]["invalid_date"], 1);
    let account = &orders["accounts"][0];
    for (key, value) in [("read", 1282.75), ("sales", 1285.5), ("refunds", 10.0)] {
        assert_eq!(account[key], value, "{key}: {account:#}");
    }
    assert_eq!((&account["sale_rows"], &account["refund_rows"]), (&4.into(), &1.into()));
    assert_eq!(account["left_out"]["invalid_date"]["sum"], 7.25);
    let example = &orders["examples"][0];
    assert_eq!((&example["line"], &example["kind"]), (&2.into(), &"sale".into()));
    assert_eq!(example["values"]["date_achat"], "2025-12-31T00:00:00");
    assert_eq!(example["values"]["montant"], "1250.00");
    assert_eq!(other["file"], "liste.csv");
    assert!(other["problem"].as_str().unwrap().contains("that of no data set"), "{other:#}");
    assert!(found["findings"][0].as_str().unwrap().contains("invalid_date"), "{found:#}");

    // Nothing was written, and a run then finds what the inspection found.
    assert!(!shop.data("gold").exists() || shop.names("gold").is_empty());
    let printed = shop.run(&["sources", "inspect"]).good().out;
    for line in [
        "  sales: 4 rows, 1285.50 (no currency named)\n",
        "  left out, invalid_date: 1 row, 7.25 (no currency named)\n",
        "  line 2, sale: id_commande=1 | id_client=7 | date_achat=2025-12-31T00:00:00 | montant=1250.00",
    ] {
        assert!(printed.contains(line), "{line:?} is not in {printed}");
    }
    shop.run(&["refresh"]).good();
    assert_eq!(app.data("/kpis")["total_revenue"], 1275.5);
}

#[test]
fn a_file_elsewhere_is_inspected_as_if_it_were_the_only_one() {
    let shop = Shop::with(&[("ventes.csv", ORDERS)]);
    let elsewhere = shop.path().join("orders export (1).csv");
    std::fs::write(&elsewhere, ORDERS.replace("31/12/2025", "03/12/2025")).unwrap();
    let printed = shop.run(&["sources", "inspect", elsewhere.to_str().unwrap()]).good().out;
    assert!(printed.starts_with("orders export (1).csv: purchases by goldsmith"), "{printed}");
    assert!(printed.contains("day first, as the settings or the profile say"), "{printed}");
    assert!(!printed.contains("ventes.csv"), "{printed}");
    let missing = shop.run(&["sources", "inspect", "nowhere.csv"]);
    missing.refused(2, &["there is no file nowhere.csv, neither here nor in"]);
}

#[test]
fn an_inspection_says_in_one_sentence_why_a_run_would_stop() {
    let shop = Shop::with(&[("ventes.csv", &ORDERS.replace("01/02/2026", "01/13/2026"))]);
    let printed = shop.run(&["sources", "inspect"]).good().out;
    let stops = printed.lines().find(|line| line.starts_with("a refresh would stop: ")).unwrap();
    assert!(stops.contains("date_achat is written in both orders"), "{printed}");
    let app = TestApp::spawn(&shop);
    let found = sources(&app);
    assert!(found["stops"].as_str().unwrap().contains("both orders"), "{found:#}");
    assert_eq!(found["files"][0]["rows"], Value::Null);
    assert_eq!(found["files"][0]["verdict"]["profile"], "goldsmith");
}
