//! Defects of real exports: rows that must be rejected or set aside, and valid rows in unusual
//! notations.
//!
//! Invalid rows are added to the valid ones and placed so that silver of the dirty files equals
//! silver of the clean ones.

use std::collections::{BTreeMap, HashMap};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::spec::Row;

/// Corrupts the copy of a valid row; the second argument is an identifier that no valid row has.
type Corrupt = fn(&mut Row, u64);

/// Where an invalid row goes, relative to the valid row it copies.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Position {
    Anywhere,
    Before,
}

/// A number that a spreadsheet shortened: the identifier is lost.
const SHORTENED: &str = "1.9E+18";

const CUSTOMER_DEFECTS: &[(&str, Position, Corrupt)] = &[
    ("invalid_id", Position::Anywhere, |row, _| SHORTENED.clone_into(&mut row[0])),
    ("invalid_date", Position::Anywhere, |row, id| {
        row[0] = id.to_string();
        "2024-02-30".clone_into(&mut row[3]);
    }),
    ("date_out_of_range", Position::Anywhere, |row, id| {
        row[0] = id.to_string();
        "1950-01-01".clone_into(&mut row[3]);
    }),
    // The later row of a customer wins, so the copy comes earlier.
    ("superseded", Position::Before, |row, _| row[1].push_str(" bis")),
    ("repeated", Position::Before, |_, _| {}),
];

const PURCHASE_DEFECTS: &[(&str, Position, Corrupt)] = &[
    ("invalid_id", Position::Anywhere, |row, _| SHORTENED.clone_into(&mut row[0])),
    ("missing_value", Position::Anywhere, |row, id| {
        row[0] = id.to_string();
        "  ".clone_into(&mut row[3]);
    }),
    ("invalid_date", Position::Anywhere, |row, id| {
        row[0] = id.to_string();
        "yesterday".clone_into(&mut row[2]);
    }),
    ("date_out_of_range", Position::Anywhere, |row, id| {
        row[0] = id.to_string();
        "2199-12-31 23:59:59".clone_into(&mut row[2]);
    }),
    ("invalid_amount", Position::Anywhere, |row, id| {
        row[0] = id.to_string();
        "n/a".clone_into(&mut row[3]);
    }),
    // A row that repeats another would be one more line of its order.
    ("malformed_row", Position::Anywhere, |row, _| row.push("offert".to_owned())),
    ("total_row", Position::Anywhere, |row, _| {
        "Total".clone_into(&mut row[0]);
        row[1].clear();
        row[2].clear();
    }),
];

/// Number of invalid rows that were added, by data set and reason.
pub(super) type InjectedRejects = BTreeMap<&'static str, BTreeMap<&'static str, usize>>;

/// Adds invalid rows until they are `share` of all rows (each reason at least once when `share` is
/// not 0), and writes about that share of the valid rows in other notations of the same values.
pub(super) fn corrupt(
    share: f64,
    customers: &mut Vec<Row>,
    purchases: &mut Vec<Row>,
    rng: &mut ChaCha8Rng,
) -> InjectedRejects {
    if share <= 0.0 {
        return InjectedRejects::new();
    }
    InjectedRejects::from([
        ("clients", corrupt_one(share, customers, CUSTOMER_DEFECTS, rewrite_customer, rng)),
        ("achats", corrupt_one(share, purchases, PURCHASE_DEFECTS, rewrite_purchase, rng)),
    ])
}

fn corrupt_one(
    share: f64,
    rows: &mut Vec<Row>,
    defects: &[(&'static str, Position, Corrupt)],
    rewrite: fn(&mut Row, u32),
    rng: &mut ChaCha8Rng,
) -> BTreeMap<&'static str, usize> {
    let valid = rows.len();
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let invalid = ((share / (1.0 - share) * valid as f64).round() as usize).max(defects.len());
    // Identifiers that no valid row has: those are numbered 1, 2, …
    let mut free_id = 1_000_000_000_u64;
    let mut injected = BTreeMap::new();
    // Invalid rows by the index of the valid row they precede; `valid` is the end of the file.
    let mut placed: Vec<(usize, Row)> = Vec::with_capacity(invalid);
    for index in 0..invalid {
        let (reason, place, corrupt) = defects[index % defects.len()];
        let original = rng.random_range(0..valid);
        let mut row = rows[original].clone();
        free_id += 1;
        corrupt(&mut row, free_id);
        let position = match place {
            Position::Anywhere => rng.random_range(0..=valid),
            Position::Before => rng.random_range(0..=original),
        };
        placed.push((position, row));
        *injected.entry(reason).or_insert(0) += 1;
    }
    rewrite_some(share, rows, rewrite, rng);
    placed.sort_by_key(|(position, _)| *position);
    let mut placed = placed.into_iter().peekable();
    let mut mixed = Vec::with_capacity(valid + invalid);
    for (index, row) in rows.drain(..).enumerate() {
        while let Some((_, invalid)) = placed.next_if(|(position, _)| *position <= index) {
            mixed.push(invalid);
        }
        mixed.push(row);
    }
    mixed.extend(placed.map(|(_, invalid)| invalid));
    *rows = mixed;
    injected
}

/// Rewrites a share of the rows. Silver unifies the case of a country or product by its most
/// frequent spelling, so the first half of the occurrences of each stays unchanged.
fn rewrite_some(share: f64, rows: &mut [Row], rewrite: fn(&mut Row, u32), rng: &mut ChaCha8Rng) {
    let mut occurrences: HashMap<String, usize> = HashMap::new();
    for row in rows.iter() {
        *occurrences.entry(row[4].clone()).or_default() += 1;
    }
    let mut seen: HashMap<String, usize> = HashMap::new();
    for row in rows {
        let seen = seen.entry(row[4].clone()).or_default();
        *seen += 1;
        let (is_chosen, way) = (rng.random::<f64>() < share, rng.random_range(0..4));
        let is_later_half = *seen > occurrences[&row[4]] / 2 + 1;
        if is_chosen && (way > 0 || is_later_half) {
            rewrite(row, way);
        }
    }
}

fn rewrite_customer(row: &mut Row, way: u32) {
    match way {
        0 => row[4] = row[4].to_uppercase(),
        1 => row[1] = format!("  {} ", row[1].replace(' ', "   ")),
        2 => row[2] = row[2].to_uppercase(),
        _ => row[3] = day_first(&row[3]),
    }
}

fn rewrite_purchase(row: &mut Row, way: u32) {
    match way {
        0 => row[4] = row[4].to_uppercase(),
        1 => row[3] = format!(" {} ", row[3]),
        2 => row[2] = row[2].replace(' ', "T") + ".000Z",
        _ => row[2] = day_first(&row[2]),
    }
}

/// `YYYY-MM-DD…` as `DD/MM/YYYY…`.
fn day_first(text: &str) -> String {
    format!("{}/{}/{}{}", &text[8..10], &text[5..7], &text[0..4], &text[10..])
}
