//! The `goldsmith` profile: the canonical columns of each data set, their headers, and what a file
//! must have to be recognised.

use std::sync::LazyLock;

use super::headers::fold;
use crate::domain::data_set::{DataSet, PerDataSet};
use crate::domain::reading::{DateOrder, Reading};
use crate::domain::verdict::Verdict;

/// A canonical column.
pub(super) struct Known {
    /// Its name.
    pub name: &'static str,
    /// Headers that it is recognised by, in order of preference, its own name first.
    pub headers: &'static [&'static str],
    /// Whether a file of the data set must have it.
    pub is_required: bool,
}

const fn required(headers: &'static [&'static str]) -> Known {
    Known { name: headers[0], headers, is_required: true }
}

const fn optional(headers: &'static [&'static str]) -> Known {
    Known { name: headers[0], headers, is_required: false }
}

const CUSTOMERS: &[Known] = &[
    required(&["id_client", "client_id", "customer_id"]),
    optional(&["nom", "name", "full_name"]),
    optional(&["email", "mail"]),
    optional(&["date_inscription", "subscription_date", "signup_date"]),
    optional(&["pays", "country"]),
];

const PURCHASES: &[Known] = &[
    optional(&["id_achat", "id_purchase", "purchase_id", "order_id", "id_commande"]),
    required(&["id_client", "client_id", "customer_id"]),
    required(&["date_achat", "purchase_date", "date", "timestamp"]),
    required(&["montant", "total", "amount"]),
    optional(&["produit", "product", "item"]),
    optional(&["quantite", "quantity"]),
    optional(&["prix", "price", "unit_price"]),
    optional(&["email", "mail"]),
    optional(&["pays", "country"]),
    optional(&["devise", "currency"]),
    optional(&["nom", "customer_name"]),
];

/// Columns of purchases that a customers' file has no use for.
const ONLY_PURCHASES: [&str; 6] =
    ["id_achat", "date_achat", "montant", "produit", "quantite", "prix"];

/// The amount of a row, and what makes one where it is not there.
pub(super) const AMOUNT: &str = "montant";
pub(super) const PRICED: [&str; 2] = ["quantite", "prix"];

/// The canonical columns of a data set, in the order raw frames list them.
pub(super) const fn known(set: DataSet) -> &'static [Known] {
    match set {
        DataSet::Customers => CUSTOMERS,
        DataSet::Purchases => PURCHASES,
    }
}

/// How the values of a file are meant. Of a file that the settings map, nothing is known.
pub(super) fn reading_of(verdict: &Verdict) -> Reading {
    let utc = columns_in_utc(verdict);
    if verdict.profile != Verdict::GOLDSMITH {
        return Reading { utc, ..verdict.reading.clone() };
    }
    let date_order = Some(DateOrder::DayFirst);
    Reading { date_order, row_key: has_row_key(verdict), utc, ..Reading::default() }
}

/// The columns whose header says that instants are in UTC, like `Created (UTC)`.
fn columns_in_utc(verdict: &Verdict) -> Vec<String> {
    let is_utc = |header: &str| {
        let mut parts = header.split(|c: char| !c.is_alphanumeric());
        parts.any(|part| ["UTC", "GMT"].iter().any(|zone| part.eq_ignore_ascii_case(zone)))
    };
    let columns = verdict.columns.iter().filter(|column| is_utc(&column.header));
    columns.map(|column| column.column.clone()).collect()
}

/// Whether id_achat may identify rows: in files whose header says so, unlike `order_id`.
fn has_row_key(verdict: &Verdict) -> bool {
    const ROW_KEYS: [&str; 3] = ["id_achat", "id_purchase", "purchase_id"];
    let is_key = |header: &str| ROW_KEYS.iter().any(|key| fold(key) == fold(header));
    let mut columns = verdict.columns.iter();
    columns.any(|column| column.column == "id_achat" && is_key(&column.header))
}

/// Whether a data set has this canonical column.
#[must_use]
pub fn is_column(set: DataSet, name: &str) -> bool {
    known(set).iter().any(|column| column.name == name)
}

/// Canonical columns of a data set that versions without verdicts did not read.
#[must_use]
pub const fn newer_columns(set: DataSet) -> &'static [&'static str] {
    match set {
        DataSet::Customers => &[],
        DataSet::Purchases => &["email", "pays", "devise", "nom"],
    }
}

/// The data set that the settings call so: `customers`, `purchases`.
#[must_use]
pub fn set_by_kind(kind: &str) -> Option<DataSet> {
    DataSet::ALL.iter().copied().find(|set| set.noun() == kind)
}

/// The data set that a name of the older systems announces: `clients*`, `achats*`, `purchases*`.
pub(super) fn set_by_name(file_name: &str) -> Option<DataSet> {
    let name = file_name.to_lowercase();
    let stem = name.strip_suffix(".gz").unwrap_or(&name);
    let stem = [".csv", ".tsv", ".txt"].iter().find_map(|end| stem.strip_suffix(end))?;
    let has = |prefix: &str| stem.starts_with(prefix);
    match () {
        () if has("clients") => Some(DataSet::Customers),
        () if has("achats") || has("purchases") => Some(DataSet::Purchases),
        () => None,
    }
}

/// How well a header fits each data set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fit {
    /// The canonical columns that it names.
    pub columns: usize,
    /// Whether it has what a file of the data set must have.
    pub is_complete: bool,
}

/// The folded headers of each known column of each data set: they are compared with every cell of every
/// line that may be a header.
static FOLDED: LazyLock<PerDataSet<Vec<Vec<String>>>> = LazyLock::new(|| {
    let fold_all = |column: &Known| column.headers.iter().map(|header| fold(header)).collect();
    PerDataSet::from_fn(|set| known(set).iter().map(fold_all).collect())
});

/// The known columns of a data set that a folded header names.
fn named_columns(set: DataSet, folded: &[String]) -> impl Iterator<Item = &'static Known> {
    let pairs = known(set).iter().zip(&FOLDED[set]);
    let is_named = move |headers: &[String]| folded.iter().any(|cell| headers.contains(cell));
    pairs.filter(move |(_, headers)| is_named(headers)).map(|(column, _)| column)
}

/// How well a folded header fits the data sets.
pub(super) fn fits(folded: &[String]) -> PerDataSet<Fit> {
    PerDataSet::from_fn(|set| {
        let required = known(set).iter().filter(|column| column.is_required).count();
        let (mut columns, mut found) = (0, 0);
        for column in named_columns(set, folded) {
            columns += 1;
            found += usize::from(column.is_required);
        }
        // An amount may be made of what a unit costs.
        let is_priced =
            PRICED.iter().all(|name| named_columns(set, folded).any(|column| column.name == *name));
        let has_amount = named_columns(set, folded).any(|column| column.name == AMOUNT);
        let found = found + usize::from(set == DataSet::Purchases && is_priced && !has_amount);
        Fit { columns, is_complete: found == required }
    })
}

/// The data set that a folded header is of: purchases with an identifier, a date and an amount, else
/// customers with an identifier and something about them. A header with what only purchases have, but
/// not enough of it, is of none: its money must not be taken for a list of customers.
pub(super) fn set_of(folded: &[String]) -> Option<DataSet> {
    let fits = fits(folded);
    if fits[DataSet::Purchases].is_complete {
        return Some(DataSet::Purchases);
    }
    let about_purchases: Vec<&str> = named_columns(DataSet::Purchases, folded)
        .map(|column| column.name)
        .filter(|name| ONLY_PURCHASES.contains(name))
        .collect();
    let is_order = about_purchases.len() > 1 || about_purchases.contains(&"id_achat");
    let customers = fits[DataSet::Customers];
    (customers.is_complete && customers.columns > 1 && !is_order).then_some(DataSet::Customers)
}

/// The data set that a header is nearest to.
pub(super) fn nearest_set(folded: &[String]) -> DataSet {
    let fits = fits(folded);
    let nearest = DataSet::ALL.iter().copied().max_by_key(|set| fits[*set].columns);
    nearest.filter(|set| fits[*set].columns > 0).unwrap_or(DataSet::Purchases)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(header: &str) -> Option<DataSet> {
        set_of(&header.split(',').map(fold).collect::<Vec<_>>())
    }

    #[test]
    fn a_file_is_what_its_header_says() {
        for header in
            ["ID Client,Nom", "customer-id,E-Mail", "client_id,\"PAYS\"", "id_client,nom,total"]
        {
            assert_eq!(of(header), Some(DataSet::Customers), "{header}");
        }
        for header in
            ["order_id,customer_id,date,total", "Id-Client,Date Achat,MONTANT,nom,email,pays"]
        {
            assert_eq!(of(header), Some(DataSet::Purchases), "{header}");
        }
        for header in [
            "id_client",
            "nom,email,pays",
            "id_client,email,date,produit",
            "order_id,id_client,pays",
        ] {
            assert_eq!(of(header), None, "{header}");
        }
    }

    #[test]
    fn names_of_the_earlier_systems_announce_their_data_set_regardless_of_case() {
        for (name, set) in [
            ("clients.csv", DataSet::Customers),
            ("Clients-2024.CSV", DataSet::Customers),
            ("purchases_q1.tsv", DataSet::Purchases),
            ("achats.csv.gz", DataSet::Purchases),
        ] {
            assert_eq!(set_by_name(name), Some(set), "{name}");
        }
        for other in ["mes_clients.csv", "achats.csv.bak", "ground_truth.json", "achats"] {
            assert_eq!(set_by_name(other), None, "{other}");
        }
    }

    #[test]
    fn every_canonical_column_has_its_own_name_as_header_and_no_header_twice() {
        for set in DataSet::ALL {
            let folded: Vec<String> =
                known(*set).iter().flat_map(|column| column.headers).map(|h| fold(h)).collect();
            let mut distinct = folded.clone();
            distinct.sort();
            distinct.dedup();
            assert_eq!(distinct.len(), folded.len(), "{set}");
            assert_eq!(set_by_kind(set.noun()), Some(*set));
        }
    }
}
