//! How tables are declared: typed columns, a key, an order.
//!
//! Only the types are here; the tables themselves are in [`crate::catalogue`].

/// The declared type of a column. It alone decides how values are stored and printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// 64-bit integer: identifiers, counts, days.
    Int,
    /// 64-bit float at full precision: rates, scores, averages that other values build on.
    Float,
    /// EUR, 64-bit float rounded to cents when the table is written, never before.
    Money,
    /// True or false.
    Bool,
    /// UTF-8 text.
    Text,
    /// A list of texts.
    TextList,
    /// A calendar day.
    Date,
    /// An instant in UTC, microseconds.
    Timestamp,
}

impl ColumnType {
    /// The name of the type in documents and error messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Int => "integer",
            Self::Float => "number",
            Self::Money => "money",
            Self::Bool => "boolean",
            Self::Text => "text",
            Self::TextList => "list of texts",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
        }
    }

    /// Whether filtering by a minimum and a maximum makes sense.
    #[must_use]
    pub fn has_range(self) -> bool {
        matches!(self, Self::Int | Self::Float | Self::Money | Self::Date | Self::Timestamp)
    }
}

/// One column of a table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Column {
    /// The contract's name.
    pub name: &'static str,
    /// The declared type.
    pub ty: ColumnType,
    /// Whether values may be null; in documents the field is present either way.
    pub nullable: bool,
    /// Whether every store indexes it, even if no route needs the index.
    pub indexed: bool,
    /// The closed interval of its values, if the contract states one.
    pub range: Option<(f64, f64)>,
    /// Whether generations that do not list their columns lack it; it reads as null there.
    pub is_added: bool,
    /// Meaning, formula and unit, for the data dictionary and the OpenAPI document.
    pub doc: &'static str,
}

impl Column {
    /// A column that is not nullable and has no index and no range.
    #[must_use]
    pub const fn new(name: &'static str, ty: ColumnType, doc: &'static str) -> Self {
        Self { name, ty, nullable: false, indexed: false, range: None, is_added: false, doc }
    }

    /// The same column, allowed to be null.
    #[must_use]
    pub const fn nullable(mut self) -> Self {
        self.nullable = true;
        self
    }

    /// The same column, indexed by every store.
    #[must_use]
    pub const fn indexed(mut self) -> Self {
        self.indexed = true;
        self
    }

    /// The same column, missing in generations that do not list their columns.
    #[must_use]
    pub const fn added(mut self) -> Self {
        self.is_added = true;
        self
    }

    /// The same column, with values in `[low, high]`.
    #[must_use]
    pub const fn within(mut self, low: f64, high: f64) -> Self {
        self.range = Some((low, high));
        self
    }
}

/// Ascending or descending; null sorts below every value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Smallest first.
    Ascending,
    /// Greatest first.
    Descending,
}

/// The totals of purchases that a table repeats; the proof compares them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// The column whose sum is the net revenue.
    pub revenue: &'static str,
    /// What is counted, and how.
    pub purchases: Purchases,
    /// Whose lines are in it.
    pub scope: Scope,
}

impl Tally {
    /// The columns it reads.
    pub fn columns(&self) -> impl Iterator<Item = &'static str> + use<> {
        let counted = match self.purchases {
            Purchases::Orders(column) | Purchases::SaleLines(column) => Some(column),
            Purchases::Lines | Purchases::Unknown => None,
        };
        [Some(self.revenue), counted].into_iter().flatten()
    }
}

/// How a table states the number of purchases that it was aggregated from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purchases {
    /// Each row is a line, of a sale or of a refund.
    Lines,
    /// The sum of this column is the number of orders with a sale line.
    Orders(&'static str),
    /// The sum of this column is the number of sale lines.
    SaleLines(&'static str),
    /// It does not.
    Unknown,
}

impl Purchases {
    /// The name of what is counted, for people.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Lines => "lines",
            Self::Orders(_) => "orders",
            Self::SaleLines(_) => "sale lines",
            Self::Unknown => "purchases",
        }
    }
}

/// Whose lines a table was aggregated from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All lines, those of guests included.
    All,
    /// The lines of known customers.
    Customers,
    /// The lines of known customers with a sale.
    Buyers,
}

/// How routes reach the rows of a table; stores derive indexes from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Filtered and sorted by any of its columns.
    Any,
    /// Narrowed to one value of this column first, then as [`Self::Any`].
    Within(&'static str),
    /// No route lists its rows; only direct readers of the store do.
    Unlisted,
}

/// One gold table.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// The contract's name, under which stores serve it.
    pub name: &'static str,
    /// What one row is.
    pub grain: &'static str,
    /// The key columns; empty for a table of exactly one row (its key is `_all`).
    pub key: &'static [&'static str],
    /// The columns, in the order documents list them.
    pub columns: &'static [Column],
    /// The default order of rows; the key breaks ties.
    pub order: &'static [(&'static str, Direction)],
    /// The totals that must equal those of the purchases; `None` if it repeats none.
    pub tally: Option<Tally>,
    /// How routes reach its rows.
    pub access: Access,
}

impl Table {
    /// The column of this name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&'static Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Whether the table has exactly one row.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.key.is_empty()
    }
}

/// A name under which a table or a part of it is served: its own name or a legacy view.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// The name of the view.
    pub name: &'static str,
    /// The table it projects.
    pub table: &'static Table,
    /// Its fields, in order.
    pub fields: Fields,
}

/// The tables that a store holds and the views that it serves.
#[derive(Debug, Clone, Copy)]
pub struct Catalogue {
    /// Every table.
    pub tables: &'static [&'static Table],
    /// The legacy views to serve beside the tables.
    pub legacy_views: &'static [&'static View],
}

impl Catalogue {
    /// Whether it contains a table of this name.
    #[must_use]
    pub fn has_table(&self, name: &str) -> bool {
        self.tables.iter().any(|table| table.name == name)
    }
}

/// The fields of a [`View`].
#[derive(Debug, Clone, Copy)]
pub enum Fields {
    /// Every column under its own name.
    All,
    /// Some columns under other names: (field, column).
    Renamed(&'static [(&'static str, &'static str)]),
}

impl View {
    /// The whole of a table under its own name.
    #[must_use]
    pub const fn of(table: &'static Table) -> Self {
        Self { name: table.name, table, fields: Fields::All }
    }

    /// The fields as (name, column), in order.
    #[must_use]
    pub fn columns(&self) -> Vec<(&'static str, &'static Column)> {
        match self.fields {
            Fields::All => self.table.columns.iter().map(|c| (c.name, c)).collect(),
            Fields::Renamed(fields) => fields
                .iter()
                .filter_map(|(field, column)| Some((*field, self.table.column(column)?)))
                .collect(),
        }
    }

    /// The column behind the field of this name.
    #[must_use]
    pub fn column(&self, field: &str) -> Option<&'static Column> {
        self.columns().into_iter().find_map(|(name, column)| (name == field).then_some(column))
    }
}
