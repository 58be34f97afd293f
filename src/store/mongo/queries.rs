//! Filters, orders, indexes, views and audits, made from table entries and queries.

use mongodb::bson::{Bson, Document, doc};

use super::documents::{KEY_SEPARATOR, ONLY, bson_type, is_finer, to_bson};
use crate::domain::manifest::Manifest;
use crate::domain::query::{Comparison, Query};
use crate::domain::schema::{
    Access, Column, ColumnType, Direction, Fields, Purchases, Table, Tally, View,
};

/// Up to this many documents a collection scan is as fast as an index.
const MAX_SCANNED_ROWS: u64 = 1_000;

/// The key that holds a column's values: `_id` for a table's only key column.
fn path(table: &Table, column: &'static str) -> &'static str {
    if table.key == [column] { "_id" } else { column }
}

pub(super) fn filter(query: &Query) -> Document {
    let table = query.view.table;
    let mut conditions: Vec<Document> = query
        .filters
        .iter()
        .map(|filter| {
            let value = to_bson(&filter.value);
            let condition = match filter.comparison {
                // Finer than any stored instant: equal to none, and greater than the one that is
                // stored for its millisecond.
                Comparison::Equal if is_finer(&filter.value) => doc! { "$in": [] }.into(),
                Comparison::AtLeast if is_finer(&filter.value) => doc! { "$gt": value }.into(),
                // Without an operator the server uses its fast path to one `_id`.
                Comparison::Equal => value,
                Comparison::AtLeast => doc! { "$gte": value }.into(),
                Comparison::AtMost => doc! { "$lte": value }.into(),
            };
            doc! { path(table, filter.column.name): condition }
        })
        .collect();
    if let Some(search) = &query.search {
        let pattern = contains(&search.text);
        let any: Vec<Document> =
            search.columns.iter().map(|name| doc! { path(table, name): pattern.clone() }).collect();
        conditions.push(doc! { "$or": any });
    }
    match conditions.pop() {
        None => doc! {},
        Some(only) if conditions.is_empty() => only,
        Some(last) => {
            conditions.push(last);
            doc! { "$and": conditions }
        }
    }
}

/// Matches texts that contain this one, regardless of case.
fn contains(text: &str) -> Document {
    let mut pattern = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            // A pattern cannot hold a null character; its escape means the same.
            '\0' => pattern.push_str("\\x00"),
            '\\' | '.' | '+' | '*' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$'
            | '#' | '&' | '-' | '~' => pattern.extend(['\\', char]),
            _ => pattern.push(char),
        }
    }
    doc! { "$regex": pattern, "$options": "i" }
}

fn sign(direction: Direction) -> i32 {
    match direction {
        Direction::Ascending => 1,
        Direction::Descending => -1,
    }
}

fn ordered(table: &Table, columns: &[(&'static str, Direction)]) -> Document {
    let mut keys = Document::new();
    for (name, direction) in columns {
        keys.insert(path(table, name), sign(*direction));
    }
    keys
}

/// The order of a query; `None` for a table of one row.
pub(super) fn sort(query: &Query) -> Option<Document> {
    let order = ordered(query.view.table, &query.order());
    (!order.is_empty()).then_some(order)
}

/// The keys that a query reads; `None` for all.
pub(super) fn projection(query: &Query) -> Option<Document> {
    match query.view.fields {
        Fields::All => None,
        Fields::Renamed(fields) => {
            Some(fields.iter().map(|(_, column)| ((*column).to_owned(), Bson::Int32(1))).collect())
        }
    }
}

/// The indexes of a table with this many rows, as `createIndexes` takes them: every order that
/// routes accept, each with the key as tie-break so that it can be read in both directions, and the
/// indexed columns.
pub(super) fn indexes(table: &Table, rows: u64) -> Vec<Document> {
    if rows <= MAX_SCANNED_ROWS {
        return Vec::new();
    }
    let key: Vec<(&'static str, Direction)> =
        table.key.iter().map(|name| (*name, Direction::Ascending)).collect();
    let followed_by_key = |first: &[(&'static str, Direction)]| {
        let rest = key.iter().filter(|(name, _)| first.iter().all(|(seen, _)| seen != name));
        let all: Vec<_> = first.iter().chain(rest).copied().collect();
        ordered(table, &all)
    };
    let needs_index = |column: &Column| {
        column.indexed
            || match table.access {
                Access::Any => column.ty != ColumnType::TextList,
                Access::Within(name) => column.name == name,
                Access::Unlisted => false,
            }
    };
    // Two documents with the same entries in another order are equal, two such indexes are not.
    let is_same = |a: &Document, b: &Document| a.iter().eq(b.iter());
    let composite = (key.len() > 1).then(|| ordered(table, &key));
    let mut all: Vec<Document> = composite.iter().cloned().collect();
    if !table.order.is_empty() {
        all.push(followed_by_key(table.order));
    }
    for column in table.columns.iter().filter(|column| needs_index(column)) {
        let index = followed_by_key(&[(column.name, Direction::Ascending)]);
        let is_new = all.iter().all(|other| !is_same(other, &index));
        if is_new && index.keys().next().is_some_and(|first| first != "_id") {
            all.push(index);
        }
    }
    all.into_iter()
        .map(|keys| {
            let parts: Vec<String> =
                keys.iter().map(|(name, sign)| format!("{name}_{sign}")).collect();
            let is_key = composite.as_ref().is_some_and(|composite| is_same(composite, &keys));
            doc! { "key": keys, "name": parts.join("_"), "unique": is_key }
        })
        .collect()
}

/// A view: a stable name or a legacy name, and what it shows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NamedView {
    pub name: String,
    /// The physical collection.
    pub on: String,
    pub pipeline: Vec<Document>,
}

/// Every view of a generation, under stable names and legacy names.
pub(super) fn named_views(manifest: &Manifest, legacy_views: &[&'static View]) -> Vec<NamedView> {
    let stable = manifest.tables.iter().map(|entry| NamedView {
        name: entry.name.clone(),
        on: entry.physical_name().to_owned(),
        pipeline: Vec::new(),
    });
    let legacy = legacy_views.iter().filter_map(|view| {
        let entry = manifest.table(view.table.name)?;
        let pipeline = match view.fields {
            Fields::All => Vec::new(),
            Fields::Renamed(fields) => {
                let mut shown = Document::new();
                for (field, column) in fields {
                    shown.insert(*field, format!("${column}"));
                }
                vec![doc! { "$project": shown }]
            }
        };
        Some(NamedView {
            name: view.name.to_owned(),
            on: entry.physical_name().to_owned(),
            pipeline,
        })
    });
    stable.chain(legacy).collect()
}

/// Counts rows and sums the tally of a whole collection: `{rows, revenue, purchases}`.
pub(super) fn totals(tally: Option<Tally>) -> Vec<Document> {
    let mut group = doc! { "_id": null, "rows": { "$sum": 1 } };
    if let Some(tally) = tally {
        group.insert("revenue", doc! { "$sum": format!("${}", tally.revenue) });
        if let Purchases::Orders(column) | Purchases::SaleLines(column) = tally.purchases {
            group.insert("purchases", doc! { "$sum": format!("${column}") });
        }
    }
    vec![doc! { "$group": group }]
}

/// Audits a whole collection: `{rows, unowned, c0, c1, …}`, where `unowned` counts documents whose
/// `_id` is not made of their key, and `c0` the values of the first column that its declaration does
/// not allow.
pub(super) fn audit(table: &Table) -> Vec<Document> {
    let counted = |wrong: Bson| doc! { "$sum": { "$cond": [wrong, 1, 0] } };
    let own_id: Bson = match table.key {
        [] => Bson::String(ONLY.to_owned()),
        [only] => Bson::String(format!("${only}")),
        several => {
            let mut parts: Vec<Bson> = Vec::new();
            for name in several {
                if !parts.is_empty() {
                    parts.push(KEY_SEPARATOR.into());
                }
                let text = doc! {
                    "input": format!("${name}"), "to": "string", "onError": null, "onNull": null,
                };
                parts.push(doc! { "$convert": text }.into());
            }
            doc! { "$concat": parts }.into()
        }
    };
    let mut group = doc! {
        "_id": null,
        "rows": { "$sum": 1 },
        "unowned": counted(doc! { "$ne": ["$_id", own_id] }.into()),
    };
    for (place, column) in table.columns.iter().enumerate() {
        group.insert(format!("c{place}"), counted(wrong_value(column)));
    }
    vec![doc! { "$group": group }]
}

/// Whether a document's value in a column is one that the declaration does not allow.
fn wrong_value(column: &Column) -> Bson {
    let value = format!("${}", column.name);
    let mut allowed = vec![bson_type(column.ty)];
    if column.nullable {
        allowed.push("null");
    }
    let is_of_type = doc! { "$in": [{ "$type": &value }, allowed] };
    let mut wrong: Vec<Document> = vec![doc! { "$not": [is_of_type] }];
    let is_null = doc! { "$eq": [&value, null] };
    if column.ty == ColumnType::Date {
        let midnight = doc! { "$dateTrunc": { "date": &value, "unit": "day" } };
        let is_date = doc! { "$eq": [{ "$type": &value }, "date"] };
        wrong.push(doc! { "$and": [is_date, { "$ne": [&value, midnight] }] });
    }
    if column.ty == ColumnType::TextList {
        let is_text = doc! { "$eq": [{ "$type": "$$this" }, "string"] };
        let items = doc! { "$cond": [{ "$isArray": [&value] }, &value, []] };
        let are_texts = doc! { "$map": { "input": items, "in": is_text } };
        wrong.push(doc! { "$not": [{ "$allElementsTrue": [are_texts] }] });
    }
    if matches!(column.ty, ColumnType::Float | ColumnType::Money) {
        wrong.push(doc! { "$in": [&value, [f64::NAN, f64::INFINITY, f64::NEG_INFINITY]] });
    }
    if let Some((low, high)) = column.range {
        let outside = doc! { "$or": [{ "$lt": [&value, low] }, { "$gt": [&value, high] }] };
        wrong.push(doc! { "$and": [{ "$not": [is_null] }, outside] });
    }
    doc! { "$or": wrong }.into()
}

/// The first document whose keys are not exactly `_id` and the table's columns, in order:
/// `{keys: […]}`.
pub(super) fn other_keys(table: &Table) -> Vec<Document> {
    let declared: Vec<&str> =
        std::iter::once("_id").chain(table.columns.iter().map(|column| column.name)).collect();
    let keys = doc! { "$map": { "input": { "$objectToArray": "$$ROOT" }, "in": "$$this.k" } };
    vec![
        doc! { "$project": { "keys": keys } },
        doc! { "$match": { "keys": { "$ne": declared } } },
        doc! { "$limit": 1 },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;

    fn keys_of(table: &Table, rows: u64) -> Vec<String> {
        let names = indexes(table, rows);
        names.iter().map(|index| index.get_str("name").unwrap().to_owned()).collect()
    }

    #[test]
    fn indexes_follow_from_the_entry() {
        assert!(keys_of(&catalogue::CUSTOMERS, MAX_SCANNED_ROWS).is_empty());
        let customers = keys_of(&catalogue::CUSTOMERS, MAX_SCANNED_ROWS + 1);
        let lists = catalogue::CUSTOMERS.columns.iter().filter(|c| c.ty == ColumnType::TextList);
        let expected = catalogue::CUSTOMERS.columns.len() - lists.count() - 1;
        assert_eq!(customers.len(), expected, "all but the key and lists");
        assert_eq!(customers[0], "nom_1__id_1");
        assert_eq!(
            keys_of(&catalogue::FACT_ACHATS, 2_000),
            ["id_client_1__id_1", "date_achat_1__id_1"]
        );
        let products = keys_of(&catalogue::REVENUE_BY_PRODUCT, 2_000);
        assert_eq!(products[..2], ["total_revenue_-1__id_1", "total_revenue_1__id_1"]);
        assert!(products.iter().all(|name| !name.contains("top_countries")));
        let retention = keys_of(&catalogue::COHORT_RETENTION, 2_000);
        assert_eq!(retention[0], "first_purchase_month_1_month_offset_1");
        assert_eq!(retention[1], "month_offset_1_first_purchase_month_1");
        // A collection can have at most 64.
        assert!(catalogue::ALL.iter().all(|table| indexes(table, 2_000).len() < 64));
    }

    #[test]
    fn a_search_is_literal_whatever_it_holds() {
        assert_eq!(contains("a.b\0c").get_str("$regex").unwrap(), "a\\.b\\x00c");
        let special = r"\.+*?()|[]{}^$#&-~";
        let escaped = r"\\\.\+\*\?\(\)\|\[\]\{\}\^\$\#\&\-\~";
        assert_eq!(contains(special).get_str("$regex").unwrap(), escaped);
    }
}
