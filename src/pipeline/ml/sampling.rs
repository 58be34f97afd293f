//! SeededSampler that depends on a seed and a purpose only: splits by customer, samples of rows.

use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{RngCore, SeedableRng as _};

use super::matrix::select;
use crate::domain::digest::sha256_hex;

/// Share of customers that no fit sees.
const HELD_OUT: f64 = 0.3;

/// Rows that fits see, and rows that judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// To fit on, ascending.
    pub kept: Vec<usize>,
    /// To judge by, ascending.
    pub held: Vec<usize>,
}

/// SeededSampler for one purpose.
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

    /// A number in `[0, 1)` that belongs to a customer, whoever else there is.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn of_customer(self, id: i64) -> f64 {
        let mut numbers = SplitMix64::seed_from_u64(self.key.wrapping_add(id.cast_unsigned()));
        (numbers.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Holds out three customers in ten, always the same ones, whoever else there is.
    #[must_use]
    pub fn hold_out(self, ids: &[i64]) -> Split {
        let (held, kept) = (0..ids.len()).partition(|row| self.of_customer(ids[*row]) < HELD_OUT);
        Split { kept, held }
    }

    /// Up to `most` different rows of `rows`, ascending.
    #[must_use]
    pub fn sample(self, rows: usize, most: usize) -> Vec<usize> {
        if rows <= most {
            return (0..rows).collect();
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.key);
        let mut chosen = index::sample(&mut rng, rows, most).into_vec();
        chosen.sort_unstable();
        chosen
    }

    /// Up to `most` of these rows, ascending, with each label in its share.
    #[must_use]
    pub fn stratified(self, rows: &[usize], labels: &[bool], most: usize) -> Vec<usize> {
        if rows.len() <= most {
            return rows.to_vec();
        }
        let (yes, no): (Vec<usize>, Vec<usize>) = rows.iter().partition(|row| labels[**row]);
        let of_yes = (yes.len() * most).div_ceil(rows.len());
        let mut chosen = select(&yes, &self.sample(yes.len(), of_yes));
        chosen.extend(select(&no, &self.sample(no.len(), most - of_yes)));
        chosen.sort_unstable();
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customers_number_depends_on_seed_and_purpose_only() {
        let chance = SeededSampler::new(42, "churn");
        assert!(
            (chance.of_customer(7) - SeededSampler::new(42, "churn").of_customer(7)).abs() < 1e-15
        );
        assert!(
            (chance.of_customer(7) - SeededSampler::new(43, "churn").of_customer(7)).abs() > 1e-9
        );
        assert!(
            (chance.of_customer(7) - SeededSampler::new(42, "clv").of_customer(7)).abs() > 1e-9
        );
    }

    #[test]
    fn three_in_ten_customers_are_held_out_whoever_else_there_is() {
        let chance = SeededSampler::new(42, "churn");
        let ids: Vec<i64> = (1..=10_000).collect();
        let Split { kept, held } = chance.hold_out(&ids);
        assert!((2_850..=3_150).contains(&held.len()), "{}", held.len());
        assert_eq!(kept.len() + held.len(), ids.len());
        let fewer: Vec<i64> = ids[5_000..].to_vec();
        let again: Vec<usize> =
            chance.hold_out(&fewer).held.iter().map(|row| row + 5_000).collect();
        assert_eq!(again, held.into_iter().filter(|row| *row >= 5_000).collect::<Vec<_>>());
    }

    #[test]
    fn a_stratified_sample_keeps_the_shares() {
        let labels: Vec<bool> = (0..1_000).map(|row| row % 4 == 0).collect();
        let rows: Vec<usize> = (0..1_000).collect();
        let chosen = SeededSampler::new(42, "fit").stratified(&rows, &labels, 100);
        assert_eq!(chosen.len(), 100);
        assert_eq!(chosen.iter().filter(|row| labels[**row]).count(), 25);
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
