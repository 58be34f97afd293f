//! Rows to documents and back: one BSON type per column by declaration, every key always present.
//!
//! Days and instants are BSON dates, which hold milliseconds: a finer fraction of a second is
//! truncated. `_id` is the natural key: its own value for a key of one column, the values joined by `/`
//! for a composite one, `_all` for a table of one row.

use mongodb::bson::raw::{CStr, CString, RawElement};
use mongodb::bson::{Bson, DateTime, RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf, cstr};

use crate::domain::manifest::TableEntry;
use crate::domain::rows::{Batch, ColumnValues, Value};
use crate::domain::schema::{Column, ColumnType, Table};
use crate::domain::time::{DAY_MICROS, Day, Timestamp};
use crate::store::{Cause, Result, RowSource, RowsError, StoreError};

/// The `_id` of the only document of a table of one row.
pub(super) const ONLY: &str = "_all";
/// Separates the values of a composite key.
pub(super) const KEY_SEPARATOR: &str = "/";
/// A batch is sent when it has grown to this size: large enough that the round trip does not
/// matter, small enough that several fit in memory and in one message (48 MB).
const BATCH_BYTES: usize = 4 << 20;
/// The largest document that a server accepts.
const MAX_DOCUMENT_BYTES: usize = 16 << 20;
/// The most documents that a server accepts in one batch.
const BATCH_DOCUMENTS: usize = 100_000;
const MICROS_PER_MILLI: i64 = 1_000;

/// The source of `_id`.
enum Id {
    Only,
    Column(usize),
    Joined(Vec<usize>),
}

/// The rows of a table as documents, in batches ready to be inserted.
pub(super) struct Batches {
    rows: RowSource,
    names: Vec<CString>,
    id: Id,
    /// The block being encoded and its next row.
    current: Option<(Batch, usize)>,
}

impl Batches {
    /// # Errors
    /// When a column's name cannot be a key of a document.
    pub fn new(table: &Table, rows: RowSource) -> std::result::Result<Self, Cause> {
        let names = table.columns.iter().map(|column| CString::try_from(column.name.to_owned()));
        let place = |name: &&str| table.columns.iter().position(|column| column.name == *name);
        let mut key: Vec<usize> = table.key.iter().filter_map(place).collect();
        let id = match (key.pop(), key.is_empty()) {
            (None, _) => Id::Only,
            (Some(only), true) => Id::Column(only),
            (Some(last), false) => {
                key.push(last);
                Id::Joined(key)
            }
        };
        Ok(Self { rows, names: names.collect::<std::result::Result<_, _>>()?, id, current: None })
    }

    fn document(&self, batch: &Batch, row: usize) -> RawDocumentBuf {
        let mut document = RawDocumentBuf::new();
        let id = cstr!("_id");
        match &self.id {
            Id::Only => document.append(id, ONLY),
            Id::Column(place) => append(&mut document, id, &batch.columns[*place], row),
            Id::Joined(places) => {
                let parts: Vec<String> =
                    places.iter().map(|place| shown(&batch.columns[*place], row)).collect();
                document.append(id, parts.join(KEY_SEPARATOR));
            }
        }
        for (name, cells) in self.names.iter().zip(&batch.columns) {
            append(&mut document, name, cells, row);
        }
        document
    }
}

impl Iterator for Batches {
    type Item = std::result::Result<RawArrayBuf, RowsError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut documents = RawArrayBuf::new();
        let (mut count, mut bytes) = (0, 0);
        while count < BATCH_DOCUMENTS && bytes < BATCH_BYTES {
            let Some((batch, row)) = self.current.take() else {
                match self.rows.next() {
                    None => break,
                    Some(Err(error)) => return Some(Err(error)),
                    Some(Ok(batch)) => self.current = Some((batch, 0)),
                }
                continue;
            };
            if row < batch.rows {
                let document = self.document(&batch, row);
                let size = document.as_bytes().len();
                if size > MAX_DOCUMENT_BYTES {
                    let id = id_of(&document);
                    let problem =
                        format!("the row {id} has {size} bytes, a document at most 16 MB");
                    return Some(Err(RowsError::Failed(problem.into())));
                }
                bytes += size;
                count += 1;
                documents.push(document);
                self.current = Some((batch, row + 1));
            }
        }
        (count > 0).then_some(Ok(documents))
    }
}

fn append(document: &mut RawDocumentBuf, name: impl AsRef<CStr>, cells: &ColumnValues, row: usize) {
    fn or_null<'a, T>(value: Option<T>, bson: impl Fn(T) -> RawBsonRef<'a>) -> RawBsonRef<'a> {
        value.map_or(RawBsonRef::Null, bson)
    }
    let date = RawBsonRef::DateTime;
    let value = match cells {
        ColumnValues::Int(values) => or_null(values[row], RawBsonRef::Int64),
        ColumnValues::Float(values) => or_null(values[row], RawBsonRef::Double),
        ColumnValues::Bool(values) => or_null(values[row], RawBsonRef::Boolean),
        ColumnValues::Text(values) => or_null(values[row].as_deref(), RawBsonRef::String),
        ColumnValues::Date(values) => or_null(values[row].map(day_to_bson), date),
        ColumnValues::Timestamp(values) => or_null(values[row].map(instant_to_bson), date),
        ColumnValues::TextList(values) => match &values[row] {
            None => RawBsonRef::Null,
            Some(texts) => {
                let mut list = RawArrayBuf::new();
                for text in texts {
                    list.push(text.as_str());
                }
                return document.append(name, list);
            }
        },
    };
    document.append(name, value);
}

/// A part of a composite key as text.
fn shown(cells: &ColumnValues, row: usize) -> String {
    match cells {
        ColumnValues::Int(values) => values[row].map(|value| value.to_string()),
        ColumnValues::Float(values) => values[row].map(|value| value.to_string()),
        ColumnValues::Bool(values) => values[row].map(|value| value.to_string()),
        ColumnValues::Text(values) => values[row].clone(),
        ColumnValues::TextList(values) => values[row].as_ref().map(|list| list.join(KEY_SEPARATOR)),
        ColumnValues::Date(values) => values[row].map(|value| value.to_string()),
        ColumnValues::Timestamp(values) => values[row].map(|value| value.to_string()),
    }
    .unwrap_or_default()
}

fn day_to_bson(day: Day) -> DateTime {
    instant_to_bson(day.start())
}

/// The millisecond that contains the instant.
pub(super) fn instant_to_bson(instant: Timestamp) -> DateTime {
    DateTime::from_millis(instant.0.div_euclid(MICROS_PER_MILLI))
}

/// Whether a value is an instant between two milliseconds, which no BSON date equals.
pub(super) fn is_finer(value: &Value) -> bool {
    matches!(value, Value::Timestamp(instant) if instant.0.rem_euclid(MICROS_PER_MILLI) != 0)
}

/// A BSON date as an instant; one out of range becomes the nearest that is in range.
pub(super) fn instant_from_bson(date: DateTime) -> Timestamp {
    Timestamp(date.timestamp_millis().saturating_mul(MICROS_PER_MILLI))
}

/// The value of a query's condition.
pub(super) fn to_bson(value: &Value) -> Bson {
    match value {
        Value::Null | Value::TextList(_) => Bson::Null,
        Value::Int(v) => Bson::Int64(*v),
        Value::Float(v) => Bson::Double(*v),
        Value::Bool(v) => Bson::Boolean(*v),
        Value::Text(v) => Bson::String(v.clone()),
        Value::Date(v) => Bson::DateTime(day_to_bson(*v)),
        Value::Timestamp(v) => Bson::DateTime(instant_to_bson(*v)),
    }
}

/// The BSON type of a column's values, as `$type` names it.
pub(super) fn bson_type(ty: ColumnType) -> &'static str {
    match ty {
        ColumnType::Int => "long",
        ColumnType::Float | ColumnType::Money => "double",
        ColumnType::Bool => "bool",
        ColumnType::Text => "string",
        ColumnType::TextList => "array",
        ColumnType::Date | ColumnType::Timestamp => "date",
    }
}

/// Reads these columns of a document of the entry, in this order; one that its rows lack is null.
///
/// # Errors
/// [`StoreError::Decode`] naming the collection, the column and `_id` when a key is missing or
/// its value is not of the column's type.
pub(super) fn read_row(
    document: &RawDocument,
    columns: &[(&'static str, &'static Column)],
    entry: &TableEntry,
) -> Result<Vec<Value>> {
    let physical = entry.physical_name();
    let undecodable = |column: &str, ty: &'static str| StoreError::Decode {
        table: physical.to_owned(),
        column: column.to_owned(),
        ty,
        key: id_of(document),
    };
    let mut values: Vec<Option<Value>> = vec![None; columns.len()];
    // Documents list their keys in the order of the columns, so the next one is the likely match.
    let mut next = 0;
    for element in document.iter_elements() {
        let element: RawElement<'_> = element.map_err(|_| undecodable("the document", "BSON"))?;
        let key = element.key().as_str();
        let place = if columns.get(next).is_some_and(|(_, column)| column.name == key) {
            Some(next)
        } else {
            columns.iter().position(|(_, column)| column.name == key)
        };
        let Some(place) = place else { continue };
        let column = columns[place].1;
        let stored = element.value().ok().and_then(|stored| read(stored, column));
        values[place] = Some(stored.ok_or_else(|| undecodable(column.name, column.ty.as_str()))?);
        next = place + 1;
    }
    let present = values.into_iter().zip(columns);
    present
        .map(|(value, (_, column))| {
            let value = value.or_else(|| (!entry.has(column)).then_some(Value::Null));
            value.ok_or_else(|| undecodable(column.name, column.ty.as_str()))
        })
        .collect()
}

/// The `_id` of a document, for people.
fn id_of(document: &RawDocument) -> String {
    match document.get("_id") {
        Ok(Some(RawBsonRef::String(id))) => id.to_owned(),
        Ok(Some(RawBsonRef::Int64(id))) => id.to_string(),
        Ok(Some(RawBsonRef::DateTime(id))) => instant_from_bson(id).to_string(),
        Ok(Some(other)) => Bson::try_from(other).map_or_else(|e| e.to_string(), |b| b.to_string()),
        Ok(None) | Err(_) => "unreadable".to_owned(),
    }
}

fn read(stored: RawBsonRef<'_>, column: &Column) -> Option<Value> {
    Some(match (column.ty, stored) {
        (_, RawBsonRef::Null) if column.nullable => Value::Null,
        (ColumnType::Int, RawBsonRef::Int64(v)) => Value::Int(v),
        (ColumnType::Float | ColumnType::Money, RawBsonRef::Double(v)) => Value::Float(v),
        (ColumnType::Bool, RawBsonRef::Boolean(v)) => Value::Bool(v),
        (ColumnType::Text, RawBsonRef::String(v)) => Value::Text(v.to_owned()),
        (ColumnType::TextList, RawBsonRef::Array(list)) => {
            let texts = list.into_iter().map(|item| Some(item.ok()?.as_str()?.to_owned()));
            Value::TextList(texts.collect::<Option<_>>()?)
        }
        (ColumnType::Date, RawBsonRef::DateTime(v)) => {
            let instant = instant_from_bson(v);
            if instant.0.rem_euclid(DAY_MICROS) != 0 {
                return None;
            }
            Value::Date(instant.day())
        }
        (ColumnType::Timestamp, RawBsonRef::DateTime(v)) => Value::Timestamp(instant_from_bson(v)),
        _ => return None,
    })
}
