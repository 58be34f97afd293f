//! Source files that are no plain text: spreadsheets, Parquet, gzip; and those that mean harm.

use std::io::{Cursor, Write as _};

use polars::prelude::{DataFrame, ParquetWriter, df};

use crate::support::{Ran, Shop, TestApp};

const PARQUET: &[u8] = include_bytes!("../fixtures/spreadsheets/orders.parquet");
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

#[test]
fn decimals_instants_and_categories_of_parquet_are_read_and_other_types_passed_over() {
    let shop = Shop::empty().with_settings(&[("SOURCES__TIMEZONE", "Europe/Paris")]);
    shop.put("orders.parquet", PARQUET);
    shop.run(&["refresh"]).good();
    let app = TestApp::spawn(&shop);
    let kpis = app.data("/kpis");
    assert_eq!(kpis["total_revenue"], 30.85);
    assert_eq!(kpis["purchasing_customers"], 2);
    let meta = app.get("/kpis").json()["meta"].take();
    assert_eq!(meta["as_of"], "2026-03-05T01:30:00", "half past midnight in UTC");
    assert_eq!(meta["timezone"], "Europe/Paris");
    let inspected = shop.run(&["sources", "inspect"]).good().out;
    assert!(!inspected.contains("tags") && !inspected.contains("took"), "{inspected}");
}

/// A spreadsheet with these sheets: their names, and the XML of their rows.
fn spreadsheet(sheets: &[(&str, &str)]) -> Vec<u8> {
    const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006/relationships";
    let numbered = || (1..).zip(sheets);
    let entry = |(id, (name, _)): (i32, &(&str, &str))| {
        format!(r#"<sheet name="{name}" sheetId="{id}" r:id="rId{id}"/>"#)
    };
    let names: String = numbered().map(entry).collect();
    let relation = |id: i32| {
        format!(
            r#"<Relationship Id="rId{id}" Type="{OFFICE}/worksheet" Target="worksheets/sheet{id}.xml"/>"#
        )
    };
    let relations: String = numbered().map(|(id, _)| relation(id)).collect();
    let sheet = |rows: &str| {
        format!(r#"<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>"#)
    };
    let mut parts: Vec<(String, String)> = numbered()
        .map(|(id, (_, rows))| (format!("xl/worksheets/sheet{id}.xml"), sheet(rows)))
        .collect();
    let workbook = format!(
        r#"<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{names}</sheets></workbook>"#
    );
    let relations = format!(r#"<Relationships xmlns="{PACKAGE}">{relations}</Relationships>"#);
    parts.push(("xl/workbook.xml".to_owned(), workbook));
    parts.push(("xl/_rels/workbook.xml.rels".to_owned(), relations));
    let root = format!(
        r#"<Relationships xmlns="{PACKAGE}"><Relationship Id="rId1" Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>"#
    );
    parts.push(("_rels/.rels".to_owned(), root));
    let parts: Vec<(&str, &[u8])> =
        parts.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    zipped(&parts)
}

/// A row of texts.
fn row(number: u32, cells: &[&str]) -> String {
    let cell = |(column, text): (u8, &&str)| {
        let letter = char::from(b'A' + column);
        format!(r#"<c r="{letter}{number}" t="inlineStr"><is><t>{text}</t></is></c>"#)
    };
    let cells: String = (0..).zip(cells).map(cell).collect();
    format!(r#"<row r="{number}">{cells}</row>"#)
}

#[test]
fn further_sheets_with_orders_are_named() {
    let header = row(1, &["id_client", "date_achat", "montant"]);
    let january = header.clone() + &row(2, &["7", "2026-01-05", "5.00"]);
    let february = header + &row(2, &["7", "2026-02-05", "7.00"]);
    let notes = row(1, &["For the accountant"]);
    let bytes = spreadsheet(&[("Notes", &notes), ("Janvier", &january), ("Février", &february)]);
    let (_shop, ran) = refreshed("ventes.xlsx", &bytes);
    let ran = ran.good();
    let sentence = "ventes.xlsx: a spreadsheet is read from one sheet: \"Février\" could be read too and is not";
    assert!(ran.out.contains(sentence), "{}", ran.out);
}

#[test]
fn cells_where_no_spreadsheet_has_one_are_refused() {
    let rows =
        row(1, &["id_client", "date_achat", "montant"]) + &row(2, &["7", "2026-01-05", "5.00"]);
    for (cell, sentence) in [
        (r#"<row r="3"><c r="ZZZZZZZ3"><v>1</v></c></row>"#, "orders.xlsx: "),
        (r#"<row r="3"><c r="XFE3"><v>1</v></c></row>"#, "a cell where no spreadsheet has one"),
        (
            r#"<row r="4294967295"><c r="A4294967295"><v>1</v></c></row>"#,
            "a cell where no spreadsheet has one",
        ),
        (r#"<row r="1048577"><c r="A1048577"><v>1</v></c></row>"#, "no spreadsheet has one"),
        (r#"<row r="2"><c r="A2"><v>1</v></c></row>"#, "a cell of row 2 twice or out of order"),
    ] {
        let bytes = spreadsheet(&[("Orders", &(rows.clone() + cell))]);
        refreshed("orders.xlsx", &bytes).1.refused(1, &["orders.xlsx", sentence]);
    }
    // The last cell that there may be is one too many for its row.
    let last = rows + r#"<row r="3"><c r="A3"><v>7</v></c><c r="XFD3"><v>1</v></c></row>"#;
    let (_shop, ran) = refreshed("orders.xlsx", &spreadsheet(&[("Orders", &last)]));
    assert!(ran.good().out.contains("1 row left out as malformed_row"));
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
