//! Which serving store a lake belongs to. Two stores on one lake would remove each other's generations,
//! as neither knows what the other serves, so a lake has one owner: the first store that a run publishes
//! to, until the operator hands the lake over.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::error::{LakeError, Result};
use super::keys;
use super::layer::Layer;
use super::objects::Lake;

/// A serving store as the owner of a lake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The identity that the store keeps for as long as it exists.
    pub store_id: String,
    /// Where the store is, for messages.
    pub location: String,
}

impl Owner {
    /// The store in a sentence: locations alone may be equal, as relative paths are.
    fn describe(&self) -> String {
        format!("{} (id {})", self.location, self.store_id)
    }
}

impl Lake {
    /// The owner of this lake; `None` before its first run.
    ///
    /// # Errors
    /// [`LakeError::Owner`], [`LakeError::Object`].
    pub async fn owner(&self) -> Result<Option<Owner>> {
        let Some(bytes) = self.get(Layer::Gold, keys::OWNER).await? else { return Ok(None) };
        let owner = serde_json::from_slice(&bytes);
        owner.map(Some).map_err(|source| LakeError::Owner {
            path: self.locate(Layer::Gold, keys::OWNER),
            source,
        })
    }

    /// Checks that this lake belongs to a store, or to none yet.
    ///
    /// # Errors
    /// [`LakeError::OtherOwner`] when it belongs to another one.
    pub async fn check_owner(&self, store: &Owner) -> Result<()> {
        match self.owner().await? {
            Some(owner) if owner.store_id != store.store_id => Err(LakeError::OtherOwner {
                place: self.place(Layer::Gold),
                owner: owner.describe(),
                store: store.describe(),
            }),
            _ => Ok(()),
        }
    }

    /// Makes a store the owner of a lake that has none, and checks that it is the owner. Of two stores at
    /// once one wins: by a conditional write, by the lock that the caller holds, or, where the lake has
    /// neither, at the latest when the loser checks again before it commits.
    ///
    /// # Errors
    /// [`LakeError::OtherOwner`] when the lake belongs to another store.
    pub async fn claim(&self, store: &Owner) -> Result<()> {
        if self.owner().await?.is_none() {
            match self.commit(Layer::Gold, keys::OWNER, encode(store)?).await {
                // The check names the winner.
                Ok(()) | Err(LakeError::AlreadyCommitted(_)) => {}
                Err(error) => return Err(error),
            }
        }
        self.check_owner(store).await
    }

    /// Makes a store the owner of this lake, also of one that another store owns. The caller holds the lake's lock.
    ///
    /// # Errors
    /// [`LakeError::Object`].
    pub async fn adopt(&self, store: &Owner) -> Result<()> {
        self.put(Layer::Gold, keys::OWNER, encode(store)?).await
    }
}

fn encode(store: &Owner) -> Result<Bytes> {
    let json = serde_json::to_vec_pretty(store).map_err(|source| LakeError::Produce {
        path: keys::OWNER.to_owned(),
        source: source.into(),
    })?;
    Ok(json.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(id: &str) -> Owner {
        Owner { store_id: id.to_owned(), location: "sqlite ./data/serving.db".to_owned() }
    }

    #[tokio::test]
    async fn a_lake_belongs_to_the_first_store_until_it_is_handed_over() {
        let lake = Lake::in_memory();
        let (one, other) = (store("one"), store("other"));
        assert_eq!(lake.owner().await.unwrap(), None);
        lake.check_owner(&other).await.unwrap();
        for _ in 0..2 {
            lake.claim(&one).await.unwrap();
        }
        for refused in [lake.claim(&other).await, lake.check_owner(&other).await] {
            let text = refused.unwrap_err().to_string();
            assert!(text.contains("memory://gold belongs to the serving store"), "{text}");
            assert!(text.contains("(id one), and this one is"), "{text}");
            assert!(text.contains("(id other)"), "{text}");
        }
        lake.adopt(&other).await.unwrap();
        lake.claim(&other).await.unwrap();
        assert!(matches!(lake.claim(&one).await, Err(LakeError::OtherOwner { .. })));
        // The same store at another place is the same store.
        let moved = Owner { location: "sqlite /srv/serving.db".to_owned(), ..other };
        lake.claim(&moved).await.unwrap();
    }

    #[tokio::test]
    async fn of_stores_that_claim_a_lake_at_once_one_wins() {
        let lake = Lake::in_memory();
        let claims = (0..8).map(|number| {
            let lake = lake.clone();
            tokio::spawn(async move { lake.claim(&store(&number.to_string())).await })
        });
        let claims = futures::future::join_all(claims).await;
        let won = claims.into_iter().filter(|claim| claim.as_ref().unwrap().is_ok()).count();
        assert_eq!(won, 1);
    }

    #[tokio::test]
    async fn an_owner_that_cannot_be_read_is_an_error() {
        let lake = Lake::in_memory();
        lake.put(Layer::Gold, keys::OWNER, "{".into()).await.unwrap();
        let error = lake.claim(&store("one")).await.unwrap_err();
        assert!(error.to_string().contains("memory://gold/owner.json"), "{error}");
        lake.adopt(&store("one")).await.unwrap();
        lake.claim(&store("one")).await.unwrap();
    }
}
