//! Queries for stored runs.

use futures::TryStreamExt as _;
use mongodb::bson::{Document, doc};
use mongodb::error::Error;

use super::connection::Connection;
use super::documents::instant_to_bson;
use crate::runs::{RunQuery, RunState};

/// A number as a BSON integer.
pub fn to_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn filter(query: &RunQuery) -> Document {
    let mut filter = doc! {};
    if let Some(run) = query.run {
        filter.insert("_id", to_i64(run));
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

/// Runs, newest first, and how many match.
pub async fn find_runs(
    connection: &Connection,
    query: &RunQuery,
) -> Result<(Vec<Document>, u64), Error> {
    let runs = connection.runs();
    let filter = filter(query);
    let found = runs
        .find(filter.clone())
        .sort(doc! { "_id": -1 })
        .skip(query.offset.into())
        .limit(query.limit.into());
    let found: Vec<Document> = found.max_time(connection.max_time).await?.try_collect().await?;
    let total = if query.counts {
        runs.count_documents(filter).max_time(connection.max_time).await?
    } else {
        found.len() as u64
    };
    Ok((found, total))
}

/// The running runs that match a filter.
pub async fn find_running(
    connection: &Connection,
    mut filter: Document,
) -> Result<Vec<Document>, Error> {
    filter.insert("state", RunState::Running.as_str());
    connection.runs().find(filter).max_time(connection.max_time).await?.try_collect().await
}

/// The run with the greatest number.
pub async fn find_newest(connection: &Connection) -> Result<Option<Document>, Error> {
    let runs = connection.runs();
    runs.find_one(doc! {}).sort(doc! { "_id": -1 }).max_time(connection.max_time).await
}
