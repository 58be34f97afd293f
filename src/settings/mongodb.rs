//! `[mongodb]`: the production serving store.

use std::time::Duration;

use serde::Deserialize;
use strum::VariantNames as _;

use super::error::{MAX_SECS, SettingsError, invalid, secret, within};
use crate::store::mongo::{MongoOptions, ReadPreference};

#[derive(Debug, Deserialize)]
pub(super) struct RawMongoDb {
    uri: String,
    db: String,
    read_preference: String,
    server_selection_secs: u64,
    query_secs: u64,
    write_secs: u64,
    lease_secs: u64,
}

/// `None` when no `mongodb.uri` is set; the other keys are checked all the same.
pub(super) fn validate(raw: RawMongoDb) -> Result<Option<MongoOptions>, SettingsError> {
    check_name(&raw.db)?;
    let read_preference = parse_read_preference(&raw.read_preference)?;
    let secs = |key, secs| Ok(Duration::from_secs(within(key, secs, 1..=MAX_SECS)?));
    let server_selection_timeout =
        secs("mongodb.server_selection_secs", raw.server_selection_secs)?;
    let query_timeout = secs("mongodb.query_secs", raw.query_secs)?;
    let write_timeout = secs("mongodb.write_secs", raw.write_secs)?;
    let lease = secs("mongodb.lease_secs", raw.lease_secs)?;
    Ok(secret(raw.uri).map(|uri| MongoOptions {
        uri,
        database: raw.db,
        read_preference,
        server_selection_timeout,
        query_timeout,
        write_timeout,
        lease,
    }))
}

fn parse_read_preference(name: &str) -> Result<Option<ReadPreference>, SettingsError> {
    if name.is_empty() {
        return Ok(None);
    }
    name.parse().map(Some).map_err(|_| {
        let names = ReadPreference::VARIANTS.join(", ");
        invalid("mongodb.read_preference", format!("{name:?} is not one of {names}"))
    })
}

fn check_name(db: &str) -> Result<(), SettingsError> {
    /// The longest name that a server takes, less the suffix of the bookkeeping's database.
    const MAX_LENGTH: usize = 59;
    /// The server's own databases.
    const RESERVED: [&str; 3] = ["admin", "config", "local"];
    let is_name = !db.is_empty()
        && db.len() <= MAX_LENGTH
        && !RESERVED.contains(&db)
        && !db.ends_with("_ops")
        && db.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if is_name {
        return Ok(());
    }
    let problem = format!(
        "{db:?} is not a valid name: use 1 to {MAX_LENGTH} letters, digits, hyphens and underscores, but \
         not admin, config, local or a name that ends in _ops"
    );
    Err(invalid("mongodb.db", problem))
}
