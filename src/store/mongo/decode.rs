//! Values of the server's answers: counts, totals, manifests.

use mongodb::bson::{self, Bson, Document};

use super::connection::Connection;
use crate::domain::manifest::{Published, Totals};
use crate::domain::schema::{Purchases, Table};
use crate::store::{Result, StoreError};

/// A count or an identifier, in either width that the server uses.
pub(super) fn whole(document: &Document, key: &str) -> Option<i64> {
    match document.get(key)? {
        Bson::Int32(v) => Some(i64::from(*v)),
        Bson::Int64(v) => Some(*v),
        // The server returns a double when a sum of integers overflows; no sum here gets that large.
        _ => None,
    }
}

fn number(document: &Document, key: &str) -> Option<f64> {
    match document.get(key)? {
        Bson::Double(v) => Some(*v),
        Bson::Int32(v) => Some(f64::from(*v)),
        _ => None,
    }
}

/// The rows and totals that [`queries::totals`] found; an empty collection has no document.
///
/// [`queries::totals`]: super::queries::totals
pub(super) fn read_totals(table: &Table, found: Option<&Document>) -> (u64, Option<Totals>) {
    let count = |key: &str| found.and_then(|found| whole(found, key)).unwrap_or(0);
    let rows = count("rows");
    let totals = table.tally.map(|tally| Totals {
        revenue: found.and_then(|found| number(found, "revenue")).unwrap_or(0.0),
        purchases: match tally.purchases {
            Purchases::Lines => Some(rows),
            Purchases::Orders(_) | Purchases::SaleLines(_) => Some(count("purchases")),
            Purchases::Unknown => None,
        },
    });
    (u64::try_from(rows).unwrap_or(0), totals)
}

pub(super) fn read_manifest(mut stored: Document, connection: &Connection) -> Result<Published> {
    let id = stored.get("_id").map(ToString::to_string).unwrap_or_default();
    let published = stored.remove("published").unwrap_or(Bson::Null);
    bson::deserialize_from_bson(published).map_err(|error| {
        tracing::debug!(%error, "a manifest does not decode");
        StoreError::Decode {
            table: format!("{}.manifests", connection.ops.name()),
            column: "published".to_owned(),
            ty: "manifest",
            key: id,
        }
    })
}
