//! A sample shop, for trying the product and for tests: same [`Spec`], same bytes.
//!
//! [`population`] decides who buys when and for how much, [`people`] and [`catalogue`] give it
//! faces, [`dirt`] adds what real exports suffer from. The true parameters are told in
//! `ground_truth.json`, so that a model can be held against them.

mod catalogue;
mod corruption;
mod people;
mod population;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::json;

use crate::domain::digest::sha256_hex;
use crate::domain::time::Timestamp;

/// Names of the files of a sample, in the order they are to be written.
pub const FILES: [&str; 3] = [GROUND_TRUTH, "achats.csv", "clients.csv"];
/// The file that tells the true parameters, and that a directory holds a sample.
pub const GROUND_TRUTH: &str = "ground_truth.json";

/// A sample is made in memory.
const MOST_CUSTOMERS: u32 = 5_000_000;
const MOST_PURCHASES: u32 = 100_000_000;

/// What to make.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spec {
    /// Customers, buyers or not.
    pub customers: u32,
    /// Purchases.
    pub purchases: u32,
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// Share of rows that are to be rejected, `[0, 0.5]`; they come on top of the valid rows.
    pub dirty: f64,
}

/// Why there is no such sample.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// The numbers do not make a shop.
    #[error("{0}")]
    Impossible(String),
    /// A row cannot be written as CSV.
    #[error("the sample cannot be written as CSV")]
    Csv(#[from] csv::Error),
    /// The true parameters cannot be written as JSON.
    #[error("the true parameters cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// The files of a sample, by name, in the order of [`FILES`].
pub type Files = Vec<(&'static str, Vec<u8>)>;

/// A row of a CSV file.
type Row = Vec<String>;

/// Makes a sample.
///
/// # Errors
/// [`SampleError::Impossible`] for numbers that do not make a shop.
pub fn generate(spec: Spec) -> Result<Files, SampleError> {
    let impossible = |problem: String| Err(SampleError::Impossible(problem));
    if spec.customers > MOST_CUSTOMERS || spec.purchases > MOST_PURCHASES {
        return impossible(format!(
            "a sample has at most {MOST_CUSTOMERS} customers and {MOST_PURCHASES} purchases"
        ));
    }
    if spec.customers == 0 || spec.purchases == 0 {
        return impossible("a shop needs at least one customer and one purchase".to_owned());
    }
    if !(0.0..=0.5).contains(&spec.dirty) {
        return impossible(format!("--dirty {} is not between 0 and 0.5", spec.dirty));
    }
    // One stream per concern, so that a change to one leaves the others' draws alone.
    let stream = |number: u64| {
        let mut rng = ChaCha8Rng::seed_from_u64(spec.seed);
        rng.set_stream(number);
        rng
    };
    let shop = population::simulate(spec, &mut stream(1))?;
    let mut clients = people::rows(&shop, &mut stream(2));
    let mut achats = catalogue::rows(&shop, &mut stream(3));
    let injected = corruption::soil(spec.dirty, &mut clients, &mut achats, &mut stream(4));
    let achats = to_csv(&catalogue::HEADER, &achats)?;
    let clients = to_csv(&people::HEADER, &clients)?;
    let truth = json!({
        "about": "The true parameters of the population that clients.csv and achats.csv beside this file were drawn from.",
        "seed": spec.seed,
        "customers": spec.customers,
        "purchases": spec.purchases,
        "from": Timestamp(population::START_MICROS),
        "until": Timestamp(population::END_MICROS),
        "purchase_process": shop.truth,
        "injected_rejects": injected,
        "sha256": { "achats.csv": sha256_hex(&achats), "clients.csv": sha256_hex(&clients) },
    });
    Ok(vec![
        (GROUND_TRUTH, (serde_json::to_string_pretty(&truth)? + "\n").into_bytes()),
        ("achats.csv", achats),
        ("clients.csv", clients),
    ])
}

/// Whether a file with this SHA-256 is, byte for byte, the one that a `ground_truth.json` beside it speaks of: only
/// then may a sample replace it.
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
    fn it_makes_exactly_as_many_rows_as_it_was_asked_for() {
        let files = generate(Spec { dirty: 0.0, ..SPEC }).unwrap();
        let lines = |index: usize| String::from_utf8_lossy(&files[index].1).lines().count();
        assert_eq!(lines(1), 3_001);
        assert_eq!(lines(2), 301);
    }

    #[test]
    fn numbers_that_make_no_shop_are_refused() {
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
