//! Random choices that depend on a seed and a purpose only: the train/test split, samples of rows.

use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{RngCore, SeedableRng as _};

use super::matrix::select;
use crate::domain::digest::sha256_hex;

/// Share of customers in the test set.
const TEST_SHARE: f64 = 0.3;

/// Rows to fit on and rows to evaluate on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Rows to fit on, ascending.
    pub train: Vec<usize>,
    /// Rows to evaluate on, which no fit sees, ascending.
    pub test: Vec<usize>,
}

/// Random choices for one purpose, the same for the same seed.
#[derive(Debug, Clone, Copy)]
pub struct SeededSampler {
    key: u64,
}

impl SeededSampler {
    /// Different purposes draw independently under one seed.
    #[must_use]
    pub fn new(seed: u64, purpose: &str) -> Self {
        let digest = sha256_hex(format!("{seed} {purpose}").as_bytes());
        Self { key: u64::from_str_radix(&digest[..16], 16).unwrap_or(seed) }
    }

    /// A number in `[0, 1)` that depends on the customer only, whichever other customers exist.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn of_customer(self, id: i64) -> f64 {
        let mut numbers = SplitMix64::seed_from_u64(self.key.wrapping_add(id.cast_unsigned()));
        (numbers.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Puts three customers in ten into the test set, always the same ones.
    #[must_use]
    pub fn hold_out(self, ids: &[i64]) -> Split {
        let (test, train) =
            (0..ids.len()).partition(|row| self.of_customer(ids[*row]) < TEST_SHARE);
        Split { train, test }
    }

    /// At most `limit` different rows out of `rows`, ascending.
    pub(crate) fn sample(self, rows: usize, limit: usize) -> Vec<usize> {
        if rows <= limit {
            return (0..rows).collect();
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.key);
        let mut chosen = index::sample(&mut rng, rows, limit).into_vec();
        chosen.sort_unstable();
        chosen
    }

    /// At most `limit` of these rows, ascending, with each class in its proportion.
    pub(crate) fn stratified(self, rows: &[usize], positive: &[bool], limit: usize) -> Vec<usize> {
        if rows.len() <= limit {
            return rows.to_vec();
        }
        let (yes, no): (Vec<usize>, Vec<usize>) = rows.iter().partition(|row| positive[**row]);
        let yes_limit = (yes.len() * limit).div_ceil(rows.len());
        let mut chosen = select(&yes, &self.sample(yes.len(), yes_limit));
        chosen.extend(select(&no, &self.sample(no.len(), limit - yes_limit)));
        chosen.sort_unstable();
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customers_number_depends_on_seed_and_purpose_only() {
        let sampler = SeededSampler::new(42, "churn");
        assert!(
            (sampler.of_customer(7) - SeededSampler::new(42, "churn").of_customer(7)).abs() < 1e-15
        );
        assert!(
            (sampler.of_customer(7) - SeededSampler::new(43, "churn").of_customer(7)).abs() > 1e-9
        );
        assert!(
            (sampler.of_customer(7) - SeededSampler::new(42, "clv").of_customer(7)).abs() > 1e-9
        );
    }

    #[test]
    fn three_in_ten_customers_are_held_out_whichever_others_exist() {
        let sampler = SeededSampler::new(42, "churn");
        let ids: Vec<i64> = (1..=10_000).collect();
        let Split { train, test } = sampler.hold_out(&ids);
        assert!((2_850..=3_150).contains(&test.len()), "{}", test.len());
        assert_eq!(train.len() + test.len(), ids.len());
        let fewer: Vec<i64> = ids[5_000..].to_vec();
        let again: Vec<usize> =
            sampler.hold_out(&fewer).test.iter().map(|row| row + 5_000).collect();
        assert_eq!(again, test.into_iter().filter(|row| *row >= 5_000).collect::<Vec<_>>());
    }

    #[test]
    fn a_stratified_sample_keeps_the_proportions() {
        let positive: Vec<bool> = (0..1_000).map(|row| row % 4 == 0).collect();
        let rows: Vec<usize> = (0..1_000).collect();
        let chosen = SeededSampler::new(42, "fit").stratified(&rows, &positive, 100);
        assert_eq!(chosen.len(), 100);
        assert_eq!(chosen.iter().filter(|row| positive[**row]).count(), 25);
        assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn samples_are_distinct_and_in_order() {
        let chosen = SeededSampler::new(42, "k-means").sample(1_000, 100);
        assert_eq!(chosen.len(), 100);
        assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(SeededSampler::new(42, "k-means").sample(3, 100), [0, 1, 2]);
    }
}
