//! Names, email addresses and countries of the customers.

use deunicode::deunicode;
use fake::Fake;
use fake::faker::name::raw::{FirstName, LastName};
use fake::locales::{DE_DE, EN, FR_FR, IT_IT, NL_NL, PT_PT};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::Distribution;
use rand_distr::weighted::WeightedIndex;

use super::population::Shop;
use super::spec::Row;
use crate::domain::time::Timestamp;

/// The columns of `clients.csv`.
pub(super) const HEADER: [&str; 5] = ["id_client", "nom", "email", "date_inscription", "pays"];

/// The locale of a name.
#[derive(Debug, Clone, Copy)]
enum Names {
    French,
    German,
    Italian,
    Dutch,
    Portuguese,
    English,
}

/// Countries with their share of customers and the locale of names there.
const COUNTRIES: &[(&str, f64, Names)] = &[
    ("France", 30.0, Names::French),
    ("Germany", 14.0, Names::German),
    ("Belgium", 9.0, Names::French),
    ("Spain", 8.0, Names::Portuguese),
    ("Italy", 8.0, Names::Italian),
    ("United Kingdom", 6.0, Names::English),
    ("Netherlands", 5.0, Names::Dutch),
    ("Switzerland", 5.0, Names::German),
    ("Portugal", 4.0, Names::Portuguese),
    ("Austria", 3.0, Names::German),
    ("Luxembourg", 2.0, Names::French),
    ("Ireland", 2.0, Names::English),
    ("Canada", 2.0, Names::French),
    ("Denmark", 1.0, Names::German),
    ("Poland", 1.0, Names::German),
];

const DOMAINS: [&str; 4] = ["example.com", "example.org", "example.net", "mail.example"];

/// One row per customer, numbered from 1 in the order they registered.
pub(super) fn rows(shop: &Shop, rng: &mut ChaCha8Rng) -> Vec<Row> {
    let shares = COUNTRIES.iter().map(|(_, share, _)| *share);
    let Ok(country) = WeightedIndex::new(shares) else { return Vec::new() };
    shop.signups
        .iter()
        .enumerate()
        .map(|(index, signup)| {
            let id = index + 1;
            let (pays, _, names) = COUNTRIES[country.sample(rng)];
            let (first, last) = name(names, rng);
            let domain = DOMAINS[rng.random_range(0..DOMAINS.len())];
            let email = format!("{}.{}{id}@{domain}", mailbox(&first), mailbox(&last));
            let day = Timestamp(*signup).day().to_string();
            vec![id.to_string(), format!("{first} {last}"), email, day, pays.to_owned()]
        })
        .collect()
}

fn name(names: Names, rng: &mut ChaCha8Rng) -> (String, String) {
    macro_rules! of {
        ($locale:expr) => {
            (FirstName($locale).fake_with_rng(rng), LastName($locale).fake_with_rng(rng))
        };
    }
    match names {
        Names::French => of!(FR_FR),
        Names::German => of!(DE_DE),
        Names::Italian => of!(IT_IT),
        Names::Dutch => of!(NL_NL),
        Names::Portuguese => of!(PT_PT),
        Names::English => of!(EN),
    }
}

/// A name as the local part of an email address: lower-case ASCII letters.
fn mailbox(name: &str) -> String {
    deunicode(name).chars().filter(char::is_ascii_alphabetic).collect::<String>().to_lowercase()
}
