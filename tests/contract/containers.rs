//! Source files that are no plain text: spreadsheets, Parquet, gzip; and those that mean harm.

use std::io::{Cursor, Write as _};

use polars::prelude::{DataFrame, ParquetWriter, df};

use crate::support::{Ran, Shop, TestApp};

const SPREADSHEET: &[u8] = include_bytes!("../fixtures/spreadsheets/orders.xlsx");

fn refreshed(name: &str, bytes: &[u8]) -> (Shop, Ran) {
    let shop = Shop::empty().with_settings(&[("QUALITY__MAX_REJECT_RATIO", "1")]);
    shop.put(name, bytes);
    let ran = shop.run(&["refresh"]);
    (shop, ran)
}

#[test]
fn a_spreadsheet_is_read_with_its_dates_and_numbers_and_its_rows_are_lines() {
    let (shop, ran) = refreshed("Ventes.xlsx", SPREADSHEET);
    let ran = ran.good();
    let app = TestApp::spawn(&shop);
    let kpis = app.data("/kpis");
    assert_eq!(kpis["total_revenue"], 1250.8, "1250.50 + 10 + 0.30 - 10");
    assert_eq!((&kpis["total_purchases"], &kpis["purchasing_customers"]), (&2.into(), &2.into()));
    for line in [
        "Ventes.xlsx: its sheet \"Commandes 2026\" is read",
        "Ventes.xlsx: the header is on line 3; what stands above it is not read",
        "1 row left out as invalid_date, 7.25 in all; for example line 9 \"someday\"",
        "1 row left out as invalid_id, 5.00 in all; for example line 10 \"1.234567890123457E+18\"",
    ] {
        assert!(ran.out.contains(line), "{line:?} is not in {}", ran.out);
    }
    let lines = app.data("/customers/7/purchases");
    assert_eq!(lines[0]["date_achat"], "2026-03-04T00:00:00");
    assert_eq!(lines[1]["date_achat"], "2026-03-05T00:00:00", "in the order of id_achat");
    let products = app.data("/revenue/product");
    assert_eq!(products[0]["produit"], "Mug \"large\", blue");
    // The rows that were rejected can be corrected as those of any file.
    let rejects = app.admin("GET", "/admin/runs/1/rejects?format=csv").text;
    std::fs::create_dir_all(shop.data("sources/corrections")).unwrap();
    let corrected = rejects.replace("someday", "2026-03-06");
    std::fs::write(shop.data("sources/corrections/a.csv"), corrected).unwrap();
    shop.run(&["refresh"]).good();
    assert_eq!(app.data("/kpis")["total_revenue"], 1258.05);
}

#[test]
fn a_parquet_file_is_read_like_the_table_that_it_is() {
    let mut frame = df!(
        "order_id" => [1_i64, 2, 3],
        "customer_id" => ["a", "b", "a"],
        "date" => ["2026-03-04", "2026-03-05", "2026-03-06"],
        "amount" => [10.5, 20.25, 0.1],
        "product" => [Some("Mug, \"large\"\nblue"), None, Some("Tea")],
    )
    .unwrap();
    let parquet = |frame: &mut DataFrame| {
        let mut bytes = Vec::new();
        ParquetWriter::new(&mut bytes).finish(frame).unwrap();
        bytes
    };
    let bytes = parquet(&mut frame);
    let (shop, ran) = refreshed("export.parquet", &bytes);
    ran.good();
    let app = TestApp::spawn(&shop);
    assert_eq!(app.data("/kpis")["total_revenue"], 30.85);
    assert_eq!(app.data("/revenue/product")[1]["produit"], "Mug, \"large\" blue");
    // Damaged, and of other columns.
    let half = &bytes[..bytes.len() / 2];
    refreshed("export.parquet", half)
        .1
        .refused(1, &["export.parquet", "its Parquet cannot be read"]);
    let mut other = df!("a" => [1, 2]).unwrap();
    refreshed("b.parquet", &parquet(&mut other)).1.refused(1, &["b.parquet", "found: a"]);
}

/// A ZIP archive with these parts.
fn zipped(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in parts {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn archives_that_mean_harm_and_formats_that_are_not_read_are_refused_in_one_sentence() {
    let bomb = zipped(&[("xl/worksheets/sheet1.xml", &vec![b' '; 80 << 20])]);
    assert!(bomb.len() < 1 << 20, "{} bytes", bomb.len());
    let text = zipped(&[("../../orders.csv", b"id_client,date_achat,montant\n1,2026-01-01,5\n")]);
    let damaged = &SPREADSHEET[..SPREADSHEET.len() - 200];
    for (name, bytes, sentence) in [
        ("bomb.xlsx", &bomb[..], "its ZIP archive is too good to be true"),
        ("text.xlsx", &text, "it is no spreadsheet that can be read"),
        ("cut.xlsx", damaged, "its ZIP archive cannot be read"),
        ("orders.ods", &text, "it is a spreadsheet of another kind than XLSX, or a ZIP archive"),
    ] {
        let (shop, ran) = refreshed(name, bytes);
        ran.refused(1, &[name, sentence]);
        let inspected = shop.run(&["sources", "inspect"]).good().out;
        assert!(inspected.contains(sentence), "{inspected}");
    }
}
