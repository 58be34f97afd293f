//! The columns of raw frames beside those of the sources.

/// The file that a row came from.
pub(crate) const SOURCE_FILE: &str = "source_file";
/// The line that its record starts on; the header is line 1.
pub(crate) const LINE_NUMBER: &str = "line_number";
/// What a row is if it is not just a sale or a movement by the sign of its amount: a [`RowKind`].
pub(crate) const ROW_KIND: &str = "~kind";
/// The cells beyond the columns of the header if any of them is filled; otherwise null.
pub(crate) const SURPLUS: &str = "surplus_cells";
/// Why a row was rejected; null in a valid row.
pub(crate) const REASON: &str = "reason";

/// Columns of money that say something about a whole order.
pub(crate) const OF_ORDERS: [&str; 7] = [
    "montant_commande",
    "sous_total",
    "sous_total_brut",
    "remise_commande",
    "livraison",
    "taxe",
    "total",
];

/// What a row is, as its profile says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum RowKind {
    /// Failed, voided, not paid, or a test.
    NotASale,
    /// Shipping, a gift card or another thing that is no goods.
    NotGoods,
    /// A refund that is not a row of the file: it is made of an order's refunded amount.
    RefundedAmount,
    /// The same, made of an order's status: all of the order was given back.
    RefundedStatus,
}

impl RowKind {
    /// Whether the row is not one of the file but made of a refunded amount or a status.
    pub(crate) const fn is_made(self) -> bool {
        matches!(self, Self::RefundedAmount | Self::RefundedStatus)
    }
}
