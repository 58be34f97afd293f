//! A generated sample shop, for demonstrations and tests: the same [`Spec`] gives the same bytes.
//!
//! [`population`] simulates who buys when and for how much, [`people`] and [`products`] add names
//! and products, [`orders`] makes orders of several lines, [`formats`] writes them as a shop system exports them,
//! [`corruption`] adds the defects of real exports. `ground_truth.json` records what is true of the shop: the
//! parameters, so that a model can be compared with them, and the sums.

mod corruption;
mod formats;
mod orders;
mod people;
mod population;
mod products;
mod shop;
mod spec;
mod truth;

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::json;

pub use spec::{Files, Format, SampleError, Spec};

use corruption::InjectedRejects;
use formats::goldsmith;
use population::Population;
use products::Products;
use shop::Shop;
use spec::Row;

use crate::domain::digest::sha256_hex;
use crate::domain::time::Timestamp;

/// Names of the files of a sample in the format goldsmith, in the order in which they must be written.
pub const FILES: [&str; 3] = [GROUND_TRUTH, "achats.csv", "clients.csv"];
/// The file with the true parameters; it marks a directory as holding a sample.
pub const GROUND_TRUTH: &str = "ground_truth.json";

// A sample is generated in memory.
const MAX_CUSTOMERS: u32 = 5_000_000;
const MAX_PURCHASES: u32 = 100_000_000;

/// Generates a sample as `clients.csv` and `achats.csv`.
///
/// # Errors
/// [`SampleError::Impossible`] for numbers that no shop has.
pub fn generate(spec: Spec) -> Result<Files, SampleError> {
    export(spec, Format::Goldsmith)
}

/// Generates a sample as a system would export it: the same shop in every format.
///
/// # Errors
/// [`SampleError::Impossible`] for numbers that no shop has, and for invalid rows in another format than
/// [`Format::Goldsmith`].
pub fn export(spec: Spec, format: Format) -> Result<Files, SampleError> {
    check(spec)?;
    if spec.dirty > 0.0 && format != Format::Goldsmith {
        return Err(SampleError::Impossible(format!(
            "--dirty is for the format {} only",
            Format::Goldsmith.as_str()
        )));
    }
    let population = population::simulate(spec, &mut stream(spec, 1))?;
    let shop = shop_of(spec, &population)?;
    let (exported, injected) = match format {
        Format::Goldsmith => own_files(spec, &shop)?,
        _ => (formats::files(format, &shop)?, InjectedRejects::new()),
    };
    let hashes = exported.iter().map(|(name, bytes)| (*name, sha256_hex(bytes)));
    let truth = json!({
        "about": "What is true of the shop that the files beside this one are an export of.",
        "format": format.as_str(),
        "seed": spec.seed,
        "customers": spec.customers,
        "purchases": spec.purchases,
        "from": Timestamp(population::START_MICROS),
        "until": Timestamp(population::END_MICROS),
        "purchase_process": population.truth,
        "totals": truth::totals(&shop),
        "bought_together": truth::pairs(&shop),
        "injected_rejects": injected,
        "sha256": hashes.collect::<BTreeMap<_, _>>(),
    });
    let truth = (serde_json::to_string_pretty(&truth)? + "\n").into_bytes();
    Ok(std::iter::once((GROUND_TRUTH, truth)).chain(exported).collect())
}

/// `achats.csv` and `clients.csv`, with the invalid rows that were added.
fn own_files(spec: Spec, shop: &Shop) -> Result<(Files, InjectedRejects), SampleError> {
    let mut customers = goldsmith::customer_rows(shop);
    let mut purchases = goldsmith::purchase_rows(shop);
    let injected =
        corruption::corrupt(spec.dirty, &mut customers, &mut purchases, &mut stream(spec, 4));
    let files = vec![
        ("achats.csv", to_csv(&goldsmith::PURCHASES, &purchases)?),
        ("clients.csv", to_csv(&goldsmith::CUSTOMERS, &customers)?),
    ];
    Ok((files, injected))
}

/// Checks that a shop can have these numbers.
fn check(spec: Spec) -> Result<(), SampleError> {
    let impossible = |problem: String| Err(SampleError::Impossible(problem));
    if spec.customers > MAX_CUSTOMERS || spec.purchases > MAX_PURCHASES {
        return impossible(format!(
            "a sample has at most {MAX_CUSTOMERS} customers and {MAX_PURCHASES} purchases"
        ));
    }
    if spec.customers == 0 || spec.purchases == 0 {
        return impossible("a shop needs at least one customer and one purchase".to_owned());
    }
    if !(0.0..=0.5).contains(&spec.dirty) {
        return impossible(format!("--dirty {} is not between 0 and 0.5", spec.dirty));
    }
    Ok(())
}

/// A random stream: one per concern, so that a change to one does not change the draws of the others.
fn stream(spec: Spec, number: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(spec.seed);
    rng.set_stream(number);
    rng
}

/// The shop of a population: with guests, names, products and orders.
fn shop_of(spec: Spec, population: &Population) -> Result<Shop, SampleError> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let guests = (f64::from(spec.purchases) * orders::GUESTS).round() as usize;
    let customers = people::customers(&population.signups, &mut stream(spec, 2))?;
    let mut of_guests = stream(spec, 5);
    let guest_purchases = population::guests(guests, &mut of_guests)?;
    let guests = people::guests(guests, &mut of_guests)?;
    let mut of_products = stream(spec, 3);
    let products = Products::draw(&mut of_products)?;
    let purchases = &population.purchases;
    Ok(orders::shop(customers, guests, purchases, &guest_purchases, &mut of_products, products))
}

/// Whether a file with this SHA-256 is the sample file that `ground_truth.json` in the same directory
/// describes. Only then may another sample replace it.
#[must_use]
pub fn is_sample(ground_truth: &[u8], name: &str, sha256: &str) -> bool {
    if name == GROUND_TRUTH {
        return true;
    }
    let truth: serde_json::Value = serde_json::from_slice(ground_truth).unwrap_or_default();
    truth["sha256"][name].as_str().is_some_and(|known| known == sha256)
}

/// The names of the files that `ground_truth.json` in the same directory describes.
#[must_use]
pub fn files_of(ground_truth: &[u8]) -> Vec<String> {
    let truth: serde_json::Value = serde_json::from_slice(ground_truth).unwrap_or_default();
    truth["sha256"].as_object().map(|files| files.keys().cloned().collect()).unwrap_or_default()
}

fn to_csv(header: &[&str], rows: &[Row]) -> Result<Vec<u8>, SampleError> {
    // Invalid rows may have more cells than there are columns.
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    writer.write_record(header)?;
    for row in rows {
        writer.write_record(row)?;
    }
    writer.into_inner().map_err(|error| SampleError::Csv(error.into_error().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: Spec = Spec { customers: 300, purchases: 3_000, seed: 7, dirty: 0.1 };

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
        let first = generate(SPEC).unwrap();
        assert_eq!(first, generate(SPEC).unwrap());
        assert_ne!(first, generate(Spec { seed: 8, ..SPEC }).unwrap());
        let names: Vec<&str> = first.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, FILES);
    }

    #[test]
    fn a_sample_has_exactly_the_requested_number_of_customers_and_of_their_orders() {
        let files = generate(Spec { dirty: 0.0, ..SPEC }).unwrap();
        let text = |index: usize| String::from_utf8_lossy(&files[index].1).into_owned();
        assert_eq!(text(2).lines().count(), 301);
        let orders_of = |is_guest: bool| {
            let purchases = text(1);
            let rows = purchases.lines().skip(1).map(|row| row.split(',').collect::<Vec<_>>());
            let rows = rows.filter(|row| row[1].is_empty() == is_guest);
            rows.map(|row| row[0].to_owned()).collect::<std::collections::BTreeSet<_>>().len()
        };
        assert_eq!(orders_of(false), 3_000);
        assert_eq!(orders_of(true), 120);
    }

    #[test]
    fn impossible_numbers_are_rejected() {
        for spec in [
            Spec { customers: 0, ..SPEC },
            Spec { purchases: 0, ..SPEC },
            Spec { dirty: 0.9, ..SPEC },
            Spec { dirty: f64::NAN, ..SPEC },
        ] {
            assert!(generate(spec).is_err(), "{spec:?}");
        }
        assert!(generate(Spec { customers: 1, purchases: 1, ..SPEC }).is_ok());
    }
}
