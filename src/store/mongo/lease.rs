//! The right to publish: one document whose time is the server's, renewed while its holder lives.
//!
//! Its token grows with each holder and is raised in the pointer as a fence.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, doc};
use mongodb::error::Error;
use mongodb::options::ReturnDocument;

use super::commands::millis;
use super::connection::{Connection, DUPLICATE_KEY, code};
use super::runs::{abandon_running, begin};
use super::{POINTER, whole};
use crate::runs::RunSpec;
use crate::store::Result;

/// A sign of life that failed is given again after this part of the usual time.
const SOON: u32 = 8;
/// The `_id` of the right to publish.
const LEASE: &str = "publish";

/// What came of asking for the lease.
pub enum LeaseAttempt {
    /// It is ours, with this token.
    Taken(i64),
    /// Somebody has it; the sign of life changes while they are there.
    Held(DateTime),
}

/// How often a holder gives a sign of life.
pub fn sign_of_life(lease: Duration) -> Duration {
    lease / 3
}

/// Takes the lease if it has run out by the server's time, or if its last sign of life still is the
/// one that has been `silent` for too long. The token is greater than any there ever was, also where
/// somebody removed the lease.
pub async fn claim(
    connection: &Connection,
    lease: Duration,
    holder: &str,
    nonce: ObjectId,
    silent: Option<DateTime>,
) -> std::result::Result<LeaseAttempt, Error> {
    let leases = connection.leases();
    let ours = doc! { "_id": LEASE, "nonce": nonce };
    if let Some(ours) = leases.find_one(ours).max_time(connection.longest).await? {
        // An earlier try took it and its answer was lost.
        return Ok(LeaseAttempt::Taken(whole(&ours, "token").unwrap_or(0)));
    }
    let free = doc! { "_id": LEASE, "token": 0_i64, "expires_at": DateTime::from_millis(0) };
    match leases.insert_one(free).await {
        Err(error) if code(&error) != Some(DUPLICATE_KEY) => return Err(error),
        _ => {}
    }
    let pointer = connection.read_pointer().await?;
    let fence = pointer.and_then(|pointer| whole(&pointer, "fence")).unwrap_or(0);
    let last = connection.newest_runs(1).await?.pop();
    let last = last.and_then(|last| whole(&last, "_id")).unwrap_or(0);
    let mut free = doc! { "_id": LEASE, "$expr": { "$lte": ["$expires_at", "$$NOW"] } };
    if let Some(silent) = silent {
        free = doc! { "_id": LEASE, "$or": [free, { "expires_at": silent }] };
    }
    let taken = leases
        .find_one_and_update(
            free,
            vec![doc! { "$set": {
                "token": { "$add": [{ "$max": ["$token", fence.max(last)] }, 1_i64] },
                "holder": { "$literal": holder },
                "nonce": nonce,
                "expires_at": { "$add": ["$$NOW", millis(lease)] },
            } }],
        )
        .return_document(ReturnDocument::After)
        .await?;
    if let Some(taken) = taken {
        return Ok(LeaseAttempt::Taken(whole(&taken, "token").unwrap_or(0)));
    }
    let held = leases.find_one(doc! { "_id": LEASE }).max_time(connection.longest).await?;
    let sign = held.and_then(|held| held.get_datetime("expires_at").ok().copied());
    Ok(LeaseAttempt::Held(sign.unwrap_or(DateTime::from_millis(0))))
}

/// Raises the fence and starts the run's record: its number, or why it does not begin.
pub async fn start(
    connection: &Connection,
    token: i64,
    order: &RunSpec,
    holder: &str,
) -> std::result::Result<Result<i64>, Error> {
    connection
        .pointer()
        .update_one(doc! { "_id": POINTER }, doc! { "$max": { "fence": token } })
        .upsert(true)
        .await?;
    let pointer = connection.read_pointer().await?;
    if let Some(newest) = pointer.and_then(|pointer| whole(&pointer, "newest")) {
        // Left by a holder that ended before its switch: they were never served.
        let never_served = doc! { "_id": { "$gt": newest }, "fence": { "$lt": token } };
        connection.manifests().delete_many(never_served).await?;
    }
    abandon_running(connection, doc! { "token": { "$ne": token } }).await?;
    begin(connection, token, order, holder).await
}

/// Whether nobody holds the lease, by the server's time.
pub async fn is_free(connection: &Connection) -> std::result::Result<bool, Error> {
    let held = doc! { "_id": LEASE, "$expr": { "$gt": ["$expires_at", "$$NOW"] } };
    let held = connection.leases().find_one(held).max_time(connection.longest).await?;
    Ok(held.is_none())
}

/// Gives signs of life until it is stopped or overtaken.
pub async fn beat(connection: Connection, lease: Duration, token: i64, is_lost: Arc<AtomicBool>) {
    let mut pause = sign_of_life(lease);
    loop {
        tokio::time::sleep(pause).await;
        let renewed = renew(&connection, lease, token);
        pause = match tokio::time::timeout(sign_of_life(lease), renewed).await {
            Ok(Ok(true)) => sign_of_life(lease),
            Ok(Ok(false)) => {
                is_lost.store(true, Ordering::Relaxed);
                return;
            }
            // A sign that failed is given again soon; if it comes too late the fences decide.
            Ok(Err(_)) | Err(_) => sign_of_life(lease) / SOON,
        };
    }
}

/// Gives a sign of life. Whether the lease is still ours.
pub async fn renew(
    connection: &Connection,
    lease: Duration,
    token: i64,
) -> std::result::Result<bool, Error> {
    let later = vec![doc! { "$set": { "expires_at": { "$add": ["$$NOW", millis(lease)] } } }];
    // One that was given back is nobody's, also not its last holder's.
    let given_back = DateTime::from_millis(0);
    let held = doc! { "_id": LEASE, "token": token, "expires_at": { "$gt": given_back } };
    Ok(connection.leases().update_one(held, later).await?.matched_count > 0)
}

/// Gives the lease back.
pub async fn give_back(connection: &Connection, token: i64) -> std::result::Result<(), Error> {
    let free = doc! { "$set": { "expires_at": DateTime::from_millis(0) } };
    let ours = doc! { "_id": LEASE, "token": token };
    connection.leases().update_one(ours, free).await.map(drop)
}
