//! The run log: records of runs, the queue of at most one run, and idempotency keys.
//!
//! A document beside the lease names the queued run, so that there is never more than one.

use std::future::IntoFuture as _;

use async_trait::async_trait;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::error::Error;
use strum::VariantArray as _;

use super::client::MongoStore;
use super::connection::Connection;
use super::decode::whole;
use super::documents::instant_to_bson;
use super::errors::{DUPLICATE_KEY, code};
use super::lease::is_free;
use super::run_document::{read_run, write_run};
use super::run_queries::{find_newest, find_running, find_runs, to_i64};
use crate::runs::{
    IDEMPOTENCY_KEY_TTL, IdempotencyRecord, RunKind, RunLog, RunPage, RunQuery, RunRecord, RunSpec,
    RunState,
};
use crate::store::{Result, StoreError, owner};

/// The `_id` of the document that names the queued run.
const QUEUED: &str = "waiting";

type DriverResult<T> = std::result::Result<T, Error>;

fn positive(stored: &Document, key: &str) -> Option<u64> {
    whole(stored, key).and_then(|value| u64::try_from(value).ok())
}

/// Begins a run: starts its record and returns its number, or why it may not begin. Called again
/// with the same lease token, it returns the run that began then.
pub async fn begin(
    connection: &Connection,
    token: i64,
    spec: &RunSpec,
    owner: &str,
) -> DriverResult<Result<i64>> {
    let runs = connection.runs();
    let own = runs.find_one(doc! { "token": token }).max_time(connection.max_time).await?;
    if let Some(own) = own {
        return Ok(Ok(whole(&own, "_id").unwrap_or(0)));
    }
    if let Err(error) = check_instant(connection, spec).await? {
        return Ok(Err(error));
    }
    let record = |run: u64| {
        let mut stored = write_run(&RunRecord::starting(run, spec, owner.to_owned()))?;
        stored.insert("token", token);
        Ok(stored)
    };
    if let Some(queued) = spec.enqueued {
        let enqueued = doc! { "_id": to_i64(queued), "state": RunState::Enqueued.as_str() };
        let was_queued = runs.replace_one(enqueued, record(queued)?).await?.matched_count > 0;
        leave_queue(connection, queued).await?;
        return Ok(if was_queued {
            Ok(to_i64(queued))
        } else {
            Err(StoreError::NotEnqueued(queued))
        });
    }
    let run = insert_next(connection, record).await?;
    if let Some(instant) = spec.scheduled_for {
        // A run that was queued for the same instant between the check and the insert is
        // superseded.
        let queued = doc! {
            "occurrence": instant_to_bson(instant), "state": RunState::Enqueued.as_str(),
        };
        runs.delete_many(queued).await?;
    }
    Ok(Ok(to_i64(run)))
}

/// Rejects a run for an instant of the schedule that has another run already.
async fn check_instant(connection: &Connection, spec: &RunSpec) -> DriverResult<Result<()>> {
    let Some(instant) = spec.scheduled_for else { return Ok(Ok(())) };
    let other = doc! {
        "occurrence": instant_to_bson(instant),
        "_id": { "$ne": spec.enqueued.map(to_i64) },
        // Runs that were cancelled with their process do not count.
        "$nor": [{ "state": RunState::Cancelled.as_str(), "is_cancel_asked": false }],
    };
    let other = connection.runs().find_one(other).max_time(connection.max_time).await?;
    Ok(if other.is_some() { Err(StoreError::AlreadyRun(instant)) } else { Ok(()) })
}

/// Inserts a record under the number after the last one.
async fn insert_next(
    connection: &Connection,
    record: impl Fn(u64) -> DriverResult<Document>,
) -> DriverResult<u64> {
    loop {
        let newest = find_newest(connection).await?;
        let run = newest.and_then(|newest| positive(&newest, "_id")).unwrap_or(0) + 1;
        match connection.runs().insert_one(record(run)?).await {
            // Another process took the number.
            Err(error) if code(&error) == Some(DUPLICATE_KEY) => {}
            inserted => return inserted.map(|_| run),
        }
    }
}

/// Ends the running runs that match a filter and whose processes the caller knows to be gone:
/// succeeded if they had switched, else interrupted. Returns their numbers.
pub async fn end_abandoned(connection: &Connection, gone: Document) -> DriverResult<Vec<u64>> {
    let runs = connection.runs();
    let mut ended = Vec::new();
    for run in find_running(connection, gone).await? {
        let mut unchanged = doc! { "_id": run.get("_id"), "state": RunState::Running.as_str() };
        unchanged.insert("token", run.get("token").cloned().unwrap_or(Bson::Null));
        let has_switched = run.get_i64("generation").is_ok();
        let state = if has_switched { RunState::Succeeded } else { RunState::Interrupted };
        let change = doc! { "$set": { "state": state.as_str() } };
        if runs.update_one(unchanged, change).await?.modified_count > 0 {
            ended.extend(positive(&run, "_id"));
        }
    }
    Ok(ended)
}

/// Deletes all runs but the newest `keep`, those that have not ended, and the last that published.
pub async fn forget(connection: &Connection, keep: u32) -> DriverResult<()> {
    let runs = connection.runs();
    let newest = |filter: Document, skip: u32| {
        let found = runs.find_one(filter).sort(doc! { "_id": -1 }).skip(skip.into());
        found.max_time(connection.max_time).into_future()
    };
    let Some(newest_old) = newest(doc! {}, keep).await? else { return Ok(()) };
    let published = doc! {
        "state": RunState::Succeeded.as_str(), "kind": RunKind::Refresh.as_str(),
        "generation": { "$ne": null },
    };
    let published = newest(published, 0).await?;
    let published = published.and_then(|run| whole(&run, "_id")).unwrap_or(0);
    let states = RunState::VARIANTS.iter();
    let not_ended: Vec<&str> =
        states.filter(|state| !state.has_ended()).map(|state| state.as_str()).collect();
    let old = doc! {
        "_id": { "$lte": whole(&newest_old, "_id").unwrap_or(0), "$ne": published },
        "state": { "$nin": not_ended },
    };
    runs.delete_many(old).await.map(drop)
}

/// The queued run.
async fn queued(connection: &Connection) -> DriverResult<Option<u64>> {
    let leases = connection.leases();
    let queued = leases.find_one(doc! { "_id": QUEUED }).max_time(connection.max_time).await?;
    Ok(queued.and_then(|queued| positive(&queued, "run")))
}

async fn leave_queue(connection: &Connection, run: u64) -> DriverResult<()> {
    let own = doc! { "_id": QUEUED, "run": to_i64(run) };
    connection.leases().delete_one(own).await.map(drop)
}

async fn enqueue(connection: &Connection, spec: &RunSpec) -> DriverResult<Result<(u64, bool)>> {
    let runs = connection.runs();
    let enqueued = |run: u64| doc! { "_id": to_i64(run), "state": RunState::Enqueued.as_str() };
    loop {
        if let Some(run) = queued(connection).await? {
            let record = runs.find_one(enqueued(run)).max_time(connection.max_time).await?;
            if record.is_some() {
                return Ok(Ok((run, false)));
            }
            // It began or was cancelled by a process that ended before it left the queue.
            leave_queue(connection, run).await?;
        }
        if let Err(error) = check_instant(connection, spec).await? {
            return Ok(Err(error));
        }
        let record = |run| write_run(&RunRecord::enqueued(run, spec, owner()));
        let run = insert_next(connection, record).await?;
        match connection.leases().insert_one(doc! { "_id": QUEUED, "run": to_i64(run) }).await {
            // Another process queued a run first.
            Err(error) if code(&error) == Some(DUPLICATE_KEY) => {
                runs.delete_one(enqueued(run)).await?;
            }
            Err(error) => return Err(error),
            Ok(_) => {
                // A run for the same instant may have begun between the check and the insert.
                let own = RunSpec { enqueued: Some(run), ..*spec };
                if let Err(error) = check_instant(connection, &own).await? {
                    runs.delete_one(enqueued(run)).await?;
                    leave_queue(connection, run).await?;
                    return Ok(Err(error));
                }
                return Ok(Ok((run, true)));
            }
        }
    }
}

async fn request_cancel(connection: &Connection, run: u64) -> DriverResult<()> {
    let runs = connection.runs();
    let in_state = |state: RunState| doc! { "_id": to_i64(run), "state": state.as_str() };
    let cancelled = doc! { "$set": {
        "state": RunState::Cancelled.as_str(),
        "ended_at": DateTime::now(),
        "is_cancel_asked": true,
    } };
    if runs.update_one(in_state(RunState::Enqueued), cancelled).await?.matched_count > 0 {
        return leave_queue(connection, run).await;
    }
    let requested = doc! { "$set": { "is_cancel_asked": true } };
    runs.update_one(in_state(RunState::Running), requested).await.map(drop)
}

async fn mark_interrupted(connection: &Connection) -> DriverResult<Vec<u64>> {
    let Some(running) = find_running(connection, doc! {}).await?.into_iter().next() else {
        return Ok(Vec::new());
    };
    // Checked after the record was read: a run that began since has another token. Records of
    // earlier versions have no token, which a filter for null matches.
    if !is_free(connection).await? {
        return Ok(Vec::new());
    }
    let token = running.get("token").cloned().unwrap_or(Bson::Null);
    end_abandoned(connection, doc! { "token": token }).await
}

/// Keys claimed before this instant have expired.
fn key_expiry() -> DateTime {
    let ttl = i64::try_from(IDEMPOTENCY_KEY_TTL.as_millis()).unwrap_or(i64::MAX);
    DateTime::from_millis(DateTime::now().timestamp_millis() - ttl)
}

fn read_key(stored: &Document) -> Option<IdempotencyRecord> {
    let request_hash = stored.get_str("asked").ok()?.to_owned();
    Some(IdempotencyRecord { request_hash, run: positive(stored, "run") })
}

#[async_trait]
impl RunLog for MongoStore {
    type Error = StoreError;

    async fn runs(&self, query: RunQuery) -> Result<RunPage> {
        let (connection, _) = &self.inspected().await?;
        let (stored, total) =
            self.driver_read("listing runs", find_runs(connection, &query)).await?;
        let collection = format!("{}.runs", connection.ops.name());
        let runs = stored.iter().map(|run| read_run(run, &collection)).collect::<Result<_>>()?;
        Ok(RunPage { runs, total })
    }

    async fn enqueue(&self, spec: &RunSpec) -> Result<(u64, bool)> {
        let (connection, _) = &self.inspected().await?;
        self.short_command("queueing a run", || enqueue(connection, spec)).await?
    }

    async fn request_cancel(&self, run: u64) -> Result<()> {
        let (connection, _) = &self.inspected().await?;
        self.short_command("cancelling a run", || request_cancel(connection, run)).await
    }

    async fn mark_interrupted(&self) -> Result<Vec<u64>> {
        let (connection, _) = &self.inspected().await?;
        self.short_command("finding interrupted runs", || mark_interrupted(connection)).await
    }

    async fn claim_key(&self, key: &str, request_hash: &str) -> Result<Option<IdempotencyRecord>> {
        let (connection, _) = &self.inspected().await?;
        let keys = connection.keys();
        // Tells an own claim whose answer was lost from another process's.
        let nonce = ObjectId::new();
        let stored = doc! {
            "_id": key, "asked": request_hash, "run": null, "kept_at": DateTime::now(), "nonce": nonce,
        };
        let claim = || async {
            keys.delete_many(doc! { "kept_at": { "$lt": key_expiry() } }).await?;
            match keys.insert_one(stored.clone()).await {
                Err(error) if code(&error) == Some(DUPLICATE_KEY) => {
                    keys.find_one(doc! { "_id": key, "nonce": { "$ne": nonce } }).await
                }
                inserted => inserted.map(|_| None),
            }
        };
        Ok(self
            .short_command("claiming an idempotency key", claim)
            .await?
            .as_ref()
            .and_then(read_key))
    }

    async fn complete_key(&self, key: &str, run: Option<u64>) -> Result<()> {
        let (connection, _) = &self.inspected().await?;
        let keys = connection.keys();
        let complete = || async {
            match run.map(to_i64) {
                Some(run) => {
                    let change = doc! { "$set": { "run": run } };
                    keys.update_one(doc! { "_id": key }, change).await.map(drop)
                }
                None => keys.delete_one(doc! { "_id": key, "run": null }).await.map(drop),
            }
        };
        self.short_command("storing the run of an idempotency key", complete).await
    }
}
