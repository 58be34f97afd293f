//! Values and blocks of rows on their way from Parquet to a store and from a store to JSON.
//!
//! Independent of Polars, SQL and BSON: each side converts them itself.

use serde::{Serialize, Serializer};

use super::schema::ColumnType;
use super::time::{Day, Timestamp};

/// One value of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// An [`ColumnType::Int`].
    Int(i64),
    /// A [`ColumnType::Float`] or [`ColumnType::Money`].
    Float(f64),
    /// A [`ColumnType::Bool`].
    Bool(bool),
    /// A [`ColumnType::Text`].
    Text(String),
    /// A [`ColumnType::TextList`].
    TextList(Vec<String>),
    /// A [`ColumnType::Date`].
    Date(Day),
    /// A [`ColumnType::Timestamp`].
    Timestamp(Timestamp),
}

impl Value {
    /// Parses a value of this type from a URL or an option. Whole numbers may be written `28.0`.
    /// `None` when the text is not such a value.
    #[must_use]
    pub fn parse(ty: ColumnType, text: &str) -> Option<Self> {
        match ty {
            ColumnType::Int => parse_whole(text).map(Self::Int),
            ColumnType::Float | ColumnType::Money => {
                text.parse().ok().filter(|number: &f64| number.is_finite()).map(Self::Float)
            }
            ColumnType::Bool => match text {
                "true" | "1" => Some(Self::Bool(true)),
                "false" | "0" => Some(Self::Bool(false)),
                _ => None,
            },
            ColumnType::Text => Some(Self::Text(text.to_owned())),
            ColumnType::TextList => None,
            ColumnType::Date => Day::parse(text).map(Self::Date),
            ColumnType::Timestamp => Timestamp::parse(text).map(Self::Timestamp),
        }
    }
}

/// Parses an integer, also one written with an empty fraction (`28.0`), which JSON Schema counts as
/// an integer. `None` for anything else or out of range.
#[must_use]
pub fn parse_whole(text: &str) -> Option<i64> {
    /// Up to here a double represents every integer exactly.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let number: f64 = text.parse().ok()?;
    // In range and without a fraction, so nothing is lost.
    #[allow(clippy::cast_possible_truncation)]
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Int(v) => serializer.serialize_i64(*v),
            Self::Float(v) => serializer.serialize_f64(*v),
            Self::Bool(v) => serializer.serialize_bool(*v),
            Self::Text(v) => serializer.serialize_str(v),
            Self::TextList(v) => v.serialize(serializer),
            Self::Date(v) => serializer.collect_str(v),
            Self::Timestamp(v) => serializer.collect_str(v),
        }
    }
}

/// The values of one column in a block of rows.
#[derive(Debug, Clone)]
pub enum ColumnValues {
    /// Integers.
    Int(Vec<Option<i64>>),
    /// Floats.
    Float(Vec<Option<f64>>),
    /// Booleans.
    Bool(Vec<Option<bool>>),
    /// Texts.
    Text(Vec<Option<String>>),
    /// Lists of texts.
    TextList(Vec<Option<Vec<String>>>),
    /// Days.
    Date(Vec<Option<Day>>),
    /// Instants.
    Timestamp(Vec<Option<Timestamp>>),
}

/// A block of rows, column by column, in the order of the table's columns.
#[derive(Debug, Clone)]
pub struct Batch {
    /// One entry per column of the table.
    pub columns: Vec<ColumnValues>,
    /// The length of every column.
    pub rows: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_may_have_an_empty_fraction_only() {
        assert_eq!(parse_whole("28"), Some(28));
        assert_eq!(parse_whole("28.0"), Some(28));
        assert_eq!(parse_whole("-3"), Some(-3));
        for text in ["28.5", "", "x", "1e300", "NaN", "99999999999999999999"] {
            assert_eq!(parse_whole(text), None, "{text}");
        }
    }

    #[test]
    fn a_whole_float_stays_a_float_in_json() {
        assert_eq!(serde_json::to_string(&Value::Float(5.0)).unwrap(), "5.0");
        assert_eq!(serde_json::to_string(&Value::Int(5)).unwrap(), "5");
    }

    #[test]
    fn texts_that_are_not_finite_numbers_are_rejected() {
        for text in ["inf", "NaN", "12,5", ""] {
            assert_eq!(Value::parse(ColumnType::Float, text), None, "{text}");
        }
    }
}
