//! Names of columns that nothing calls for: their headers, each once.

use super::profile::known;
use crate::domain::data_set::DataSet;
use crate::domain::verdict::FileColumn;
use crate::pipeline::silver::columns::{LINE_NUMBER, REASON, SOURCE_FILE, SURPLUS};

/// Names the other columns after their headers, each once; `fields` are names that headers may not
/// have beside the canonical ones.
pub(super) fn with_own_names(
    set: DataSet,
    header: &[String],
    canonical: &[Option<&str>],
    fields: &[&str],
) -> Vec<FileColumn> {
    let reserved = [SOURCE_FILE, LINE_NUMBER, REASON, SURPLUS];
    let is_reserved = |name: &str| {
        let is_canonical = || known(set).iter().any(|column| column.name == name);
        reserved.contains(&name) || fields.contains(&name) || is_canonical()
    };
    let mut columns: Vec<FileColumn> = Vec::with_capacity(header.len());
    for (index, (text, canonical)) in header.iter().zip(canonical).enumerate() {
        let own = text.to_lowercase();
        let name = match canonical {
            Some(name) => (*name).to_owned(),
            None if own.is_empty() => format!("column_{}", index + 1),
            None if is_reserved(&own) || own.starts_with('~') => format!("extra_{own}"),
            None => own,
        };
        let is_taken = |name: &String| columns.iter().any(|column| column.column == *name);
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|name| !is_taken(name));
        columns.push(FileColumn { header: text.clone(), column: free.unwrap_or(name) });
    }
    columns
}
