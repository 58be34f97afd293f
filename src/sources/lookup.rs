//! Files that other files take columns from: the orders of Olist's items, the customers of its orders.

use std::collections::HashMap;
use std::sync::Arc;

/// Lookup tables by name.
pub(super) type Lookups = HashMap<String, Arc<Lookup>>;

/// One table: its rows by key.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    /// Its columns, named by their headers in lower case, the key apart.
    pub(super) columns: Vec<String>,
    /// The cells of each row by the text of its key; of equal keys the last counts.
    pub(super) rows: HashMap<String, Vec<Option<String>>>,
}
