//! Records of runs as documents: instants are BSON dates.

use mongodb::bson::{Bson, Document, doc};

use super::connection::Connection;
use super::documents::{instant_from_bson, instant_to_bson};
use super::whole;
use crate::domain::run::{RunKind, RunQuery, RunRecord, RunState, RunStep, RunTrigger};
use crate::domain::time::Timestamp;
use crate::store::{Result, StoreError};

/// A record as it is stored.
pub fn write_run(record: &RunRecord) -> Document {
    doc! {
        "_id": i64::try_from(record.run).unwrap_or(i64::MAX),
        "kind": record.kind.word(),
        "state": record.state.word(),
        "holder": &record.holder,
        "started_at": instant_to_bson(record.started_at),
        "ended_at": record.ended_at.map(instant_to_bson),
        "generation": record.generation.and_then(|generation| i64::try_from(generation).ok()),
        "error": record.error.clone(),
        "trigger": record.trigger.word(),
        "steps": write_steps(&record.steps),
    }
}

/// The steps of a record as they are stored.
pub fn write_steps(steps: &[RunStep]) -> Vec<Document> {
    let write = |step: &RunStep| {
        doc! {
            "step": &step.step,
            "started_at": instant_to_bson(step.started_at),
            "ended_at": step.ended_at.map(instant_to_bson),
            "summary": &step.summary,
        }
    };
    steps.iter().map(write).collect()
}

/// The stored steps; `None` when one cannot be read.
fn read_steps(stored: &Document) -> Option<Vec<RunStep>> {
    // Records of earlier versions have none.
    let Ok(steps) = stored.get_array("steps") else { return Some(Vec::new()) };
    let read = |step: &Bson| {
        let step = step.as_document()?;
        let instant = |key: &str| step.get_datetime(key).ok().copied().map(instant_from_bson);
        Some(RunStep {
            step: step.get_str("step").ok()?.to_owned(),
            started_at: instant("started_at")?,
            ended_at: instant("ended_at"),
            summary: step.get_str("summary").ok()?.to_owned(),
        })
    };
    steps.iter().map(read).collect()
}

/// The condition that runs asked for meet.
pub fn run_filter(query: &RunQuery) -> Document {
    let mut filter = doc! {};
    if let Some(run) = query.run {
        filter.insert("_id", i64::try_from(run).unwrap_or(i64::MAX));
    }
    if let Some(state) = query.state {
        filter.insert("state", state.word());
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

/// A stored record of a run.
pub fn read_run(stored: &Document, connection: &Connection) -> Result<RunRecord> {
    let undecodable = |column: &str, ty: &'static str| StoreError::Decode {
        table: format!("{}.runs", connection.ops.name()),
        column: column.to_owned(),
        ty,
        key: stored.get("_id").map(ToString::to_string).unwrap_or_default(),
    };
    let positive = |key: &str| whole(stored, key).and_then(|value| u64::try_from(value).ok());
    let text = |key: &str| stored.get_str(key).ok().map(str::to_owned);
    let instant = |key: &str| -> Option<Timestamp> {
        stored.get_datetime(key).ok().map(|date| instant_from_bson(*date))
    };
    let word = |key: &str| stored.get_str(key).unwrap_or_default();
    let kind = RunKind::ALL.into_iter().find(|kind| kind.word() == word("kind"));
    let state = RunState::ALL.into_iter().find(|state| state.word() == word("state"));
    Ok(RunRecord {
        run: positive("_id").ok_or_else(|| undecodable("_id", "integer"))?,
        kind: kind.ok_or_else(|| undecodable("kind", "text"))?,
        state: state.ok_or_else(|| undecodable("state", "text"))?,
        holder: text("holder").ok_or_else(|| undecodable("holder", "text"))?,
        started_at: instant("started_at").ok_or_else(|| undecodable("started_at", "timestamp"))?,
        ended_at: instant("ended_at"),
        generation: positive("generation"),
        error: text("error"),
        trigger: RunTrigger::ALL
            .into_iter()
            .find(|trigger| trigger.word() == word("trigger"))
            .unwrap_or_default(),
        steps: read_steps(stored).ok_or_else(|| undecodable("steps", "list of steps"))?,
    })
}
