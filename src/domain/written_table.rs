//! A table as an earlier version wrote it: the declared one without columns that were added since.

use std::sync::Mutex;

use super::manifest::TableEntry;
use super::schema::{Column, Table};

/// Tables that lack columns: as many as versions wrote, for as long as the process lives.
static NARROWER: Mutex<Vec<&'static Table>> = Mutex::new(Vec::new());

impl TableEntry {
    /// Whether its rows have a column of the declared table; they read as null in one that they
    /// lack. Generations of before entries listed their columns lack the added ones.
    #[must_use]
    pub fn has(&self, column: &Column) -> bool {
        match &self.columns {
            Some(written) => written.iter().any(|name| name == column.name),
            None => !column.is_added,
        }
    }

    /// The declared table with the columns that its rows have.
    #[must_use]
    pub fn as_written(&self, table: &'static Table) -> &'static Table {
        let is_whole =
            self.columns.as_ref().is_some_and(|written| written.len() == table.columns.len());
        if is_whole || table.columns.iter().all(|column| self.has(column)) {
            return table;
        }
        let columns: Vec<Column> =
            table.columns.iter().copied().filter(|column| self.has(column)).collect();
        let mut known = NARROWER.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let same = known.iter().find(|known| known.name == table.name && known.columns == columns);
        if let Some(same) = same {
            return same;
        }
        let narrower = Table { columns: Box::leak(columns.into_boxed_slice()), ..*table };
        let narrower: &'static Table = Box::leak(Box::new(narrower));
        known.push(narrower);
        narrower
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::schema::{Access, ColumnType};

    static TABLE: Table = Table {
        name: "prices",
        grain: "one row per price",
        key: &["id"],
        columns: &[
            Column::new("id", ColumnType::Int, "key"),
            Column::new("unit", ColumnType::Text, "unit").added(),
        ],
        order: &[],
        tally: None,
        access: Access::Any,
    };

    #[test]
    fn rows_of_an_earlier_version_lack_the_added_columns() {
        let entry = TableEntry::new(&TABLE, 1, "a".to_owned(), Vec::new(), None);
        assert!(std::ptr::eq(entry.as_written(&TABLE), &raw const TABLE));
        let mut before = entry;
        before.columns = None;
        assert!(before.has(&TABLE.columns[0]) && !before.has(&TABLE.columns[1]));
        let narrower = before.as_written(&TABLE);
        assert_eq!(narrower.columns, &TABLE.columns[..1]);
        assert!(std::ptr::eq(before.as_written(&TABLE), narrower));
    }
}
