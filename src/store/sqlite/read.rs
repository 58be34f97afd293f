//! Reading: a page of a query, the stored generations, and whether a table exists.

use rusqlite::{Connection, params_from_iter};

use super::{sql, values};
use crate::domain::manifest::{Published, TableEntry};
use crate::domain::query::Query;
use crate::store::{Cause, Page};

pub(super) fn find(
    connection: &Connection,
    entry: &TableEntry,
    query: &Query,
) -> Result<Page, Cause> {
    let physical = entry.physical_name();
    let columns = query.view.columns();
    let select = sql::select(query, entry);
    let bound = values::bind(query);
    let mut statement = connection.prepare_cached(&select.rows)?;
    let mut found = statement.query(params_from_iter(&bound))?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        rows.push(values::read_row(row, &columns, query.view.table, physical)?);
    }
    let total = if query.is_unfiltered() {
        entry.rows
    } else {
        let mut statement = connection.prepare_cached(&select.count)?;
        let total: i64 = statement.query_row(params_from_iter(&bound), |row| row.get(0))?;
        u64::try_from(total)?
    };
    Ok(Page { fields: columns.into_iter().map(|(field, _)| field).collect(), rows, total })
}

/// Every stored generation, ascending.
pub(super) fn generations(connection: &Connection) -> Result<Vec<Published>, Cause> {
    let mut statement = connection.prepare(sql::GENERATIONS)?;
    let texts = statement.query_map([], |row| row.get::<_, String>(0))?;
    texts.map(|text| Ok(serde_json::from_str(&text?)?)).collect()
}

pub(super) fn exists(connection: &Connection, physical: &str) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)",
        [physical],
        |row| row.get(0),
    )
}
