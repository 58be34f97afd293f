//! Which of several exports is the latest, and which are parts of one.

use goldsmith::domain::account::in_millionths;
use goldsmith::pipeline::silver::{CleaningRules, Silver};
use goldsmith::sources::SourceOptions;
use proptest::prelude::*;

use super::profiles::cleaned;

const HEADER: &str = "id_achat,id_client,date_achat,montant,produit\n";

fn read(files: &[(&str, &str)]) -> Silver {
    let texts: Vec<(String, String)> =
        files.iter().map(|(name, rows)| ((*name).to_owned(), HEADER.to_owned() + rows)).collect();
    let files: Vec<(&str, &[u8])> =
        texts.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    cleaned(&files, &SourceOptions::default(), CleaningRules::default())
}

fn revenue(silver: &Silver) -> i64 {
    let amounts = silver.purchases().column("montant").unwrap().f64().unwrap().clone();
    amounts.iter().flatten().map(in_millionths).sum()
}

#[test]
fn without_dates_in_names_the_file_with_the_later_data_is_the_later() {
    let newer = "1,1,2026-01-10,12.00,lamp\n2,1,2026-02-10,5.00,mug\n";
    let older = "1,1,2026-01-10,10.00,lamp\n";
    for names in [["a.csv", "b.csv"], ["b.csv", "a.csv"]] {
        let silver = read(&[(names[0], newer), (names[1], older)]);
        assert_eq!(revenue(&silver), 17_000_000, "{names:?}");
    }
    let silver = read(&[("a.csv", newer), ("b.csv", older)]);
    let sentence = "a.csv is the latest file, as its dates show";
    assert!(silver.report.findings.iter().any(|found| found.starts_with(sentence)));
}

#[test]
fn a_date_in_the_name_counts_before_the_data() {
    let newer_data = "1,1,2026-01-10,12.00,lamp\n2,1,2026-02-10,5.00,mug\n";
    let corrected = "1,1,2026-01-10,10.00,lamp\n";
    let silver =
        read(&[("orders 2026-02-11.csv", newer_data), ("orders 2026-03-01.csv", corrected)]);
    assert_eq!(revenue(&silver), 15_000_000);
    // The one without a date stands where its data end.
    let silver = read(&[("orders 2026-03-01.csv", corrected), ("orders.csv", newer_data)]);
    assert_eq!(revenue(&silver), 15_000_000);
}

#[test]
fn parts_of_one_export_are_put_together() {
    let first = "1,1,2026-01-10,12.00,lamp\n2,1,2026-02-10,5.00,mug\n";
    let second = "2,1,2026-02-10,7.00,pen\n3,1,2026-02-11,1.00,cup\n";
    for names in [["orders_1.csv", "orders_2.csv"], ["2026-03-01 a.csv", "2026-03-01 b.csv"]] {
        let silver = read(&[(names[0], first), (names[1], second)]);
        assert_eq!(revenue(&silver), 25_000_000, "{names:?}");
        let sentence = format!("{} continues order 2 of {}", names[1], names[0]);
        let findings = &silver.report.findings;
        assert!(findings.iter().any(|found| found.starts_with(&sentence)), "{findings:?}");
    }
    // The newest first: the second part has the earlier orders.
    let newest = "3,1,2026-02-11,1.00,cup\n2,1,2026-02-10,7.00,pen\n";
    let oldest = "2,1,2026-02-10,5.00,mug\n1,1,2026-01-10,12.00,lamp\n";
    let silver = read(&[("orders_1.csv", newest), ("orders_2.csv", oldest)]);
    assert_eq!(revenue(&silver), 25_000_000);
}

#[test]
fn what_was_exported_again_is_no_part() {
    let first = "1,1,2026-01-10,12.00,lamp\n2,1,2026-02-10,5.00,mug\n";
    for (names, second, revenue_is) in [
        // Another day in the name: the later version of the order.
        (["2026-03-01.csv", "2026-03-02.csv"], "2,1,2026-02-10,7.00,pen\n", 19_000_000),
        // A common line.
        (["a.csv", "b.csv"], "2,1,2026-02-10,5.00,mug\n2,1,2026-02-10,7.00,pen\n", 24_000_000),
        // Another order that both have.
        (["a.csv", "b.csv"], "2,1,2026-02-10,7.00,pen\n1,1,2026-01-10,12.00,lamp\n", 19_000_000),
        // No product shows that it is another line.
        (["a.csv", "b.csv"], "2,1,2026-02-10,7.00,\n", 19_000_000),
        // Another customer, another day.
        (["a.csv", "b.csv"], "2,2,2026-02-10,7.00,pen\n", 19_000_000),
        (["a.csv", "b.csv"], "2,1,2026-02-12,7.00,pen\n", 19_000_000),
    ] {
        let silver = read(&[(names[0], first), (names[1], second)]);
        assert_eq!(revenue(&silver), revenue_is, "{names:?} {second}");
    }
}

#[test]
fn an_order_of_shopify_that_continues_in_the_next_part_keeps_its_subtotal() {
    let header = "Name,Email,Financial Status,Paid at,Fulfillment Status,Currency,Subtotal,Shipping,Taxes,Total,Discount Amount,Refunded Amount,Lineitem quantity,Lineitem name,Lineitem price,Lineitem discount,Created at,Id\n";
    let first = "#1,a@example.org,paid,,,EUR,20.00,0.00,0.00,20.00,0.00,0.00,1,Cup,20.00,0.00,2026-01-05 10:00:00 +0100,5001\n\
                 #2,b@example.org,paid,,,EUR,45.00,0.00,0.00,45.00,5.00,0.00,1,Lamp,30.00,0.00,2026-01-06 10:00:00 +0100,5002\n";
    let second = "#2,b@example.org,,,,,,,,,,,1,Mug,10.00,0.00,2026-01-06 10:00:00 +0100,\n\
                  #2,b@example.org,,,,,,,,,,,2,Tea,5.00,0.00,2026-01-06 10:00:00 +0100,\n\
                  #3,c@example.org,paid,,,EUR,7.00,0.00,0.00,7.00,0.00,0.00,1,Pen,7.00,0.00,2026-01-07 10:00:00 +0100,5003\n";
    let files = [("orders_export_1.csv", first), ("orders_export_2.csv", second)];
    let texts = files.map(|(name, rows)| (name, header.to_owned() + rows));
    let files: Vec<(&str, &[u8])> =
        texts.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    let silver = cleaned(&files, &SourceOptions::default(), CleaningRules::default());
    assert_eq!(revenue(&silver), 72_000_000, "{:?}", silver.report.findings);
    assert_eq!(silver.purchases().height(), 5);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_of_distinct_orders_may_come_in_any_order_and_in_any_file(
        rows in prop::collection::vec((1..6_u8, 1..28_u8, 1..9_999_u32), 2..16),
        seed in prop::collection::vec(any::<prop::sample::Index>(), 16),
        cut in any::<prop::sample::Index>(),
    ) {
        let line = |(order, row): (usize, &(u8, u8, u32))| {
            let (customer, day, cents) = row;
            format!("{},{customer},2026-01-{day:02},{}.{:02},p{}\n", order + 1, cents / 100, cents % 100, order % 3)
        };
        let lines: Vec<String> = rows.iter().enumerate().map(line).collect();
        let mut mixed = lines.clone();
        for (at, other) in seed.iter().enumerate().take(mixed.len()) {
            let other = other.index(mixed.len());
            mixed.swap(at, other);
        }
        let cut = 1 + cut.index(mixed.len() - 1);
        let (one, other) = (mixed[..cut].concat(), mixed[cut..].concat());
        let whole = read(&[("achats.csv", &lines.concat())]);
        let parts = read(&[("achats_1.csv", &one), ("achats_2.csv", &other)]);
        prop_assert!(whole.purchases().equals_missing(parts.purchases()));
        prop_assert!(whole.customers().equals_missing(parts.customers()));
    }
}
