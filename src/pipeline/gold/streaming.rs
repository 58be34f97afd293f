//! The streaming engine, for queries over all purchases.

use polars::prelude::*;

use crate::pipeline::Result;

/// Runs a query on the streaming engine.
pub(super) fn collect(query: LazyFrame) -> Result<DataFrame> {
    Ok(query.collect_with_engine(Engine::Streaming)?.unwrap_single())
}
