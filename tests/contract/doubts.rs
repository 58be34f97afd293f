//! What cannot be known and is served the cautious way is named, with its sum.

use goldsmith::domain::account::in_millionths;
use goldsmith::pipeline::silver::{CleaningRules, Silver};
use goldsmith::sources::SourceOptions;

use super::profiles::cleaned;

fn read(files: &[(&str, &str)], rules: CleaningRules) -> Silver {
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    cleaned(&files, &SourceOptions::default(), rules)
}

fn revenue(silver: &Silver) -> i64 {
    let amounts = silver.purchases().column("montant").unwrap().f64().unwrap().clone();
    amounts.iter().flatten().map(in_millionths).sum()
}

fn assert_finding(silver: &Silver, parts: &[&str]) {
    let findings = &silver.report.findings;
    let has_all = |finding: &String| parts.iter().all(|part| finding.contains(part));
    assert!(findings.iter().any(has_all), "{parts:?} is not in {findings:#?}");
}

#[test]
fn order_numbers_that_differ_by_leading_zeros_are_named() {
    let january = "id_achat,id_client,date_achat,montant\n000101,7,2026-01-05,10.00\n000102,8,2026-01-06,20.00\n";
    let february =
        "id_achat,id_client,date_achat,montant\n101,7,2026-01-05,10.00\n102,8,2026-01-06,20.00\n";
    let files = [("a_2026-01-10.csv", january), ("a_2026-02-10.csv", february)];
    let silver = read(&files, CleaningRules::default());
    assert_eq!(revenue(&silver), 60_000_000);
    assert_finding(
        &silver,
        &[
            "2 rows of orders whose number another row has with leading zeros, 30.00 in all",
            "sources.ids",
        ],
    );
    let rules = CleaningRules { integer_ids: true, ..CleaningRules::default() };
    assert_eq!(revenue(&read(&files, rules)), 30_000_000);
}

#[test]
fn order_numbers_that_begin_anew_are_named() {
    let header = "id_achat,id_client,date_achat,montant,produit\n";
    let last = header.to_owned() + "1,7,2025-01-05,50.00,A\n2,8,2025-02-05,60.00,B\n";
    let this = header.to_owned() + "1,9,2026-01-05,10.00,C\n2,8,2025-02-05,60.00,B\n";
    let silver = read(&[("v-2025.csv", &last), ("v-2026.csv", &this)], CleaningRules::default());
    assert_eq!(revenue(&silver), 70_000_000);
    assert_finding(
        &silver,
        &[
            "1 row not counted, 50.00 in all",
            "of another customer on another day",
            "v-2025.csv line 2",
        ],
    );
}

#[test]
fn customers_who_are_listed_but_for_leading_zeros_are_named() {
    let customers = "id_client,nom\n0010,Ann\n0011,Bob\n";
    let purchases = "id_achat,id_client,date_achat,montant\n1,10,2026-01-05,10.00\n2,12,2026-01-05,5.00\n3,0011,2026-01-05,1.00\n";
    let files = [("clients.csv", customers), ("achats.csv", purchases)];
    let silver = read(&files, CleaningRules::default());
    assert_finding(&silver, &["2 rows of customers who are in no file of customers, 15.00 in all"]);
    assert_finding(&silver, &["1 of these, 10.00 in all", "but for leading zeros", "sources.ids"]);
    assert_eq!(silver.customers().height(), 4);
    let rules = CleaningRules { integer_ids: true, ..CleaningRules::default() };
    assert_eq!(read(&files, rules).customers().height(), 3);
}

#[test]
fn a_table_without_amounts_is_worth_what_its_units_cost() {
    let sales = "id_client,date,produit,quantity,price\n1,2026-01-05,Mug,3,\"4,50\"\n1,2026-01-06,Lamp,1,\"10,00\"\n";
    let silver = read(&[("ventes.csv", sales)], CleaningRules::default());
    assert_eq!(revenue(&silver), 23_500_000);
}

#[test]
fn an_order_whose_id_a_spreadsheet_has_shortened_is_known_by_its_name() {
    let header = "Name,Email,Financial Status,Paid at,Fulfillment Status,Currency,Subtotal,Shipping,Taxes,Total,Discount Amount,Refunded Amount,Lineitem quantity,Lineitem name,Lineitem price,Lineitem discount,Created at,Id\n";
    let rows = "#1,a@example.org,paid,,,EUR,20.00,0.00,0.00,20.00,0.00,0.00,1,Cup,20.00,0.00,2026-01-05 10:00:00 +0100,\"5,5E+12\"\n\
                #2,b@example.org,paid,,,EUR,15.00,0.00,0.00,15.00,0.00,0.00,1,Lamp,15.00,0.00,2026-01-06 10:00:00 +0100,\"5,5E+12\"\n";
    let text = header.to_owned() + rows;
    let silver = read(&[("orders_export_1.csv", &text)], CleaningRules::default());
    assert_eq!(revenue(&silver), 35_000_000);
    let shown = silver.purchases().column("ref_commande").unwrap().str().unwrap().clone();
    let mut shown: Vec<&str> = shown.iter().flatten().collect();
    shown.sort_unstable();
    assert_eq!(shown, ["#1", "#2"]);
}

#[test]
fn a_column_of_statuses_that_is_not_read_is_named_where_it_matters() {
    let orders = "order_id,customer_id,date,amount,Order Status\n1,7,2026-01-05,20.00,cancelled\n\
                  2,7,2026-01-05,20.00,Refunded\n3,7,2026-01-05,10.00,paid\n";
    let silver = read(&[("orders.csv", orders)], CleaningRules::default());
    assert_eq!(revenue(&silver), 50_000_000);
    assert_finding(
        &silver,
        &[
            "orders.csv: its column order status is not read, and 2 rows that it calls \"Refunded\", \"cancelled\", 40.00 in all",
            "sources.profiles",
        ],
    );
}
