//! PrestaShop in French: Commandes > Exporter and Clients > Exporter.
//!
//! Orders have a total, no lines, and know a customer by initial and last name only. A status says that all
//! of an order was refunded; of a part it does not say how much.

use super::table::{french_euros, stamp, write};
use super::view::{CustomerColumn, Entry, EntryColumn, customers, hashed, orders};
use crate::sample::shop::Shop;
use crate::sample::spec::{Files, SampleError};

/// What these files begin with.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Writes both files, the latest row first.
pub(super) fn files(shop: &Shop) -> Result<Files, SampleError> {
    let customers = write(b';', CUSTOMERS, customers(shop).into_iter().rev())?;
    let orders = write(b';', ORDERS, orders(shop).rev())?;
    Ok(vec![
        ("customer_2026-01-01_000000.csv", [BYTE_ORDER_MARK, &customers].concat()),
        ("order_2026-01-01_000000.csv", [BYTE_ORDER_MARK, &orders].concat()),
    ])
}

/// Nine capital letters.
fn reference(entry: &Entry<'_>) -> String {
    let digits = hashed("reference", entry.number());
    let letter =
        |digit: char| char::from(b'A' + u8::try_from(digit.to_digit(16).unwrap_or(0)).unwrap_or(0));
    digits.chars().take(9).map(letter).collect()
}

/// `A. ROUVIER`
fn customer(entry: &Entry<'_>) -> String {
    let buyer = entry.buyer();
    let initial = buyer.first.chars().next().unwrap_or('-').to_uppercase();
    format!("{initial}. {}", buyer.last.to_uppercase())
}

fn status(entry: &Entry<'_>) -> String {
    let order = entry.order();
    let status = match &order.refund {
        Some(_) if order.is_given_back() => "Remboursé",
        Some(_) => "Remboursement partiel",
        None => "Livré",
    };
    status.to_owned()
}

const ORDERS: &[EntryColumn] = &[
    ("ID", |e| e.number().to_string()),
    ("Référence", reference),
    ("Nouveau client", |e| u8::from(e.order().is_first).to_string()),
    ("Livraison", |e| e.buyer().country.name.to_owned()),
    ("Client", customer),
    ("Société", |_| String::new()),
    ("Total", |e| french_euros(e.total())),
    ("Paiement", |_| "Carte bancaire".to_owned()),
    ("État", status),
    ("Date", |e| stamp(e.at())),
];

const CUSTOMERS: &[CustomerColumn] = &[
    ("ID", |c| c.number.to_string()),
    ("Titre de civilité", |_| String::new()),
    ("Prénom", |c| c.customer.person.first.clone()),
    ("Nom", |c| c.customer.person.last.clone()),
    ("Adresse e-mail", |c| c.customer.email.clone()),
    ("Groupe", |_| "Client".to_owned()),
    ("Société", |_| String::new()),
    ("Ventes", |c| if c.orders > 0 { french_euros(c.spent) } else { "--".to_owned() }),
    ("Activé", |_| "1".to_owned()),
    ("Newsletter", |_| "0".to_owned()),
    ("Offres partenaires", |_| "0".to_owned()),
    ("Inscription", |c| stamp(c.customer.signup)),
    ("Dernière visite", |c| c.last_at.map_or_else(|| "--".to_owned(), stamp)),
];
