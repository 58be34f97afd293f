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
    let second = "2,1,2026-02-10,7.00,pen\n3,1,2026-02-10,1.00,cup\n";
    let silver = read(&[("orders_1.csv", first), ("orders_2.csv", second)]);
    assert_eq!(revenue(&silver), 25_000_000);
    let silver = read(&[("2026-03-01 a.csv", first), ("2026-03-01 b.csv", second)]);
    assert_eq!(revenue(&silver), 25_000_000);
    // Another day: the later version of the order.
    let silver = read(&[("2026-03-01.csv", first), ("2026-03-02.csv", second)]);
    assert_eq!(revenue(&silver), 20_000_000);
    // A common line: the same order again.
    let again = "2,1,2026-02-10,5.00,mug\n2,1,2026-02-10,7.00,pen\n";
    let silver = read(&[("orders_1.csv", first), ("orders_2.csv", again)]);
    assert_eq!(revenue(&silver), 24_000_000);
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
