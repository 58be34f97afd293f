//! A generated sample shop, for demonstrations and tests: the same [`Spec`] gives the same bytes.
//!
//! [`population`] simulates who buys when and for how much, [`people`] and [`products`] add names
//! and products, [`corruption`] adds the defects of real exports. `ground_truth.json` records the
//! true parameters, so that a model can be compared with them.

mod corruption;
mod people;
mod population;
mod products;
mod spec;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::json;

pub use spec::{SampleError, Spec};

use spec::Row;

use crate::domain::digest::sha256_hex;
use crate::domain::time::Timestamp;

/// Names of the files of a sample, in the order in which they must be written.
pub const FILES: [&str; 3] = [GROUND_TRUTH, "achats.csv", "clients.csv"];
/// The file with the true parameters; it marks a directory as holding a sample.
pub const GROUND_TRUTH: &str = "ground_truth.json";

// A sample is generated in memory.
const MAX_CUSTOMERS: u32 = 5_000_000;
const MAX_PURCHASES: u32 = 100_000_000;

/// The files of a sample, by name, in the order of [`FILES`].
pub type Files = Vec<(&'static str, Vec<u8>)>;

/// Generates a sample.
///
/// # Errors
/// [`SampleError::Impossible`] for numbers that no shop has.
pub fn generate(spec: Spec) -> Result<Files, SampleError> {
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
    // One random stream per concern, so that a change to one does not change the draws of the others.
    let stream = |number: u64| {
        let mut rng = ChaCha8Rng::seed_from_u64(spec.seed);
        rng.set_stream(number);
        rng
    };
    let shop = population::simulate(spec, &mut stream(1))?;
    let mut customers = people::rows(&shop, &mut stream(2));
    let mut purchases = products::rows(&shop, &mut stream(3));
    let injected = corruption::corrupt(spec.dirty, &mut customers, &mut purchases, &mut stream(4));
    let purchases = to_csv(&products::HEADER, &purchases)?;
    let customers = to_csv(&people::HEADER, &customers)?;
    let truth = json!({
        "about": "The true parameters of the population that clients.csv and achats.csv beside this file were drawn from.",
        "seed": spec.seed,
        "customers": spec.customers,
        "purchases": spec.purchases,
        "from": Timestamp(population::START_MICROS),
        "until": Timestamp(population::END_MICROS),
        "purchase_process": shop.truth,
        "injected_rejects": injected,
        "sha256": { "achats.csv": sha256_hex(&purchases), "clients.csv": sha256_hex(&customers) },
    });
    Ok(vec![
        (GROUND_TRUTH, (serde_json::to_string_pretty(&truth)? + "\n").into_bytes()),
        ("achats.csv", purchases),
        ("clients.csv", customers),
    ])
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

fn to_csv(header: &[&str], rows: &[Row]) -> Result<Vec<u8>, SampleError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
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
    fn a_sample_has_exactly_the_requested_number_of_rows() {
        let files = generate(Spec { dirty: 0.0, ..SPEC }).unwrap();
        let lines = |index: usize| String::from_utf8_lossy(&files[index].1).lines().count();
        assert_eq!(lines(1), 3_001);
        assert_eq!(lines(2), 301);
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
