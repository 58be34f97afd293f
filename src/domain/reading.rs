//! What is known of a file's values beyond its header: how its system writes them.
//!
//! A [`Reading`] comes from the profile that recognised the file, is part of its verdict, and names
//! columns of the raw frame.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How the values of a file are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(clippy::struct_excessive_bools)]
pub struct Reading {
    /// The order of day and month where no cell shows it; `None` when nothing is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date_order: Option<DateOrder>,
    /// Whether years may have two digits.
    #[serde(skip_serializing_if = "is_default")]
    pub two_digit_years: bool,
    /// Columns whose instants are in UTC where they have no offset.
    #[serde(skip)]
    pub utc: Vec<String>,
    /// Whether id_achat may identify rows rather than orders.
    #[serde(skip_serializing_if = "is_default")]
    pub row_key: bool,
    /// Whether identifiers are numbers whose leading zeros do not count.
    #[serde(skip_serializing_if = "is_default")]
    pub integer_ids: bool,
    /// The currency of rows that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Whether countries of two letters are codes.
    #[serde(skip_serializing_if = "is_default")]
    pub iso_countries: bool,
    /// What order numbers of refunds begin with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refund_prefix: Option<String>,
    /// Whether amounts are those of whole orders, with shipping and tax in them.
    #[serde(skip_serializing_if = "is_default")]
    pub order_totals: bool,
    /// Words for "no customer", lower case, beside the usual ones.
    #[serde(skip_serializing_if = "is_default")]
    pub guests: Vec<String>,
    /// Columns that only the first row of an order fills.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fill_down: Option<FillDown>,
    /// Columns whose texts say what an order has become.
    #[serde(skip_serializing_if = "is_default")]
    pub statuses: Vec<StatusColumn>,
    /// Columns whose texts say that a row is no goods.
    #[serde(skip_serializing_if = "is_default")]
    pub not_goods: Vec<TextColumn>,
    /// Columns that are made of several of the file.
    #[serde(skip_serializing_if = "is_default")]
    pub made: Vec<MadeColumn>,
    /// The column that lists several products in one cell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
    /// Tables that further columns come from.
    #[serde(skip_serializing_if = "is_default")]
    pub joins: Vec<Join>,
    /// The table that the file is for joins, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<LookupTable>,
}

/// Whether the day or the month comes first in cells like `a/b/yyyy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DateOrder {
    /// `31/12/2026`
    DayFirst,
    /// `12/31/2026`
    MonthFirst,
}

/// What separates the decimals of amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DecimalSign {
    /// `10.50`
    Point,
    /// `10,50`
    Comma,
}

/// Columns that only the first of the rows with an equal key fills.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FillDown {
    /// The column of the key.
    pub by: String,
    /// The columns that are filled from the first row.
    pub columns: Vec<String>,
}

/// A column whose texts say what an order has become.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusColumn {
    /// Its name.
    pub column: String,
    /// What each text means, folded as headers are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Status>,
    /// What any text means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filled: Option<Status>,
}

/// What an order has become, the least strict first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, strum::EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// Sold.
    Sale,
    /// Sold, and a part was given back that a column or a row tells.
    PartialRefund,
    /// Sold and cancelled: no sale if it was not paid either.
    Cancelled,
    /// Sold, and the disputed amount was given back.
    LostDispute,
    /// Sold and given back.
    Refund,
    /// Not paid yet.
    Pending,
    /// Failed, voided, cancelled before payment, or a test.
    NotASale,
}

/// A column with texts that matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextColumn {
    /// Its name.
    pub column: String,
    /// The texts, folded as headers are; one that ends with `*` stands for all that begin so.
    pub values: Vec<String>,
}

/// A column that is made of several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeColumn {
    /// Its name.
    pub column: String,
    /// The columns that it is made of.
    pub from: Vec<String>,
    /// How.
    pub how: How,
}

/// How a column is made of others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The first filled cell.
    First,
    /// All filled cells, one blank between them.
    Join,
    /// What follows the last comma, if it is a country.
    LastPart,
    /// This text, whatever the row.
    Always(String),
}

/// Further columns from another file of the same export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// The table that it is.
    pub table: String,
    /// The column whose text its key equals.
    pub by: String,
}

/// A file that others take columns from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupTable {
    /// Its name in the profile.
    pub name: String,
    /// The column of its key.
    pub key: String,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
