//! The run log: records of runs as JSON in one table, idempotency keys in another.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::pool::SqliteStore;
use super::sql;
use crate::domain::time::Timestamp;
use crate::runs::{
    IDEMPOTENCY_KEY_TTL, IdempotencyRecord, RunEnd, RunLog, RunPage, RunQuery, RunRecord, RunSpec,
    RunState,
};
use crate::store::{Cause, Result, StoreError, owner};

type CauseResult<T> = std::result::Result<T, Cause>;

/// Begins a run: starts its record and returns its number. The caller holds the right to publish,
/// so the processes of runs that are recorded as running are gone.
pub fn begin(connection: &mut Connection, spec: RunSpec) -> CauseResult<i64> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    end_abandoned(&transaction)?;
    check_instant(&transaction, &spec)?;
    let run = match spec.enqueued {
        None => transaction.query_row::<i64, _, _>(sql::LAST_RUN, [], |row| row.get(0))? + 1,
        Some(queued) => {
            let run = i64::try_from(queued)?;
            let is_queued = |record: &RunRecord| record.state == RunState::Enqueued;
            if !find(&transaction, run)?.as_ref().is_some_and(is_queued) {
                return Err(StoreError::NotEnqueued(queued).into());
            }
            run
        }
    };
    store(&transaction, &RunRecord::starting(u64::try_from(run)?, &spec, owner()))?;
    transaction.commit()?;
    Ok(run)
}

/// Rejects a run for an instant of the schedule that has another run already.
fn check_instant(transaction: &Transaction<'_>, spec: &RunSpec) -> CauseResult<()> {
    let Some(instant) = spec.scheduled_for else { return Ok(()) };
    let own = spec.enqueued.map(i64::try_from).transpose()?;
    let parameters = params![instant.to_string(), own];
    if transaction.query_row(sql::HAS_OCCURRENCE, parameters, |row| row.get(0))? {
        return Err(StoreError::AlreadyRun(instant).into());
    }
    Ok(())
}

/// The record of a run; `None` when there is none.
pub fn find(connection: &Connection, run: i64) -> CauseResult<Option<RunRecord>> {
    let stored: Option<String> =
        connection.query_row(sql::RUN, [run], |row| row.get(0)).optional()?;
    Ok(stored.map(|stored| serde_json::from_str(&stored)).transpose()?)
}

/// Changes the record of a run, if there is one.
pub fn change(
    transaction: &Transaction<'_>,
    run: i64,
    change: impl FnOnce(&mut RunRecord),
) -> CauseResult<()> {
    let Some(mut record) = find(transaction, run)? else { return Ok(()) };
    change(&mut record);
    store(transaction, &record)
}

fn store(transaction: &Transaction<'_>, record: &RunRecord) -> CauseResult<()> {
    let run = i64::try_from(record.run)?;
    transaction.execute(sql::UPSERT_RUN, params![run, serde_json::to_string(record)?])?;
    Ok(())
}

/// The newest run in a state.
fn newest(connection: &Connection, state: RunState) -> CauseResult<Option<i64>> {
    let found = connection.query_row(sql::NEWEST_RUN, [state.as_str()], |row| row.get(0));
    Ok(found.optional()?)
}

/// Ends the running runs, whose processes the caller knows to be gone. Returns their numbers.
fn end_abandoned(transaction: &Transaction<'_>) -> CauseResult<Vec<u64>> {
    let mut ended = Vec::new();
    while let Some(run) = newest(transaction, RunState::Running)? {
        change(transaction, run, RunRecord::mark_interrupted)?;
        ended.push(u64::try_from(run)?);
    }
    Ok(ended)
}

#[async_trait]
impl RunLog for SqliteStore {
    type Error = StoreError;

    async fn runs(&self, query: RunQuery) -> Result<RunPage> {
        self.run("listing runs", move |connection| {
            let text = |instant: Option<Timestamp>| instant.map(|instant| instant.to_string());
            let run = query.run.map(|run| i64::try_from(run).unwrap_or(i64::MAX));
            let parameters = params![
                run,
                query.state.map(RunState::as_str),
                text(query.from),
                text(query.until),
                query.limit,
                query.offset
            ];
            let mut statement = connection.prepare_cached(&sql::runs(&query))?;
            let texts = statement.query_map(parameters, |row| row.get::<_, String>(0))?;
            let runs = texts.map(|text| Ok(serde_json::from_str(&text?)?));
            let runs = runs.collect::<CauseResult<Vec<RunRecord>>>()?;
            let total = if query.counts {
                let mut statement = connection.prepare_cached(&sql::count_runs(&query))?;
                u64::try_from(statement.query_row(parameters, |row| row.get::<_, i64>(0))?)?
            } else {
                runs.len() as u64
            };
            Ok(RunPage { runs, total })
        })
        .await
    }

    async fn enqueue(&self, spec: &RunSpec) -> Result<(u64, bool)> {
        let spec = *spec;
        self.run("queueing a run", move |connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            if let Some(queued) = newest(&transaction, RunState::Enqueued)? {
                return Ok((u64::try_from(queued)?, false));
            }
            check_instant(&transaction, &spec)?;
            let last: i64 = transaction.query_row(sql::LAST_RUN, [], |row| row.get(0))?;
            let run = u64::try_from(last + 1)?;
            store(&transaction, &RunRecord::enqueued(run, &spec, owner()))?;
            transaction.commit()?;
            Ok((run, true))
        })
        .await
    }

    async fn request_cancel(&self, run: u64) -> Result<()> {
        self.run("cancelling a run", move |connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            change(&transaction, i64::try_from(run).unwrap_or(i64::MAX), |record| {
                record.cancel_requested |= !record.state.has_ended();
                if record.state == RunState::Enqueued {
                    record.end(&RunEnd::Cancelled);
                }
            })?;
            Ok(transaction.commit()?)
        })
        .await
    }

    async fn mark_interrupted(&self) -> Result<Vec<u64>> {
        let is_running = |connection: &mut Connection| newest(connection, RunState::Running);
        if self.run("finding running runs", is_running).await?.is_none() {
            return Ok(Vec::new());
        }
        let store = self.clone();
        self.run("finding interrupted runs", move |connection| {
            // Taken only here, where nothing is waited for but the transaction: a run that is about to
            // start waits for this lock, and not for long.
            let Some(_lock) = store.try_lock()? else { return Ok(Vec::new()) };
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let ended = end_abandoned(&transaction)?;
            transaction.commit()?;
            Ok(ended)
        })
        .await
    }

    async fn claim_key(&self, key: &str, request_hash: &str) -> Result<Option<IdempotencyRecord>> {
        let (key, request_hash) = (key.to_owned(), request_hash.to_owned());
        self.run("claiming an idempotency key", move |connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute(sql::FORGET_KEYS, [key_expiry()])?;
            let stored = transaction.query_row(sql::KEY, [&key], |row| {
                let run: Option<i64> = row.get(1)?;
                Ok(IdempotencyRecord { request_hash: row.get(0)?, run: run.map(i64::unsigned_abs) })
            });
            if let Some(stored) = stored.optional()? {
                return Ok(Some(stored));
            }
            transaction.execute(sql::CLAIM_KEY, params![key, request_hash, Timestamp::now().0])?;
            transaction.commit()?;
            Ok(None)
        })
        .await
    }

    async fn complete_key(&self, key: &str, run: Option<u64>) -> Result<()> {
        let key = key.to_owned();
        self.run("storing the run of an idempotency key", move |connection| {
            match run.map(i64::try_from).transpose()? {
                Some(run) => connection.execute(sql::SET_RUN_OF_KEY, params![key, run])?,
                None => connection.execute(sql::RELEASE_KEY, [key])?,
            };
            Ok(())
        })
        .await
    }
}

/// Keys claimed before this instant, in microseconds since 1970, have expired.
fn key_expiry() -> i64 {
    Timestamp::now().0 - i64::try_from(IDEMPOTENCY_KEY_TTL.as_micros()).unwrap_or(i64::MAX)
}
