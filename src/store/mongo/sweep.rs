//! The sweep: deletes old generations and drops the collections that no stored generation uses.

use futures::{StreamExt, TryStreamExt};
use mongodb::bson::doc;

use super::decode::read_manifest;
use super::names::{Namespace, is_managed, list_manifests};
use super::publisher::MongoPublisher;
use super::views::CONCURRENT_CHANGES;
use crate::domain::manifest::{Published, TableEntry};
use crate::store::Result;

impl MongoPublisher {
    /// Keeps the newest `keep` generations and the active one. Returns how many collections it
    /// dropped.
    pub async fn sweep_unused(&self, keep: usize) -> Result<usize> {
        self.confirm_lease().await?;
        let list = || list_manifests(&self.connection);
        let stored = self.store.short_command("listing generations", list).await?;
        let stored: Vec<Published> = stored
            .into_iter()
            .map(|manifest| read_manifest(manifest, &self.connection))
            .collect::<Result<_>>()?;
        let active = self.active_number().await?;
        let (retained, expired): (Vec<_>, Vec<_>) =
            stored.iter().rev().enumerate().partition(|(age, published)| {
                *age < keep || Some(published.manifest.generation) == active
            });
        let expired: Vec<i64> = expired
            .iter()
            .filter_map(|(_, published)| i64::try_from(published.manifest.generation).ok())
            .collect();
        if !expired.is_empty() {
            let delete = || async {
                // A later holder of the lease may have rolled back to one of them.
                let old = doc! { "_id": { "$in": &expired }, "fence": { "$lte": self.token } };
                self.connection.manifests().delete_many(old).await
            };
            self.store.short_command("deleting old generations", delete).await?;
        }
        let used: Vec<&str> = retained
            .iter()
            .flat_map(|(_, published)| &published.manifest.tables)
            .map(TableEntry::physical_name)
            .collect();
        let names = self.names().await?;
        let unused: Vec<&str> = names
            .iter()
            .filter(|(_, namespace)| *namespace == Namespace::Collection)
            .map(|(name, _)| name.as_str())
            .filter(|name| is_managed(name, self.store.inner.catalogue) && !used.contains(name))
            .collect();
        futures::stream::iter(&unused)
            .map(Ok)
            .try_for_each_concurrent(CONCURRENT_CHANGES, async |name| {
                self.drop_collection(name).await
            })
            .await?;
        Ok(unused.len())
    }
}
