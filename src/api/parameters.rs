//! Query strings into typed queries, and the list of parameters that a route accepts.
//!
//! The same [`ParamSpec`] list parses, rejects and documents, so the three cannot disagree.

use actix_web::HttpRequest;
use url::form_urlencoded;

use super::error::ApiError;
use crate::domain::query::{Comparison, Filter, Query, Search};
use crate::domain::rows::{Value, parse_whole};
use crate::domain::schema::{Column, ColumnType, Direction, View};
use crate::domain::time::Day;

/// Rows of a list when the request sets no limit.
pub(crate) const DEFAULT_LIMIT: u32 = 100;
pub(crate) const MAX_LIMIT: u32 = 1_000;
/// The longest search text: longer than any name.
pub(crate) const MAX_SEARCH_CHARS: usize = 256;

/// The query parameters of a request, each of them accepted and unique.
#[derive(Debug)]
pub(crate) struct QueryParams(Vec<(String, String)>);

impl QueryParams {
    /// Parses a query string.
    ///
    /// # Errors
    /// [`ApiError::InvalidParameter`] for a name that is not among `accepted`, or repeated.
    pub(crate) fn parse(query_string: &str, accepted: &[&str]) -> Result<Self, ApiError> {
        let mut parsed: Vec<(String, String)> = Vec::new();
        for (name, text) in form_urlencoded::parse(query_string.as_bytes()) {
            let (name, text) = (name.into_owned(), text.into_owned());
            let valid = || accepted.iter().map(|&name| name.to_owned()).collect();
            let (detail, valid) = if !accepted.contains(&name.as_str()) {
                ("there is no such parameter here", valid())
            } else if parsed.iter().any(|(other, _)| *other == name) {
                ("it is given twice", Vec::new())
            } else {
                parsed.push((name, text));
                continue;
            };
            let detail = detail.to_owned();
            return Err(ApiError::InvalidParameter { parameter: name, detail, valid });
        }
        Ok(Self(parsed))
    }

    /// The value of a parameter; `None` when the request does not have it.
    ///
    /// # Errors
    /// [`ApiError::InvalidParameter`] when `read` returns `None` for the text; `valid` describes
    /// what it accepts.
    pub(crate) fn read<T>(
        &self,
        name: &str,
        valid: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let Some((_, text)) = self.0.iter().find(|(other, _)| other == name) else {
            return Ok(None);
        };
        read(text).map(Some).ok_or_else(|| ApiError::InvalidParameter {
            parameter: name.to_owned(),
            detail: format!("{text:?} is not {valid}"),
            valid: vec![valid.to_owned()],
        })
    }
}

impl QueryParams {
    /// `limit` and `offset` of a page.
    ///
    /// # Errors
    /// [`ApiError::InvalidParameter`].
    pub(crate) fn page(&self) -> Result<(u32, u32), ApiError> {
        let limits = format!("a whole number from 1 to {MAX_LIMIT}");
        let limit = self.read("limit", &limits, |text| {
            text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit))
        })?;
        let offset = self.read("offset", "a whole number from 0", |text| text.parse().ok())?;
        Ok((limit.unwrap_or(DEFAULT_LIMIT), offset.unwrap_or(0)))
    }
}

/// Rejects any query parameter, for routes that take none.
///
/// # Errors
/// [`ApiError::InvalidParameter`] naming the first one.
pub(crate) fn refuse_parameters(request: &HttpRequest) -> Result<(), ApiError> {
    let first = form_urlencoded::parse(request.query_string().as_bytes()).next();
    match first {
        None => Ok(()),
        Some((name, _)) => Err(ApiError::InvalidParameter {
            parameter: name.into_owned(),
            detail: "this route takes no parameters".to_owned(),
            valid: Vec::new(),
        }),
    }
}

/// What a list route accepts beyond paging, order and equality filters.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ListOptions {
    /// Whether `{field}_min` and `{field}_max` are accepted.
    pub(crate) ranges: bool,
    /// The columns that `q` searches; empty for no `q`.
    pub(crate) search: &'static [&'static str],
}

/// One parameter of a route.
#[derive(Debug, Clone)]
pub(crate) struct ParamSpec {
    pub(crate) name: String,
    pub(crate) role: Role,
}

/// What a parameter does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Role {
    Limit,
    Offset,
    Sort,
    Search(&'static [&'static str]),
    Filter(&'static Column, Comparison),
}

/// Every parameter of a list over a view, in the order they are documented.
pub(crate) fn accepted(view: View, options: ListOptions) -> Vec<ParamSpec> {
    let mut all = vec![
        ParamSpec { name: "limit".to_owned(), role: Role::Limit },
        ParamSpec { name: "offset".to_owned(), role: Role::Offset },
        ParamSpec { name: "sort".to_owned(), role: Role::Sort },
    ];
    if !options.search.is_empty() {
        all.push(ParamSpec { name: "q".to_owned(), role: Role::Search(options.search) });
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
        if options.ranges && column.ty.has_range() {
            all.push(filter("_min", Comparison::AtLeast));
            all.push(filter("_max", Comparison::AtMost));
        }
    }
    all
}

/// The fields a list may be sorted by.
pub(crate) fn sortable(view: View) -> Vec<&'static str> {
    view.columns()
        .into_iter()
        .filter(|(_, column)| column.ty != ColumnType::TextList)
        .map(|(field, _)| field)
        .collect()
}

/// Parses the query string of a list.
///
/// # Errors
/// [`ApiError::InvalidParameter`] naming the parameter and what would be valid.
pub(crate) fn parse(
    view: View,
    options: ListOptions,
    query_string: &str,
) -> Result<Query, ApiError> {
    let mut query = Query::first(view, DEFAULT_LIMIT);
    if query_string.is_empty() {
        return Ok(query);
    }
    let accepted = accepted(view, options);
    let names: Vec<&str> = accepted.iter().map(|parameter| parameter.name.as_str()).collect();
    for (name, text) in QueryParams::parse(query_string, &names)?.0 {
        let Some(parameter) = accepted.iter().find(|parameter| parameter.name == name) else {
            continue;
        };
        apply(&mut query, parameter.role, &text).map_err(|Invalid { detail, valid }| {
            ApiError::InvalidParameter { parameter: name, detail, valid }
        })?;
    }
    Ok(query)
}

/// Why the text of a parameter is not valid, and what would be.
struct Invalid {
    detail: String,
    valid: Vec<String>,
}

/// Adds what one parameter asks for to the query.
fn apply(query: &mut Query, role: Role, text: &str) -> Result<(), Invalid> {
    let invalid = |detail: String, valid: String| Invalid { detail, valid: vec![valid] };
    match role {
        Role::Limit => {
            let limit = whole(text, 1, i64::from(MAX_LIMIT)).and_then(|n| u32::try_from(n).ok());
            query.limit = limit.ok_or_else(|| {
                let detail = format!("{text:?} is not a whole number from 1 to {MAX_LIMIT}");
                invalid(detail, format!("1 to {MAX_LIMIT}"))
            })?;
        }
        Role::Offset => {
            let offset = whole(text, 0, i64::MAX).and_then(|n| u64::try_from(n).ok());
            query.offset = offset.ok_or_else(|| {
                let detail = format!("{text:?} is not a whole number from 0");
                invalid(detail, "0 or more".to_owned())
            })?;
        }
        Role::Sort => query.sort = Some(parse_sort(query.view, text)?),
        Role::Search(columns) => {
            if text.chars().count() > MAX_SEARCH_CHARS {
                let detail = format!("it has more than {MAX_SEARCH_CHARS} characters");
                return Err(invalid(detail, format!("up to {MAX_SEARCH_CHARS} characters")));
            }
            query.search = Some(Search { columns, text: text.to_owned() });
        }
        Role::Filter(column, comparison) => {
            let value = parse_value(column, comparison, text).ok_or_else(|| {
                let detail = format!("{text:?} cannot be read as {}", column.ty.as_str());
                invalid(detail, example(column.ty).to_owned())
            })?;
            query.filters.push(Filter { column, comparison, value });
        }
    }
    Ok(())
}

fn whole(text: &str, min: i64, max: i64) -> Option<i64> {
    parse_whole(text).filter(|number| (min..=max).contains(number))
}

fn parse_sort(view: View, text: &str) -> Result<(&'static Column, Direction), Invalid> {
    let invalid = |detail: String| {
        let fields = sortable(view).into_iter();
        let valid = fields.flat_map(|field| [format!("{field}:asc"), format!("{field}:desc")]);
        Invalid { detail, valid: valid.collect() }
    };
    let (field, direction) = text.split_once(':').unwrap_or((text, "asc"));
    let direction = match direction {
        "asc" => Direction::Ascending,
        "desc" => Direction::Descending,
        other => return Err(invalid(format!("{other:?} is neither asc nor desc"))),
    };
    let column = view.column(field).filter(|column| column.ty != ColumnType::TextList);
    match column {
        Some(column) => Ok((column, direction)),
        None => Err(invalid(format!("there is no field {field:?} to sort by"))),
    }
}

/// A filter's value. A day alone stands for its last instant when it is the upper end of a range
/// of instants, so that the range includes the day.
fn parse_value(column: &Column, comparison: Comparison, text: &str) -> Option<Value> {
    if column.ty == ColumnType::Timestamp
        && comparison == Comparison::AtMost
        && let Some(day) = Day::parse(text)
    {
        return Some(Value::Timestamp(day.end()));
    }
    Value::parse(column.ty, text)
}

/// A valid value of a type, for error messages.
fn example(ty: ColumnType) -> &'static str {
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
    fn all_parameters_of_a_query_are_parsed() {
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
    fn a_range_of_instants_includes_its_last_day() {
        let query = customers("last_purchase_max=2025-06-30").unwrap();
        let Value::Timestamp(upper) = query.filters[0].value else { panic!() };
        assert_eq!(upper.to_string(), "2025-06-30T23:59:59.999999");
    }

    #[test]
    fn an_invalid_parameter_is_named() {
        for (query, expected) in [
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
            assert_eq!(parameter, expected, "{query}");
        }
    }
}
