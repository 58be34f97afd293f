//! The account of money and the count of rows balance, whatever the files hold.

use goldsmith::domain::data_set::DataSet;
use goldsmith::domain::time::Timestamp;
use goldsmith::pipeline::silver::{CleaningOptions, CleaningRules, Silver, clean};
use goldsmith::sources::{SourceOptions, read_in_memory};
use proptest::prelude::*;

fn text(text: &str) -> Just<String> {
    Just(text.to_owned())
}

/// A row of purchases in one of the ways that exports write them.
fn row() -> impl Strategy<Value = String> {
    let order = prop_oneof![4 => "[1-6]", 1 => text("A-7"), 1 => text("1.9E+18"), 1 => text("Total"), 1 => text("")];
    let customer = prop_oneof![4 => "[1-4]", 1 => text("cus_x"), 1 => text("0"), 1 => text(""), 1 => text("guest")];
    let date = prop_oneof![
        6 => text("2024-03-01"),
        2 => text("05/03/2024"),
        1 => text("soon"),
        1 => text("1950-01-01"),
        1 => text(""),
    ];
    let amount = prop_oneof![
        4 => "[1-9][0-9]?\\.[0-9]{2}",
        2 => "-[1-9]\\.50",
        1 => text("\"1.299,99\""),
        1 => text("1.250"),
        1 => text("7 USD"),
        1 => text("0"),
        1 => text("n/a"),
        1 => text(""),
    ];
    let product = prop_oneof![3 => "[A-C]", 1 => text("")];
    (order, customer, date, amount, product).prop_map(|(order, customer, date, amount, product)| {
        format!("{order},{customer},{date},{amount},{product}\n")
    })
}

/// One to three files of rows.
fn files() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(prop::collection::vec(row(), 1..12), 1..4).prop_map(|files| {
        let header = "id_achat,id_client,date_achat,montant,produit\n";
        files.into_iter().map(|rows| header.to_owned() + &rows.concat()).collect()
    })
}

fn cleaned(files: &[String]) -> Silver {
    let names: Vec<String> = (0..files.len()).map(|index| format!("achats_{index}.csv")).collect();
    let files: Vec<(&str, &[u8])> =
        names.iter().zip(files).map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    let raw = read_in_memory(&files, &SourceOptions::default()).unwrap();
    let run_start = Timestamp::parse("2025-01-01").unwrap();
    clean(raw, &CleaningOptions { run_start, rules: CleaningRules::default() }).unwrap()
}

/// The served amounts in millionths.
fn served(silver: &Silver) -> Vec<i64> {
    let amounts = silver.purchases().column("montant").unwrap().f64().unwrap().clone();
    #[allow(clippy::cast_possible_truncation)]
    amounts.iter().flatten().map(|amount| (amount * 1e6).round() as i64).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_amount_and_every_row_is_accounted_for(files in files()) {
        let silver = cleaned(&files);
        let accounts = &silver.report.accounts;
        for account in accounts {
            prop_assert_eq!(account.explained(), account.read, "{:?}", account);
        }
        let served = served(&silver);
        let sales: i64 = served.iter().filter(|amount| **amount >= 0).sum();
        let refunds: i64 = served.iter().filter(|amount| **amount < 0).sum();
        prop_assert_eq!(accounts.iter().map(|account| account.sales).sum::<i64>(), sales);
        prop_assert_eq!(accounts.iter().map(|account| account.refunds).sum::<i64>(), -refunds);

        let quality = &silver.report.data_sets[DataSet::Purchases];
        let aside: u64 = quality.set_aside.values().sum();
        prop_assert_eq!(quality.rows_read, quality.rows_valid + quality.rows_rejected() + aside);
        let of_accounts = |reason: &str| {
            let entries = accounts.iter().filter_map(|account| account.left_out.get(reason));
            entries.map(|entry| entry.rows).sum::<u64>()
        };
        for (reason, rows) in &quality.rejected {
            prop_assert_eq!(of_accounts(reason), *rows, "{}", reason);
        }
        // Every line has a key of its own.
        let keys = silver.purchases().column("id_achat").unwrap();
        prop_assert_eq!(keys.n_unique().unwrap(), silver.purchases().height());
    }

    #[test]
    fn the_same_files_again_add_nothing(files in files()) {
        let once = cleaned(&files);
        let mut twice = files.clone();
        twice.push(files[files.len() - 1].clone());
        let again = cleaned(&twice);
        prop_assert!(once.purchases().equals_missing(again.purchases()));
    }
}
