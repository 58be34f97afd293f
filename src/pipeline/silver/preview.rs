//! What became of the rows of each file, with the first rows as they were read: for inspections.

use std::collections::BTreeMap;

use super::customer::Customer;
use super::purchase_rows::PurchaseRows;
use super::raw::Raw;
use super::raw_table::RawFile;
use super::values::countries::country_name;
use crate::domain::file_rows::{ColumnForm, FileRows, ReadRow};
use crate::domain::reasons::{NOTHING, SET_ASIDE};
use crate::domain::time::{DAY_MICROS, Timestamp};

/// Rows of each file that are shown.
const EXAMPLES: usize = 3;

/// The rows of each file by what became of them; `forms` are those of its columns with the position of the
/// file, `example` gives what a row is, if it is served, and its values.
pub(super) fn file_rows(
    raw: &Raw,
    reasons: &[Option<&'static str>],
    forms: &[(usize, ColumnForm)],
    example: impl Fn(usize) -> (&'static str, Vec<(&'static str, String)>),
) -> Vec<FileRows> {
    let of_file = |(position, file): (usize, &RawFile)| {
        let mut counts: Vec<(Option<&'static str>, u64)> = Vec::new();
        for row in file.rows.clone() {
            match counts.iter_mut().find(|(reason, _)| *reason == reasons[row]) {
                Some((_, rows)) => *rows += 1,
                None => counts.push((reasons[row], 1)),
            }
        }
        let mut rows = FileRows { file: file.name.clone(), ..FileRows::default() };
        for (reason, count) in counts {
            match reason {
                None => rows.served = count,
                Some(NOTHING) => {}
                Some(reason) if SET_ASIDE.contains(&reason) => {
                    rows.set_aside.insert(reason.to_owned(), count);
                }
                Some(reason) => {
                    rows.left_out.insert(reason.to_owned(), count);
                }
            }
        }
        let of_file = forms.iter().filter(|(file, _)| *file == position);
        rows.forms = of_file.map(|(_, form)| form.clone()).collect();
        rows.examples = first_rows(file)
            .map(|row| {
                let (kind, values) = example(row);
                let kind = reasons[row].unwrap_or(kind).to_owned();
                ReadRow { line: raw.line(row), kind, values }
            })
            .collect();
        rows
    };
    raw.files.iter().enumerate().map(of_file).collect()
}

/// The rows that are shown.
pub(super) fn examples(raw: &Raw) -> impl Iterator<Item = usize> + '_ {
    raw.files.iter().flat_map(first_rows)
}

fn first_rows(file: &RawFile) -> impl Iterator<Item = usize> + use<> {
    file.rows.clone().take(EXAMPLES)
}

/// What a purchase is and its values.
pub(super) fn purchase(
    raw: &Raw,
    rows: &PurchaseRows,
    buyers: &[Option<i64>],
    row: usize,
) -> (&'static str, Vec<(&'static str, String)>) {
    let country = raw.cells_if_any("pays").ok().flatten().and_then(|cells| cells.get(row));
    let has_codes = raw.files[raw.file_of(row)].reading.iso_countries;
    let country = country.map(|cell| country_name(cell).filter(|_| has_codes).unwrap_or(cell));
    let own = rows.currencies.get(row).filter(|_| rows.reasons[row].is_some());
    let currency = own.or(rows.currency.as_deref());
    let values = [
        ("id_commande", rows.orders[row].text()),
        ("id_client", rows.customers[row].text().or(buyers[row].map(|buyer| buyer.to_string()))),
        ("date_achat", rows.at[row].map(|at| Timestamp(at).to_string())),
        ("montant", rows.amounts[row].map(|_| exact(rows.micros[row]))),
        ("devise", currency.map(str::to_owned)),
        ("produit", rows.products.get(row).map(str::to_owned)),
        ("quantite", rows.quantities[row].map(|count| count.to_string())),
        ("prix", rows.prices[row].map(|price| price.to_string())),
        ("pays", country.map(str::to_owned)),
    ];
    let kind = if rows.micros[row] < 0 { "refund" } else { "sale" };
    (kind, filled(values))
}

/// The values of a customer; none of a row without one.
pub(super) fn customer(
    customers: &BTreeMap<usize, Customer>,
    row: usize,
) -> (&'static str, Vec<(&'static str, String)>) {
    let Some(customer) = customers.get(&row) else { return ("customer", Vec::new()) };
    let signup = customer.signup.map(|day| Timestamp(i64::from(day) * DAY_MICROS).to_string());
    let values = [
        ("id_client", Some(customer.ref_client.clone())),
        ("nom", customer.name.clone()),
        ("email", customer.email.clone()),
        ("date_inscription", signup.map(|at| at.chars().take("2026-01-31".len()).collect())),
        ("pays", customer.country.clone()),
    ];
    ("customer", filled(values))
}

fn filled<const N: usize>(
    values: [(&'static str, Option<String>); N],
) -> Vec<(&'static str, String)> {
    values.into_iter().filter_map(|(column, value)| Some((column, value?))).collect()
}

/// Millionths as a decimal number with at least two decimals.
fn exact(millionths: i64) -> String {
    let sign = if millionths < 0 { "-" } else { "" };
    let (whole, part) =
        (millionths.unsigned_abs() / 1_000_000, millionths.unsigned_abs() % 1_000_000);
    let decimals = format!("{part:06}");
    let cents = decimals.trim_end_matches('0');
    format!("{sign}{whole}.{cents:0<2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_shown_exactly() {
        for (millionths, shown) in [
            (1_250_000_000, "1250.00"),
            (-500_000, "-0.50"),
            (1, "0.000001"),
            (12_345_600, "12.3456"),
        ] {
            assert_eq!(exact(millionths), shown);
        }
    }
}
