//! The two files of the older systems: `clients.csv` and `achats.csv`.
//!
//! The rows of one number are the lines of an order; what is given back is a row under the number of its
//! order, with a negative amount. A guest has no customer number.

use super::table::{day, plain, stamp};
use super::view::{Entry, Listed, customers, movements};
use crate::sample::shop::Shop;
use crate::sample::spec::Row;

/// The columns of `clients.csv`.
pub(crate) const CUSTOMERS: [&str; 5] = ["id_client", "nom", "email", "date_inscription", "pays"];

/// The columns of `achats.csv`.
pub(crate) const PURCHASES: [&str; 7] =
    ["id_achat", "id_client", "date_achat", "montant", "produit", "quantite", "prix"];

/// The rows of `clients.csv`, in the order the customers registered.
pub(crate) fn customer_rows(shop: &Shop) -> Vec<Row> {
    let row = |listed: Listed<'_>| {
        let customer = listed.customer;
        let country = customer.person.country.name.to_owned();
        vec![
            listed.number.to_string(),
            customer.person.name(),
            customer.email.clone(),
            day(customer.signup),
            country,
        ]
    };
    customers(shop).into_iter().map(row).collect()
}

/// The rows of `achats.csv`, in chronological order.
pub(crate) fn purchase_rows(shop: &Shop) -> Vec<Row> {
    let row = |line: Entry<'_>| {
        let customer = line.customer_number();
        vec![
            line.number().to_string(),
            customer.map_or_else(String::new, |number| number.to_string()),
            stamp(line.at()),
            plain(line.amount()),
            line.product().to_owned(),
            line.signed(i64::from(line.units())).to_string(),
            plain(line.price()),
        ]
    };
    movements(shop).into_iter().flat_map(Entry::lines).map(row).collect()
}
