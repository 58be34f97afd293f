//! The vocabulary that table entries are written in: one constructor per column type, shared
//! tallies.

use crate::domain::schema::{Column, ColumnType, Purchases, Tally};

pub(super) const fn int(name: &'static str, doc: &'static str) -> Column {
    Column::new(name, ColumnType::Int, doc)
}

pub(super) const fn float(name: &'static str, doc: &'static str) -> Column {
    Column::new(name, ColumnType::Float, doc)
}

pub(super) const fn money(name: &'static str, doc: &'static str) -> Column {
    Column::new(name, ColumnType::Money, doc)
}

pub(super) const fn text(name: &'static str, doc: &'static str) -> Column {
    Column::new(name, ColumnType::Text, doc)
}

pub(super) const fn boolean(name: &'static str, doc: &'static str) -> Column {
    Column::new(name, ColumnType::Bool, doc)
}

pub(super) const fn date(name: &'static str, doc: &'static str) -> Column {
    Column::new(name, ColumnType::Date, doc)
}

pub(super) const fn timestamp(name: &'static str, doc: &'static str) -> Column {
    Column::new(name, ColumnType::Timestamp, doc)
}

pub(super) const fn text_list(name: &'static str, doc: &'static str) -> Column {
    Column::new(name, ColumnType::TextList, doc)
}

/// The upper bound of a column that only has a lower one.
pub(super) const MAX: f64 = f64::MAX;

/// Tables with their revenue in `ca` and no number of purchases.
pub(super) const TALLY_CA: Option<Tally> =
    Some(Tally { revenue: "ca", purchases: Purchases::Unknown });
/// Tables with `total_revenue` and `total_purchases`.
pub(super) const TALLY_PURCHASES: Option<Tally> =
    Some(Tally { revenue: "total_revenue", purchases: Purchases::Column("total_purchases") });

/// Concatenates two column lists at compile time.
pub(super) const fn concat<const A: usize, const B: usize, const N: usize>(
    first: &[Column],
    second: &[Column],
) -> [Column; N] {
    let mut all = [first[0]; N];
    let mut i = 0;
    while i < A {
        all[i] = first[i];
        i += 1;
    }
    while i < A + B {
        all[i] = second[i - A];
        i += 1;
    }
    all
}
