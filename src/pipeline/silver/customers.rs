//! Customers as files list them: one row per identifier, later rows over earlier ones.

use std::collections::BTreeMap;

use polars::prelude::PlHashMap;

use super::checks::{earliest_future, rejected_rows, set_aside, unify_spelling};
use super::cleaned::{Cleaned, Earlier, ReadRows, Rules};
use super::columns::SURPLUS;
use super::customer::{Customer, FROM_FILE, frame_of};
use super::layer::CleaningOptions;
use super::preview::{self, file_rows};
use super::raw::{IdCell, Raw};
use super::raw_table::RawTable;
use super::values::contacts::telephone;
use super::values::identifiers::{check_collisions, customer_number};
use super::values::texts;
use crate::domain::reasons::{REPEATED, SUPERSEDED};
use crate::domain::time::DAY_MICROS;
use crate::pipeline::Result;

pub(super) const RULES: Rules = Rules { read: |raw, options| Ok(Box::new(clean(raw, options)?)) };

/// No other data set decides about customers.
impl ReadRows for Cleaned {
    fn clean(self: Box<Self>, _: &CleaningOptions, _: &Earlier) -> Result<Cleaned> {
        Ok(*self)
    }
}

/// Where words for "no customer" are an error.
const NO_CUSTOMER: &[&str] = &["0", "-"];

/// Validates every raw row. The valid ones are customers, ascending by id_client.
fn clean(table: RawTable, options: &CleaningOptions) -> Result<Cleaned> {
    let raw =
        Raw::new(table, &options.rules).in_order("date_inscription", options.rules.date_order)?;
    let ids = raw.identifiers("id_client", NO_CUSTOMER, |_| true)?;
    let dates = raw.dates("date_inscription", options.rules.date_order)?;
    let (signups, no_signup) = (dates.cells, dates.blanks);
    let surplus = raw.cells(SURPLUS)?;
    let reason = |row: usize| match surplus.get(row) {
        Some(_) => Some("malformed_row"),
        None => first_reason(&ids[row], (signups[row], no_signup[row]), options),
    };
    let mut reasons: Vec<_> = (0..raw.height()).map(reason).collect();
    let texts = ids.iter().filter_map(|id| match id {
        IdCell::Text(text) => Some(text.as_str()),
        _ => None,
    });
    check_collisions(texts, &options.rules.id_salt)?;
    let countries = unify_spelling(&raw.countries()?, |row| reasons[row].is_none());
    let (names, emails) = (raw.names("nom")?, raw.texts("email")?);
    let customer = |row: usize| {
        let ref_client = ids[row].text()?;
        let day = signups[row].map(|at| at.div_euclid(DAY_MICROS));
        let signup = day.and_then(|day| i32::try_from(day).ok());
        Some(Customer {
            id: customer_number(&ref_client, &options.rules.id_salt),
            ref_client,
            name: names.get(row).map(str::to_owned),
            email: emails.get(row).map(str::to_lowercase),
            signup,
            signup_source: signup.map(|_| FROM_FILE),
            country: countries.get(row).map(str::to_owned),
        })
    };
    let shown: BTreeMap<usize, Customer> = preview::examples(&raw)
        .filter(|row| reasons[*row].is_none())
        .filter_map(|row| Some((row, customer(row)?)))
        .collect();
    let listed: Vec<(usize, Customer)> = (0..raw.height())
        .filter(|row| reasons[*row].is_none())
        .filter_map(|row| Some((row, customer(row)?)))
        .collect();
    let phones = match raw.cells_if_any("telephone")? {
        None => PlHashMap::default(),
        Some(cells) => listed
            .iter()
            .filter_map(|(row, customer)| Some((telephone(cells.get(*row)?)?, customer.id)))
            .collect(),
    };
    let customers = merge(listed, &mut reasons);
    let example = |row| preview::customer(&shown, row);
    Ok(Cleaned {
        files: file_rows(&raw, &reasons, &dates.forms, example),
        rejected: rejected_rows(&raw, &reasons)?,
        earliest_future: earliest_future(&signups, &reasons, options.run_start),
        warnings: warnings(&customers),
        valid: frame_of(&customers)?,
        set_aside: set_aside(&reasons),
        phones,
        findings: raw.notes.iter().cloned().chain(dates.notes).collect(),
        ..Cleaned::default()
    })
}

fn first_reason(
    id: &IdCell,
    (signup, no_signup): (Option<i64>, bool),
    options: &CleaningOptions,
) -> Option<&'static str> {
    let rules = &options.rules;
    let is_in_range = |at: i64| at >= rules.min_date.0 && at <= options.run_start.0;
    if !id.is_identifier() {
        Some("invalid_id")
    } else if signup.is_none() && !no_signup {
        Some("invalid_date")
    } else if signup.is_some_and(|at| !is_in_range(at)) {
        Some("date_out_of_range")
    } else {
        None
    }
}

/// One customer per identifier, ascending: the later row wins, field by field where it is empty.
fn merge(rows: Vec<(usize, Customer)>, reasons: &mut [Option<&'static str>]) -> Vec<Customer> {
    let mut rows = rows;
    // Stable: rows of one customer stay in reading order.
    rows.sort_by_key(|(_, customer)| customer.id);
    let mut merged: Vec<Customer> = Vec::with_capacity(rows.len());
    for same in rows.chunk_by(|(_, a), (_, b)| a.id == b.id) {
        let mut whole = same[same.len() - 1].1.clone();
        for (_, earlier) in same[..same.len() - 1].iter().rev() {
            whole.name = whole.name.or_else(|| earlier.name.clone());
            whole.email = whole.email.or_else(|| earlier.email.clone());
            whole.signup = whole.signup.or(earlier.signup);
            whole.signup_source = whole.signup_source.or(earlier.signup_source);
            whole.country = whole.country.or_else(|| earlier.country.clone());
        }
        for (row, earlier) in &same[..same.len() - 1] {
            let says_more = (earlier.name.is_some() && earlier.name != whole.name)
                || (earlier.email.is_some() && earlier.email != whole.email)
                || (earlier.signup.is_some() && earlier.signup != whole.signup)
                || (earlier.country.is_some() && earlier.country != whole.country);
            reasons[*row] = Some(if says_more { SUPERSEDED } else { REPEATED });
        }
        merged.push(whole);
    }
    merged
}

/// Customers that look wrong and are kept, by warning.
fn warnings(customers: &[Customer]) -> Vec<(&'static str, u64)> {
    let count = |is_odd: &dyn Fn(&Customer) -> bool| {
        customers.iter().filter(|customer| is_odd(customer)).count() as u64
    };
    let mut addresses: Vec<&str> =
        customers.iter().filter_map(|customer| customer.email.as_deref()).collect();
    addresses.sort_unstable();
    let shared = addresses.chunk_by(|a, b| a == b).filter(|same| same.len() > 1);
    let sharing = shared.map(|same| same.len() as u64).sum();
    let is_doubtful = |customer: &Customer| {
        customer.email.as_deref().is_some_and(|email| !texts::is_email(email))
    };
    vec![
        ("customers_sharing_email", sharing),
        ("doubtful_email", count(&is_doubtful)),
        ("missing_nom", count(&|customer| customer.name.is_none())),
        ("missing_email", count(&|customer| customer.email.is_none())),
        ("missing_pays", count(&|customer| customer.country.is_none())),
    ]
}
