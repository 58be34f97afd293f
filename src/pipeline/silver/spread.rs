//! One amount over several rows.

/// Whether an amount can be shared in proportion to these weights.
pub(super) fn is_usable(weights: &[i64]) -> bool {
    weights.iter().all(|weight| *weight >= 0) && weights.iter().any(|weight| *weight > 0)
}

/// Shares an amount in proportion to weights, in whole millionths that add up to it: the largest
/// remainders get what is left.
pub(super) fn spread(total: i64, weights: &[i64]) -> Vec<i64> {
    let sum: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
    let parts = weights.iter().map(|weight| {
        let exact = i128::from(total) * i128::from(*weight);
        (exact.div_euclid(sum), exact.rem_euclid(sum))
    });
    let parts: Vec<(i128, i128)> = parts.collect();
    let mut shares: Vec<i64> =
        parts.iter().map(|(share, _)| i64::try_from(*share).unwrap_or(0)).collect();
    let left = usize::try_from(total - shares.iter().sum::<i64>()).unwrap_or(0);
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    by_remainder.sort_by_key(|index| std::cmp::Reverse(parts[*index].1));
    by_remainder.into_iter().take(left).for_each(|index| shares[index] += 1);
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_the_last_millionth() {
        assert_eq!(spread(100, &[1, 1, 1]), [34, 33, 33]);
        assert_eq!(spread(64_500_000, &[2, 1]), [43_000_000, 21_500_000]);
        assert_eq!(spread(0, &[5, 7]), [0, 0]);
        assert_eq!(spread(10, &[0, 3]), [0, 10]);
    }
}
