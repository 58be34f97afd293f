//! Whose purchase a row is: by number, e-mail address, telephone number, and by name if the settings say
//! so.

use polars::prelude::*;

use super::customer::Listed;
use super::layer::CleaningOptions;
use super::purchase_rows::PurchaseRows;
use super::raw::{IdCell, Raw};
use super::values::contacts::telephone;
use super::values::identifiers::{check_collisions, customer_number};
use super::values::texts;
use crate::pipeline::Result;

/// The buyers of all rows.
pub(super) struct Buyers {
    /// The customer of each row; `None` for a guest.
    pub(super) numbers: Vec<Option<i64>>,
    /// Whether the customer of each row is listed, and if so whether a field is missing.
    pub(super) is_incomplete: Vec<Option<bool>>,
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
        let mut found = Self {
            numbers: Vec::with_capacity(raw.height()),
            is_incomplete: Vec::with_capacity(raw.height()),
            texts: PlHashMap::default(),
        };
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
            let incomplete = number.and_then(|number| listed.is_incomplete(number));
            let buyer = if let Some(number) = number {
                let by_email = || email().and_then(|email| listed.by_email(&email));
                Some(if incomplete.is_some() { number } else { by_email().unwrap_or(number) })
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
            let incomplete = match buyer {
                buyer if buyer == number => incomplete,
                buyer => buyer.and_then(|buyer| listed.is_incomplete(buyer)),
            };
            found.numbers.push(buyer);
            found.is_incomplete.push(incomplete);
        }
        let of_ids = rows.customers.iter().filter_map(|customer| match customer {
            IdCell::Text(text) => Some(text.as_str()),
            _ => None,
        });
        check_collisions(of_ids.chain(found.texts.values().map(String::as_str)), salt)?;
        Ok(found)
    }
}
