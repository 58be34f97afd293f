//! The rules of silver, row by row.

use goldsmith::domain::data_set::DataSet;
use goldsmith::domain::quality::QualityReport;
use goldsmith::domain::time::Timestamp;
use goldsmith::pipeline::PipelineError;
use goldsmith::pipeline::silver::Gate;
use goldsmith::pipeline::silver::quality::check_gate;
use goldsmith::pipeline::silver::{CleaningOptions, CleaningRules, Silver, clean};
use goldsmith::settings::load_from;
use goldsmith::sources::{SourceOptions, read_in_memory};
use polars::prelude::{AnyValue, DataFrame};

const CLIENTS: &str =
    "id_client,nom,email,date_inscription,pays\n1,Ann,ann@x.io,2024-01-01,France\n";
const ACHATS: &str = "id_achat,id_client,date_achat,montant,produit\n1,1,2024-02-01,10.5,Tea\n";

fn try_clean(
    customers: &[(&str, &[u8])],
    purchases: &[(&str, &[u8])],
) -> Result<Silver, PipelineError> {
    let files = [customers, purchases].concat();
    let sources = read_in_memory(&files, &SourceOptions::default())?;
    let run_start = Timestamp::parse("2025-01-01").unwrap();
    clean(sources, &CleaningOptions { run_start, rules: CleaningRules::default() })
}

fn cleaned(clients: &str, achats: &str) -> Silver {
    try_clean(&[("clients.csv", clients.as_bytes())], &[("achats.csv", achats.as_bytes())]).unwrap()
}

/// The rows of a frame, values as text separated by `|`, null as an empty text.
fn rows(frame: &DataFrame, columns: &[&str]) -> Vec<String> {
    (0..frame.height())
        .map(|row| {
            let cells =
                columns.iter().map(|name| match frame.column(name).unwrap().get(row).unwrap() {
                    AnyValue::Null => String::new(),
                    AnyValue::String(text) => text.to_owned(),
                    AnyValue::StringOwned(text) => text.to_string(),
                    other => other.to_string(),
                });
            cells.collect::<Vec<_>>().join("|")
        })
        .collect()
}

fn purchases_of(lines: &[&str]) -> Silver {
    let csv = format!("id_achat,id_client,date_achat,montant,produit\n{}\n", lines.join("\n"));
    cleaned(CLIENTS, &csv)
}

#[test]
fn every_purchase_is_rejected_for_the_first_reason_that_applies() {
    for (line, reason) in [
        ("1.9E+18,1,2024-01-01,5,Tea", "invalid_id"),
        ("0,1,2024-01-01,5,Tea", "invalid_id"),
        ("-3,1,2024-01-01,5,Tea", "invalid_id"),
        (",1,2024-01-01,5,Tea", "invalid_id"),
        ("5,1.9E+18,2024-01-01,5,Tea", "invalid_id"),
        ("5,1,2024-01-01,,Tea", "missing_value"),
        ("5,1,2024-01-01,NULL,Tea", "missing_value"),
        ("5,1,,5,Tea", "missing_value"),
        ("5,1,2024-01-01", "missing_value"),
        ("5,1,2024-13-01,5,Tea", "invalid_date"),
        ("5,1,12/31/23,5,Tea", "invalid_date"),
        ("5,1,soon,n/a,Tea", "invalid_date"),
        ("5,1,1969-12-31 23:59:59,5,Tea", "date_out_of_range"),
        ("5,1,2025-01-01 00:00:01,5,Tea", "date_out_of_range"),
        ("5,1,9999-12-31,5,Tea", "date_out_of_range"),
        ("5,1,2024-01-01,n/a,Tea", "invalid_amount"),
        ("5,1,2024-01-01,inf,Tea", "invalid_amount"),
        ("5,1,2024-01-01,1.250,Tea", "ambiguous_amount"),
        ("5,1,2024-01-01,5 USD,Tea", "other_currency"),
        ("5,1,2024-01-01,5,Tea,more", "malformed_row"),
    ] {
        let silver = purchases_of(&["1,1,2024-01-01,5 €,Tea", "2,1,2024-01-01,€5,Tea", line]);
        assert_eq!(rows(&silver.rejected[DataSet::Purchases], &["reason"]), [reason], "{line}");
        assert_eq!(silver.report.data_sets[DataSet::Purchases].rows_read, 3, "{line}");
        assert_eq!(silver.report.data_sets[DataSet::Purchases].rows_valid, 2, "{line}");
    }
    for line in [
        "5,1,1970-01-01,100000,Tea",
        " 5 , 1 , 01/02/2024 , 0.01 , Tea ",
        "5,1,2024-01-01,5,Tea, ",
        "5,1,2024-01-01,0,Tea",
        "5,1,2024-01-01,-1,Tea",
        "5,1,2024-01-01,\"1,5\",Tea",
        "5,1,2024-01-01,5,  ",
        "5,,2024-01-01,5,Tea",
        "5,2,2024-01-01,5,Tea",
        "x,1,2024-01-01,5,Tea",
        "99999999999999999999,1,2024-01-01,5,Tea",
    ] {
        let silver = purchases_of(&["1,1,2024-01-01,5,Tea", line]);
        assert_eq!(silver.rejected[DataSet::Purchases].height(), 0, "{line}");
    }
}

#[test]
fn every_customer_is_rejected_for_the_first_reason_that_applies() {
    for (line, reason) in [
        ("1.9E+18,,,,", "invalid_id"),
        ("0,Bob,,,", "invalid_id"),
        ("2,Bob,nope,2024-02-30,Spain", "invalid_date"),
        ("2,Bob,nope,2030-01-01,Spain", "date_out_of_range"),
    ] {
        let silver = cleaned(&format!("{CLIENTS}{line}\n"), ACHATS);
        assert_eq!(rows(&silver.rejected[DataSet::Customers], &["reason"]), [reason], "{line}");
        assert_eq!(rows(silver.customers(), &["id_client", "nom"]), ["1|Ann"], "{line}");
    }
}

#[test]
fn a_customer_needs_an_identifier_only() {
    for (line, warning) in [
        ("2,,b@x.io,2024-01-01,Spain", "missing_nom"),
        ("2,Bob,,2024-01-01,Spain", "missing_email"),
        ("2,Bob,b@x.io,2024-01-01,\" \"", "missing_pays"),
        ("2,Bob,b@x,2024-01-01,Spain", "doubtful_email"),
        ("2,Bob,b @x.io,2024-01-01,Spain", "doubtful_email"),
    ] {
        let silver = cleaned(&format!("{CLIENTS}{line}\n"), ACHATS);
        assert_eq!(silver.rejected[DataSet::Customers].height(), 0, "{line}");
        assert_eq!(silver.customers().height(), 2, "{line}");
        assert_eq!(silver.report.warnings[warning], 1, "{line}");
    }
    let silver = cleaned(&format!("{CLIENTS}2,Bob,b@x.io,,Spain\n"), ACHATS);
    assert_eq!(
        rows(silver.customers(), &["date_inscription", "date_inscription_source"]),
        ["2024-01-01|file", "|"]
    );
}

#[test]
fn the_later_row_of_a_customer_wins_field_by_field() {
    let second = "id_client,nom,email,date_inscription,pays\n1,Late,,2024-01-01,France\n";
    let silver = try_clean(
        &[("clients_a.csv", CLIENTS.as_bytes()), ("clients_b.csv", second.as_bytes())],
        &[("achats.csv", ACHATS.as_bytes())],
    )
    .unwrap();
    assert_eq!(rows(silver.customers(), &["nom", "email"]), ["Late|ann@x.io"]);
    let customers = &silver.report.data_sets[DataSet::Customers];
    assert_eq!((customers.rows_read, customers.rows_valid), (2, 1));
    assert_eq!(customers.set_aside["superseded"], 1);
    assert_eq!(customers.rows_rejected(), 0);
}

#[test]
fn the_lines_of_an_order_in_a_later_file_replace_those_of_an_earlier_one() {
    let first = "id_achat,id_client,date_achat,montant,produit\n7,1,2024-02-01,1,Tea\n7,1,2024-02-01,2,Mug\n";
    let later = "id_achat,id_client,date_achat,montant,produit\n7,1,2024-02-01,3,Tea\n8,1,2024-02-01,4,Tea\n8,1,2024-02-01,4,Tea\n";
    let silver = try_clean(
        &[("clients.csv", CLIENTS.as_bytes())],
        &[("achats_a.csv", first.as_bytes()), ("achats_b.csv", later.as_bytes())],
    )
    .unwrap();
    assert_eq!(rows(silver.purchases(), &["id_achat", "montant"]), ["7|3.0", "8|4.0"]);
    let purchases = &silver.report.data_sets[DataSet::Purchases];
    assert_eq!((purchases.set_aside["superseded"], purchases.set_aside["repeated"]), (2, 1));
    assert_eq!(silver.rejected[DataSet::Purchases].height(), 0);
    for account in &silver.report.accounts {
        assert_eq!(account.explained(), account.read, "{account:?}");
    }
    assert_eq!(silver.report.accounts[0].set_aside["superseded"].sum, 3_000_000);
}

#[test]
fn rows_of_one_number_are_lines_of_an_order_when_they_differ() {
    let silver = purchases_of(&[
        "21,1,2024-01-01,30,Mug",
        "21,1,2024-01-01,20,Lamp",
        "21,1,2024-01-01,5,Tea",
        "22,1,2024-01-02,-20,Lamp",
    ]);
    let mut lines = rows(
        silver.purchases(),
        &["id_commande", "ref_commande", "ligne", "type", "montant", "produit"],
    );
    lines.sort();
    assert_eq!(
        lines,
        [
            "21|21|1|sale|30.0|Mug",
            "21|21|2|sale|20.0|Lamp",
            "21|21|3|sale|5.0|Tea",
            "22|22|1|refund|-20.0|Lamp"
        ]
    );
    assert!(rows(silver.purchases(), &["id_achat"]).contains(&"21".to_owned()));
}

#[test]
fn guests_have_no_customer_and_strangers_become_one() {
    let achats = "id_achat,id_client,date_achat,montant,produit,email,pays\n\
        1,0,2024-02-01,1,Tea,,Spain\n2,,2024-02-01,1,Tea,ANN@x.io,\n3,-,2024-02-02,1,Tea,new@x.io,Peru\n\
        4,cus_N0001xQ,2024-02-03,1,Tea,,Italy\n";
    let silver = cleaned(CLIENTS, achats);
    assert_eq!(
        rows(silver.purchases(), &["id_client", "pays"]),
        ["|Spain", "1|", &format!("{}|Peru", number_of("new@x.io")), "8342445798200766|Italy"]
    );
    let mut customers = rows(
        silver.customers(),
        &["ref_client", "email", "pays", "date_inscription", "date_inscription_source"],
    );
    customers.sort();
    assert_eq!(
        customers,
        [
            "1|ann@x.io|France|2024-01-01|file",
            "cus_N0001xQ||Italy|2024-02-03|first_purchase",
            "new@x.io|new@x.io|Peru|2024-02-02|first_purchase",
        ]
    );
    assert_eq!(silver.report.warnings["unlisted_customer"], 2);
}

/// 2^52 plus the first 52 bits of the SHA-256.
fn number_of(text: &str) -> i64 {
    let hash = goldsmith::domain::digest::sha256_hex(text.as_bytes());
    (1 << 52) + i64::from_str_radix(&hash[..13], 16).unwrap()
}

#[test]
fn amounts_that_cannot_be_summed_exactly_are_refused() {
    let row = |order: u32| format!("{order},1,2024-01-01,1000000000000,Tea\n");
    let rows = (1..=10).map(row).collect::<Vec<_>>().concat();
    let achats = format!("id_achat,id_client,date_achat,montant,produit\n{rows}");
    let files: [(&str, &[u8]); 1] = [("achats.csv", achats.as_bytes())];
    let error = try_clean(&[("clients.csv", CLIENTS.as_bytes())], &files).unwrap_err();
    assert!(error.to_string().contains("cannot be summed exactly"), "{error}");
}

#[test]
fn a_row_of_totals_is_no_purchase() {
    for total in ["Total,,,15,", ",,,15,", "Gesamt:,,,99,"] {
        let silver = purchases_of(&["1,1,2024-01-01,5,Tea", "2,1,2024-01-01,10,Tea", total]);
        let purchases = &silver.report.data_sets[DataSet::Purchases];
        assert_eq!(purchases.set_aside["total_row"], 1, "{total}");
        assert_eq!(purchases.rows_valid, 2, "{total}");
        assert!(silver.report.findings[0].contains("total_row"), "{:?}", silver.report.findings);
    }
}

#[test]
fn a_rejected_row_does_not_make_its_twin_a_duplicate() {
    let silver = purchases_of(&["5,1,2024-01-01,5,Tea", "5,1,2024-01-01,n/a,Tea"]);
    assert_eq!(rows(silver.purchases(), &["id_achat", "montant"]), ["5|5.0"]);
    assert_eq!(rows(&silver.rejected[DataSet::Purchases], &["reason"]), ["invalid_amount"]);
}

#[test]
fn texts_are_trimmed_and_spellings_that_differ_by_case_become_the_most_frequent() {
    let silver = purchases_of(&[
        "1,1,2024-01-01,5,  green   TEA",
        "2,1,2024-01-01,5,Green Tea",
        "3,1,2024-01-01,5,Green Tea",
        "4,1,2024-01-01,5,coffee",
        "5,1,2024-01-01,5,Coffee",
        "6,1,2024-01-01,5,THÉ",
        "7,1,2024-01-01,5,thé",
    ]);
    // Ties go to the first in byte order: C before c, T before t.
    let produits = rows(silver.purchases(), &["produit"]);
    assert_eq!(produits, ["Green Tea", "Green Tea", "Green Tea", "Coffee", "Coffee", "THÉ", "THÉ"]);

    let clients = "id_client,nom,email,date_inscription,pays\n\
        1,  Ann \u{a0} Lee ,  ANN@X.io ,2024-01-01, FRANCE \n2,Bob,b@x.io,2024-01-01,France\n3,Cy,c@x.io,2024-01-01,France\n";
    let silver = cleaned(clients, ACHATS);
    assert_eq!(rows(silver.customers(), &["nom", "email", "pays"])[0], "Ann Lee|ann@x.io|France");
}

#[test]
fn semicolons_byte_order_marks_other_headers_and_decimal_commas_are_accepted() {
    let clients = "\u{feff}Customer_ID;Full_Name;Mail;Signup_Date;Country\r\n1;Ann;ann@x.io;31/12/2023;France\r\n";
    let achats = "\u{feff}ORDER_ID;customer_id;timestamp;amount;item;quantity;unit_price\r\n\
        1;1;2024-01-01T10:00:00+01:00;1 234,56;Tea;2;617,28\r\n\
        2;1;01/02/2024 08:30;1\u{202f}000,5;Tea;;\r\n\
        3;1;2024-01-01;12.5;Tea;x;y\r\n\
        4;1;2024-01-01;1.234,56;Tea;1;1\r\n";
    let silver = cleaned(clients, achats);
    assert_eq!(
        rows(silver.purchases(), &["id_achat", "date_achat", "montant", "quantite", "prix"]),
        [
            "1|2024-01-01 09:00:00|1234.56|2|617.28",
            "2|2024-02-01 08:30:00|1000.5||",
            "3|2024-01-01 00:00:00|12.5||",
            "4|2024-01-01 00:00:00|1234.56|1|1.0",
        ]
    );
    assert_eq!(silver.rejected[DataSet::Purchases].height(), 0);
    assert_eq!(silver.report.warnings["unreadable_quantite"], 1);
    assert_eq!(silver.report.warnings["unreadable_prix"], 1);
}

#[test]
fn rejects_keep_every_raw_column_and_the_line_their_record_starts_on() {
    let achats = "id_achat,note,id_client,date_achat,montant,produit,reason\n\
        1,\"two\nlines\",1,2024-01-01,5,Tea,a\n\
        2,plain,1,2024-01-01,  n/a ,Tea,b\n";
    let silver = cleaned(CLIENTS, achats);
    assert_eq!(
        rows(
            &silver.rejected[DataSet::Purchases],
            &[
                "id_achat",
                "note",
                "montant",
                "extra_reason",
                "source_file",
                "line_number",
                "reason"
            ]
        ),
        ["2|plain|  n/a |b|achats.csv|4|invalid_amount"]
    );
}

#[test]
fn lines_are_counted_as_an_editor_counts_them() {
    let rows_of = |end: &str| {
        let lines = [
            "id_achat,id_client,date_achat,montant,produit",
            "x,1,,,",
            "x,2,,,",
            "7,1,2024-01-01,5,Tea",
            "",
            "x,4,,,",
            "\"x",
            "y\",5,,,",
            "x,6,,,",
        ];
        let silver = cleaned(CLIENTS, &(lines.join(end) + end));
        rows(&silver.rejected[DataSet::Purchases], &["id_client", "line_number"])
    };
    for end in ["\n", "\r\n", "\r"] {
        assert_eq!(rows_of(end), ["1|2", "2|3", "4|6", "5|7", "6|9"], "{end:?}");
    }
}

#[test]
fn cells_beyond_the_header_are_stored_with_the_reject() {
    let silver = purchases_of(&["1,1,2024-01-01,5,Tea", "2,1,2024-01-01,1,50,Tea,x"]);
    let columns = ["id_achat", "produit", "surplus_cells", "reason"];
    assert_eq!(rows(&silver.rejected[DataSet::Purchases], &columns), ["2|50|Tea,x|malformed_row"]);
}

#[test]
fn a_quotation_mark_within_a_text_is_an_ordinary_character() {
    for end in ["", "\n", "\r\n", "\n\n"] {
        let achats = format!(
            "id_achat,id_client,date_achat,montant,produit\n1,1,2024-01-01,5,Screen 5\" wide\n2,1,2024-01-01,5,\"two\nlines\"\n3,1,2024-01-01,5,Tea{end}"
        );
        let silver = cleaned(CLIENTS, &achats);
        assert_eq!(rows(silver.purchases(), &["produit"]), ["Screen 5\" wide", "two lines", "Tea"]);
    }
}

#[test]
fn headers_that_look_like_patterns_are_ordinary_columns() {
    let achats = "id_achat,id_client,date_achat,montant,produit,*,^.*$,^nom$\n1.9E+18,1,2024-01-01,5,Tea,a,b,c\n1,1,2024-01-01,5,Tea,a,b,c\n";
    let silver = cleaned(CLIENTS, achats);
    assert_eq!(
        rows(&silver.rejected[DataSet::Purchases], &["id_achat", "*", "^.*$", "^nom$"]),
        ["1.9E+18|a|b|c"]
    );
}

#[test]
fn separators_within_quoted_headers_are_ignored() {
    let achats =
        "id_achat;id_client;date;montant;produit;\"x, y, z, a, b, c\"\n1;1;2024-01-01;5,5;Tea;\n";
    assert_eq!(rows(cleaned(CLIENTS, achats).purchases(), &["montant"]), ["5.5"]);
}

#[test]
fn an_implausible_price_is_a_warning_only() {
    let achats = "id_achat,id_client,date_achat,montant,produit,prix\n1,1,2024-01-01,5,Tea,1e200\n2,1,2024-01-01,5,Tea,5\n";
    let silver = cleaned(CLIENTS, achats);
    assert_eq!(silver.report.warnings["unreadable_prix"], 1);
    goldsmith::pipeline::gold::aggregate(&silver.valid, None).unwrap();
}

#[test]
fn warnings_reject_no_row() {
    let clients = "id_client,nom,email,date_inscription,pays\n1,A,a@x.io,2024-06-01,F\n2,B,a@x.io,2024-01-01,F\n3,C,c@x.io,2024-01-01,F\n";
    let achats = "id_achat,id_client,date_achat,montant,produit\n1,1,2024-05-31 23:00:00,1,T\n2,1,2024-06-01,1,T\n3,2,2023-01-01,1,T\n";
    let silver = cleaned(clients, achats);
    assert_eq!(silver.report.warnings["customers_sharing_email"], 2);
    assert_eq!(silver.report.warnings["purchases_before_signup"], 2);
    assert_eq!(silver.report.data_sets[DataSet::Purchases].rows_valid, 3);
}

#[test]
fn an_unusable_file_is_named_with_its_problem() {
    let header = "id_achat,id_client,date_achat,montant,produit\n";
    for (content, message) in [
        (Vec::new(), "achats.csv: the file is empty"),
        (b"  \n \n".to_vec(), "achats.csv: the file is empty"),
        (header.into(), "achats.csv: the file has a header and no rows"),
        (
            b"id_achat,id_client,date_achat,produit\n1,1,2024-01-01,T\n".to_vec(),
            "achats.csv: the required column montant is missing",
        ),
        (
            b"\xff\xfei\x00d\x00".to_vec(),
            "achats.csv: the required columns id_client, date_achat, montant are missing",
        ),
        (
            b"id_achat,id_client,date_achat,montant,produit,Montant\n1,1,1,1,1,1\n".to_vec(),
            "achats.csv: the column montant is there twice",
        ),
        (
            format!("{header}1,1,2024-01-01,5,\"Tea\n2,1,2024-01-01,5,Tea\n3,1,2024-01-01,5,Tea\n")
                .into(),
            "achats.csv: a quotation mark opened on line 2 is never closed",
        ),
    ] {
        let error = try_clean(&[("clients.csv", CLIENTS.as_bytes())], &[("achats.csv", &content)])
            .unwrap_err();
        assert!(error.to_string().starts_with(message), "{error}");
    }
}

#[test]
fn the_gate_closes_on_rejects_on_drops_and_without_purchases() {
    let settings = load_from(None, Vec::new(), Vec::new()).unwrap().settings;
    let gate = &Gate { max_reject_ratio: 0.2, max_row_drop: 0.5, ..settings.quality.gate };
    let report = |read: u64, valid: u64| {
        let mut report = QualityReport::default();
        let customers = &mut report.data_sets[DataSet::Customers];
        (customers.rows_read, customers.rows_valid) = (10, 10);
        let purchases = &mut report.data_sets[DataSet::Purchases];
        (purchases.rows_read, purchases.rows_valid) = (read, valid);
        purchases.rejected.insert("invalid_id".to_owned(), read - valid);
        report
    };
    assert!(check_gate(&report(10, 8), None, gate, false).is_ok());
    let closed = check_gate(&report(10, 7), None, gate, false).unwrap_err().to_string();
    assert!(
        closed.contains("30.0 % of the purchases") && closed.contains("invalid_id: 3"),
        "{closed}"
    );
    assert!(check_gate(&report(10, 7), None, gate, true).is_ok());

    assert!(check_gate(&report(10, 10), Some(&report(20, 20)), gate, false).is_ok());
    let fell =
        check_gate(&report(9, 9), Some(&report(20, 20)), gate, false).unwrap_err().to_string();
    assert!(fell.contains("fell from 20 to 9"), "{fell}");

    for is_forced in [false, true] {
        let none = check_gate(&report(3, 0), None, gate, is_forced).unwrap_err();
        assert!(matches!(none, PipelineError::NoPurchases(_)), "{none}");
    }
}
