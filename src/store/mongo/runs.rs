//! Records of runs as documents, whose instants are BSON dates; the run that waits; keys of requests.
//!
//! One document beside the lease says which run waits, so that there is never more than one.

use std::future::IntoFuture as _;

use async_trait::async_trait;
use futures::TryStreamExt;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{self, Bson, DateTime, Document, doc};
use mongodb::error::Error;

use super::client::MongoStore;
use super::connection::Connection;
use super::decode::whole;
use super::documents::{instant_from_bson, instant_to_bson};
use super::errors::{DUPLICATE_KEY, code};
use super::lease::is_free;
use crate::domain::time::Timestamp;
use crate::runs::{
    Flow, IdempotencyRecord, RefreshRequest, RunKind, RunNotes, RunPage, RunQuery, RunRecord,
    RunSpec, RunState, RunStep, RunTrigger, StartAt,
};
use crate::store::{KEY_LIFE, Result, RunLog, StoreError, owner};

/// The `_id` of the document that names the run that waits.
const WAITING: &str = "waiting";

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A record as it is stored.
fn write_run(record: &RunRecord) -> Document {
    let RefreshRequest { as_of, force, start_at, inputs_of } = record.request;
    let notes = RunNotes {
        steps: record.steps.clone(),
        before: record.before,
        quality: record.quality.clone(),
    };
    let mut stored = doc! {
        "_id": number(record.run),
        "kind": record.kind.as_str(),
        "trigger": record.trigger.as_str(),
        "request": {
            // To the microsecond: a day's end is its last one.
            "as_of_micros": as_of.map(|as_of| as_of.0),
            "force": force,
            "start_at": start_at.as_str(),
            "inputs_of": inputs_of.map(number),
        },
        "occurrence": record.occurrence.map(instant_to_bson),
        "state": record.state.as_str(),
        "has_begun": record.has_begun,
        "cancel_requested": record.cancel_requested,
        "holder": &record.holder,
        "started_at": instant_to_bson(record.started_at),
        "ended_at": record.ended_at.map(instant_to_bson),
        "generation": record.generation.map(number),
        "error": record.error.clone(),
        "causes": record.causes.clone(),
    };
    stored.extend(write_notes(&notes));
    stored
}

/// What a run notes, as fields of its record.
pub fn write_notes(notes: &RunNotes) -> Document {
    let write = |step: &RunStep| {
        doc! {
            "step": &step.step,
            "started_at": instant_to_bson(step.started_at),
            "ended_at": step.ended_at.map(instant_to_bson),
            "summary": &step.summary,
            "rows_in": step.flow.rows_in.map(number),
            "rows_out": step.flow.rows_out.map(number),
            "bytes": step.flow.bytes.map(number),
        }
    };
    doc! {
        "steps": notes.steps.iter().map(write).collect::<Vec<_>>(),
        "before": notes.before.map(number),
        // Counts in maps: nothing of it can fail.
        "quality": bson::serialize_to_bson(&notes.quality).unwrap_or(Bson::Null),
    }
}

fn positive(stored: &Document, key: &str) -> Option<u64> {
    whole(stored, key).and_then(|value| u64::try_from(value).ok())
}

fn instant(stored: &Document, key: &str) -> Option<Timestamp> {
    stored.get_datetime(key).ok().copied().map(instant_from_bson)
}

/// The stored steps; `None` when one cannot be read.
fn read_steps(stored: &Document) -> Option<Vec<RunStep>> {
    // Records of earlier versions have none.
    let Ok(steps) = stored.get_array("steps") else { return Some(Vec::new()) };
    let read = |step: &Bson| {
        let step = step.as_document()?;
        Some(RunStep {
            step: step.get_str("step").ok()?.to_owned(),
            started_at: instant(step, "started_at")?,
            ended_at: instant(step, "ended_at"),
            summary: step.get_str("summary").ok()?.to_owned(),
            flow: Flow {
                rows_in: positive(step, "rows_in"),
                rows_out: positive(step, "rows_out"),
                bytes: positive(step, "bytes"),
            },
        })
    };
    steps.iter().map(read).collect()
}

/// What was asked for; of earlier versions' records the usual.
fn read_request(stored: &Document) -> RefreshRequest {
    let Ok(request) = stored.get_document("request") else { return RefreshRequest::default() };
    let start_at = request.get_str("start_at").unwrap_or_default();
    RefreshRequest {
        as_of: whole(request, "as_of_micros").map(Timestamp),
        force: request.get_bool("force").unwrap_or(false),
        start_at: StartAt::ALL
            .into_iter()
            .find(|place| place.as_str() == start_at)
            .unwrap_or_default(),
        inputs_of: positive(request, "inputs_of"),
    }
}

/// The condition that runs asked for meet.
fn run_filter(query: &RunQuery) -> Document {
    let mut filter = doc! {};
    if let Some(run) = query.run {
        filter.insert("_id", i64::try_from(run).unwrap_or(i64::MAX));
    }
    if let Some(state) = query.state {
        filter.insert("state", state.as_str());
    }
    let mut started = doc! {};
    if let Some(from) = query.from {
        started.insert("$gte", instant_to_bson(from));
    }
    if let Some(until) = query.until {
        started.insert("$lt", instant_to_bson(until));
    }
    if !started.is_empty() {
        filter.insert("started_at", started);
    }
    filter
}

/// Runs, newest first, and how many there are.
async fn find_runs(
    connection: &Connection,
    query: &RunQuery,
) -> std::result::Result<(Vec<Document>, u64), Error> {
    let runs = connection.runs();
    let filter = run_filter(query);
    let found = runs
        .find(filter.clone())
        .sort(doc! { "_id": -1 })
        .skip(query.offset.into())
        .limit(query.limit.into());
    let found: Vec<Document> = found.max_time(connection.longest).await?.try_collect().await?;
    let total = if query.counts {
        runs.count_documents(filter).max_time(connection.longest).await?
    } else {
        found.len() as u64
    };
    Ok((found, total))
}

/// A stored record of a run.
fn read_run(stored: &Document, connection: &Connection) -> Result<RunRecord> {
    let undecodable = |column: &str, ty: &'static str| StoreError::Decode {
        table: format!("{}.runs", connection.ops.name()),
        column: column.to_owned(),
        ty,
        key: stored.get("_id").map(ToString::to_string).unwrap_or_default(),
    };
    let text = |key: &str| stored.get_str(key).ok().map(str::to_owned);
    let word = |key: &str| stored.get_str(key).unwrap_or_default();
    let kind = RunKind::ALL.into_iter().find(|kind| kind.as_str() == word("kind"));
    let state = RunState::ALL.into_iter().find(|state| state.as_str() == word("state"));
    let causes = stored.get_array("causes").map(Vec::as_slice).unwrap_or_default();
    let quality = stored.get("quality").cloned().unwrap_or(Bson::Null);
    let started_at =
        instant(stored, "started_at").ok_or_else(|| undecodable("started_at", "timestamp"))?;
    Ok(RunRecord {
        run: positive(stored, "_id").ok_or_else(|| undecodable("_id", "integer"))?,
        kind: kind.ok_or_else(|| undecodable("kind", "text"))?,
        trigger: RunTrigger::ALL
            .into_iter()
            .find(|trigger| trigger.as_str() == word("trigger"))
            .unwrap_or_default(),
        request: read_request(stored),
        occurrence: instant(stored, "occurrence"),
        state: state.ok_or_else(|| undecodable("state", "text"))?,
        // Before runs could wait, each had begun.
        has_begun: stored.get_bool("has_begun").unwrap_or(true),
        cancel_requested: stored.get_bool("cancel_requested").unwrap_or(false),
        holder: text("holder").ok_or_else(|| undecodable("holder", "text"))?,
        started_at,
        ended_at: instant(stored, "ended_at"),
        before: positive(stored, "before"),
        generation: positive(stored, "generation"),
        quality: bson::deserialize_from_bson(quality)
            .map_err(|_| undecodable("quality", "quality summary"))?,
        error: text("error"),
        causes: causes.iter().filter_map(|cause| Some(cause.as_str()?.to_owned())).collect(),
        steps: read_steps(stored).ok_or_else(|| undecodable("steps", "list of steps"))?,
    })
}

/// Starts the record of a run: its number, or why it does not begin. StartedRun again with the same
/// token, it is the run that began.
pub async fn begin(
    connection: &Connection,
    token: i64,
    order: &RunSpec,
    holder: &str,
) -> std::result::Result<Result<i64>, Error> {
    let runs = connection.runs();
    let find = |filter: Document| runs.find_one(filter).max_time(connection.longest).into_future();
    if let Some(begun) = find(doc! { "token": token }).await? {
        return Ok(Ok(whole(&begun, "_id").unwrap_or(0)));
    }
    if let Err(refused) = refuse_again(connection, order).await? {
        return Ok(Err(refused));
    }
    let record = |run: u64| {
        let mut stored = write_run(&RunRecord::starting(run, order, holder.to_owned()));
        stored.insert("token", token);
        stored
    };
    if let Some(waiting) = order.enqueued {
        let enqueued = doc! { "_id": number(waiting), "state": RunState::Enqueued.as_str() };
        let begun = runs.replace_one(enqueued, record(waiting)).await?.matched_count > 0;
        leave_line(connection, waiting).await?;
        let run = if begun { Ok(number(waiting)) } else { Err(StoreError::NotEnqueued(waiting)) };
        return Ok(run);
    }
    let run = insert_next(connection, record).await?;
    if let Some(occurrence) = order.occurrence {
        // Put in line for the same instant between our look and our record: this run is for it.
        let twin = doc! {
            "occurrence": instant_to_bson(occurrence), "state": RunState::Enqueued.as_str(),
        };
        runs.delete_many(twin).await?;
    }
    Ok(Ok(number(run)))
}

/// Refuses a run for an instant of the schedule that another one is for.
async fn refuse_again(
    connection: &Connection,
    order: &RunSpec,
) -> std::result::Result<Result<()>, Error> {
    let Some(occurrence) = order.occurrence else { return Ok(Ok(())) };
    let other = doc! {
        "occurrence": instant_to_bson(occurrence),
        "_id": { "$ne": order.enqueued.map(number) },
        // Those that ended with their process do not count.
        "$nor": [{ "state": RunState::Cancelled.as_str(), "cancel_requested": false }],
    };
    let other = connection.runs().find_one(other).max_time(connection.longest).await?;
    Ok(if other.is_some() { Err(StoreError::AlreadyRun(occurrence)) } else { Ok(()) })
}

/// Inserts a record under the number after the last one.
async fn insert_next(
    connection: &Connection,
    record: impl Fn(u64) -> Document,
) -> std::result::Result<u64, Error> {
    loop {
        let last = connection.newest_runs(1).await?.pop();
        let run = last.and_then(|last| positive(&last, "_id")).unwrap_or(0) + 1;
        match connection.runs().insert_one(record(run)).await {
            // Somebody was quicker.
            Err(error) if code(&error) == Some(DUPLICATE_KEY) => {}
            inserted => return inserted.map(|_| run),
        }
    }
}

/// Ends the running runs of all other holders; the caller knows that they are gone. What they were for is
/// done if they had switched.
pub async fn abandon_running(
    connection: &Connection,
    gone: Document,
) -> std::result::Result<Vec<u64>, Error> {
    let runs = connection.runs();
    let mut abandoned = Vec::new();
    for run in connection.running(gone).await? {
        let mut stands = doc! { "_id": run.get("_id"), "state": RunState::Running.as_str() };
        let has_switched = run.get_i64("generation").is_ok();
        let state = if has_switched { RunState::Succeeded } else { RunState::Interrupted };
        stands.insert("token", run.get("token").cloned().unwrap_or(Bson::Null));
        let changed = runs.update_one(stands, doc! { "$set": { "state": state.as_str() } }).await?;
        if changed.modified_count > 0 {
            abandoned.extend(positive(&run, "_id"));
        }
    }
    Ok(abandoned)
}

/// Forgets all runs but the newest `keep`, those that have not ended, and the last that published.
pub async fn forget(connection: &Connection, keep: u32) -> std::result::Result<(), Error> {
    let runs = connection.runs();
    let by_age = |filter: Document, skip: u32| {
        let found = runs.find_one(filter).sort(doc! { "_id": -1 }).skip(skip.into());
        found.max_time(connection.longest).into_future()
    };
    let Some(newest_old) = by_age(doc! {}, keep).await? else { return Ok(()) };
    let published = doc! {
        "state": RunState::Succeeded.as_str(), "kind": RunKind::Refresh.as_str(),
        "generation": { "$ne": null },
    };
    let published = by_age(published, 0).await?;
    let published = published.and_then(|run| whole(&run, "_id")).unwrap_or(0);
    let going_on: Vec<&str> =
        RunState::ALL.into_iter().filter(|s| !s.has_ended()).map(RunState::as_str).collect();
    let old = doc! {
        "_id": { "$lte": whole(&newest_old, "_id").unwrap_or(0), "$ne": published },
        "state": { "$nin": going_on },
    };
    runs.delete_many(old).await.map(drop)
}

/// The run that waits.
async fn waiting(connection: &Connection) -> std::result::Result<Option<u64>, Error> {
    let leases = connection.leases();
    let waiting = leases.find_one(doc! { "_id": WAITING }).max_time(connection.longest).await?;
    Ok(waiting.and_then(|waiting| positive(&waiting, "run")))
}

async fn leave_line(connection: &Connection, run: u64) -> std::result::Result<(), Error> {
    let ours = doc! { "_id": WAITING, "run": number(run) };
    connection.leases().delete_one(ours).await.map(drop)
}

async fn enqueue(
    connection: &Connection,
    order: &RunSpec,
) -> std::result::Result<Result<(u64, bool)>, Error> {
    let runs = connection.runs();
    let enqueued = |run: u64| doc! { "_id": number(run), "state": RunState::Enqueued.as_str() };
    loop {
        if let Some(run) = waiting(connection).await? {
            let record = runs.find_one(enqueued(run)).max_time(connection.longest).await?;
            if record.is_some() {
                return Ok(Ok((run, false)));
            }
            // It began or was cancelled by somebody who ended right then.
            leave_line(connection, run).await?;
        }
        if let Err(refused) = refuse_again(connection, order).await? {
            return Ok(Err(refused));
        }
        let record = |run| write_run(&RunRecord::enqueued(run, order, owner()));
        let run = insert_next(connection, record).await?;
        let place = doc! { "_id": WAITING, "run": number(run) };
        match connection.leases().insert_one(place).await {
            // Somebody was quicker.
            Err(error) if code(&error) == Some(DUPLICATE_KEY) => {
                runs.delete_one(enqueued(run)).await?;
            }
            Err(error) => return Err(error),
            Ok(_) => {
                // One for the same instant may have begun between our look and our record.
                let own = RunSpec { enqueued: Some(run), ..*order };
                if let Err(refused) = refuse_again(connection, &own).await? {
                    runs.delete_one(enqueued(run)).await?;
                    leave_line(connection, run).await?;
                    return Ok(Err(refused));
                }
                return Ok(Ok((run, true)));
            }
        }
    }
}

async fn request_cancel(connection: &Connection, run: u64) -> std::result::Result<(), Error> {
    let runs = connection.runs();
    let stands = |state: RunState| doc! { "_id": number(run), "state": state.as_str() };
    let cancelled = doc! { "$set": {
        "state": RunState::Cancelled.as_str(), "ended_at": DateTime::now(), "cancel_requested": true,
    } };
    if runs.update_one(stands(RunState::Enqueued), cancelled).await?.matched_count > 0 {
        return leave_line(connection, run).await;
    }
    let asked = doc! { "$set": { "cancel_requested": true } };
    runs.update_one(stands(RunState::Running), asked).await.map(drop)
}

async fn mark_interrupted(connection: &Connection) -> std::result::Result<Vec<u64>, Error> {
    let Some(running) = connection.running(doc! {}).await?.into_iter().next() else {
        return Ok(Vec::new());
    };
    // Looked at after the record: whoever began since has another token. Records of earlier versions have
    // none, which is what null finds.
    if !is_free(connection).await? {
        return Ok(Vec::new());
    }
    let token = running.get("token").cloned().unwrap_or(Bson::Null);
    abandon_running(connection, doc! { "token": token }).await
}

/// Keys that were kept before this are forgotten.
fn oldest_key() -> DateTime {
    let life = i64::try_from(KEY_LIFE.as_millis()).unwrap_or(i64::MAX);
    DateTime::from_millis(DateTime::now().timestamp_millis() - life)
}

fn read_key(stored: &Document) -> Option<IdempotencyRecord> {
    Some(IdempotencyRecord {
        asked: stored.get_str("asked").ok()?.to_owned(),
        run: positive(stored, "run"),
    })
}

#[async_trait]
impl RunLog for MongoStore {
    async fn runs(&self, query: RunQuery) -> Result<RunPage> {
        let (connection, _) = &self.inspected().await?;
        let (stored, total) =
            self.driver_read("listing runs", find_runs(connection, &query)).await?;
        let runs = stored.iter().map(|run| read_run(run, connection)).collect::<Result<_>>()?;
        Ok(RunPage { runs, total })
    }

    async fn enqueue(&self, order: &RunSpec) -> Result<(u64, bool)> {
        let (connection, _) = &self.inspected().await?;
        self.quick("putting a run in line", || enqueue(connection, order)).await?
    }

    async fn request_cancel(&self, run: u64) -> Result<()> {
        let (connection, _) = &self.inspected().await?;
        self.quick("cancelling a run", || request_cancel(connection, run)).await
    }

    async fn mark_interrupted(&self) -> Result<Vec<u64>> {
        let (connection, _) = &self.inspected().await?;
        self.quick("settling runs", || mark_interrupted(connection)).await
    }

    async fn claim_key(&self, key: &str, asked: &str) -> Result<Option<IdempotencyRecord>> {
        let (connection, _) = &self.inspected().await?;
        let keys = connection.keys();
        // Tells our own claim, whose answer was lost, from another's.
        let nonce = ObjectId::new();
        let stored = doc! {
            "_id": key, "asked": asked, "run": null, "kept_at": DateTime::now(), "nonce": nonce,
        };
        let claim = || async {
            keys.delete_many(doc! { "kept_at": { "$lt": oldest_key() } }).await?;
            match keys.insert_one(stored.clone()).await {
                Err(error) if code(&error) == Some(DUPLICATE_KEY) => {
                    keys.find_one(doc! { "_id": key, "nonce": { "$ne": nonce } }).await
                }
                inserted => inserted.map(|_| None),
            }
        };
        Ok(self.quick("taking a key", claim).await?.as_ref().and_then(read_key))
    }

    async fn keep_key(&self, key: &str, run: Option<u64>) -> Result<()> {
        let (connection, _) = &self.inspected().await?;
        let keys = connection.keys();
        let keep = || async {
            match run.map(number) {
                Some(run) => {
                    let kept = doc! { "$set": { "run": run } };
                    keys.update_one(doc! { "_id": key }, kept).await.map(drop)
                }
                None => keys.delete_one(doc! { "_id": key, "run": null }).await.map(drop),
            }
        };
        self.quick("keeping a key", keep).await
    }
}
