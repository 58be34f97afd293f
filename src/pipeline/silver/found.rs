//! Customers as purchases name them: those that no file lists, and what files leave open.

use std::collections::BTreeMap;

use polars::prelude::*;

use super::buyers::Buyers;
use super::customer::{Customer, customers_of, frame_of};
use super::purchase_rows::PurchaseRows;
use super::raw::Raw;
use super::values::texts;
use crate::domain::data_set::{DataSet, PerDataSet};
use crate::domain::time::DAY_MICROS;
use crate::pipeline::Result;

/// What `date_inscription_source` says of the day of the first purchase.
const FROM_PURCHASE: &str = "first_purchase";

/// What purchases say of customers who are not listed, or not wholly.
#[derive(Debug, Default)]
pub struct FoundCustomers(BTreeMap<i64, Found>);

#[derive(Debug, Default)]
struct Found {
    ref_client: String,
    name: Latest,
    email: Latest,
    country: Latest,
    /// Microseconds of the first sale, and of the first line of any kind.
    first_sale: Option<i64>,
    first: Option<i64>,
}

/// The value of the latest line that has one.
#[derive(Debug, Default)]
struct Latest(Option<(i64, String)>);

impl Latest {
    fn see(&mut self, at: i64, value: Option<&str>) {
        let is_later = self.0.as_ref().is_none_or(|(seen, _)| at >= *seen);
        if let (Some(value), true) = (value, is_later) {
            self.0 = Some((at, value.to_owned()));
        }
    }

    fn value(&self) -> Option<String> {
        self.0.as_ref().map(|(_, value)| value.clone())
    }
}

impl FoundCustomers {
    /// Of the served lines.
    pub(super) fn collect(raw: &Raw, rows: &PurchaseRows, buyers: &Buyers) -> Result<Self> {
        let (names, emails, countries) = (raw.names("nom")?, raw.texts("email")?, raw.countries()?);
        let mut found: BTreeMap<i64, Found> = BTreeMap::new();
        for (row, buyer) in buyers.numbers.iter().enumerate() {
            let (Some(id), None, Some(at)) = (buyer, rows.reasons[row], rows.at[row]) else {
                continue;
            };
            if buyers.is_incomplete[row] == Some(false) {
                continue;
            }
            let email = emails.get(row).map(str::to_lowercase);
            let customer = found.entry(*id).or_insert_with(|| Found {
                ref_client: buyers.text(row, rows),
                ..Found::default()
            });
            customer.name.see(at, names.get(row));
            customer.email.see(at, email.as_deref().filter(|email| texts::is_email(email)));
            customer.country.see(at, countries.get(row));
            customer.first = Some(customer.first.map_or(at, |first| first.min(at)));
            if rows.micros[row] >= 0 {
                customer.first_sale = Some(customer.first_sale.map_or(at, |first| first.min(at)));
            }
        }
        Ok(Self(found))
    }

    /// Adds those found to silver's customers, and fills the fields that those leave open.
    pub(super) fn complete(mut self, valid: &mut PerDataSet<DataFrame>) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut customers = customers_of(&valid[DataSet::Customers])?;
        for customer in &mut customers {
            if let Some(found) = self.0.remove(&customer.id) {
                found.fill(customer);
            }
        }
        for (id, found) in self.0 {
            let mut customer =
                Customer { id, ref_client: found.ref_client.clone(), ..Customer::default() };
            found.fill(&mut customer);
            customers.push(customer);
        }
        customers.sort_by_key(|customer| customer.id);
        valid[DataSet::Customers] = frame_of(&customers)?;
        Ok(())
    }
}

impl Found {
    fn fill(&self, customer: &mut Customer) {
        customer.name = customer.name.take().or_else(|| self.name.value());
        customer.email = customer.email.take().or_else(|| self.email.value());
        customer.country = customer.country.take().or_else(|| self.country.value());
        if customer.signup.is_none() {
            let first = self.first_sale.or(self.first);
            let day = first.and_then(|at| i32::try_from(at.div_euclid(DAY_MICROS)).ok());
            customer.signup = day;
            customer.signup_source = day.map(|_| FROM_PURCHASE);
        }
    }
}
