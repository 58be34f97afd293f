//! Amounts in several currencies: `sources.rates`.

use goldsmith::domain::account::in_millionths;
use goldsmith::domain::rates::{Factor, Rate, Rates};
use goldsmith::domain::time::{Day, Timestamp};
use goldsmith::pipeline::silver::{CleaningOptions, CleaningRules, Silver, clean};
use goldsmith::sources::{SourceOptions, read_in_memory};
use proptest::prelude::*;

use super::profiles::cleaned;

fn rates(entries: &[(&str, Option<&str>, &str)]) -> CleaningRules {
    let rate = |(currency, from, factor): &(&str, Option<&str>, &str)| Rate {
        currency: (*currency).to_owned(),
        from: from.map(|from| Day::parse(from).unwrap()),
        factor: Factor::parse(factor).unwrap(),
    };
    let rates = Rates::new(entries.iter().map(rate).collect()).unwrap();
    CleaningRules { currency: Some("EUR".to_owned()), rates, ..CleaningRules::default() }
}

fn read(text: &str, rules: CleaningRules) -> Silver {
    cleaned(&[("achats.csv", text.as_bytes())], &SourceOptions::default(), rules)
}

fn micros(silver: &Silver, column: &str) -> Vec<i64> {
    let amounts = silver.purchases().column(column).unwrap().f64().unwrap().clone();
    amounts.iter().flatten().map(in_millionths).collect()
}

const SALES: &str = "id_achat,id_client,date_achat,montant,devise,prix\n\
                     1,1,2026-01-10,10.00,EUR,10\n\
                     2,1,2026-01-10,20.00,USD,10\n\
                     3,2,2026-02-10,33.33,USD,33.33\n\
                     3,2,2026-03-10,-33.33,USD,\n\
                     4,2,2026-02-10,5.00,GBP,5\n\
                     5,2,2025-12-10,7.00,USD,7\n";

#[test]
fn sales_are_converted_by_the_rate_of_their_day_and_refunds_by_that_of_the_sale() {
    let rules = rates(&[
        ("USD", Some("2026-01-01"), "0.9"),
        ("USD", Some("2026-02-01"), "0.8123"),
        ("USD", Some("2026-03-01"), "0.5"),
    ]);
    let silver = read(SALES, rules);
    assert_eq!(micros(&silver, "montant"), [10_000_000, 18_000_000, 27_073_959, -27_073_959]);
    assert_eq!(micros(&silver, "prix"), [10_000_000, 9_000_000, 27_073_959]);
    let currencies = silver.purchases().column("devise").unwrap().str().unwrap().clone();
    assert!(currencies.iter().all(|currency| currency == Some("EUR")));

    let accounts = &silver.report.accounts;
    let of = |currency: &str| {
        accounts.iter().find(|account| account.currency.as_deref() == Some(currency)).unwrap()
    };
    // In the currency of the file, to the millionth, and what became of it.
    assert_eq!((of("USD").sales, of("USD").refunds), (53_330_000, 33_330_000));
    assert_eq!(of("USD").converted, Some(18_000_000));
    assert_eq!(of("EUR").converted, None);
    assert_eq!(of("USD").left_out["other_currency"].sum, 7_000_000);
    assert_eq!(of("GBP").left_out["other_currency"].sum, 5_000_000);
    let sentence =
        "achats.csv: 3 rows in USD, 20.00 in all, converted by sources.rates to 18.00 EUR";
    assert!(
        silver.report.findings.iter().any(|found| found == sentence),
        "{:?}",
        silver.report.findings
    );
}

#[test]
fn a_price_that_is_too_large_to_be_converted_is_refused() {
    let text = "id_achat,id_client,date_achat,montant,devise,prix\n\
        1,1,2026-01-10,10.00,EUR,10\n2,1,2026-01-10,1.00,USD,900000000000\n";
    let raw = read_in_memory(&[("achats.csv", text)], &SourceOptions::default()).unwrap();
    let rules = rates(&[("USD", None, "50")]);
    let run_start = Timestamp::parse("2026-11-01").unwrap();
    let error = clean(raw, &CleaningOptions { run_start, rules }).unwrap_err().to_string();
    let problem =
        "line 3 \"900000000000\" is more than can be counted exactly once it is converted from USD";
    assert!(error.contains(problem) && error.contains("achats.csv"), "{error}");
}

#[test]
fn without_rates_other_currencies_are_left_out_with_their_sums() {
    let silver = read(SALES, rates(&[]));
    assert_eq!(micros(&silver, "montant"), [10_000_000]);
    let usd =
        &silver.report.accounts.iter().find(|a| a.currency.as_deref() == Some("USD")).unwrap();
    assert_eq!(usd.left_out["other_currency"].rows, 4);
}

#[test]
fn a_sign_beside_the_amount_counts_before_another_cell() {
    let sales = "id_achat,id_client,date_achat,montant,devise\n\
                 1,1,2026-01-10,10.00,EUR\n2,1,2026-01-10,7.50 €,EUR\n3,1,2026-01-10,$5.00,EUR\n";
    let silver = read(sales, CleaningRules::default());
    assert_eq!(micros(&silver, "montant"), [10_000_000, 7_500_000]);
    // Canadian shops write their dollars with the same sign.
    let canadian = "id_achat,id_client,date_achat,montant,devise\n1,1,2026-01-10,$5.00,CAD\n";
    let silver = read(canadian, CleaningRules::default());
    let currencies = silver.purchases().column("devise").unwrap().str().unwrap().clone();
    assert_eq!(currencies.get(0), Some("CAD"));
}

#[test]
fn more_currencies_than_there_are_never_become_one() {
    let mut sales = "id_achat,id_client,date_achat,montant,devise\n".to_owned();
    let letter = |index: u8| char::from(b'A' + index);
    let codes = (0..26).flat_map(|a| (0..26).map(move |b| format!("X{}{}", letter(a), letter(b))));
    let junk = (0..600).zip(codes);
    sales.extend(junk.map(|(index, code)| format!("{index},1,2026-01-10,10.00,{code}\n")));
    sales.extend((700..740).map(|index| format!("{index},1,2026-01-10,1.00,EUR\n")));
    let silver = read(&sales, rates(&[]));
    assert_eq!(micros(&silver, "montant").len(), 40);
    let silver = read(&sales, CleaningRules::default());
    let currencies = silver.purchases().column("devise").unwrap().str().unwrap().clone();
    assert!(currencies.iter().all(|currency| currency != Some("?")));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_converted_adds_up_to_what_the_accounts_say(
        rows in prop::collection::vec((1..5_u8, 0..3_usize, -900_000..900_000_i64), 1..20),
        rate in "[0-3]\\.[0-9]{1,9}[1-9]",
    ) {
        let rules = rates(&[("USD", None, rate.as_str())]);
        let mut text = "id_achat,id_client,date_achat,montant,devise\n".to_owned();
        text.extend(rows.iter().map(|(order, currency, cents)| {
            let code = ["EUR", "USD", "GBP"][*currency];
            let sign = if *cents < 0 { "-" } else { "" };
            let (whole, cents) = (cents.abs() / 100, cents.abs() % 100);
            format!("{order},1,2026-01-10,{sign}{whole}.{cents:02},{code}\n")
        }));
        let silver = read(&text, rules);
        let own = |account: &&goldsmith::domain::account::Account| account.currency.as_deref() == Some("EUR");
        let accounts = &silver.report.accounts;
        for account in accounts {
            prop_assert_eq!(account.explained(), account.read);
        }
        let euros: i64 = accounts.iter().filter(own).map(|account| account.sales - account.refunds).sum();
        let converted: i64 = accounts.iter().filter_map(|account| account.converted).sum();
        prop_assert_eq!(micros(&silver, "montant").iter().sum::<i64>(), euros + converted);
    }
}
