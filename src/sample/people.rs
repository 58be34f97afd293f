//! Names, email addresses and countries of customers and guests.

use deunicode::deunicode;
use fake::Fake;
use fake::faker::name::raw::{FirstName, LastName};
use fake::locales::{DE_DE, EN, FR_FR, IT_IT, NL_NL, PT_PT};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::Distribution;
use rand_distr::weighted::WeightedIndex;

use super::spec::SampleError;

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

/// A country.
#[derive(Debug)]
pub(super) struct Country {
    /// Its English short name.
    pub(super) name: &'static str,
    /// Its two letters in ISO 3166.
    pub(super) code: &'static str,
    /// Its share of customers, per cent.
    share: f64,
    /// The locale of names there.
    names: Names,
}

/// Someone who buys.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) first: String,
    pub(super) last: String,
    pub(super) country: &'static Country,
}

/// Someone whom the shop knows.
#[derive(Debug)]
pub(super) struct Customer {
    pub(super) person: Person,
    /// The address, which no other customer has.
    pub(super) email: String,
    /// Day of registration, microseconds.
    pub(super) signup: i64,
}

impl Person {
    /// First and last name.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.first, self.last)
    }
}

const fn country(name: &'static str, code: &'static str, share: f64, names: Names) -> Country {
    Country { name, code, share, names }
}

static COUNTRIES: [Country; 15] = [
    country("France", "FR", 30.0, Names::French),
    country("Germany", "DE", 14.0, Names::German),
    country("Belgium", "BE", 9.0, Names::French),
    country("Spain", "ES", 8.0, Names::Portuguese),
    country("Italy", "IT", 8.0, Names::Italian),
    country("United Kingdom", "GB", 6.0, Names::English),
    country("Netherlands", "NL", 5.0, Names::Dutch),
    country("Switzerland", "CH", 5.0, Names::German),
    country("Portugal", "PT", 4.0, Names::Portuguese),
    country("Austria", "AT", 3.0, Names::German),
    country("Luxembourg", "LU", 2.0, Names::French),
    country("Ireland", "IE", 2.0, Names::English),
    country("Canada", "CA", 2.0, Names::French),
    country("Denmark", "DK", 1.0, Names::German),
    country("Poland", "PL", 1.0, Names::German),
];

const DOMAINS: [&str; 4] = ["example.com", "example.org", "example.net", "mail.example"];

/// The customers, in the order they registered.
pub(super) fn customers(
    signups: &[i64],
    rng: &mut ChaCha8Rng,
) -> Result<Vec<Customer>, SampleError> {
    let countries = countries()?;
    let customer = |(index, signup): (usize, &i64)| {
        let person = draw(&countries, rng);
        let domain = DOMAINS[rng.random_range(0..DOMAINS.len())];
        let (first, last) = (mailbox(&person.first), mailbox(&person.last));
        let email = format!("{first}.{last}{}@{domain}", index + 1);
        Customer { person, email, signup: *signup }
    };
    Ok(signups.iter().enumerate().map(customer).collect())
}

/// People of whom the shop knows a name and a country only.
pub(super) fn guests(number: usize, rng: &mut ChaCha8Rng) -> Result<Vec<Person>, SampleError> {
    let countries = countries()?;
    Ok((0..number).map(|_| draw(&countries, rng)).collect())
}

fn countries() -> Result<WeightedIndex<f64>, SampleError> {
    WeightedIndex::new(COUNTRIES.iter().map(|country| country.share))
        .map_err(|error| SampleError::Impossible(error.to_string()))
}

fn draw(countries: &WeightedIndex<f64>, rng: &mut ChaCha8Rng) -> Person {
    let country = &COUNTRIES[countries.sample(rng)];
    let (first, last) = name(country.names, rng);
    Person { first, last, country }
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
