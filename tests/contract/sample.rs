//! The generated sample against the rules: corrupted rows change nothing but the rejects.

use std::collections::BTreeMap;

use goldsmith::domain::data_set::DataSet;
use goldsmith::domain::time::Timestamp;
use goldsmith::pipeline::silver::{self, CleaningOptions, CleaningRules, Silver};
use goldsmith::sample::{Spec, generate};
use goldsmith::sources::{SourceOptions, read_in_memory};
use serde_json::Value;

const SPEC: Spec = Spec { customers: 400, purchases: 6_000, seed: 11, dirty: 0.0 };

fn cleaned(dirty: f64) -> (Silver, Value) {
    let files = generate(Spec { dirty, ..SPEC }).unwrap();
    let bytes = |wanted: &str| &files.iter().find(|(name, _)| *name == wanted).unwrap().1[..];
    let sources = read_in_memory(&files, &SourceOptions::default()).unwrap();
    let run_start = Timestamp::parse("2026-06-01").unwrap();
    let options = CleaningOptions { run_start, rules: CleaningRules::default() };
    let silver = silver::clean(sources, &options).unwrap();
    (silver, serde_json::from_slice(bytes("ground_truth.json")).unwrap())
}

#[test]
fn a_dirty_sample_is_cleaned_to_exactly_the_clean_one_and_every_bad_row_has_its_reason() {
    let (clean, _) = cleaned(0.0);
    assert!(clean.report.data_sets.values().all(|quality| quality.rows_rejected() == 0));
    let (dirty, truth) = cleaned(0.15);
    for set in DataSet::ALL {
        assert!(clean.valid[*set].equals_missing(&dirty.valid[*set]), "{set}");
    }

    let injected = |set: &str| -> BTreeMap<String, u64> {
        serde_json::from_value(truth["injected_rejects"][set].clone()).unwrap()
    };
    for (set, quality) in dirty.report.data_sets.iter() {
        let (rejected, aside) = (quality.rejected.clone(), quality.set_aside.clone());
        let found: BTreeMap<String, u64> = rejected.into_iter().chain(aside).collect();
        assert_eq!(found, injected(set.name()), "{set}");
        let bad: u64 = found.values().sum();
        assert_eq!(quality.rows_read, quality.rows_valid + bad);
        let per_mille = 1_000 * bad / quality.rows_read;
        assert!((140..=160).contains(&per_mille), "{per_mille}");
    }
    assert_eq!(injected("clients").len(), 5);
    assert_eq!(injected("achats").len(), 7);
    for account in &dirty.report.accounts {
        assert_eq!(account.explained(), account.read, "{account:?}");
    }
}

/// An order as its lines add up.
#[derive(Debug, Default)]
struct Order {
    is_of_customer: bool,
    lines: usize,
    sold: f64,
    refunded: f64,
}

fn orders(silver: &Silver) -> BTreeMap<i64, Order> {
    let lines = silver.purchases();
    let number = |name: &str| lines.column(name).unwrap().i64().unwrap().clone();
    let (numbers, customers) = (number("id_commande"), number("id_client"));
    let amounts = lines.column("montant").unwrap().f64().unwrap().clone();
    let mut orders: BTreeMap<i64, Order> = BTreeMap::new();
    for row in 0..lines.height() {
        let order = orders.entry(numbers.get(row).unwrap()).or_default();
        order.is_of_customer = customers.get(row).is_some();
        let amount = amounts.get(row).unwrap();
        if amount < 0.0 {
            order.refunded -= amount;
        } else {
            order.lines += 1;
            order.sold += amount;
        }
    }
    orders
}

#[test]
fn the_sample_resembles_a_shop() {
    let (silver, truth) = cleaned(0.0);
    assert_eq!(silver.customers().height(), 400);
    let orders = orders(&silver);
    assert_eq!(orders.values().filter(|order| order.is_of_customer).count(), 6_000);
    assert_eq!(orders.values().filter(|order| !order.is_of_customer).count(), 240);
    let several = orders.values().filter(|order| order.lines > 1).count();
    assert!((1_800..3_000).contains(&several), "{several} orders of several lines");
    let refunded = orders.values().filter(|order| order.refunded > 0.0).count();
    assert!((150..350).contains(&refunded), "{refunded} orders with a refund");
    let countries = silver.customers().column("pays").unwrap().n_unique().unwrap();
    assert!((10..=15).contains(&countries), "{countries} countries");

    // Long tail: the best tenth of products sells more than a third.
    let mut sales: BTreeMap<String, usize> = BTreeMap::new();
    for product in silver.purchases().column("produit").unwrap().str().unwrap().iter().flatten() {
        *sales.entry(product.to_owned()).or_default() += 1;
    }
    let mut sales: Vec<usize> = sales.into_values().collect();
    sales.sort_unstable_by(|a, b| b.cmp(a));
    assert!(sales.len() > 100, "{} products", sales.len());
    let best: usize = sales[..sales.len() / 10].iter().sum();
    let all: usize = sales.iter().sum();
    assert!(best * 3 > all, "the best tenth sells {best} of {all}");

    // Saturdays are busier than Sundays, as the weekday intensities say.
    let weekday = |days: i64| usize::try_from((days + 3).rem_euclid(7)).unwrap();
    let mut by_weekday = [0_u32; 7];
    let dates = silver.purchases().column("date_achat").unwrap().to_physical_repr();
    for micros in dates.i64().unwrap().iter().flatten() {
        by_weekday[weekday(micros.div_euclid(86_400_000_000))] += 1;
    }
    assert!(by_weekday[5] > by_weekday[6], "{by_weekday:?}");

    // The true parameters are listed, and the mean amount is that of the spend they describe.
    let process = &truth["purchase_process"];
    for name in ["r", "alpha", "a", "b", "p", "q", "gamma"] {
        assert!(process[name].as_f64().unwrap() > 0.0, "{name}");
    }
    let parameter = |name: &str| process[name].as_f64().unwrap();
    let expected = parameter("p") * parameter("gamma") / (parameter("q") - 1.0);
    let sold: f64 = orders.values().map(|order| order.sold).sum();
    #[allow(clippy::cast_precision_loss)]
    let mean = sold / orders.len() as f64;
    assert!((mean / expected - 1.0).abs() < 0.25, "mean amount {mean}, expected about {expected}");
}
