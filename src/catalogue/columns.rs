//! The vocabulary that table entries are written in: one constructor per column type, shared
//! tallies.

use crate::domain::schema::{Column, ColumnType, Purchases, Scope, Tally};

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

/// What was sold, in tables that have net revenue too.
pub(super) const GROSS_REVENUE: Column =
    money("gross_revenue", "sum of montant of sale lines, EUR").within(0.0, MAX).added();
/// What was refunded, in tables that have net revenue too.
pub(super) const REFUNDS: Column = money(
    "refunds",
    "sum of montant of refund lines as a positive amount, EUR; gross_revenue less net revenue",
)
.within(0.0, MAX)
.added();

/// Cohorts: the revenue of customers who bought in `ca`, and no number of purchases.
pub(super) const TALLY_CA: Option<Tally> =
    Some(Tally { revenue: "ca", purchases: Purchases::Unknown, scope: Scope::Buyers });
/// Tables with `total_revenue` and the number of orders in `total_purchases`.
pub(super) const TALLY_PURCHASES: Option<Tally> = Some(Tally {
    revenue: "total_revenue",
    purchases: Purchases::Orders("total_purchases"),
    scope: Scope::All,
});
/// Tables of customers with `total_spent` and the number of orders in `purchase_count`.
pub(super) const TALLY_CUSTOMERS: Option<Tally> = Some(Tally {
    revenue: "total_spent",
    purchases: Purchases::Orders("purchase_count"),
    scope: Scope::Customers,
});

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
