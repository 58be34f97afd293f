//! Compares the tables of two generations: rows by key, KPIs, segments.

use std::collections::BTreeMap;

use polars::prelude::*;

use super::PipelineError;
use crate::domain::diff::{KpiChange, Migration, TableChange};
use crate::domain::schema::Table;
use crate::pipeline::ml::frames::read_segments;

/// Marks the columns of the later table in the joined frame.
const LATER: &str = "__later";

type Result<T> = std::result::Result<T, PipelineError>;

/// Counts added, removed and changed rows. Only columns that both tables have are compared; if
/// their columns differ, every row in both counts as changed.
///
/// # Errors
/// Any error of the query engine.
pub fn tables(table: &Table, from: &DataFrame, to: &DataFrame) -> Result<TableChange> {
    let (rows_from, rows_to) = (from.height() as u64, to.height() as u64);
    let names = |frame: &DataFrame| -> Vec<String> {
        let mut names: Vec<String> =
            frame.get_column_names().iter().map(ToString::to_string).collect();
        names.sort_unstable();
        names
    };
    let has_same_columns = names(from) == names(to);
    let is_key = |name: &str| table.key.contains(&name);
    let values: Vec<String> =
        names(from).into_iter().filter(|name| !is_key(name) && to.column(name).is_ok()).collect();
    let (common, changed) = if table.is_single() {
        (rows_from.min(rows_to), u64::from(!has_same_columns || !from.equals_missing(to)))
    } else {
        let keys: Vec<Expr> = table.key.iter().map(|name| col(*name)).collect();
        let later = |name: &str| format!("{name}{LATER}");
        let renamed = values.iter().map(|name| col(name).alias(later(name)));
        let columns: Vec<Expr> = keys.iter().cloned().chain(renamed).collect();
        let joined = from.clone().lazy().join(
            to.clone().lazy().select(columns),
            keys.clone(),
            keys,
            JoinArgs::new(JoinType::Inner),
        );
        let differs = values
            .iter()
            .map(|name| col(name).neq_missing(col(later(name))))
            .reduce(Expr::or)
            .unwrap_or_else(|| lit(false));
        let counted = joined
            .select([len().alias("common"), differs.cast(DataType::UInt64).sum().alias("changed")])
            .collect()?;
        let count = |name: &str| -> Result<u64> {
            Ok(counted.column(name)?.cast(&DataType::UInt64)?.u64()?.get(0).unwrap_or(0))
        };
        let common = count("common")?;
        (common, if has_same_columns { count("changed")? } else { common })
    };
    Ok(TableChange {
        table: table.name.to_owned(),
        rows_from,
        rows_to,
        added: rows_to.saturating_sub(common),
        removed: rows_from.saturating_sub(common),
        changed: changed.min(common),
    })
}

/// The numeric columns of two single-row tables, in the order of the later one.
///
/// # Errors
/// Any error of the query engine.
pub fn kpis(from: &DataFrame, to: &DataFrame) -> Result<Vec<KpiChange>> {
    let first = |frame: &DataFrame, name: &str| -> Result<Option<f64>> {
        let Ok(column) = frame.column(name) else { return Ok(None) };
        Ok(column.cast(&DataType::Float64)?.f64()?.get(0))
    };
    let numbers = to.columns().iter().filter(|column| column.dtype().is_primitive_numeric());
    numbers
        .map(|column| {
            let name = column.name().to_string();
            Ok(KpiChange { from: first(from, &name)?, to: first(to, &name)?, name })
        })
        .collect()
}

/// Customers by earlier and later segment.
///
/// # Errors
/// When a column is missing.
pub fn segments(from: &DataFrame, to: &DataFrame) -> Result<Vec<Migration>> {
    let (from, to) = (read_segments(from)?, read_segments(to)?);
    let mut moved: BTreeMap<(Option<&String>, Option<&String>), u64> = BTreeMap::new();
    for (id, was) in &from {
        *moved.entry((Some(was), to.get(id))).or_default() += 1;
    }
    for is in to.iter().filter(|(id, _)| !from.contains_key(id)).map(|(_, is)| is) {
        *moved.entry((None, Some(is))).or_default() += 1;
    }
    let moved = moved.into_iter().map(|((from, to), customers)| Migration {
        from: from.cloned(),
        to: to.cloned(),
        customers,
    });
    Ok(moved.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{KPIS, REVENUE_BY_COUNTRY};

    fn countries(rows: &[(&str, f64)]) -> DataFrame {
        let names: Vec<&str> = rows.iter().map(|(name, _)| *name).collect();
        let amounts: Vec<f64> = rows.iter().map(|(_, amount)| *amount).collect();
        df!("pays" => names, "ca_total" => amounts).unwrap()
    }

    #[test]
    fn rows_are_matched_by_their_key() {
        let key = REVENUE_BY_COUNTRY.key;
        let named = |rows: &[(&str, f64)]| {
            let mut frame = countries(rows);
            frame.rename("pays", key[0].into()).unwrap();
            frame
        };
        let from = named(&[("France", 1.0), ("Italy", 2.0), ("Spain", f64::NAN)]);
        let to = named(&[("Spain", f64::NAN), ("Italy", 2.5), ("Peru", 1.0), ("Chile", 1.0)]);
        let change = tables(&REVENUE_BY_COUNTRY, &from, &to).unwrap();
        assert_eq!((change.rows_from, change.rows_to), (3, 4));
        assert_eq!((change.added, change.removed, change.changed), (2, 1, 1));
        let none = tables(&REVENUE_BY_COUNTRY, &from, &from).unwrap();
        assert_eq!((none.added, none.removed, none.changed), (0, 0, 0));
        // A column that only one of the tables has.
        let narrow = from.select([key[0]]).unwrap();
        let widened = tables(&REVENUE_BY_COUNTRY, &narrow, &from).unwrap();
        assert_eq!((widened.added, widened.removed, widened.changed), (0, 0, 3));
    }

    #[test]
    fn unknown_kpis_are_none() {
        let from = df!("a" => [1.0], "t" => ["x"]).unwrap();
        let to = df!("a" => [None::<f64>], "n" => [3_i64], "t" => ["y"]).unwrap();
        let found = kpis(&from, &to).unwrap();
        let change = |name: &str, from, to| KpiChange { name: name.to_owned(), from, to };
        assert_eq!(found, [change("a", Some(1.0), None), change("n", None, Some(3.0))]);
        let change = tables(&KPIS, &from, &to).unwrap();
        assert_eq!((change.added, change.removed, change.changed), (0, 0, 1));
    }

    #[test]
    fn customers_move_between_segments_appear_and_disappear() {
        let segments_of = |rows: &[(i64, &str)]| {
            let (ids, names): (Vec<i64>, Vec<&str>) = rows.iter().copied().unzip();
            df!("id_client" => ids, "segment_name" => names).unwrap()
        };
        let from = segments_of(&[(1, "A"), (2, "A"), (3, "B")]);
        let to = segments_of(&[(1, "A"), (2, "B"), (4, "B")]);
        let moved = segments(&from, &to).unwrap();
        let one = |from: Option<&str>, to: Option<&str>| Migration {
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
            customers: 1,
        };
        let (a, b) = (Some("A"), Some("B"));
        assert_eq!(moved, [one(None, b), one(a, a), one(a, b), one(b, None)]);
    }
}
