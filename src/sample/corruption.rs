//! What real exports suffer from: rows that must be rejected, one kind for every reason of the
//! contract, and valid rows written in unusual ways.
//!
//! Bad rows come on top of the good ones, placed so that refining the dirty files gives exactly
//! what refining the clean ones gives.

use std::collections::{BTreeMap, HashMap};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::Row;

/// Makes a row bad, given a copy of a good one and a number no good row has.
type Spoil = fn(&mut Row, u64);

/// Where a bad row goes relative to the good row it copies.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Anywhere,
    Before,
    After,
}

const CLIENTS: &[(&str, Place, Spoil)] = &[
    ("invalid_id", Place::Anywhere, |row, _| "C-".clone_into(&mut row[0])),
    ("missing_value", Place::Anywhere, |row, id| {
        row[0] = id.to_string();
        row[1].clear();
    }),
    ("invalid_date", Place::Anywhere, |row, id| {
        row[0] = id.to_string();
        "2024-02-30".clone_into(&mut row[3]);
    }),
    ("date_out_of_range", Place::Anywhere, |row, id| {
        row[0] = id.to_string();
        "1970-01-01".clone_into(&mut row[3]);
    }),
    ("invalid_email", Place::Anywhere, |row, id| {
        row[0] = id.to_string();
        row[2] = row[2].replace('@', " at ");
    }),
    // The first stays, so the copy comes later.
    ("duplicate_id", Place::After, |row, _| row[1].push_str(" bis")),
];

const ACHATS: &[(&str, Place, Spoil)] = &[
    ("invalid_id", Place::Anywhere, |row, _| "0".clone_into(&mut row[0])),
    ("missing_value", Place::Anywhere, |row, id| {
        row[0] = id.to_string();
        "  ".clone_into(&mut row[4]);
    }),
    ("invalid_date", Place::Anywhere, |row, id| {
        row[0] = id.to_string();
        "yesterday".clone_into(&mut row[2]);
    }),
    ("date_out_of_range", Place::Anywhere, |row, id| {
        row[0] = id.to_string();
        "2199-12-31 23:59:59".clone_into(&mut row[2]);
    }),
    ("invalid_amount", Place::Anywhere, |row, id| {
        row[0] = id.to_string();
        "n/a".clone_into(&mut row[3]);
    }),
    ("amount_out_of_range", Place::Anywhere, |row, id| {
        row[0] = id.to_string();
        row[3].insert(0, '-');
    }),
    // The last stays, so the copy comes earlier.
    ("duplicate_id", Place::Before, |row, _| "0.01".clone_into(&mut row[3])),
    ("orphan_client", Place::Anywhere, |row, id| {
        row[0] = id.to_string();
        row[1] = id.to_string();
    }),
];

/// The bad rows that were added, by data set and reason.
pub type Injected = BTreeMap<&'static str, BTreeMap<&'static str, usize>>;

/// Adds bad rows until they are `share` of all rows (each reason at least once when `share` is
/// not 0), and rewrites about that share of the good ones in ways that must not matter.
pub fn soil(
    share: f64,
    clients: &mut Vec<Row>,
    achats: &mut Vec<Row>,
    rng: &mut ChaCha8Rng,
) -> Injected {
    if share <= 0.0 {
        return Injected::new();
    }
    Injected::from([
        ("clients", soil_one(share, clients, CLIENTS, rewrite_client, rng)),
        ("achats", soil_one(share, achats, ACHATS, rewrite_achat, rng)),
    ])
}

fn soil_one(
    share: f64,
    rows: &mut Vec<Row>,
    kinds: &[(&'static str, Place, Spoil)],
    rewrite: fn(&mut Row, u32),
    rng: &mut ChaCha8Rng,
) -> BTreeMap<&'static str, usize> {
    let good = rows.len();
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let bad = ((share / (1.0 - share) * good as f64).round() as usize).max(kinds.len());
    // Numbers no good row has: those are 1, 2, …
    let mut free_id = 1_000_000_000_u64;
    let mut injected = BTreeMap::new();
    // Bad rows by the good row they stand before; `good` is the end of the file.
    let mut placed: Vec<(usize, Row)> = Vec::with_capacity(bad);
    for index in 0..bad {
        let (reason, place, spoil) = kinds[index % kinds.len()];
        let model = rng.random_range(0..good);
        let mut row = rows[model].clone();
        free_id += 1;
        spoil(&mut row, free_id);
        let position = match place {
            Place::Anywhere => rng.random_range(0..=good),
            Place::Before => rng.random_range(0..=model),
            Place::After => rng.random_range(model + 1..=good),
        };
        placed.push((position, row));
        *injected.entry(reason).or_insert(0) += 1;
    }
    rewrite_some(share, rows, rewrite, rng);
    placed.sort_by_key(|(position, _)| *position);
    let mut placed = placed.into_iter().peekable();
    let mut mixed = Vec::with_capacity(good + bad);
    for (index, row) in rows.drain(..).enumerate() {
        while let Some((_, bad)) = placed.next_if(|(position, _)| *position <= index) {
            mixed.push(bad);
        }
        mixed.push(row);
    }
    mixed.extend(placed.map(|(_, bad)| bad));
    *rows = mixed;
    injected
}

/// Rewrites a share of the rows, but never so many of one text that its unusual spelling could
/// become the usual one: the older half of its occurrences stays as it is.
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

fn rewrite_client(row: &mut Row, way: u32) {
    match way {
        0 => row[4] = row[4].to_uppercase(),
        1 => row[1] = format!("  {} ", row[1].replace(' ', "   ")),
        2 => row[2] = row[2].to_uppercase(),
        _ => row[3] = day_first(&row[3]),
    }
}

fn rewrite_achat(row: &mut Row, way: u32) {
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
