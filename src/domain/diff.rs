//! The result of comparing two generations.

/// The differences between two generations.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerationDiff {
    /// The earlier side of the comparison.
    pub from: u64,
    /// The later side.
    pub to: u64,
    /// The headline KPIs.
    pub kpis: Vec<KpiChange>,
    /// Customers by segment before and after, including those who stayed.
    pub migrations: Vec<Migration>,
    /// Every table of the catalogue.
    pub tables: Vec<TableChange>,
}

/// A headline KPI in both generations; `None` where it is unknown.
#[derive(Debug, Clone, PartialEq)]
pub struct KpiChange {
    /// The column of `kpis`.
    pub name: String,
    /// Its earlier value.
    pub from: Option<f64>,
    /// Its later value.
    pub to: Option<f64>,
}

/// Customers who moved between two segments; `None` if they did not exist or had not bought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// The earlier segment.
    pub from: Option<String>,
    /// The later segment.
    pub to: Option<String>,
    /// Their number.
    pub customers: u64,
}

/// Rows of a table in both generations, matched by the key of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableChange {
    /// The name of the table.
    pub table: String,
    /// Its earlier number of rows.
    pub rows_from: u64,
    /// Its later number of rows.
    pub rows_to: u64,
    /// Rows whose key is new.
    pub added: u64,
    /// Rows whose key is gone.
    pub removed: u64,
    /// Rows with the same key and a different value.
    pub changed: u64,
}
