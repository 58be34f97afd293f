//! Purchase models against published estimates and against the true parameters of generated shops.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;

use goldsmith::domain::time::{DAY_MICROS, Day, Timestamp};
use goldsmith::pipeline::ml::history::History;
use goldsmith::pipeline::ml::methods::bg_nbd::{self, Dropout, Pattern};
use goldsmith::pipeline::ml::methods::gamma_gamma::{self, Spend};
use goldsmith::pipeline::ml::methods::likelihood::MleFit;
use goldsmith::pipeline::ml::report::{Candidate, Task};
use goldsmith::pipeline::ml::report_text;
use goldsmith::pipeline::ml::sampling::SeededSampler;
use goldsmith::pipeline::ml::snapshot::CustomerSnapshot;
use goldsmith::pipeline::silver::{CleaningOptions, CleaningRules, Refunds, clean};
use goldsmith::sample::Spec;
use goldsmith::sources::{SourceOptions, read_in_memory};

use super::{files, truth};
use crate::support::cdnow;

/// Compares with a published value, to one in its last digit: spreadsheets stop optimising early.
#[track_caller]
fn near(name: &str, found: f64, published: f64, digits: i32) {
    let last_digit = 10.0_f64.powi(-digits);
    assert!((found - published).abs() <= last_digit, "{name}: {found} instead of {published}");
}

/// Reports a test that was left out; unlike `println!`, also when the test passes.
#[allow(clippy::explicit_write)] // the output of `eprintln!` is captured as well
fn left_out(reason: &str) {
    writeln!(std::io::stderr(), "\nLEFT OUT, the CDNOW sample is not available: {reason}").unwrap();
}

#[test]
fn the_cdnow_sample_gives_the_published_estimates() {
    let customers = match cdnow::customers() {
        Ok(customers) => customers,
        Err(reason) => return left_out(&reason),
    };
    assert_eq!(customers.len(), 2_357);
    // Fader, Hardie & Lee 2005, table 2.
    let patterns: Vec<Pattern> = customers.iter().map(|customer| customer.pattern).collect();
    let fit = bg_nbd::fit(Dropout::AfterRepeat, &patterns).unwrap();
    near("r", fit.model.r, 0.243, 3);
    near("alpha", fit.model.alpha, 4.414, 3);
    near("a", fit.model.a, 0.793, 3);
    near("b", fit.model.b, 2.426, 3);
    near("log-likelihood", fit.mle.log_likelihood, -9_582.4, 1);
    // Fader & Hardie 2013: the customers with a repeat purchase.
    let spends: Vec<Spend> = customers
        .iter()
        .filter(|customer| customer.pattern.repeats > 0)
        .map(|customer| Spend { transactions: customer.pattern.repeats, mean: customer.mean })
        .collect();
    assert_eq!(spends.len(), 946);
    let fit = gamma_gamma::fit(&spends).unwrap();
    near("p", fit.model.p, 6.25, 2);
    near("q", fit.model.q, 3.74, 2);
    near("gamma", fit.model.gamma, 15.44, 2);
}

/// The purchases of a raw file as silver has them.
fn raw_purchases(path: &Path) -> Vec<(i64, i64)> {
    let bytes = std::fs::read(path).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let raw = read_in_memory(&[(name, bytes)], &SourceOptions::default()).unwrap();
    let run_start = Timestamp::parse("2026-01-01").unwrap();
    let options = CleaningOptions { run_start, rules: CleaningRules::default() };
    let silver = clean(raw, &options).unwrap();
    let customers = silver.purchases().column("id_client").unwrap().i64().unwrap().clone();
    let at = silver.purchases().column("date_achat").unwrap().to_physical_repr();
    let days = at.i64().unwrap().iter().map(|at| at.unwrap().div_euclid(DAY_MICROS));
    customers.iter().map(Option::unwrap).zip(days).collect()
}

#[test]
fn the_raw_files_of_cdnow_give_the_published_estimates() {
    let files = cdnow::RAW.map(cdnow::file);
    let [master, sample] = match files {
        [Ok(master), Ok(sample)] => [raw_purchases(&master), raw_purchases(&sample)],
        [Err(reason), _] | [_, Err(reason)] => return left_out(&reason),
    };
    let counts = |purchases: &[(i64, i64)]| {
        let customers: BTreeSet<i64> = purchases.iter().map(|(customer, _)| *customer).collect();
        (customers.len(), purchases.len())
    };
    assert_eq!(counts(&master), (23_570, 69_659));
    assert_eq!(counts(&sample), (2_357, 6_919));

    // Fader, Hardie & Lee 2005: 39 weeks, days with several purchases count once.
    let end = i64::from(Day::parse("1997-09-30").unwrap().0);
    let mut days: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    for (customer, day) in sample.into_iter().filter(|(_, day)| *day <= end) {
        days.entry(customer).or_default().insert(day);
    }
    #[allow(clippy::cast_precision_loss)]
    let weeks = |days: i64| days as f64 / 7.0;
    let pattern = |days: &BTreeSet<i64>| {
        let (first, last) = (*days.first().unwrap(), *days.last().unwrap());
        Pattern {
            repeats: u32::try_from(days.len() - 1).unwrap(),
            recency: weeks(last - first),
            age: weeks(end - first),
        }
    };
    let patterns: Vec<Pattern> = days.values().map(pattern).collect();
    assert_eq!(patterns.len(), 2_357);
    let fit = bg_nbd::fit(Dropout::AfterRepeat, &patterns).unwrap();
    near("r", fit.model.r, 0.243, 3);
    near("alpha", fit.model.alpha, 4.414, 3);
    near("a", fit.model.a, 0.793, 3);
    near("b", fit.model.b, 2.426, 3);
}

/// Shops where a day with two purchases of one customer is rare: the models count days.
fn sparse(seed: u64) -> Spec {
    Spec { customers: 4_000, purchases: 12_000, seed, dirty: 0.0 }
}

/// What is sold of a generated shop: its parameters describe orders before anything is given back.
fn sold(spec: Spec) -> History {
    let sources = read_in_memory(&files(spec), &SourceOptions::default()).unwrap();
    let rules = CleaningRules { refunds: Refunds::LeaveOut, ..CleaningRules::default() };
    let run_start = Timestamp::parse("2026-06-01").unwrap();
    History::new(clean(sources, &CleaningOptions { run_start, rules }).unwrap().purchases())
        .unwrap()
}

/// How many standard errors each estimate is away from the truth.
fn deviations(spec: Spec) -> Vec<(&'static str, f64)> {
    let history = sold(spec);
    let truth = truth(spec);
    let snapshot = CustomerSnapshot::of(history.up_to(history.last().unwrap()));
    let purchases = bg_nbd::fit(Dropout::AfterRepeat, &snapshot.patterns).unwrap();
    let spend = gamma_gamma::fit(&snapshot.spends).unwrap();
    let of = |mle: &MleFit, names: &[&'static str]| -> Vec<(&'static str, f64)> {
        let estimates = mle.parameters.iter().zip(mle.standard_errors.as_ref().unwrap());
        let pairs = names.iter().zip(estimates);
        pairs
            .map(|(name, (found, error))| {
                let truth = truth[name].as_f64().unwrap();
                println!(
                    "seed {}: {name} = {found:.4} ± {error:.4}, true value {truth:.4}",
                    spec.seed
                );
                (*name, (found - truth).abs() / error)
            })
            .collect()
    };
    let mut all = of(&purchases.mle, &["r", "alpha", "a", "b"]);
    all.extend(of(&spend.mle, &["p", "q", "gamma"]));
    all
}

#[test]
fn the_true_parameters_of_a_generated_shop_are_recovered_within_two_standard_errors() {
    for (name, deviation) in deviations(sparse(1)) {
        assert!(deviation <= 2.0, "{name} is {deviation:.2} standard errors away");
    }
}

#[test]
fn standard_errors_are_honest_over_many_shops() {
    let all: Vec<f64> =
        (2..=9).flat_map(|seed| deviations(sparse(seed))).map(|(_, deviation)| deviation).collect();
    let within = all.iter().filter(|deviation| **deviation <= 2.0).count();
    // 95 in 100 are to be expected of a normal distribution.
    assert!(within * 100 >= all.len() * 85, "{within} of {} within two", all.len());
    assert!(all.iter().all(|deviation| *deviation < 4.0), "{all:?}");
}

#[test]
fn amounts_of_two_groups_of_customers_are_reported_as_a_poor_fit() {
    // Half of the customers spend about 180 EUR a time, half about 12: not the distribution that
    // Gamma-Gamma assumes.
    let sampler = SeededSampler::new(5, "two kinds");
    let spends: Vec<Spend> = (0..600)
        .map(|id| {
            let level = if id % 2 == 0 { 180.0 } else { 12.0 };
            let transactions = 1 + u32::try_from(id % 7).unwrap();
            let noise = 0.6 + 0.8 * sampler.of_customer(id);
            Spend { transactions, mean: level * noise }
        })
        .collect();
    let fit = gamma_gamma::fit(&spends).unwrap();
    let mut candidate = Candidate::new(Task::PurchaseForecast, "mbg_nbd", "", "");
    report_text::report_spend(&fit, &mut candidate);
    // A customer's mean does not approach their level with more transactions: p is unbounded.
    assert!(
        candidate.note.contains("Gamma-Gamma: the data do not determine p,"),
        "{}",
        candidate.note
    );
    assert!(candidate.note.contains("not finite (q <= 1)"), "{}", candidate.note);
    assert!(candidate.parameters.iter().all(|parameter| parameter.contains("(no standard error)")));
    for spend in &spends {
        let expected = fit.model.expected_amount(*spend);
        assert!(expected > 0.0 && expected < 1_000.0, "{spend:?}: {expected}");
    }
}
