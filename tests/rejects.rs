//! Rejected rows: as CSV in the lake and over HTTP, corrected and read again.

use serde_json::Value;

use crate::support::{Shop, TestApp};

const SETTINGS: &[(&str, &str)] = &[("QUALITY__MAX_REJECT_RATIO", "1"), ("ADMIN_TOKEN", "t")];

/// The Shopify fixture: of its rows three are rejected.
fn shop() -> Shop {
    let shop = Shop::empty().with_settings(SETTINGS);
    for name in ["orders_export_1.csv", "orders_export_2.csv", "customers_export.csv"] {
        let path = format!("{}/tests/fixtures/exports/shopify/{name}", env!("CARGO_MANIFEST_DIR"));
        shop.put(name, &std::fs::read(path).unwrap());
    }
    shop
}

#[track_caller]
fn data(app: &TestApp, path: &str) -> Value {
    let reply = app.admin("GET", path);
    assert_eq!(reply.status, 200, "{path}: {}", reply.text);
    reply.json()["data"].take()
}

fn revenue(app: &TestApp) -> f64 {
    app.data("/kpis")["total_revenue"].as_f64().unwrap()
}

fn correct(shop: &Shop, name: &str, bytes: &[u8]) {
    std::fs::create_dir_all(shop.data("sources/corrections")).unwrap();
    std::fs::write(shop.data("sources/corrections").join(name), bytes).unwrap();
}

/// The records of a CSV text, header included.
fn records(csv: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(csv.as_bytes());
    let records = reader.records().map(|record| record.unwrap());
    records.map(|record| record.iter().map(str::to_owned).collect()).collect()
}

/// Rows as a spreadsheet of another country saves them: with semicolons, and not as UTF-8.
fn as_a_spreadsheet_saves(rows: &[Vec<String>]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().delimiter(b';').from_writer(Vec::new());
    for row in rows {
        writer.write_record(row).unwrap();
    }
    let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
    encoding_rs::WINDOWS_1252.encode(&text).0.into_owned()
}

#[test]
fn rejected_rows_are_shown_with_the_columns_of_their_file_and_count_again_once_corrected() {
    let shop = shop();
    shop.run(&["refresh"]).good();
    let app = TestApp::spawn(&shop);
    assert_eq!(revenue(&app), 209.5);

    let rows = data(&app, "/admin/runs/1/rejects");
    let rows = rows.as_array().unwrap();
    let reasons: Vec<&str> = rows.iter().map(|row| row["reason"].as_str().unwrap()).collect();
    assert_eq!(rows.len(), 3, "{rows:#?}");
    let bad_date = &rows[reasons.iter().position(|reason| *reason == "invalid_date").unwrap()];
    assert_eq!(bad_date["cells"]["Name"], "#1012");
    assert_eq!(bad_date["cells"]["Lineitem quantity"], "1");
    let file = bad_date["file"].as_str().unwrap();
    let only = data(&app, "/admin/runs/1/rejects?reason=invalid_date&limit=1");
    assert_eq!(only.as_array().unwrap(), std::slice::from_ref(bad_date));

    let run = data(&app, "/admin/runs/1");
    let listed = run["quality"]["rejects"].as_array().unwrap();
    let csv =
        listed.iter().find(|rejects| rejects["file"] == file).unwrap()["csv"].as_str().unwrap();
    let reply = app.admin("GET", csv);
    assert_eq!(reply.status, 200, "{csv}: {}", reply.text);
    assert_eq!(reply.header("content-type"), Some("text/csv; charset=utf-8"));
    let disposition = reply.header("content-disposition").unwrap();
    assert!(
        disposition.starts_with("attachment; filename=\"rejects-of-orders_export_"),
        "{disposition}"
    );
    let mut corrected = records(&reply.text);
    let column = |name: &str| corrected[0].iter().position(|header| header == name).unwrap();
    let (number, date, hash) = (column("Name"), column("Created at"), column("source_sha256"));
    assert_eq!(
        corrected[0][..6],
        ["source_sha256", "source_file", "line_number", "reason", "hint", "surplus_cells"]
    );

    let row = corrected.iter_mut().find(|row| row[number] == "#1012").unwrap();
    assert!(row[date].starts_with("2026-02-30"), "{}", row[date]);
    row[date] = "2026-02-28 12:00:00 +0100".to_owned();
    let mut foreign = corrected[1].clone();
    foreign[hash] = "ab".repeat(32);
    let mut beyond = corrected[1].clone();
    beyond[2] = "4711".to_owned();
    corrected.extend([foreign, beyond]);
    correct(&shop, "orders.csv", &as_a_spreadsheet_saves(&corrected));
    correct(&shop, "notes.csv", b"a,b\n1,2\n");

    let ran = shop.run(&["refresh"]).good();
    assert_eq!(revenue(&app), 223.5, "the order of 14.00 counts now");
    for sentence in [
        "corrections/orders.csv: 1 row match no source file",
        "corrections/orders.csv: 1 row match no row of orders_export",
        "not read: corrections/notes.csv: it lacks the columns source_sha256 and line_number",
    ] {
        assert!(ran.out.contains(sentence), "{sentence}: {}", ran.out);
    }
    let changes = app.admin("GET", "/admin/runs/2/corrections");
    let changes = records(&changes.text);
    assert_eq!(changes.len(), 2, "{changes:?}");
    assert_eq!(changes[1][2..4], ["Created at", "2026-02-30 10:00:00 +0100"], "{changes:?}");
    assert_eq!(changes[1][4..], ["2026-02-28 12:00:00 +0100", "corrections/orders.csv"]);
    assert_eq!(data(&app, "/admin/runs/2/rejects").as_array().unwrap().len(), 2);

    assert!(shop.run(&["refresh"]).good().out.contains("nothing changed"));
}

#[test]
fn rejects_of_a_run_that_the_gate_stopped_can_be_read_and_corrected() {
    let orders = "id_achat,id_client,date_achat,montant,produit\n\
        1,7,2026-01-01,10.00,\"=HYPERLINK(\"\"http://x\"\")\"\n\
        2,8,someday,20.00,\"=HYPERLINK(\"\"http://x\"\")\"\n3,8,2026-01-03,-5,'=x\n";
    let shop = Shop::with(&[("achats.csv", orders)]).with_settings(&[("ADMIN_TOKEN", "t")]);
    shop.run(&["refresh"]).refused(1, &["33.3 % of the purchases were rejected"]);
    let app = TestApp::spawn(&shop);
    let rows = data(&app, "/admin/runs/1/rejects");
    assert_eq!(rows[0]["line"], 3);
    assert_eq!(rows[0]["cells"]["produit"], "=HYPERLINK(\"http://x\")");
    let csv = app.admin("GET", "/admin/runs/1/rejects?format=csv").text;
    assert!(csv.contains("\"'=HYPERLINK("), "{csv}");

    correct(&shop, "achats.csv", csv.replace("someday", "2026-01-02").as_bytes());
    shop.run(&["refresh"]).good();
    assert_eq!(revenue(&app), 25.0);
    let products = app.data("/revenue/product");
    assert_eq!(products[0]["produit"], "=HYPERLINK(\"http://x\")");
    assert_eq!(products[0]["total_revenue"], 30.0, "both rows have one product: {products}");

    // A replay and a run from silver have the same corrections.
    for body in [
        "{\"replay\": true, \"force\": true}",
        "{\"only\": [\"gold\", \"models\"], \"force\": true}",
    ] {
        let headers = [("content-type", "application/json"), ("prefer", "wait=60")];
        let reply = app.admin_with("POST", "/admin/refresh", &headers, body);
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(revenue(&app), 25.0, "{body}");
        let run = reply.json()["data"]["run"].as_u64().unwrap();
        let changes = app.admin("GET", &format!("/admin/runs/{run}/corrections")).text;
        assert!(changes.contains("achats.csv,3,date_achat,someday,2026-01-02"), "{changes}");
    }
    // A row whose cells are all emptied is left out, and that is listed as well.
    let emptied = "source_sha256,line_number,id_achat,id_client,date_achat,montant,produit\n";
    let hash = csv.lines().nth(1).unwrap().split(',').next().unwrap();
    correct(&shop, "b.csv", format!("{emptied}{hash},4,,,,,\n").as_bytes());
    let ran = shop.run(&["refresh"]).good();
    assert!(ran.out.contains("corrections/b.csv: 1 row corrected"), "{}", ran.out);
    assert_eq!(revenue(&app), 30.0, "without the refund of 5");
    // Without the corrections the file says again what it says.
    std::fs::remove_dir_all(shop.data("sources/corrections")).unwrap();
    shop.run(&["refresh"]).refused(1, &["33.3 % of the purchases were rejected"]);
    assert_eq!(revenue(&app), 30.0, "what was published stays");
}

#[test]
fn absurd_requests_for_rejects_are_refused_in_one_sentence() {
    let shop = shop();
    shop.run(&["refresh"]).good();
    let app = TestApp::spawn(&shop);
    for (path, status, sentence) in [
        ("/admin/runs/1/rejects?file=other.csv", 400, "run 1 rejected no row of a file"),
        ("/admin/runs/1/rejects?format=xml", 400, "json or csv"),
        ("/admin/runs/1/rejects?limit=0", 400, "a whole number from 1"),
        ("/admin/runs/1/rejects?page=2", 400, "no such parameter"),
        ("/admin/runs/9/rejects", 404, "there is no run 9"),
    ] {
        let reply = app.admin("GET", path);
        assert_eq!(reply.status, status, "{path}: {}", reply.text);
        assert!(reply.json()["detail"].as_str().unwrap().contains(sentence), "{}", reply.text);
    }
}

#[test]
fn corrections_that_repeat_each_other_or_name_other_columns_are_named() {
    let orders = "id_achat,id_client,date_achat,montant,produit\n\
        1,7,2026-01-01,10.00,Mug\n2,8,someday,20.00,Tea\n";
    let settings = [("ADMIN_TOKEN", "t"), ("QUALITY__MAX_REJECT_RATIO", "1")];
    let shop = Shop::with(&[("achats.csv", orders)]).with_settings(&settings);
    shop.run(&["refresh"]).good();
    let app = TestApp::spawn(&shop);
    let csv = app.admin("GET", "/admin/runs/1/rejects?format=csv").text;
    let corrected = csv.replace("someday", "2026-01-02");
    correct(&shop, "a.csv", corrected.as_bytes());
    let other = corrected.replace("20.00", "99.00").replace(",produit", ",prodwit");
    correct(&shop, "b.csv", other.as_bytes());
    let ran = shop.run(&["refresh"]).good();
    assert_eq!(revenue(&app), 109.0);
    for sentence in [
        "corrections/b.csv: 1 row for records that are corrected before, for example line 3: the last row counts",
        "corrections/b.csv: its column \"prodwit\" is none of achats.csv, and corrects nothing",
    ] {
        assert!(ran.out.contains(sentence), "{sentence}: {}", ran.out);
    }
    // What is as the source has it corrects nothing.
    correct(&shop, "b.csv", csv.as_bytes());
    correct(&shop, "a.csv", csv.as_bytes());
    let ran = shop.run(&["refresh"]).good();
    assert!(
        ran.out.contains("corrections/b.csv: 1 row not corrected, as the source file has the same")
    );
}
