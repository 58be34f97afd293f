//! The identity of a store: a random id that it keeps for as long as it exists.

pub(super) fn new_identity() -> String {
    format!("{:032x}", rand::random::<u128>())
}
