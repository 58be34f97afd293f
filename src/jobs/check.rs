//! `check`: audits the active generation: the store against its manifest and the contract, its models in
//! the lake against their hashes.

use crate::catalogue;
use crate::domain::manifest::{Manifest, Published, TableEntry, Totals};
use crate::domain::schema::{Purchases, Scope, Table, Tally};
use crate::lake::{Lake, LakeError, Layer};
use crate::store::{Audit, GoldStore, StoreError};

/// Why the audit could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The serving store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The lake failed.
    #[error(transparent)]
    Lake(#[from] LakeError),
}

/// Findings of the audit.
#[derive(Debug)]
pub struct Findings {
    /// The active generation; `None` when nothing is published.
    pub generation: Option<u64>,
    /// Views, stable and legacy, that do not show the generation's tables, a sentence each.
    pub names: Vec<String>,
    /// What is wrong with the models, a sentence each.
    pub models: Vec<String>,
    /// Each table with its number of rows and its deviations, a sentence each.
    pub tables: Vec<(&'static str, u64, Vec<String>)>,
}

impl Findings {
    /// Whether something is published and nothing deviates.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.generation.is_some()
            && self.names.is_empty()
            && self.models.is_empty()
            && self.tables.iter().all(|(_, _, problems)| problems.is_empty())
    }
}

/// Audits every table of the active generation, and its models.
///
/// # Errors
/// [`CheckError`] when store or lake cannot be read.
pub async fn check(store: &dyn GoldStore, lake: &Lake) -> Result<Findings, CheckError> {
    let Some(active) = store.active().await? else {
        let (names, models, tables) = (Vec::new(), Vec::new(), Vec::new());
        return Ok(Findings { generation: None, names, models, tables });
    };
    let mut found = Vec::with_capacity(catalogue::ALL.len());
    for table in catalogue::ALL {
        let (rows, problems) = match active.manifest.table(table.name) {
            None if active.manifest.is_of_earlier_version() => continue,
            None => (0, vec!["the manifest does not list it".to_owned()]),
            Some(entry) => match store.audit(table, entry).await? {
                None => (0, vec!["it is missing from the store".to_owned()]),
                Some(audit) => (audit.rows, deviations(table, entry, &audit, &active)),
            },
        };
        found.push((table.name, rows, problems));
    }
    let names = store.audit_names(&active).await?;
    let models = match &active.manifest.models {
        None => Vec::new(),
        Some(file) => match lake.verify(Layer::Gold, &file.path, &file.sha256).await {
            Ok(()) => Vec::new(),
            Err(error @ LakeError::Damaged { .. }) => {
                vec![format!("{error}; run goldsmith refresh to train them again")]
            }
            Err(error) => return Err(error.into()),
        },
    };
    let generation = Some(active.manifest.generation);
    Ok(Findings { generation, names, models, tables: found })
}

fn deviations(
    table: &'static Table,
    entry: &TableEntry,
    audit: &Audit,
    active: &Published,
) -> Vec<String> {
    let mut problems = Vec::new();
    let written = entry.as_written(table);
    let declared: Vec<&str> = written.columns.iter().map(|column| column.name).collect();
    if audit.columns != declared {
        problems.push(format!(
            "columns are {} instead of {}",
            audit.columns.join(", "),
            declared.join(", ")
        ));
    }
    if audit.rows != entry.rows {
        problems.push(format!("{} rows instead of {}", audit.rows, entry.rows));
    }
    if audit.rows_without_own_key > 0 {
        problems.push(format!("{} rows have no key of their own", audit.rows_without_own_key));
    }
    for (column, rows) in &audit.wrong_values {
        problems.push(format!("{column} is missing, mistyped or out of range in {rows} rows"));
    }
    if !audit.missing_indexes.is_empty() {
        problems.push(format!("the indexes {} are missing", audit.missing_indexes.join(", ")));
    }
    // The proof again: totals equal those written, and those of tables about the same lines.
    let as_written = entry.totals.map(|totals| (totals, Totals::HALF_CENT));
    let elsewhere = table.tally.and_then(|tally| elsewhere(tally, &active.manifest));
    let elsewhere = elsewhere.map(|(totals, rounded)| {
        (totals, Totals::HALF_CENT + rounding(entry.rows) + rounding(rounded))
    });
    for (expected, tolerance) in [as_written, elsewhere].into_iter().flatten() {
        let Some(found) = audit.totals else { continue };
        if !found.agrees_with(expected, tolerance) {
            problems.push(format!("totals are {found:?} instead of {expected:?}"));
            break;
        }
    }
    problems
}

/// What other tables about the same lines state: revenue and the number of orders, with the rows
/// whose rounding is in that revenue.
fn elsewhere(tally: Tally, manifest: &Manifest) -> Option<(Totals, u64)> {
    let lines = match tally.scope {
        Scope::All => &catalogue::FACT_ACHATS,
        Scope::Customers => &catalogue::CUSTOMER_METRICS,
        Scope::Buyers => &catalogue::COHORT_FIRST_PURCHASE,
    };
    let orders = match (tally.purchases, tally.scope) {
        (Purchases::Orders(_), Scope::All) => Some(&catalogue::KPIS),
        (Purchases::Orders(_), _) => Some(&catalogue::CUSTOMER_METRICS),
        (Purchases::Lines | Purchases::SaleLines(_) | Purchases::Unknown, _) => None,
    };
    let orders = orders.and_then(|table| manifest.table(table.name)?.totals?.purchases);
    let entry = manifest.table(lines.name)?;
    // fact_achats has amounts as they are.
    let rounded = if lines.name == catalogue::FACT_ACHATS.name { 0 } else { entry.rows };
    Some((Totals { revenue: entry.totals?.revenue, purchases: orders }, rounded))
}

/// How far a sum of money that was rounded row by row may be from the exact sum, EUR.
#[allow(clippy::cast_precision_loss)]
fn rounding(rows: u64) -> f64 {
    Totals::HALF_CENT * rows as f64
}
