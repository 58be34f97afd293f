//! The switch to a generation, and the views that show it under stable names and legacy names.

use futures::{StreamExt, TryStreamExt};
use mongodb::bson::doc;
use mongodb::error::Error;

use super::commands::{durable, primary};
use super::decode::whole;
use super::errors::{Fenced, NAMESPACE_EXISTS, code};
use super::names::{Namespace, find, foreign, is_managed_view};
use super::publisher::MongoPublisher;
use super::queries::{self, NamedView};
use super::switch::Changes;
use crate::domain::manifest::Published;
use crate::domain::schema::Table;
use crate::failpoint::failpoint;
use crate::store::{Result, StoreError};

/// Names changed at once.
pub(super) const CONCURRENT_CHANGES: usize = 8;

impl MongoPublisher {
    /// Makes a generation the one that is served, then points the views at it.
    pub async fn serve(&self, published: &Published) -> Result<()> {
        let names = self.names().await?;
        self.refuse_foreign(&names, &self.expected_views(published))?;
        self.refuse_incomplete(&names, published)?;
        self.switch(published).await?;
        self.store.invalidate();
        failpoint!("committed");
        self.point_views(published).await
    }

    /// The one commit: manifest, pointer and the run's record.
    async fn switch(&self, published: &Published) -> Result<()> {
        let action = "switching to the generation";
        let changes =
            Changes::of(published, self.token, self.run, &self.connection).map_err(|source| {
                StoreError::Failed {
                    action: action.to_owned(),
                    location: self.store.place(),
                    source: source.into(),
                }
            })?;
        let is_replicated = self.deployment.is_replicated;
        let switch = || async {
            if is_replicated {
                changes.apply_together().await
            } else {
                changes.apply_in_turn().await
            }
        };
        self.store.write(action, switch).await
    }

    /// Points every stable name and legacy view at the generation's tables.
    pub async fn point_views(&self, published: &Published) -> Result<()> {
        let names = self.names().await?;
        let views = self.expected_views(published);
        self.refuse_foreign(&names, &views)?;
        let changed = views.iter().filter_map(|view| match find(&names, &view.name) {
            Some(Namespace::View(current)) if current == view => None,
            Some(_) => Some((view, "collMod")),
            None => Some((view, "create")),
        });
        futures::stream::iter(changed)
            .map(Ok)
            .try_for_each_concurrent(CONCURRENT_CHANGES, async |(view, command)| {
                self.point_view(published, view, command).await?;
                failpoint!("named:{}", view.name);
                Ok(())
            })
            .await?;
        // A view that the generation does not have would show a table that is swept.
        let catalogue = self.store.inner.catalogue;
        for (name, namespace) in &names {
            let is_expected = views.iter().any(|view| view.name == *name);
            if let Namespace::View(view) = namespace
                && !is_expected
                && is_managed_view(name, &view.on, catalogue)
            {
                self.drop_collection(name).await?;
            }
        }
        Ok(())
    }

    async fn point_view(
        &self,
        published: &Published,
        view: &NamedView,
        command: &str,
    ) -> Result<()> {
        let make = |command: &str| {
            durable(doc! {
                command: &view.name, "viewOn": &view.on, "pipeline": &view.pipeline,
            })
        };
        let generation = i64::try_from(published.manifest.generation).ok();
        let point = || async {
            // At every attempt: meanwhile another process may have taken over and published.
            self.insist_on_lease().await?;
            let pointer = self.connection.read_pointer().await?;
            if pointer.and_then(|pointer| whole(&pointer, "generation")) != generation {
                return Err(Error::custom(Fenced));
            }
            match primary(&self.connection.db, make(command)).await {
                // An earlier attempt created it and its answer was lost.
                Err(error) if code(&error) == Some(NAMESPACE_EXISTS) => {
                    primary(&self.connection.db, make("collMod")).await
                }
                answer => answer,
            }
        };
        let action = format!("pointing {} at the generation", view.name);
        self.store.write(&action, point).await.map(drop)
    }

    fn expected_views(&self, published: &Published) -> Vec<NamedView> {
        queries::named_views(&published.manifest, self.store.inner.catalogue.legacy_views)
    }

    /// Refuses names that are foreign: their collections or views would be lost.
    fn refuse_taken<'n>(
        &self,
        foreign: impl Iterator<Item = &'n str>,
        is_needed: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let taken: Vec<&str> = foreign.filter(|name| is_needed(name)).collect();
        if taken.is_empty() {
            return Ok(());
        }
        let location = self.store.place();
        Err(StoreError::NamesTaken { location, names: taken.join(", ") })
    }

    fn refuse_foreign(&self, names: &[(String, Namespace)], views: &[NamedView]) -> Result<()> {
        let is_needed = |name: &str| views.iter().any(|view| view.name == name);
        self.refuse_taken(foreign(names, self.store.inner.catalogue), is_needed)
    }

    /// Refuses a generation with a table that does not exist.
    fn refuse_incomplete(
        &self,
        names: &[(String, Namespace)],
        published: &Published,
    ) -> Result<()> {
        let is_stored = |physical: &str| find(names, physical).is_some();
        match published.manifest.tables.iter().find(|entry| !is_stored(entry.physical_name())) {
            None => Ok(()),
            Some(entry) => Err(StoreError::Removed {
                table: entry.physical_name().to_owned(),
                location: self.store.place(),
            }),
        }
    }

    /// Refuses to write a table whose stable name or legacy view is foreign.
    pub fn refuse_taken_names_of(&self, table: &Table) -> Result<()> {
        let legacy_views = self.store.inner.catalogue.legacy_views;
        let is_needed = |name: &str| {
            table.name == name
                || legacy_views
                    .iter()
                    .any(|view| view.table.name == table.name && view.name == name)
        };
        self.refuse_taken(self.foreign.iter().map(String::as_str), is_needed)
    }
}
