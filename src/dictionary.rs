//! The data dictionary, generated from the table entries so that it cannot disagree with them.

use std::fmt::Write as _;

use crate::catalogue::{self, legacy};
use crate::domain::schema::{Column, ColumnType, Direction, Fields, Table};

/// The text of `docs/DATA_DICTIONARY.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(
        "# Data dictionary\n\n\
         Every served table, generated from `src/catalogue` by `goldsmith dictionary`; a test \
         compares this file with its output.\n\n\
         Money is in the currency of `kpis`, 64-bit float; a column of type *money* is rounded to cents when the table is \
         written, never before an aggregation. A *number* has full precision. Timestamps are \
         what the shop's clocks show (`sources.timezone`), without offset, microseconds. Null sorts below every value. In a generation that an earlier \
         version published, a column that it did not have reads as null.\n\n\
         In MongoDB every document also has `_id`: the key, its values joined by `/` where it has \
         several, `_all` for a single row. Integers are int64, numbers and money doubles, dates and \
         timestamps BSON dates (a date is midnight UTC), which keep milliseconds.\n",
    );
    for table in catalogue::ALL {
        describe(table, &mut text);
    }
    text.push_str(
        "\n## Legacy views\n\nServed beside the tables, as views of the serving store, for existing dashboards.\n\n\
         | name | table | fields |\n|---|---|---|\n",
    );
    for view in legacy::ALL {
        let fields = match view.fields {
            Fields::All => "all".to_owned(),
            Fields::Renamed(fields) => {
                let shown = fields.iter().map(|(field, column)| {
                    if field == column {
                        (*field).to_owned()
                    } else {
                        format!("{field} ({column})")
                    }
                });
                shown.collect::<Vec<_>>().join(", ")
            }
        };
        let _ = writeln!(text, "| {} | {} | {fields} |", view.name, view.table.name);
    }
    text
}

fn describe(table: &Table, text: &mut String) {
    let key =
        if table.is_single() { "`_all`, a single row".to_owned() } else { table.key.join(", ") };
    let order: Vec<String> = table
        .order
        .iter()
        .map(|(name, direction)| match direction {
            Direction::Ascending => (*name).to_owned(),
            Direction::Descending => format!("{name} descending"),
        })
        .collect();
    let order = if order.is_empty() { "key".to_owned() } else { order.join(", ") };
    let _ = write!(
        text,
        "\n## {}\n\nGrain: {}. Key: {key}. Order: {order}.\n\n\
         | column | type | null | range | meaning |\n|---|---|---|---|---|\n",
        table.name, table.grain
    );
    for column in table.columns {
        let null = if column.nullable { "yes" } else { "no" };
        let _ = writeln!(
            text,
            "| {} | {} | {null} | {} | {} |",
            column.name,
            column.ty.as_str(),
            range(column),
            column.doc
        );
    }
}

fn range(column: &Column) -> String {
    let shown = |bound: f64| match column.ty {
        ColumnType::Int => format!("{bound:.0}"),
        _ => format!("{bound}"),
    };
    match column.range {
        None => String::new(),
        Some((low, high)) if high >= f64::MAX => format!("at least {}", shown(low)),
        Some((low, high)) => format!("{} to {}", shown(low), shown(high)),
    }
}
