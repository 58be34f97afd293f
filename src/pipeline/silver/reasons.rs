//! Why rows are not served: the reasons that several files name.

/// A row of totals under the data.
pub(super) const TOTAL_ROW: &str = "total_row";
/// A row that says the same as another one that is served.
pub(super) const REPEATED: &str = "repeated";
/// A row that a later version replaces.
pub(super) const SUPERSEDED: &str = "superseded";
/// An order that failed, was voided, is not paid, or was a test.
pub(super) const NOT_A_SALE: &str = "not_a_sale";
/// Shipping, tax, a gift card.
pub(super) const NOT_GOODS: &str = "not_goods";
/// A refund where the settings leave those out.
pub(super) const REFUND_LEFT_OUT: &str = "refund";
/// The refund of a status that something better tells: a row that is nowhere counted.
pub(super) const NOTHING: &str = "~nothing";

/// Reasons that are no errors: rows with one weigh nothing in the quality gate.
pub(super) const SET_ASIDE: [&str; 7] =
    [TOTAL_ROW, REPEATED, SUPERSEDED, NOT_A_SALE, NOT_GOODS, REFUND_LEFT_OUT, NOTHING];

/// A row in another currency than the one that is served.
pub(super) const OTHER_CURRENCY: &str = "other_currency";
/// A purchase of a customer who is not listed, where the settings reject those.
pub(super) const ORPHAN: &str = "orphan_client";
