//! Rows that share an order number: lines of one order, versions of it in several files, repeats.
//!
//! Works on positions of rows. Start reading at [`resolve`].

use std::collections::BTreeMap;

use polars::prelude::{PlHashMap, PlHashSet, StringChunked};

use super::columns::RowKind;
use super::raw_table::{KnownBy, RawFile};
use super::spread::{is_usable, spread};
use crate::domain::reasons::{REPEATED, SUPERSEDED};
use crate::domain::time::DAY_MICROS;

/// What `sources.repeated_id` says about an amount that repeats within an order.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, strum::EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RepeatedId {
    /// Each row has the amount of its line.
    Line,
    /// Each row repeats the amount of the whole order.
    OrderTotal,
    /// The last row with a number replaces the others.
    Replace,
}

/// The rows of purchases as orders need them, one entry per row.
pub(super) struct OrderRows<'a> {
    pub(super) files: &'a [RawFile],
    /// The number of the row's order.
    pub(super) orders: &'a [i64],
    /// Amounts in millionths; changed where an order's total is spread over its lines.
    pub(super) micros: &'a mut [i64],
    pub(super) at: &'a [Option<i64>],
    pub(super) customers: &'a [i64],
    pub(super) products: &'a StringChunked,
    pub(super) quantities: &'a [Option<i64>],
    pub(super) prices: &'a [Option<f64>],
    /// What each row is; empty where every row is just what its amount says.
    pub(super) kinds: &'a [Option<RowKind>],
    /// Why a row is not served; `None` for those that are.
    pub(super) reasons: &'a mut [Option<&'static str>],
}

/// What was decided beside the reasons.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    /// Amounts that lines of one order repeat and that may mean more, per file: what hangs on it.
    pub(super) at_stake: Vec<(String, i64)>,
    /// Millionths by which the amounts of rows exceed what is served of them, per row.
    pub(super) repeated_totals: Vec<(usize, i64)>,
    /// Rows whose amount was spread.
    pub(super) spread: Vec<usize>,
    /// Lines that a later file replaces though it names another customer and another day.
    pub(super) doubtful: Vec<usize>,
    /// The orders that have several rows.
    pub(super) repeated: PlHashSet<i64>,
}

/// How a file repeats order numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// Equal rows are one.
    RowKey,
    /// Amounts are those of lines.
    Lines,
    /// Each line repeats the amount of its order.
    OrderTotal,
    /// As [`Meaning::OrderTotal`], for want of a proof.
    Cautious,
    /// The last row counts.
    Replace,
}

/// Decides which rows with a repeated order number are served, and with which amounts.
pub(super) fn resolve(rows: &mut OrderRows<'_>, setting: Option<RepeatedId>) -> Resolved {
    let mut groups = repeated_orders(rows);
    let mut resolved = Resolved::default();
    for group in groups.values_mut() {
        resolve_versions(rows, group, &mut resolved.doubtful);
    }
    resolved.repeated = groups.keys().copied().collect();
    for file in 0..rows.files.len() {
        if rows.files[file].known_by == KnownBy::Profile {
            // Its profile says what its amounts are.
            continue;
        }
        let name = rows.files[file].name.clone();
        let range = rows.files[file].rows.clone();
        let of_file: Vec<Vec<usize>> = groups
            .values()
            .map(|group| {
                let in_file = group.iter().copied().filter(|row| range.contains(row));
                in_file
                    .filter(|row| rows.reasons[*row].is_none() && rows.micros[*row] >= 0)
                    .collect()
            })
            .filter(|group: &Vec<usize>| group.len() > 1)
            .collect();
        if of_file.is_empty() {
            continue;
        }
        let has_row_key = rows.files[file].reading.row_key;
        let meaning = meaning_of(rows, &of_file, has_row_key, setting);
        if meaning == Meaning::Cautious {
            let repeated =
                |group: &Vec<usize>| group[1..].iter().map(|row| rows.micros[*row]).sum::<i64>();
            resolved.at_stake.push((name, of_file.iter().map(repeated).sum()));
        }
        for group in &of_file {
            apply(rows, group, meaning, &mut resolved);
        }
    }
    resolved
}

/// The served rows of every order that has several, by order number.
fn repeated_orders(rows: &OrderRows<'_>) -> BTreeMap<i64, Vec<usize>> {
    let mut groups: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    if rows.orders.is_sorted() {
        // As most exports are written.
        let served: Vec<usize> =
            (0..rows.orders.len()).filter(|row| rows.reasons[*row].is_none()).collect();
        let same = served.chunk_by(|a, b| rows.orders[*a] == rows.orders[*b]);
        for group in same.filter(|group| group.len() > 1) {
            groups.insert(rows.orders[group[0]], group.to_vec());
        }
        return groups;
    }
    let mut first: PlHashMap<i64, usize> = PlHashMap::default();
    first.reserve(rows.orders.len());
    for (row, order) in rows.orders.iter().enumerate() {
        if rows.reasons[row].is_some() {
            continue;
        }
        if let Some(before) = first.get(order) {
            groups.entry(*order).or_insert_with(|| vec![*before]).push(row);
        } else {
            first.insert(*order, row);
        }
    }
    groups
}

/// How often equal refunds occur.
#[derive(Debug, Clone, Copy, Default)]
struct RefundCount {
    /// The most in one file so far.
    most: usize,
    /// The file that is counted.
    file: usize,
    /// How many it has.
    in_file: usize,
}

/// The sale lines of the latest file that has the order replace those of earlier files. Refunds are
/// never replaced; equal ones of several files count once. `doubtful` gets lines that are rather those of another
/// order with the same number.
fn resolve_versions(rows: &mut OrderRows<'_>, group: &[usize], doubtful: &mut Vec<usize>) {
    let file_of = |row: usize| rows.files.partition_point(|file| file.rows.end <= row);
    // Rows made of an order's refunded amount or status stand and fall with its lines.
    let is_made = |row: usize| rows.kinds.get(row).copied().flatten().is_some_and(RowKind::is_made);
    let is_line = |row: &usize| rows.micros[*row] >= 0 && !is_made(*row);
    let latest = group.iter().filter(|row| is_line(row)).map(|row| file_of(*row)).max();
    let is_current = |row: &&usize| is_line(row) && Some(file_of(**row)) == latest;
    let current: Vec<usize> = group.iter().filter(is_current).copied().collect();
    let mut refunds: BTreeMap<_, RefundCount> = BTreeMap::new();
    let mut reasons = Vec::new();
    for row in group.iter().copied() {
        let file = file_of(row);
        if is_line(&row) || is_made(row) {
            if Some(file) < latest {
                reasons.push((row, SUPERSEDED));
                if is_line(&row) && current.iter().all(|other| is_of_another(rows, row, *other)) {
                    doubtful.push(row);
                }
            }
            continue;
        }
        let key = (rows.at[row], rows.micros[row], rows.customers[row], rows.products.get(row));
        let count = refunds.entry(key).or_default();
        if count.file != file {
            *count = RefundCount { file, in_file: 0, ..*count };
        }
        count.in_file += 1;
        if count.in_file > count.most {
            count.most = count.in_file;
        } else {
            reasons.push((row, REPEATED));
        }
    }
    for (row, reason) in reasons {
        rows.reasons[row] = Some(reason);
    }
}

/// Whether two lines have another customer and another day.
fn is_of_another(rows: &OrderRows<'_>, a: usize, b: usize) -> bool {
    let day = |row: usize| rows.at[row].map(|at| at.div_euclid(DAY_MICROS));
    let (customer, other) = (rows.customers[a], rows.customers[b]);
    customer != other && customer != 0 && other != 0 && day(a) != day(b)
}

/// What it means that rows of a file share an order number; `groups` are the sale lines of orders
/// with several.
fn meaning_of(
    rows: &OrderRows<'_>,
    groups: &[Vec<usize>],
    has_row_key: bool,
    setting: Option<RepeatedId>,
) -> Meaning {
    /// Orders that have to repeat their amount before it is taken for their total.
    const PROOF: usize = 3;
    match setting {
        Some(RepeatedId::Line) => return Meaning::Lines,
        Some(RepeatedId::OrderTotal) => return Meaning::OrderTotal,
        Some(RepeatedId::Replace) => return Meaning::Replace,
        None => {}
    }
    let same_amount =
        |group: &Vec<usize>| group.iter().all(|row| rows.micros[*row] == rows.micros[group[0]]);
    let same_product = |group: &Vec<usize>| {
        group.iter().all(|row| rows.products.get(*row) == rows.products.get(group[0]))
    };
    if has_row_key && groups.iter().all(|group| same_amount(group) && same_product(group)) {
        return Meaning::RowKey;
    }
    if !groups.iter().all(same_amount) {
        return Meaning::Lines;
    }
    let has_products = |group: &Vec<usize>| !same_product(group);
    if groups.len() >= PROOF && groups.iter().all(has_products) {
        return Meaning::OrderTotal;
    }
    let worth = |row: usize| worth(rows, row);
    #[allow(clippy::cast_precision_loss)]
    let is_near = |value: f64, micros: i64| (value * 1e6 - micros as f64).abs() < 5_000.0;
    let are_lines = |group: &Vec<usize>| {
        group.iter().all(|row| worth(*row).is_some_and(|worth| is_near(worth, rows.micros[*row])))
    };
    let is_total = |group: &Vec<usize>| {
        let sum: Option<f64> = group.iter().map(|row| worth(*row)).sum();
        sum.is_some_and(|sum| is_near(sum, rows.micros[group[0]]))
    };
    if groups.iter().all(are_lines) {
        Meaning::Lines
    } else if groups.iter().all(is_total) {
        Meaning::OrderTotal
    } else {
        Meaning::Cautious
    }
}

/// quantite × prix of a row.
fn worth(rows: &OrderRows<'_>, row: usize) -> Option<f64> {
    #[allow(clippy::cast_precision_loss)]
    let quantity = rows.quantities[row]? as f64;
    Some(quantity * rows.prices[row]?)
}

fn apply(rows: &mut OrderRows<'_>, group: &[usize], meaning: Meaning, resolved: &mut Resolved) {
    match meaning {
        Meaning::Lines => {}
        Meaning::RowKey => {
            for row in &group[1..] {
                rows.reasons[*row] = Some(REPEATED);
            }
        }
        Meaning::Replace => {
            let earlier = &group[..group.len() - 1];
            for row in earlier {
                rows.reasons[*row] = Some(SUPERSEDED);
            }
        }
        Meaning::OrderTotal | Meaning::Cautious => {
            let total = rows.micros[group[0]];
            let weights: Vec<i64> = weights_of(rows, group);
            for (row, share) in group.iter().zip(spread(total, &weights)) {
                resolved.repeated_totals.push((*row, total - share));
                resolved.spread.push(*row);
                rows.micros[*row] = share;
            }
        }
    }
}

/// What an order's amount is shared by: quantite × prix, else quantite, else evenly.
fn weights_of(rows: &OrderRows<'_>, group: &[usize]) -> Vec<i64> {
    #[allow(clippy::cast_possible_truncation)]
    let worth = |row: &usize| worth(rows, *row).map(|worth| (worth * 100.0).round() as i64);
    let worths: Option<Vec<i64>> = group.iter().map(worth).collect();
    let quantities: Option<Vec<i64>> = group.iter().map(|row| rows.quantities[*row]).collect();
    let usable = |weights: &Vec<i64>| is_usable(weights);
    worths.filter(usable).or(quantities).filter(usable).unwrap_or_else(|| vec![1; group.len()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reading::Reading;

    /// Order, euros, product, quantity, price.
    type Row = (i64, i64, &'static str, Option<i64>, Option<f64>);

    struct Table {
        files: Vec<RawFile>,
        rows: Vec<Row>,
    }

    impl Table {
        fn new(files: &[&[Row]]) -> Self {
            let mut table = Self { files: Vec::new(), rows: Vec::new() };
            for (index, rows) in files.iter().enumerate() {
                let start = table.rows.len();
                table.rows.extend_from_slice(rows);
                let name = format!("{index}.csv");
                let rows = start..table.rows.len();
                let reading = Reading { row_key: true, ..Reading::default() };
                table.files.push(RawFile {
                    name,
                    rows,
                    reading,
                    known_by: KnownBy::Goldsmith,
                    profile: String::new(),
                    date: None,
                });
            }
            table
        }

        /// The outcome of each row: its reason, or its amount in millionths.
        fn resolve(&self, setting: Option<RepeatedId>) -> (Vec<String>, Resolved) {
            let orders: Vec<i64> = self.rows.iter().map(|row| row.0).collect();
            let mut micros: Vec<i64> = self.rows.iter().map(|row| row.1 * 1_000_000).collect();
            let products: StringChunked = self.rows.iter().map(|row| Some(row.2)).collect();
            let quantities: Vec<_> = self.rows.iter().map(|row| row.3).collect();
            let prices: Vec<_> = self.rows.iter().map(|row| row.4).collect();
            let mut reasons = vec![None; self.rows.len()];
            let resolved = resolve(
                &mut OrderRows {
                    files: &self.files,
                    orders: &orders,
                    micros: &mut micros,
                    at: &vec![Some(0); self.rows.len()],
                    customers: &vec![1; self.rows.len()],
                    products: &products,
                    quantities: &quantities,
                    prices: &prices,
                    kinds: &[],
                    reasons: &mut reasons,
                },
                setting,
            );
            let outcome = |(reason, micros): (Option<&str>, &i64)| {
                reason.map_or_else(|| micros.to_string(), str::to_owned)
            };
            (reasons.iter().copied().zip(&micros).map(outcome).collect(), resolved)
        }
    }

    const fn row(order: i64, euros: i64, product: &'static str) -> Row {
        (order, euros, product, None, None)
    }

    #[test]
    fn unequal_amounts_are_those_of_lines() {
        let table = Table::new(&[&[
            row(1, 30, "a"),
            row(1, 20, "b"),
            row(1, 20, "b"),
            row(2, 7, "a"),
            row(2, 7, "b"),
        ]]);
        let (outcomes, resolved) = table.resolve(None);
        assert_eq!(outcomes, ["30000000", "20000000", "20000000", "7000000", "7000000"]);
        assert!(resolved.at_stake.is_empty());
    }

    #[test]
    fn rows_that_say_the_same_are_one() {
        let table = Table::new(&[&[row(1, 30, "a"), row(2, 5, "b"), row(1, 30, "a")]]);
        assert_eq!(table.resolve(None).0, ["30000000", "5000000", "repeated"]);
    }

    #[test]
    fn three_orders_that_repeat_an_amount_over_products_repeat_their_total() {
        let rows: Vec<_> =
            (1..=3).flat_map(|order| [row(order, 10, "a"), row(order, 10, "b")]).collect();
        let (outcomes, resolved) = Table::new(&[&rows]).resolve(None);
        assert_eq!(outcomes, ["5000000"; 6]);
        assert!(resolved.at_stake.is_empty());
        assert_eq!(resolved.repeated_totals.iter().map(|(_, sum)| sum).sum::<i64>(), 30_000_000);
    }

    #[test]
    fn quantity_times_price_decides_where_two_orders_do_not() {
        let lines =
            Table::new(&[&[(1, 10, "a", Some(2), Some(5.0)), (1, 10, "b", Some(1), Some(10.0))]]);
        assert_eq!(lines.resolve(None).0, ["10000000", "10000000"]);
        let total =
            Table::new(&[&[(1, 10, "a", Some(2), Some(4.0)), (1, 10, "b", Some(1), Some(2.0))]]);
        assert_eq!(total.resolve(None).0, ["8000000", "2000000"]);
    }

    #[test]
    fn without_a_proof_an_amount_counts_once_and_what_hangs_on_it_is_said() {
        let table = Table::new(&[&[row(1, 10, "a"), row(1, 10, "b")]]);
        let (outcomes, resolved) = table.resolve(None);
        assert_eq!(outcomes, ["5000000", "5000000"]);
        assert_eq!(resolved.at_stake, [("0.csv".to_owned(), 10_000_000)]);
        assert_eq!(table.resolve(Some(RepeatedId::Line)).0, ["10000000", "10000000"]);
        assert_eq!(table.resolve(Some(RepeatedId::Replace)).0, ["superseded", "10000000"]);
    }

    #[test]
    fn the_latest_file_with_sale_lines_replaces_earlier_ones_and_refunds_count_once() {
        let table = Table::new(&[
            &[row(1, 30, "a"), row(1, -5, "a"), row(1, -5, "a")],
            &[row(1, 20, "a"), row(1, 9, "b"), row(1, -5, "a"), row(1, -7, "a")],
            &[row(1, -5, "a"), row(2, 1, "a")],
        ]);
        let (outcomes, _) = table.resolve(None);
        assert_eq!(
            outcomes,
            [
                "superseded",
                "-5000000",
                "-5000000",
                "20000000",
                "9000000",
                "repeated",
                "-7000000",
                "repeated",
                "1000000"
            ]
        );
    }
}
