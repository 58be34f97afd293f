//! The serving store as the owner of a lake.

use crate::lake::owner::Owner;
use crate::store::{GoldStore, Result};

/// What a store is called in the lakes that it owns.
pub(crate) async fn owner_of(store: &dyn GoldStore) -> Result<Owner> {
    Ok(Owner { store_id: store.identity().await?, location: store.location() })
}
