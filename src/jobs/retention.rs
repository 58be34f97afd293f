//! Which generations are kept in the lake: the one rule that the refresh and the vacuum follow.

use std::collections::BTreeSet;

/// The generations to keep: all that the store has, and the `keep` newest of the lake (`in_lake` ascending).
pub(crate) fn retained(
    in_store: impl Iterator<Item = u64>,
    in_lake: impl DoubleEndedIterator<Item = u64>,
    keep: usize,
) -> BTreeSet<u64> {
    in_store.chain(in_lake.rev().take(keep)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_store_serves_is_kept_besides_the_newest_of_the_lake() {
        let numbers = retained([1, 4].into_iter(), [2, 3, 4, 5, 6].into_iter(), 2);
        assert_eq!(numbers, BTreeSet::from([1, 4, 5, 6]));
    }
}
