//! What the rows of a run look like, for comparisons with later runs.

use std::collections::BTreeMap;

use polars::prelude::*;

use crate::domain::account::{in_millionths, in_units};
use crate::domain::data_set::{DataSet, PerDataSet};
use crate::domain::quality::{Amounts, Categories, Statistics};
use crate::pipeline::Result;

/// Columns of purchases whose texts are categories.
const CATEGORIES: [&str; 3] = ["produit", "pays", "devise"];
/// Texts of a column that are stored.
const MAX_CATEGORIES: usize = 1_000;
/// Classes of amounts by octave.
const CLASSES_BY_OCTAVE: f64 = 4.0;

/// The statistics of silver.
///
/// # Errors
/// Any error of the query engine.
pub fn statistics(valid: &PerDataSet<DataFrame>) -> Result<Statistics> {
    let nulls = PerDataSet::from_fn(|set| {
        let columns = valid[set].columns().iter();
        let nulls = columns.map(|column| (column.name().to_string(), column.null_count() as u64));
        nulls.collect::<BTreeMap<_, _>>()
    });
    let purchases = &valid[DataSet::Purchases];
    let mut categories = BTreeMap::new();
    for column in CATEGORIES {
        categories.insert(column.to_owned(), categories_of(purchases, column)?);
    }
    let amounts = purchases.column("montant")?.f64()?;
    let sales: Vec<i64> =
        amounts.iter().flatten().map(in_millionths).filter(|sum| *sum > 0).collect();
    Ok(Statistics { nulls, categories, amounts: amounts_of(sales) })
}

fn categories_of(purchases: &DataFrame, column: &str) -> Result<Categories> {
    let counted = purchases
        .clone()
        .lazy()
        .filter(col(column).is_not_null())
        .group_by([col(column)])
        .agg([len().cast(DataType::UInt64).alias("rows")])
        .collect()?;
    let texts = counted.column(column)?.str()?;
    let rows = counted.column("rows")?.u64()?;
    let mut counts: Vec<(u64, &str)> =
        texts.iter().zip(rows.iter()).filter_map(|(text, rows)| Some((rows?, text?))).collect();
    counts.sort_unstable_by(|(rows_a, a), (rows_b, b)| rows_b.cmp(rows_a).then(a.cmp(b)));
    let others = counts.len().saturating_sub(MAX_CATEGORIES) as u64;
    counts.truncate(MAX_CATEGORIES);
    let mut texts: Vec<(String, u64)> =
        counts.into_iter().map(|(rows, text)| (text.to_owned(), rows)).collect();
    texts.sort_unstable();
    Ok(Categories { texts, others })
}

/// How these amounts in millionths are distributed.
fn amounts_of(mut sales: Vec<i64>) -> Option<Amounts> {
    const SHARES: [usize; 5] = [5, 25, 50, 75, 95];
    let lines = sales.len();
    let mut classes: BTreeMap<i16, u64> = BTreeMap::new();
    for sum in &sales {
        // An i64 in millionths has at most 63 octaves.
        #[allow(clippy::cast_possible_truncation)]
        let class = (in_units(*sum).log2() * CLASSES_BY_OCTAVE).floor() as i16;
        *classes.entry(class).or_insert(0) += 1;
    }
    let percentiles = SHARES.map(|share| {
        let position = (lines.saturating_sub(1) * share) / 100;
        if sales.is_empty() { 0.0 } else { in_units(*sales.select_nth_unstable(position).1) }
    });
    let total: i128 = sales.iter().map(|sum| i128::from(*sum)).sum();
    #[allow(clippy::cast_precision_loss)]
    let mean = total as f64 / 1e6 / lines as f64;
    (lines > 0).then_some(Amounts {
        lines: lines as u64,
        mean,
        percentiles,
        classes: classes.into_iter().collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_amounts_that_occur_and_classes_are_quarter_octaves() {
        let amounts = amounts_of((1..=101).map(|euros| euros * 1_000_000).collect()).unwrap();
        assert_eq!(
            amounts.percentiles.map(in_millionths),
            [6, 26, 51, 76, 96].map(|euros| euros * 1_000_000)
        );
        assert_eq!((amounts.lines, in_millionths(amounts.mean)), (101, 51_000_000));
        assert_eq!(amounts.classes[0], (0, 1), "1 is below 2^0.25");
        assert_eq!(amounts.classes.iter().map(|(_, lines)| lines).sum::<u64>(), 101);
        assert_eq!(amounts_of(Vec::new()), None);
    }
}
