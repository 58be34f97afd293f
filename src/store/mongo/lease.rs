//! The right to publish: one document that expires by the server's clock, renewed by heartbeats.
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
use super::connection::Connection;
use super::decode::whole;
use super::errors::{DUPLICATE_KEY, code};
use super::run_queries::find_newest;

/// A failed heartbeat is retried after this fraction of the usual interval.
const HEARTBEAT_RETRY_FRACTION: u32 = 8;
/// The `_id` of the lease.
const LEASE: &str = "publish";

/// The result of an attempt to take the lease.
pub(super) enum LeaseAttempt {
    /// Taken, with this token.
    Taken(i64),
    /// Another process holds it until this time, which each of its heartbeats changes.
    Held(DateTime),
}

pub(super) fn heartbeat_interval(lease: Duration) -> Duration {
    lease / 3
}

/// Takes the lease if it has expired by the server's clock, or if its expiry still is the one that
/// did not change for too long (`unrenewed`). The token is greater than any there ever was, also
/// after the lease's document was removed.
pub(super) async fn claim(
    connection: &Connection,
    lease: Duration,
    owner: &str,
    nonce: ObjectId,
    unrenewed: Option<DateTime>,
) -> Result<LeaseAttempt, Error> {
    let leases = connection.leases();
    let own = doc! { "_id": LEASE, "nonce": nonce };
    if let Some(own) = leases.find_one(own).max_time(connection.max_time).await? {
        // An earlier attempt took it and its answer was lost.
        return Ok(LeaseAttempt::Taken(whole(&own, "token").unwrap_or(0)));
    }
    let free = doc! { "_id": LEASE, "token": 0_i64, "expires_at": DateTime::from_millis(0) };
    match leases.insert_one(free).await {
        Err(error) if code(&error) != Some(DUPLICATE_KEY) => return Err(error),
        _ => {}
    }
    let pointer = connection.read_pointer().await?;
    let fence = pointer.and_then(|pointer| whole(&pointer, "fence")).unwrap_or(0);
    let last = find_newest(connection).await?;
    let last = last.and_then(|last| whole(&last, "_id")).unwrap_or(0);
    let mut free = doc! { "_id": LEASE, "$expr": { "$lte": ["$expires_at", "$$NOW"] } };
    if let Some(unrenewed) = unrenewed {
        free = doc! { "_id": LEASE, "$or": [free, { "expires_at": unrenewed }] };
    }
    let taken = leases
        .find_one_and_update(
            free,
            vec![doc! { "$set": {
                "token": { "$add": [{ "$max": ["$token", fence.max(last)] }, 1_i64] },
                "holder": { "$literal": owner },
                "nonce": nonce,
                "expires_at": { "$add": ["$$NOW", millis(lease)] },
            } }],
        )
        .return_document(ReturnDocument::After)
        .await?;
    if let Some(taken) = taken {
        return Ok(LeaseAttempt::Taken(whole(&taken, "token").unwrap_or(0)));
    }
    let held = leases.find_one(doc! { "_id": LEASE }).max_time(connection.max_time).await?;
    let expires_at = held.and_then(|held| held.get_datetime("expires_at").ok().copied());
    Ok(LeaseAttempt::Held(expires_at.unwrap_or(DateTime::from_millis(0))))
}

/// Whether no process holds the lease, by the server's clock.
pub(super) async fn is_free(connection: &Connection) -> Result<bool, Error> {
    let held = doc! { "_id": LEASE, "$expr": { "$gt": ["$expires_at", "$$NOW"] } };
    let held = connection.leases().find_one(held).max_time(connection.max_time).await?;
    Ok(held.is_none())
}

/// Renews the lease until the task is aborted or another process has taken the lease.
pub(super) async fn heartbeat(
    connection: Connection,
    lease: Duration,
    token: i64,
    is_lost: Arc<AtomicBool>,
) {
    let interval = heartbeat_interval(lease);
    let mut pause = interval;
    loop {
        tokio::time::sleep(pause).await;
        let renewed = renew(&connection, lease, token);
        pause = match tokio::time::timeout(interval, renewed).await {
            Ok(Ok(true)) => interval,
            Ok(Ok(false)) => {
                is_lost.store(true, Ordering::Relaxed);
                return;
            }
            // Retried soon; if it comes too late the fences decide.
            Ok(Err(_)) | Err(_) => interval / HEARTBEAT_RETRY_FRACTION,
        };
    }
}

/// Renews the lease. Returns whether this token still holds it.
pub(super) async fn renew(
    connection: &Connection,
    lease: Duration,
    token: i64,
) -> Result<bool, Error> {
    let later = vec![doc! { "$set": { "expires_at": { "$add": ["$$NOW", millis(lease)] } } }];
    // A released lease is free, also for its last holder.
    let released = DateTime::from_millis(0);
    let held = doc! { "_id": LEASE, "token": token, "expires_at": { "$gt": released } };
    Ok(connection.leases().update_one(held, later).await?.matched_count > 0)
}

pub(super) async fn release(connection: &Connection, token: i64) -> Result<(), Error> {
    let free = doc! { "$set": { "expires_at": DateTime::from_millis(0) } };
    let own = doc! { "_id": LEASE, "token": token };
    connection.leases().update_one(own, free).await.map(drop)
}
