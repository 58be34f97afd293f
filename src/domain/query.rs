//! A query to a store: filters, search, order and page over one view.
//!
//! Columns are resolved and values typed, so a store never sees text from a URL.

use std::fmt::Write as _;

use super::rows::Value;
use super::schema::{Column, Direction, View};

/// How a filter compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// Equal to the value.
    Equal,
    /// At least the value.
    AtLeast,
    /// At most the value.
    AtMost,
}

/// One condition; a row with null in the column never satisfies it.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// The column compared.
    pub column: &'static Column,
    /// How it is compared.
    pub comparison: Comparison,
    /// The value compared with, of the column's type.
    pub value: Value,
}

/// A text that must occur in at least one of some columns, regardless of case.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// The columns searched.
    pub columns: &'static [&'static str],
    /// The text to find.
    pub text: String,
}

/// Which rows of a view, in which order, which page.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// The view to read.
    pub view: View,
    /// Conditions that all must hold.
    pub filters: Vec<Filter>,
    /// A search that must also match.
    pub search: Option<Search>,
    /// The requested order instead of the table's own; the key breaks ties.
    pub sort: Option<(&'static Column, Direction)>,
    /// The maximum number of rows.
    pub limit: u32,
    /// The number of rows to skip.
    pub offset: u64,
}

impl PartialEq for View {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Query {
    /// The first `limit` rows of a view in its own order.
    #[must_use]
    pub fn first(view: View, limit: u32) -> Self {
        Self { view, filters: Vec::new(), search: None, sort: None, limit, offset: 0 }
    }

    /// The same query, for rows whose `column` equals `value`.
    #[must_use]
    pub fn with(mut self, column: &'static Column, value: Value) -> Self {
        self.filters.push(Filter { column, comparison: Comparison::Equal, value });
        self
    }

    /// Whether every row of the view matches.
    #[must_use]
    pub fn is_unfiltered(&self) -> bool {
        self.filters.is_empty() && self.search.is_none()
    }

    /// The full order, each column once: the requested column and then the key in the same
    /// direction, so that one index read forwards or backwards serves both; otherwise the table's
    /// own order and then its key.
    #[must_use]
    pub fn order(&self) -> Vec<(&'static str, Direction)> {
        let table = self.view.table;
        let requested = self.sort.map(|(column, direction)| (column.name, direction));
        let key_direction = requested.map_or(Direction::Ascending, |(_, direction)| direction);
        let key = table.key.iter().map(|name| (*name, key_direction));
        let mut order: Vec<(&'static str, Direction)> = Vec::new();
        let own = table.order.iter().copied().filter(|_| requested.is_none());
        for (name, direction) in requested.into_iter().chain(own).chain(key) {
            if order.iter().all(|(seen, _)| *seen != name) {
                order.push((name, direction));
            }
        }
        order
    }

    /// Whether at most one row can match because a filter fixes the key.
    #[must_use]
    pub fn is_by_key(&self) -> bool {
        let [key] = self.view.table.key else { return false };
        self.filters
            .iter()
            .any(|filter| filter.column.name == *key && filter.comparison == Comparison::Equal)
    }

    /// The number of matching rows if a page of `found` rows implies it, as the last page does.
    #[must_use]
    pub fn total_from(&self, found: usize) -> Option<u64> {
        let found = found as u64;
        let is_last = found < u64::from(self.limit) && (found > 0 || self.offset == 0);
        (is_last || (self.is_by_key() && self.offset == 0)).then_some(self.offset + found)
    }

    /// Appends a text that is equal for equal queries, for a cache key.
    pub fn write_key(&self, key: &mut String) {
        key.push_str(self.view.name);
        for Filter { column, comparison, value } in &self.filters {
            let _ = write!(key, "|{}{comparison:?}{value:?}", column.name);
        }
        if let Some(search) = &self.search {
            let _ = write!(key, "|q{:?}", search.text);
        }
        if let Some((column, direction)) = self.sort {
            let _ = write!(key, "|s{}{direction:?}", column.name);
        }
        let _ = write!(key, "|{},{}", self.limit, self.offset);
    }
}
