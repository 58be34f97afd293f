//! Statement texts, made from table entries and queries. Names come from the catalogue, values are
//! bound.

use std::fmt::Write as _;

use crate::domain::manifest::{Manifest, TableEntry};
use crate::domain::query::{Comparison, Query};
use crate::domain::schema::{Column, ColumnType, Direction, Purchases, Table, Tally, View};
use crate::runs::RunQuery;

/// Memory for pages of the file, KiB as a negative number.
pub(super) const CACHE: &str = "PRAGMA cache_size = -32768";

/// The same while a table is loaded: pages that do not fit are written to the log more than once.
pub(super) const CACHE_WHILE_LOADING: &str = "PRAGMA cache_size = -131072";

/// The tables of generations, the pointer to the active one, runs and idempotency keys.
pub(super) const BOOKKEEPING: &str = "
CREATE TABLE IF NOT EXISTS goldsmith_generations (
    generation INTEGER PRIMARY KEY,
    published TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS goldsmith_active (
    slot INTEGER PRIMARY KEY CHECK (slot = 0),
    generation INTEGER NOT NULL REFERENCES goldsmith_generations (generation)
) STRICT;
CREATE TABLE IF NOT EXISTS goldsmith_runs (
    run INTEGER PRIMARY KEY,
    record TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS goldsmith_runs_state ON goldsmith_runs (record ->> 'state');
CREATE INDEX IF NOT EXISTS goldsmith_runs_occurrence ON goldsmith_runs (record ->> 'occurrence');
CREATE TABLE IF NOT EXISTS goldsmith_keys (
    key TEXT PRIMARY KEY,
    asked TEXT NOT NULL,
    run INTEGER,
    kept_at INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS goldsmith_identity (
    slot INTEGER PRIMARY KEY CHECK (slot = 0),
    identity TEXT NOT NULL
) STRICT;";

/// The identity of the store, if it has one yet.
pub(super) const IDENTITY: &str = "SELECT identity FROM goldsmith_identity";

/// Gives the store the identity ?1, unless it has one.
pub(super) const CREATE_IDENTITY: &str = "INSERT OR IGNORE INTO goldsmith_identity VALUES (0, ?1)";

/// The number of the last run; 0 before the first.
pub(super) const LAST_RUN: &str = "SELECT coalesce(max(run), 0) FROM goldsmith_runs";

/// The record of a run.
pub(super) const RUN: &str = "SELECT record FROM goldsmith_runs WHERE run = ?1";

/// The newest run in state ?1.
pub(super) const NEWEST_RUN: &str =
    "SELECT run FROM goldsmith_runs WHERE record ->> 'state' = ?1 ORDER BY run DESC LIMIT 1";

/// Whether there is a run other than ?2 for the instant ?1 of the schedule, but for those that ended with
/// their process.
pub(super) const HAS_OCCURRENCE: &str = "
SELECT EXISTS (SELECT 1 FROM goldsmith_runs WHERE record ->> 'occurrence' = ?1 AND run IS NOT ?2
    AND NOT (record ->> 'state' = 'cancelled' AND NOT record ->> 'is_cancel_asked'))";

/// Deletes all runs but the newest ?1, those that have not ended, and the last that published.
pub(super) const DELETE_OLD_RUNS: &str = "
DELETE FROM goldsmith_runs
WHERE run NOT IN (SELECT run FROM goldsmith_runs ORDER BY run DESC LIMIT ?1)
    AND record ->> 'state' NOT IN ('enqueued', 'running')
    AND run IS NOT (SELECT max(run) FROM goldsmith_runs
        WHERE record ->> 'state' = 'succeeded' AND record ->> 'kind' = 'refresh'
            AND record ->> 'generation' IS NOT NULL)";

/// The request under the idempotency key ?1 and its run.
pub(super) const KEY: &str = "SELECT asked, run FROM goldsmith_keys WHERE key = ?1";

/// Claims the key ?1 for a request.
pub(super) const CLAIM_KEY: &str = "INSERT INTO goldsmith_keys VALUES (?1, ?2, NULL, ?3)";

/// Stores the run ?2 of the key ?1.
pub(super) const SET_RUN_OF_KEY: &str = "UPDATE goldsmith_keys SET run = ?2 WHERE key = ?1";

/// Releases the key ?1, unless it has a run.
pub(super) const RELEASE_KEY: &str = "DELETE FROM goldsmith_keys WHERE key = ?1 AND run IS NULL";

/// Deletes keys that were claimed before ?1 (microseconds).
pub(super) const FORGET_KEYS: &str = "DELETE FROM goldsmith_keys WHERE kept_at < ?1";

/// Runs, newest first: number ?1, state ?2, start from ?3 and before ?4, as far as the query sets
/// them; at most ?5, after the first ?6.
pub(super) fn runs(query: &RunQuery) -> String {
    format!(
        "SELECT record FROM goldsmith_runs {} ORDER BY run DESC LIMIT ?5 OFFSET ?6",
        conditions(query)
    )
}

/// The number of runs that match, with the same parameters.
pub(super) fn count_runs(query: &RunQuery) -> String {
    format!("SELECT count(*) FROM goldsmith_runs {} AND ?5 >= 0 AND ?6 >= 0", conditions(query))
}

/// Conditions on what the query sets only, so that an index can be used; every parameter occurs.
fn conditions(query: &RunQuery) -> String {
    let when = |is_set: bool, condition: &str, parameter: &str| {
        if is_set { condition.to_owned() } else { format!("{parameter} IS NULL") }
    };
    let all = [
        when(query.run.is_some(), "run = ?1", "?1"),
        when(query.state.is_some(), "record ->> 'state' = ?2", "?2"),
        when(query.from.is_some(), "record ->> 'started_at' >= ?3", "?3"),
        when(query.until.is_some(), "record ->> 'started_at' < ?4", "?4"),
    ];
    format!("WHERE {}", all.join(" AND "))
}

/// Stores a run.
pub(super) const UPSERT_RUN: &str =
    "INSERT INTO goldsmith_runs VALUES (?1, ?2) ON CONFLICT DO UPDATE SET record = ?2";

/// The active generation's number and record.
pub(super) const ACTIVE: &str = "
SELECT generation, published FROM goldsmith_generations
WHERE generation = (SELECT generation FROM goldsmith_active)";

/// The records of all stored generations, ascending.
pub(super) const GENERATIONS: &str =
    "SELECT published FROM goldsmith_generations ORDER BY generation";

/// Stores the generation ?1.
pub(super) const STORE_GENERATION: &str =
    "INSERT INTO goldsmith_generations VALUES (?1, ?2) ON CONFLICT DO UPDATE SET published = ?2";

/// Moves the pointer to the generation ?1.
pub(super) const POINT_TO: &str =
    "INSERT INTO goldsmith_active VALUES (0, ?1) ON CONFLICT DO UPDATE SET generation = ?1";

/// Deletes all generations but the newest ?1 and the active one.
pub(super) const DELETE_GENERATIONS: &str = "
DELETE FROM goldsmith_generations
WHERE generation NOT IN (SELECT generation FROM goldsmith_generations ORDER BY generation DESC LIMIT ?1)
  AND generation NOT IN (SELECT generation FROM goldsmith_active)";

/// The names of all tables.
pub(super) const TABLES: &str = "SELECT name FROM sqlite_schema WHERE type = 'table'";

pub(super) fn create_table(table: &Table, physical: &str) -> String {
    let mut sql = format!("CREATE TABLE \"{physical}\" (");
    for column in table.columns {
        let null = if column.nullable { "" } else { " NOT NULL" };
        let _ = write!(sql, "\"{}\" {}{null}, ", column.name, storage(column.ty));
    }
    if table.is_single() {
        sql.truncate(sql.len() - 2);
    } else {
        let _ = write!(sql, "PRIMARY KEY ({})", quoted(table.key));
    }
    sql.push_str(") STRICT");
    sql
}

fn storage(ty: ColumnType) -> &'static str {
    match ty {
        ColumnType::Int | ColumnType::Bool => "INTEGER",
        ColumnType::Float | ColumnType::Money => "REAL",
        ColumnType::Text | ColumnType::TextList | ColumnType::Date | ColumnType::Timestamp => {
            "TEXT"
        }
    }
}

fn quoted(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    names.join(", ")
}

pub(super) fn insert(table: &Table, physical: &str) -> String {
    let places = vec!["?"; table.columns.len()].join(", ");
    format!("INSERT INTO \"{physical}\" VALUES ({places})")
}

/// Creates the indexes that the entry declares.
pub(super) fn create_indexes(table: &Table, physical: &str) -> String {
    let mut sql = String::new();
    for Column { name, .. } in table.columns.iter().filter(|column| column.indexed) {
        let _ = write!(sql, "CREATE INDEX \"{physical}_{name}\" ON \"{physical}\" (\"{name}\");");
    }
    sql
}

/// The statement that created a view.
pub(super) const VIEW: &str = "SELECT sql FROM sqlite_schema WHERE type = 'view' AND name = ?1";

/// Every view of a generation, under stable names and legacy names, with the statement that creates
/// it.
pub(super) fn stable_views(manifest: &Manifest, legacy_views: &[&View]) -> Vec<(String, String)> {
    let view = |name: &str, fields: &str, physical: &str| {
        let create = format!("CREATE VIEW \"{name}\" AS SELECT {fields} FROM \"{physical}\"");
        (name.to_owned(), create)
    };
    let stable = manifest.tables.iter().map(|entry| view(&entry.name, "*", entry.physical_name()));
    let legacy = legacy_views.iter().filter_map(|legacy| {
        let entry = manifest.table(legacy.table.name)?;
        let fields: Vec<String> = legacy
            .columns()
            .iter()
            .filter(|(_, column)| entry.has(column))
            .map(|(field, column)| format!("\"{}\" AS \"{field}\"", column.name))
            .collect();
        Some(view(legacy.name, &fields.join(", "), entry.physical_name()))
    });
    stable.chain(legacy).collect()
}

/// The two statements of a query; both take the parameters of [`super::values::bind`].
pub(super) struct Select {
    pub rows: String,
    pub count: String,
}

/// Selects from the rows of an entry; a column that they lack is null.
pub(super) fn select(query: &Query, entry: &TableEntry) -> Select {
    let physical = entry.physical_name();
    let table = query.view.table;
    let value = |name: &str| match table.column(name) {
        Some(column) if !entry.has(column) => "NULL".to_owned(),
        _ => format!("\"{name}\""),
    };
    let columns: Vec<String> =
        query.view.columns().iter().map(|(_, column)| value(column.name)).collect();
    let mut conditions = Vec::new();
    for (index, filter) in query.filters.iter().enumerate() {
        let operator = match filter.comparison {
            Comparison::Equal => "=",
            Comparison::AtLeast => ">=",
            Comparison::AtMost => "<=",
        };
        conditions.push(format!("{} {operator} ?{}", value(filter.column.name), index + 1));
    }
    if let Some(search) = &query.search {
        let place = query.filters.len() + 1;
        let any: Vec<String> = search
            .columns
            .iter()
            .map(|name| format!("contains_folded({}, ?{place})", value(name)))
            .collect();
        conditions.push(format!("({})", any.join(" OR ")));
    }
    let filter = if conditions.is_empty() {
        String::new()
    } else {
        format!(" WHERE {}", conditions.join(" AND "))
    };
    let order: Vec<String> = query
        .order()
        .iter()
        .map(|(name, direction)| match direction {
            Direction::Ascending => value(name),
            Direction::Descending => format!("{} DESC", value(name)),
        })
        .collect();
    let order =
        if order.is_empty() { String::new() } else { format!(" ORDER BY {}", order.join(", ")) };
    Select {
        rows: format!(
            "SELECT {} FROM \"{physical}\"{filter}{order} LIMIT {} OFFSET {}",
            columns.join(", "),
            query.limit,
            query.offset
        ),
        count: format!("SELECT count(*) FROM \"{physical}\"{filter}"),
    }
}

pub(super) fn count_rows(physical: &str) -> String {
    format!("SELECT count(*) FROM \"{physical}\"")
}

/// The sum of the revenue and the number of purchases of a table.
pub(super) fn totals(tally: Tally, physical: &str) -> String {
    let purchases = match tally.purchases {
        Purchases::Lines => "count(*)".to_owned(),
        Purchases::Orders(column) | Purchases::SaleLines(column) => {
            format!("coalesce(sum(\"{column}\"), 0)")
        }
        Purchases::Unknown => "NULL".to_owned(),
    };
    format!("SELECT total(\"{}\"), {purchases} FROM \"{physical}\"", tally.revenue)
}

/// The number of distinct keys, not counting those with a null.
pub(super) fn count_distinct_keys(table: &Table, physical: &str) -> String {
    if table.is_single() {
        return format!("SELECT min(count(*), 1) FROM \"{physical}\"");
    }
    let present: Vec<String> =
        table.key.iter().map(|name| format!("\"{name}\" IS NOT NULL")).collect();
    format!(
        "SELECT count(*) FROM (SELECT DISTINCT {} FROM \"{physical}\" WHERE {})",
        quoted(table.key),
        present.join(" AND ")
    )
}

/// The number of rows whose value a column's declaration does not allow.
pub(super) fn count_wrong(column: &Column, physical: &str) -> String {
    let name = column.name;
    let expected = match storage(column.ty) {
        "INTEGER" => "'integer'",
        "REAL" => "'real'",
        _ => "'text'",
    };
    let mut wrong = vec![format!("(\"{name}\" IS NOT NULL AND typeof(\"{name}\") <> {expected})")];
    // Texts and integers that encode another type must decode.
    match column.ty {
        ColumnType::Bool => wrong.push(format!("\"{name}\" NOT IN (0, 1)")),
        ColumnType::Date => wrong.push(format!("\"{name}\" <> date(\"{name}\") OR (\"{name}\" IS NOT NULL AND date(\"{name}\") IS NULL)")),
        ColumnType::Timestamp => {
            wrong.push(format!("substr(\"{name}\", 1, 19) <> strftime('%Y-%m-%dT%H:%M:%S', substr(\"{name}\", 1, 19)) OR (\"{name}\" IS NOT NULL AND datetime(\"{name}\") IS NULL)"));
        }
        ColumnType::TextList => wrong.push(format!("NOT json_valid(\"{name}\")")),
        _ => {}
    }
    if !column.nullable {
        wrong.push(format!("\"{name}\" IS NULL"));
    }
    if let Some((low, high)) = column.range {
        wrong.push(format!("\"{name}\" < {low:e} OR \"{name}\" > {high:e}"));
    }
    format!("SELECT count(*) FROM \"{physical}\" WHERE {}", wrong.join(" OR "))
}
