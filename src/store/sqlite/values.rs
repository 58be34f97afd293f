//! Values in and out of SQLite: integers, reals and text; dates and lists as ISO 8601 and JSON text.

use rusqlite::functions::FunctionFlags;
use rusqlite::types::{ToSqlOutput, Value as SqlValue, ValueRef};
use rusqlite::{Connection, Row, Statement};

use crate::domain::query::Query;
use crate::domain::rows::{Batch, ColumnValues, Value};
use crate::domain::schema::{Column, ColumnType, Table};
use crate::domain::time::{Day, Timestamp};
use crate::store::{Cause, StoreError};

/// Adds `contains_folded(text, sought)`: whether `text` contains `sought`, which is lower case,
/// ignoring case in any script. SQLite's own LIKE folds ASCII only.
pub(super) fn add_search_function(connection: &Connection) -> rusqlite::Result<()> {
    connection.create_scalar_function(
        "contains_folded",
        2,
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC,
        |context| {
            let text = context.get_raw(0).as_str_or_null()?;
            let sought = context.get_raw(1).as_str_or_null()?;
            Ok(match (text, sought) {
                (Some(text), Some(sought)) => text.to_lowercase().contains(sought),
                _ => false,
            })
        },
    )
}

pub(super) fn insert_batch(insert: &mut Statement<'_>, batch: &Batch) -> Result<(), Cause> {
    for row in 0..batch.rows {
        for (place, cells) in batch.columns.iter().enumerate() {
            insert.raw_bind_parameter(place + 1, cell(cells, row)?)?;
        }
        insert.raw_execute()?;
    }
    Ok(())
}

fn cell(cells: &ColumnValues, row: usize) -> Result<ToSqlOutput<'_>, Cause> {
    let null = || ToSqlOutput::Owned(SqlValue::Null);
    let text = |text: String| ToSqlOutput::Owned(SqlValue::Text(text));
    Ok(match cells {
        ColumnValues::Int(values) => values[row].map_or_else(null, ToSqlOutput::from),
        ColumnValues::Float(values) => values[row].map_or_else(null, ToSqlOutput::from),
        ColumnValues::Bool(values) => values[row].map_or_else(null, ToSqlOutput::from),
        ColumnValues::Text(values) => values[row].as_deref().map_or_else(null, ToSqlOutput::from),
        ColumnValues::TextList(values) => match &values[row] {
            None => null(),
            Some(list) => text(serde_json::to_string(list)?),
        },
        ColumnValues::Date(values) => values[row].map_or_else(null, |day| text(day.to_string())),
        ColumnValues::Timestamp(values) => {
            values[row].map_or_else(null, |instant| text(instant.to_string()))
        }
    })
}

/// A query's values in the order its statements number them.
pub(super) fn bind(query: &Query) -> Vec<SqlValue> {
    let filters = query.filters.iter().map(|filter| to_sql(&filter.value));
    let search = query.search.iter().map(|search| SqlValue::Text(search.text.to_lowercase()));
    filters.chain(search).collect()
}

fn to_sql(value: &Value) -> SqlValue {
    match value {
        Value::Null | Value::TextList(_) => SqlValue::Null,
        Value::Int(v) => SqlValue::Integer(*v),
        Value::Float(v) => SqlValue::Real(*v),
        Value::Bool(v) => SqlValue::Integer(i64::from(*v)),
        Value::Text(v) => SqlValue::Text(v.clone()),
        Value::Date(v) => SqlValue::Text(v.to_string()),
        Value::Timestamp(v) => SqlValue::Text(v.to_string()),
    }
}

/// Reads a row of a view. A value of another type is an error that names table, column and key.
pub(super) fn read_row(
    row: &Row<'_>,
    columns: &[(&'static str, &'static Column)],
    table: &Table,
    physical: &str,
) -> Result<Vec<Value>, Cause> {
    let mut values = Vec::with_capacity(columns.len());
    for (place, (_, column)) in columns.iter().enumerate() {
        let stored = row.get_ref(place)?;
        let value = read(stored, column.ty).ok_or_else(|| {
            let key: Vec<String> = columns
                .iter()
                .enumerate()
                .filter(|(_, (_, column))| table.key.contains(&column.name))
                .map(|(place, _)| row.get_ref(place).map_or_else(|error| error.to_string(), shown))
                .collect();
            StoreError::Decode {
                table: physical.to_owned(),
                column: column.name.to_owned(),
                ty: column.ty.as_str(),
                key: key.join(", "),
            }
        })?;
        values.push(value);
    }
    Ok(values)
}

/// A stored value as text, for messages.
fn shown(stored: ValueRef<'_>) -> String {
    match stored {
        ValueRef::Null => "null".to_owned(),
        ValueRef::Integer(v) => v.to_string(),
        ValueRef::Real(v) => v.to_string(),
        ValueRef::Text(v) => String::from_utf8_lossy(v).into_owned(),
        ValueRef::Blob(v) => format!("{} bytes", v.len()),
    }
}

fn read(stored: ValueRef<'_>, ty: ColumnType) -> Option<Value> {
    let value = match (ty, stored) {
        (_, ValueRef::Null) => Value::Null,
        (ColumnType::Int, ValueRef::Integer(v)) => Value::Int(v),
        (ColumnType::Float | ColumnType::Money, ValueRef::Real(v)) => Value::Float(v),
        (ColumnType::Bool, ValueRef::Integer(v)) => Value::Bool(v != 0),
        (ColumnType::Text, ValueRef::Text(v)) => {
            Value::Text(std::str::from_utf8(v).ok()?.to_owned())
        }
        (ColumnType::TextList, ValueRef::Text(v)) => {
            Value::TextList(serde_json::from_slice(v).ok()?)
        }
        (ColumnType::Date, ValueRef::Text(v)) => {
            Value::Date(Day::parse(std::str::from_utf8(v).ok()?)?)
        }
        (ColumnType::Timestamp, ValueRef::Text(v)) => {
            Value::Timestamp(Timestamp::parse(std::str::from_utf8(v).ok()?)?)
        }
        _ => return None,
    };
    Some(value)
}
