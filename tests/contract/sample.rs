//! The generated sample against the rules: dirt changes nothing but the rejects.

use std::collections::BTreeMap;

use goldsmith::domain::manifest::DatasetQuality;
use goldsmith::domain::time::Timestamp;
use goldsmith::pipeline::silver::read::SourceText;
use goldsmith::pipeline::silver::{CleaningOptions, Silver, refine};
use goldsmith::sample::{Spec, generate};
use polars::prelude::ChunkAgg;
use serde_json::Value;

const SPEC: Spec = Spec { customers: 400, purchases: 6_000, seed: 11, dirty: 0.0 };

fn refined(dirty: f64) -> (Silver, Value) {
    let files = generate(Spec { dirty, ..SPEC }).unwrap();
    let bytes = |wanted: &str| &files.iter().find(|(name, _)| *name == wanted).unwrap().1[..];
    let source = |name: &'static str| vec![SourceText::of(name, bytes(name))];
    let rules = CleaningOptions {
        max_amount: 10_000.0,
        run_start: Timestamp::parse("2026-06-01").unwrap(),
    };
    let silver = refine(source("clients.csv"), source("achats.csv"), &rules).unwrap();
    (silver, serde_json::from_slice(bytes("ground_truth.json")).unwrap())
}

#[test]
fn a_dirty_sample_refines_to_exactly_the_clean_one_and_every_bad_row_has_its_reason() {
    let (clean, _) = refined(0.0);
    assert_eq!(clean.report.achats.rows_rejected() + clean.report.clients.rows_rejected(), 0);
    let (dirty, truth) = refined(0.15);
    assert!(clean.clients.equals_missing(&dirty.clients));
    assert!(clean.achats.equals_missing(&dirty.achats));

    let injected = |dataset: &str| -> BTreeMap<String, u64> {
        serde_json::from_value(truth["injected_rejects"][dataset].clone()).unwrap()
    };
    let checked = |quality: &DatasetQuality, dataset: &str| {
        assert_eq!(quality.rejected, injected(dataset), "{dataset}");
        assert_eq!(quality.rows_read, quality.rows_valid + quality.rows_rejected());
        assert!((quality.reject_ratio() - 0.15).abs() < 0.01, "{}", quality.reject_ratio());
    };
    checked(&dirty.report.clients, "clients");
    checked(&dirty.report.achats, "achats");
    // Every reason of the contract is there.
    assert_eq!(injected("clients").len(), 6);
    assert_eq!(injected("achats").len(), 8);
}

#[test]
fn the_sample_is_worth_looking_at() {
    let (silver, truth) = refined(0.0);
    assert_eq!(silver.clients.height(), 400);
    assert_eq!(silver.achats.height(), 6_000);
    let countries = silver.clients.column("pays").unwrap().n_unique().unwrap();
    assert!((10..=15).contains(&countries), "{countries} countries");

    // Long tail: the best tenth of products sells more than a third.
    let mut sales: BTreeMap<String, usize> = BTreeMap::new();
    for product in silver.achats.column("produit").unwrap().str().unwrap().iter().flatten() {
        *sales.entry(product.to_owned()).or_default() += 1;
    }
    let mut sales: Vec<usize> = sales.into_values().collect();
    sales.sort_unstable_by(|a, b| b.cmp(a));
    assert!(sales.len() > 100, "{} products", sales.len());
    let best: usize = sales[..sales.len() / 10].iter().sum();
    assert!(best * 3 > 6_000, "the best tenth sells {best} of 6000");

    // Saturdays are busier than Sundays, as the weekday intensities say.
    let weekday = |days: i64| usize::try_from((days + 3).rem_euclid(7)).unwrap();
    let mut by_weekday = [0_u32; 7];
    let dates = silver.achats.column("date_achat").unwrap().to_physical_repr();
    for micros in dates.i64().unwrap().iter().flatten() {
        by_weekday[weekday(micros.div_euclid(86_400_000_000))] += 1;
    }
    assert!(by_weekday[5] > by_weekday[6], "{by_weekday:?}");

    // The true parameters are told, and the mean amount is that of the spend they describe.
    let process = &truth["purchase_process"];
    for name in ["r", "alpha", "a", "b", "p", "q", "gamma"] {
        assert!(process[name].as_f64().unwrap() > 0.0, "{name}");
    }
    let parameter = |name: &str| process[name].as_f64().unwrap();
    let expected = parameter("p") * parameter("gamma") / (parameter("q") - 1.0);
    let mean = silver.achats.column("montant").unwrap().f64().unwrap().mean().unwrap();
    assert!((mean / expected - 1.0).abs() < 0.25, "mean amount {mean}, expected about {expected}");
}
