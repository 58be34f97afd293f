//! Query strings into typed queries, and the list of what a route accepts.
//!
//! The same [`ParamSpec`] list parses, refuses and documents, so the three cannot disagree.

use url::form_urlencoded;

use super::error::ApiError;
use crate::domain::query::{Comparison, Filter, Query, Search};
use crate::domain::rows::{Value, parse_whole};
use crate::domain::schema::{Column, ColumnType, Direction, View};
use crate::domain::time::Day;

/// Rows of a list when none are asked for.
pub const DEFAULT_LIMIT: u32 = 100;
/// Most rows of a list.
pub const MAX_LIMIT: u32 = 1_000;

/// The longest text to search for: longer than any name.
pub const MAX_SEARCH_CHARS: usize = 256;

/// The parameters of a request, each of them accepted and given once.
#[derive(Debug)]
pub struct Given(Vec<(String, String)>);

impl Given {
    /// Parses a query string.
    ///
    /// # Errors
    /// [`ApiError::InvalidParameter`] for a name that is not among `accepted`, or given twice.
    pub fn parse(query_string: &str, accepted: &[&str]) -> Result<Self, ApiError> {
        let mut given: Vec<(String, String)> = Vec::new();
        for (name, text) in form_urlencoded::parse(query_string.as_bytes()) {
            let (name, text) = (name.into_owned(), text.into_owned());
            let valid = || accepted.iter().map(|&name| name.to_owned()).collect();
            let (detail, valid) = if !accepted.contains(&name.as_str()) {
                ("there is no such parameter here", valid())
            } else if given.iter().any(|(other, _)| *other == name) {
                ("it is given twice", Vec::new())
            } else {
                given.push((name, text));
                continue;
            };
            let detail = detail.to_owned();
            return Err(ApiError::InvalidParameter { parameter: name, detail, valid });
        }
        Ok(Self(given))
    }

    /// The value of a parameter; `None` when it is not given.
    ///
    /// # Errors
    /// [`ApiError::InvalidParameter`] when `read` cannot make one of the text; `valid` says what
    /// would do.
    pub fn read<T>(
        &self,
        name: &str,
        valid: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let Some((_, text)) = self.0.iter().find(|(given, _)| given == name) else {
            return Ok(None);
        };
        read(text).map(Some).ok_or_else(|| ApiError::InvalidParameter {
            parameter: name.to_owned(),
            detail: format!("{text:?} is not {valid}"),
            valid: vec![valid.to_owned()],
        })
    }
}

/// What a list route accepts beyond equality filters.
#[derive(Debug, Clone, Copy, Default)]
pub struct ListOptions {
    /// Whether `{field}_min` and `{field}_max` are accepted.
    pub ranges: bool,
    /// The columns `q` searches; empty for no `q`.
    pub search: &'static [&'static str],
}

/// One parameter of a route.
#[derive(Debug, Clone)]
pub struct ParamSpec {
    /// Its name.
    pub name: String,
    /// What it does.
    pub role: Role,
}

/// What a parameter does.
#[derive(Debug, Clone, Copy)]
pub enum Role {
    /// Number of rows.
    Limit,
    /// Rows skipped.
    Offset,
    /// Order.
    Sort,
    /// Search.
    Search(&'static [&'static str]),
    /// Filter.
    Filter(&'static Column, Comparison),
}

/// Every parameter of a list over a view, in the order they are documented.
#[must_use]
pub fn accepted(view: View, extras: ListOptions) -> Vec<ParamSpec> {
    let mut all = vec![
        ParamSpec { name: "limit".to_owned(), role: Role::Limit },
        ParamSpec { name: "offset".to_owned(), role: Role::Offset },
        ParamSpec { name: "sort".to_owned(), role: Role::Sort },
    ];
    if !extras.search.is_empty() {
        all.push(ParamSpec { name: "q".to_owned(), role: Role::Search(extras.search) });
    }
    for (field, column) in view.columns() {
        if column.ty == ColumnType::TextList {
            continue;
        }
        let filter = |suffix: &str, comparison| ParamSpec {
            name: format!("{field}{suffix}"),
            role: Role::Filter(column, comparison),
        };
        all.push(filter("", Comparison::Equal));
        if extras.ranges && column.ty.has_range() {
            all.push(filter("_min", Comparison::AtLeast));
            all.push(filter("_max", Comparison::AtMost));
        }
    }
    all
}

/// The fields a list may be sorted by.
#[must_use]
pub fn sortable(view: View) -> Vec<&'static str> {
    view.columns()
        .into_iter()
        .filter(|(_, column)| column.ty != ColumnType::TextList)
        .map(|(field, _)| field)
        .collect()
}

/// Reads a query string.
///
/// # Errors
/// [`ApiError::InvalidParameter`] naming the parameter and what would be valid.
pub fn parse(view: View, extras: ListOptions, query_string: &str) -> Result<Query, ApiError> {
    let mut query = Query::first(view, DEFAULT_LIMIT);
    if query_string.is_empty() {
        return Ok(query);
    }
    let accepted = accepted(view, extras);
    let names: Vec<&str> = accepted.iter().map(|parameter| parameter.name.as_str()).collect();
    for (name, text) in Given::parse(query_string, &names)?.0 {
        let refuse = |detail: String, valid: Vec<String>| ApiError::InvalidParameter {
            parameter: name.clone(),
            detail,
            valid,
        };
        let Some(parameter) = accepted.iter().find(|parameter| parameter.name == name) else {
            continue;
        };
        match parameter.role {
            Role::Limit => {
                query.limit = whole(&text, 1, i64::from(MAX_LIMIT))
                    .and_then(|limit| u32::try_from(limit).ok())
                    .ok_or_else(|| {
                        let detail =
                            format!("{text:?} is not a whole number from 1 to {MAX_LIMIT}");
                        refuse(detail, vec![format!("1 to {MAX_LIMIT}")])
                    })?;
            }
            Role::Offset => {
                query.offset = whole(&text, 0, i64::MAX)
                    .and_then(|offset| u64::try_from(offset).ok())
                    .ok_or_else(|| {
                        let detail = format!("{text:?} is not a whole number from 0");
                        refuse(detail, vec!["0 or more".to_owned()])
                    })?;
            }
            Role::Sort => {
                query.sort = Some(parse_sort(view, &text).map_err(|detail| {
                    let fields = sortable(view).into_iter();
                    let valid =
                        fields.flat_map(|f| [format!("{f}:asc"), format!("{f}:desc")]).collect();
                    refuse(detail, valid)
                })?);
            }
            Role::Search(columns) => {
                if text.chars().count() > MAX_SEARCH_CHARS {
                    let detail = format!("it has more than {MAX_SEARCH_CHARS} characters");
                    return Err(refuse(
                        detail,
                        vec![format!("up to {MAX_SEARCH_CHARS} characters")],
                    ));
                }
                query.search = Some(Search { columns, text: text.clone() });
            }
            Role::Filter(column, comparison) => {
                let value = parse_value(column, comparison, &text).ok_or_else(|| {
                    let detail = format!("{text:?} cannot be read as {}", column.ty.as_str());
                    refuse(detail, vec![example(column.ty).to_owned()])
                })?;
                query.filters.push(Filter { column, comparison, value });
            }
        }
    }
    Ok(query)
}

fn whole(text: &str, least: i64, most: i64) -> Option<i64> {
    parse_whole(text).filter(|number| (least..=most).contains(number))
}

fn parse_sort(view: View, text: &str) -> Result<(&'static Column, Direction), String> {
    let (field, direction) = text.split_once(':').unwrap_or((text, "asc"));
    let direction = match direction {
        "asc" => Direction::Ascending,
        "desc" => Direction::Descending,
        other => return Err(format!("{other:?} is neither asc nor desc")),
    };
    let column = view.column(field).filter(|column| column.ty != ColumnType::TextList);
    match column {
        Some(column) => Ok((column, direction)),
        None => Err(format!("there is no field {field:?} to sort by")),
    }
}

/// A filter's value. A day alone stands for its last instant when it is the upper end of a range
/// of instants, so that the day belongs to the range.
fn parse_value(column: &Column, comparison: Comparison, text: &str) -> Option<Value> {
    if column.ty == ColumnType::Timestamp
        && comparison == Comparison::AtMost
        && let Some(day) = Day::parse(text)
    {
        return Some(Value::Timestamp(day.end()));
    }
    Value::parse(column.ty, text)
}

/// What a value of a type looks like.
#[must_use]
pub fn example(ty: ColumnType) -> &'static str {
    match ty {
        ColumnType::Int => "28",
        ColumnType::Float | ColumnType::Money => "12.5",
        ColumnType::Bool => "true or false",
        ColumnType::Text | ColumnType::TextList => "any text",
        ColumnType::Date => "2025-12-31",
        ColumnType::Timestamp => "2025-12-31T23:59:59",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;

    const RANGES: ListOptions = ListOptions { ranges: true, search: &["nom"] };

    fn customers(query: &str) -> Result<Query, ApiError> {
        parse(View::of(&catalogue::CUSTOMERS), RANGES, query)
    }

    #[test]
    fn a_full_query_is_understood() {
        let query =
            customers("limit=5&offset=10.0&sort=total_spent:desc&pays=C%C3%B4te+d%27Ivoire&total_spent_min=10&q=du")
                .unwrap();
        assert_eq!((query.limit, query.offset), (5, 10));
        assert_eq!(query.filters[0].value, Value::Text("Côte d'Ivoire".to_owned()));
        assert_eq!(query.filters[1].comparison, Comparison::AtLeast);
        assert_eq!(query.order()[0], ("total_spent", Direction::Descending));
        assert_eq!(query.order()[1], ("id_client", Direction::Descending));
    }

    #[test]
    fn the_last_day_of_a_range_of_instants_belongs_to_it() {
        let query = customers("last_purchase_max=2025-06-30").unwrap();
        let Value::Timestamp(upper) = query.filters[0].value else { panic!() };
        assert_eq!(upper.to_string(), "2025-06-30T23:59:59.999999");
    }

    #[test]
    fn what_is_not_valid_is_named() {
        for (query, named) in [
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("limit=ten", "limit"),
            ("limit=1&limit=2", "limit"),
            ("offset=-1", "offset"),
            (&format!("q={}", "é".repeat(257)), "q"),
            ("sort=age", "sort"),
            ("sort=nom:up", "sort"),
            ("total_spent_min=much", "total_spent_min"),
            ("nom_min=a", "nom_min"),
            ("is_active=yes", "is_active"),
            ("colour=red", "colour"),
            ("=", ""),
        ] {
            let Err(ApiError::InvalidParameter { parameter, .. }) = customers(query) else {
                panic!("{query} was accepted");
            };
            assert_eq!(parameter, named, "{query}");
        }
    }
}
