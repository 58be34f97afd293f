//! Records of runs as JSON texts in one table, and keys of requests in another.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::pool::SqliteStore;
use super::sql;
use crate::domain::time::Timestamp;
use crate::runs::{IdempotencyRecord, RunEnd, RunPage, RunQuery, RunRecord, RunSpec, RunState};
use crate::store::{Cause, KEY_LIFE, Result, RunLog, StoreError, owner};

/// Starts the record of a run: the caller holds the right to publish, so whoever had it before is
/// gone. Returns its number.
pub fn begin(connection: &mut Connection, order: RunSpec) -> std::result::Result<i64, Cause> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    abandon_running(&transaction)?;
    refuse_again(&transaction, &order)?;
    let run = match order.enqueued {
        None => transaction.query_row::<i64, _, _>(sql::LAST_RUN, [], |row| row.get(0))? + 1,
        Some(waiting) => {
            let run = i64::try_from(waiting)?;
            let waits = |record: &RunRecord| record.state == RunState::Enqueued;
            if !find(&transaction, run)?.as_ref().is_some_and(waits) {
                return Err(StoreError::NotEnqueued(waiting).into());
            }
            run
        }
    };
    keep(&transaction, &RunRecord::starting(u64::try_from(run)?, &order, owner()))?;
    transaction.commit()?;
    Ok(run)
}

/// Refuses a run for an instant of the schedule that another one is for.
fn refuse_again(transaction: &Transaction<'_>, order: &RunSpec) -> std::result::Result<(), Cause> {
    let Some(occurrence) = order.occurrence else { return Ok(()) };
    let own = order.enqueued.map(i64::try_from).transpose()?;
    let asked = params![occurrence.to_string(), own];
    if transaction.query_row(sql::HAS_OCCURRENCE, asked, |row| row.get(0))? {
        return Err(StoreError::AlreadyRun(occurrence).into());
    }
    Ok(())
}

/// The record of a run; `None` when there is none.
pub fn find(connection: &Connection, run: i64) -> std::result::Result<Option<RunRecord>, Cause> {
    let stored: Option<String> =
        connection.query_row(sql::RUN, [run], |row| row.get(0)).optional()?;
    Ok(stored.map(|stored| serde_json::from_str(&stored)).transpose()?)
}

/// Changes the record of a run, if there is one.
pub fn change(
    transaction: &Transaction<'_>,
    run: i64,
    change: impl FnOnce(&mut RunRecord),
) -> std::result::Result<(), Cause> {
    let Some(mut record) = find(transaction, run)? else { return Ok(()) };
    change(&mut record);
    keep(transaction, &record)
}

fn keep(transaction: &Transaction<'_>, record: &RunRecord) -> std::result::Result<(), Cause> {
    let run = i64::try_from(record.run)?;
    transaction.execute(sql::KEEP_RUN, params![run, serde_json::to_string(record)?])?;
    Ok(())
}

/// The newest run that stands so.
fn newest(connection: &Connection, state: RunState) -> std::result::Result<Option<i64>, Cause> {
    let found = connection.query_row(sql::NEWEST_RUN, [state.as_str()], |row| row.get(0));
    Ok(found.optional()?)
}

/// Ends the runs that are said to go on; the caller knows that their processes are gone. Which those were.
fn abandon_running(transaction: &Transaction<'_>) -> std::result::Result<Vec<u64>, Cause> {
    let mut abandoned = Vec::new();
    while let Some(run) = newest(transaction, RunState::Running)? {
        change(transaction, run, RunRecord::abandon)?;
        abandoned.push(u64::try_from(run)?);
    }
    Ok(abandoned)
}

#[async_trait]
impl RunLog for SqliteStore {
    async fn runs(&self, query: RunQuery) -> Result<RunPage> {
        self.run("listing runs", move |connection| {
            let text = |instant: Option<Timestamp>| instant.map(|instant| instant.to_string());
            let run = query.run.map(|run| i64::try_from(run).unwrap_or(i64::MAX));
            let asked = params![
                run,
                query.state.map(RunState::as_str),
                text(query.from),
                text(query.until),
                query.limit,
                query.offset
            ];
            let mut statement = connection.prepare_cached(&sql::runs(&query))?;
            let texts = statement.query_map(asked, |row| row.get::<_, String>(0))?;
            let runs = texts.map(|text| Ok(serde_json::from_str(&text?)?));
            let runs = runs.collect::<std::result::Result<Vec<RunRecord>, Cause>>()?;
            let total = if query.counts {
                let mut statement = connection.prepare_cached(&sql::count_runs(&query))?;
                u64::try_from(statement.query_row(asked, |row| row.get::<_, i64>(0))?)?
            } else {
                runs.len() as u64
            };
            Ok(RunPage { runs, total })
        })
        .await
    }

    async fn enqueue(&self, order: &RunSpec) -> Result<(u64, bool)> {
        let order = *order;
        self.run("putting a run in line", move |connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            if let Some(waiting) = newest(&transaction, RunState::Enqueued)? {
                return Ok((u64::try_from(waiting)?, false));
            }
            refuse_again(&transaction, &order)?;
            let last: i64 = transaction.query_row(sql::LAST_RUN, [], |row| row.get(0))?;
            let run = u64::try_from(last + 1)?;
            keep(&transaction, &RunRecord::enqueued(run, &order, owner()))?;
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
        if self.run("looking for runs", is_running).await?.is_none() {
            return Ok(Vec::new());
        }
        let Some(lock) = self.try_lock()? else { return Ok(Vec::new()) };
        let settled = self.run("settling runs", |connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let abandoned = abandon_running(&transaction)?;
            transaction.commit()?;
            Ok(abandoned)
        });
        let settled = settled.await;
        drop(lock);
        settled
    }

    async fn claim_key(&self, key: &str, asked: &str) -> Result<Option<IdempotencyRecord>> {
        let (key, asked) = (key.to_owned(), asked.to_owned());
        self.run("taking a key", move |connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute(sql::FORGET_KEYS, [oldest_key()])?;
            let known = transaction.query_row(sql::KEY, [&key], |row| {
                let run: Option<i64> = row.get(1)?;
                Ok(IdempotencyRecord { asked: row.get(0)?, run: run.map(i64::unsigned_abs) })
            });
            if let Some(known) = known.optional()? {
                return Ok(Some(known));
            }
            transaction.execute(sql::CLAIM_KEY, params![key, asked, Timestamp::now().0])?;
            transaction.commit()?;
            Ok(None)
        })
        .await
    }

    async fn keep_key(&self, key: &str, run: Option<u64>) -> Result<()> {
        let key = key.to_owned();
        self.run("keeping a key", move |connection| {
            match run.map(i64::try_from).transpose()? {
                Some(run) => connection.execute(sql::KEEP_KEY, params![key, run])?,
                None => connection.execute(sql::GIVE_KEY_BACK, [key])?,
            };
            Ok(())
        })
        .await
    }
}

/// Keys that were kept before this are forgotten.
fn oldest_key() -> i64 {
    Timestamp::now().0 - i64::try_from(KEY_LIFE.as_micros()).unwrap_or(i64::MAX)
}
