//! Whose purchase a row is: by number, e-mail address, telephone number, and by name if the settings say
//! so.

use polars::prelude::*;

use super::customer::Listed;
use super::layer::CleaningOptions;
use super::purchase_rows::PurchaseRows;
use super::raw::{IdCell, Raw};
use super::values::identifiers::{check_collisions, customer_number};
use super::values::texts;
use crate::pipeline::Result;

/// The buyers of all rows.
pub(super) struct Buyers {
    /// The customer of each row; `None` for a guest.
    pub(super) numbers: Vec<Option<i64>>,
    /// The texts of customers whom rows know by something else than a number of the shop, by row.
    texts: PlHashMap<usize, String>,
}

impl Buyers {
    /// What identifies the customer of a row.
    pub(super) fn text(&self, row: usize, rows: &PurchaseRows) -> String {
        let other = || self.texts.get(&row).cloned().unwrap_or_default();
        rows.customers[row].text().unwrap_or_else(other)
    }

    /// Finds the customer of each row. An order whose e-mail address is a listed customer's belongs to
    /// that customer; a guest with an address or a telephone number is the customer who has it.
    ///
    /// # Errors
    /// [`crate::pipeline::PipelineError::SameNumber`] when two texts have one number.
    pub(super) fn find(
        raw: &Raw,
        rows: &PurchaseRows,
        listed: &Listed,
        options: &CleaningOptions,
    ) -> Result<Self> {
        let salt = &options.rules.id_salt;
        let emails = raw.texts("email")?;
        let phones = raw.cells_if_any("telephone")?;
        let names = raw.names("nom")?;
        let by_name = options.rules.customers_by_name;
        let mut found =
            Self { numbers: Vec::with_capacity(raw.height()), texts: PlHashMap::default() };
        for row in 0..raw.height() {
            let email = || {
                let email = emails.get(row).filter(|email| texts::is_email(email));
                email.map(str::to_lowercase)
            };
            let number = match &rows.customers[row] {
                IdCell::Number(number) => Some(*number),
                IdCell::Text(text) => Some(customer_number(text, salt)),
                _ => None,
            };
            let buyer = if let Some(number) = number {
                let is_unlisted = !listed.is_empty() && !listed.has(number);
                let by_email = || email().and_then(|email| listed.by_email(&email));
                Some(if is_unlisted { by_email().unwrap_or(number) } else { number })
            } else if options.rules.guests_by_email {
                let phone = || phones.and_then(|phones| telephone(phones.get(row)?));
                let name = || names.get(row).filter(|_| by_name).map(str::to_owned);
                let text = email()
                    .map(|email| (listed.by_email(&email), email))
                    .or_else(|| phone().map(|phone| (listed.by_phone(&phone), phone)))
                    .or_else(|| name().map(|name| (listed.by_name(&name), name)));
                text.map(|(listed, text)| {
                    listed.unwrap_or_else(|| {
                        let number = customer_number(&text, salt);
                        found.texts.insert(row, text);
                        number
                    })
                })
            } else {
                None
            };
            found.numbers.push(buyer);
        }
        let of_ids = rows.customers.iter().filter_map(|customer| match customer {
            IdCell::Text(text) => Some(text.as_str()),
            _ => None,
        });
        check_collisions(of_ids.chain(found.texts.values().map(String::as_str)), salt)?;
        Ok(found)
    }
}

/// A telephone number as it is compared: its digits, after a plus where it has one.
pub(super) fn telephone(cell: &str) -> Option<String> {
    /// Shorter ones are no telephone numbers.
    const LEAST: usize = 6;
    let cell = cell.trim().trim_start_matches('\'');
    let digits: String = cell.chars().filter(char::is_ascii_digit).collect();
    let (plus, digits) = match digits.strip_prefix("00") {
        _ if cell.starts_with('+') => ("+", digits.as_str()),
        Some(digits) => ("+", digits),
        None => ("", digits.as_str()),
    };
    (digits.len() >= LEAST).then(|| format!("{plus}{digits}"))
}

/// Names as they are compared: whole, and as `a. rouvier` where only the initial is known.
pub(super) fn name_keys(name: &str) -> [String; 2] {
    let folded = texts::folded(name);
    let initial = folded
        .split_once(' ')
        .and_then(|(first, last)| Some(format!("{}. {last}", first.chars().next()?)));
    [folded.clone(), initial.unwrap_or(folded)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telephone_numbers_are_compared_by_their_digits() {
        assert_eq!(telephone("'+47 400-00 001").as_deref(), Some("+4740000001"));
        assert_eq!(telephone("0047 400 00 001").as_deref(), Some("+4740000001"));
        assert_eq!(telephone("(06) 12 34 56 78").as_deref(), Some("0612345678"));
        assert_eq!(telephone("n/a 12"), None);
    }

    #[test]
    fn names_are_compared_whole_or_by_initial() {
        assert_eq!(name_keys("Alba Rouvier"), ["alba rouvier", "a. rouvier"]);
        assert_eq!(name_keys("A. ROUVIER")[0], name_keys("Alba Rouvier")[1]);
    }
}
