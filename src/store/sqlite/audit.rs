//! The audit of a stored table, and of the views by which its rows are read.

use rusqlite::{Connection, OptionalExtension};

use super::read::exists;
use super::sql;
use crate::domain::manifest::Totals;
use crate::domain::schema::{Table, Tally};
use crate::store::{Audit, Cause};

/// Audits a whole table; `None` when it does not exist.
pub(super) fn audit(
    connection: &Connection,
    table: &Table,
    physical: &str,
) -> Result<Option<Audit>, Cause> {
    if !exists(connection, physical)? {
        return Ok(None);
    }
    let columns: Vec<String> = connection
        .prepare("SELECT name FROM pragma_table_info(?1) ORDER BY cid")?
        .query_map([physical], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    // A missing column shows in `columns`; only the others can be queried.
    let has = |name: &str| columns.iter().any(|column| column == name);
    let rows = count(connection, &sql::count_rows(physical))?;
    let tally = table.tally.filter(|tally| tally.columns().all(has));
    let totals = tally.map(|tally| sum(connection, tally, physical)).transpose()?;
    let distinct_keys = if table.key.iter().copied().all(has) {
        count(connection, &sql::count_distinct_keys(table, physical))?
    } else {
        0
    };
    let mut wrong_values = Vec::new();
    for column in table.columns.iter().filter(|column| has(column.name)) {
        let wrong = count(connection, &sql::count_wrong(column, physical))?;
        if wrong > 0 {
            wrong_values.push((column.name.to_owned(), wrong));
        }
    }
    Ok(Some(Audit {
        rows,
        columns,
        rows_without_own_key: rows.saturating_sub(distinct_keys),
        wrong_values,
        totals,
        missing_indexes: Vec::new(),
    }))
}

/// Compares the views that exist with the statements that should have made them. Returns each
/// difference as a sentence.
pub(super) fn audit_names(
    connection: &Connection,
    expected: Vec<(String, String)>,
) -> Result<Vec<String>, Cause> {
    let mut wrong = Vec::new();
    for (name, statement) in expected {
        let stored: Option<String> =
            connection.query_row(sql::VIEW, [&name], |row| row.get(0)).optional()?;
        match stored {
            None => wrong.push(format!("{name} is missing")),
            Some(stored) if stored != statement => {
                wrong.push(format!("{name} does not show the active generation"));
            }
            Some(_) => {}
        }
    }
    Ok(wrong)
}

fn count(connection: &Connection, statement: &str) -> Result<u64, Cause> {
    let rows: i64 = connection.query_row(statement, [], |row| row.get(0))?;
    Ok(u64::try_from(rows)?)
}

/// The totals of a table's tally.
pub(super) fn sum(
    connection: &Connection,
    tally: Tally,
    physical: &str,
) -> rusqlite::Result<Totals> {
    connection.query_row(&sql::totals(tally, physical), [], |row| {
        Ok(Totals { revenue: row.get(0)?, purchases: row.get(1)? })
    })
}
