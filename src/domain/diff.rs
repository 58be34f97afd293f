//! How two generations differ.

/// How the figures of one generation differ from those of another.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerationDiff {
    /// The generation compared with.
    pub from: u64,
    /// The generation compared.
    pub to: u64,
    /// The headline figures.
    pub kpis: Vec<KpiChange>,
    /// Customers by the segment they were in and are in, those who did not move included.
    pub migrations: Vec<Migration>,
    /// Every table of either generation.
    pub tables: Vec<TableChange>,
}

/// A headline figure in both generations; `None` where it is not known.
#[derive(Debug, Clone, PartialEq)]
pub struct KpiChange {
    /// The column of `kpis`.
    pub name: String,
    /// What it was.
    pub from: Option<f64>,
    /// What it is.
    pub to: Option<f64>,
}

/// Customers who went from one segment to another; `None` for not being there, or not having bought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Where they were.
    pub from: Option<String>,
    /// Where they are.
    pub to: Option<String>,
    /// How many.
    pub customers: u64,
}

/// Rows of a table in both generations, told apart by the table's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableChange {
    /// The table.
    pub table: String,
    /// Rows it had.
    pub rows_from: u64,
    /// Rows it has.
    pub rows_to: u64,
    /// Rows whose key is new.
    pub added: u64,
    /// Rows whose key is there no more.
    pub removed: u64,
    /// Rows with the same key and another value.
    pub changed: u64,
}
