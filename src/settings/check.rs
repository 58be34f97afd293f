//! The tree of settings as it is written, and the checks it has to pass.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use super::SettingsError;
use super::s3::{RawLake, RawMinio, RawS3, check_lake};
use super::tree::{Http, Metabase, Models, MongoDb, Notify, Quality, Refresh, Sample, Settings};
use crate::logging::{LogFormat, LogOptions};
use crate::runs::schedule::Schedule;

/// What the HTTP server can start.
const MOST_WORKERS: usize = 512;
/// More is no retention but an archive.
const MOST_GENERATIONS: usize = 100_000;

/// A day: a longer wait is no limit.
pub const MOST_SECS: u64 = 86_400;

/// The tree as written, before it is checked.
#[derive(Debug, Deserialize)]
pub struct Raw {
    http: Http,
    shutdown: RawShutdown,
    lake: RawLake,
    s3: RawS3,
    minio: RawMinio,
    sqlite: RawSqlite,
    mongodb: RawMongoDb,
    auth: RawAuth,
    log: RawLog,
    quality: Quality,
    models: Models,
    churn: RawChurn,
    publish: RawPublish,
    refresh: RawRefresh,
    sources: RawSources,
    notify: RawNotify,
    metabase: RawMetabase,
    sample: Sample,
    testing: RawTesting,
}
#[derive(Debug, Deserialize)]
pub struct RawShutdown {
    grace_secs: u64,
}
#[derive(Debug, Deserialize)]
pub struct RawSqlite {
    path: String,
}
#[derive(Debug, Deserialize)]
pub struct RawMongoDb {
    uri: String,
    db: String,
    read_preference: String,
    server_selection_secs: u64,
    query_secs: u64,
    write_secs: u64,
    lease_secs: u64,
}
#[derive(Debug, Deserialize)]
pub struct RawAuth {
    admin_token: String,
    read_token: String,
}
#[derive(Debug, Deserialize)]
pub struct RawLog {
    format: String,
    filter: String,
}
#[derive(Debug, Deserialize)]
pub struct RawChurn {
    horizon_days: u32,
}
#[derive(Debug, Deserialize)]
pub struct RawPublish {
    keep_generations: usize,
    keep_runs: u32,
}
#[derive(Debug, Deserialize)]
pub struct RawTesting {
    abort_at: String,
}
#[derive(Debug, Deserialize)]
pub struct RawRefresh {
    schedule: String,
    timezone: String,
    jitter_secs: u64,
    step_secs: u64,
    threads: usize,
}
#[derive(Debug, Deserialize)]
pub struct RawSources {
    watch: bool,
    watch_secs: u64,
}
#[derive(Debug, Deserialize)]
pub struct RawNotify {
    urls: String,
    secret: String,
}
#[derive(Debug, Deserialize)]
pub struct RawMetabase {
    url: String,
    database_id: u32,
    api_key: String,
}

pub fn invalid(key: &'static str, problem: String) -> SettingsError {
    SettingsError::Invalid { key, problem }
}

pub fn secret(text: String) -> Option<SecretString> {
    (!text.is_empty()).then(|| SecretString::from(text))
}

fn check_mongodb(raw: RawMongoDb) -> Result<Option<MongoDb>, SettingsError> {
    /// What a server takes for the name of a database, less what we put after it.
    const LONGEST_NAME: usize = 59;
    /// Databases of the server's own.
    const RESERVED: [&str; 3] = ["admin", "config", "local"];
    /// The driver's words.
    const READ_PREFERENCES: [&str; 6] =
        ["", "primary", "primaryPreferred", "secondary", "secondaryPreferred", "nearest"];
    let is_name = !raw.db.is_empty()
        && raw.db.len() <= LONGEST_NAME
        && !RESERVED.contains(&raw.db.as_str())
        && !raw.db.ends_with("_ops")
        && raw.db.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if !is_name {
        let problem = format!(
            "{:?} is not 1 to {LONGEST_NAME} letters, digits, hyphens and underscores, or is \
             the server's own or one of manifests (_ops)",
            raw.db
        );
        return Err(invalid("mongodb.db", problem));
    }
    if !READ_PREFERENCES.contains(&raw.read_preference.as_str()) {
        let problem =
            format!("{:?} is none of {}", raw.read_preference, READ_PREFERENCES[1..].join(", "));
        return Err(invalid("mongodb.read_preference", problem));
    }
    for (key, secs) in [
        ("mongodb.server_selection_secs", raw.server_selection_secs),
        ("mongodb.query_secs", raw.query_secs),
        ("mongodb.write_secs", raw.write_secs),
        ("mongodb.lease_secs", raw.lease_secs),
    ] {
        if !(1..=MOST_SECS).contains(&secs) {
            return Err(invalid(key, format!("{secs} is not between 1 and {MOST_SECS}")));
        }
    }
    Ok(secret(raw.uri).map(|uri| MongoDb {
        uri,
        db: raw.db,
        read_preference: raw.read_preference,
        server_selection_secs: raw.server_selection_secs,
        query_secs: raw.query_secs,
        write_secs: raw.write_secs,
        lease_secs: raw.lease_secs,
    }))
}

fn check_models(models: Models, horizon_days: u32) -> Result<(), SettingsError> {
    /// Below it no share of customers can be held out.
    const LEAST_CUSTOMERS: usize = 10;
    /// A longer wait for the next purchase is a goodbye, whatever a shop sells.
    const MOST_DAYS: u32 = 3_650;
    if i64::try_from(models.seed).is_err() {
        let problem = format!("{} is more than {}", models.seed, i64::MAX);
        return Err(invalid("models.seed", problem));
    }
    if models.min_customers < LEAST_CUSTOMERS {
        let problem = format!("{} is less than {LEAST_CUSTOMERS}", models.min_customers);
        return Err(invalid("models.min_customers", problem));
    }
    if models.max_fit_rows < models.min_customers {
        let problem = format!(
            "{} is more than models.max_fit_rows ({})",
            models.min_customers, models.max_fit_rows
        );
        return Err(invalid("models.min_customers", problem));
    }
    if !(1..=MOST_DAYS).contains(&horizon_days) {
        let problem = format!("{horizon_days} is not between 1 and {MOST_DAYS}");
        return Err(invalid("churn.horizon_days", problem));
    }
    Ok(())
}

fn check_refresh(raw: &RawRefresh, sources: &RawSources) -> Result<Refresh, SettingsError> {
    /// More than any machine has.
    const MOST_THREADS: usize = 1_024;
    let zone = Schedule::parse("0 0 * * *", &raw.timezone);
    zone.map_err(|problem| invalid("refresh.timezone", problem))?;
    let schedule = match raw.schedule.as_str() {
        "" => None,
        expression => Some(
            Schedule::parse(expression, &raw.timezone)
                .map_err(|problem| invalid("refresh.schedule", problem))?,
        ),
    };
    if raw.jitter_secs > MOST_SECS {
        let problem = format!("{} is more than {MOST_SECS}", raw.jitter_secs);
        return Err(invalid("refresh.jitter_secs", problem));
    }
    if !(1..=MOST_SECS).contains(&raw.step_secs) {
        let problem = format!("{} is not between 1 and {MOST_SECS}", raw.step_secs);
        return Err(invalid("refresh.step_secs", problem));
    }
    if raw.threads > MOST_THREADS {
        let problem = format!("{} is more than {MOST_THREADS}", raw.threads);
        return Err(invalid("refresh.threads", problem));
    }
    if !(1..=MOST_SECS).contains(&sources.watch_secs) {
        let problem = format!("{} is not between 1 and {MOST_SECS}", sources.watch_secs);
        return Err(invalid("sources.watch_secs", problem));
    }
    Ok(Refresh {
        schedule,
        jitter: Duration::from_secs(raw.jitter_secs),
        watch: sources.watch.then(|| Duration::from_secs(sources.watch_secs)),
        step: Duration::from_secs(raw.step_secs),
        threads: Some(raw.threads).filter(|threads| *threads > 0),
    })
}

/// Whether something can be sent there.
fn is_http(address: &str) -> bool {
    url::Url::parse(address).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

fn check_notify(raw: RawNotify, metabase: RawMetabase) -> Result<Notify, SettingsError> {
    let urls: Vec<&str> = raw.urls.split([',', ' ']).filter(|url| !url.is_empty()).collect();
    if let Some(place) = urls.iter().position(|url| !is_http(url)) {
        // Not repeated: it may hold what lets one in.
        let problem = format!("address {} is no http or https address", place + 1);
        return Err(invalid("notify.urls", problem));
    }
    if !urls.is_empty() && raw.secret.is_empty() {
        let problem = "it is wanted, to sign what is sent to notify.urls".to_owned();
        return Err(invalid("notify.secret", problem));
    }
    let metabase = if metabase.url.is_empty() {
        None
    } else if !is_http(&metabase.url) {
        return Err(invalid("metabase.url", "it is no http or https address".to_owned()));
    } else if metabase.url.contains('@') {
        let problem = "it holds a user or password; a key for programs belongs in metabase.api_key";
        return Err(invalid("metabase.url", problem.to_owned()));
    } else if metabase.database_id == 0 {
        let problem = "it is wanted: the number in the address of the database in Metabase's admin \
                       pages";
        return Err(invalid("metabase.database_id", problem.to_owned()));
    } else {
        Some(Metabase {
            url: metabase.url.trim_end_matches('/').to_owned(),
            database_id: metabase.database_id,
            api_key: secret(metabase.api_key),
        })
    };
    let urls = urls.into_iter().map(SecretString::from).collect();
    Ok(Notify { urls, secret: secret(raw.secret), metabase })
}

pub fn check(raw: Raw) -> Result<Settings, SettingsError> {
    let has_port = raw
        .http
        .addr
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !has_port {
        let problem = format!("{:?} is not host:port, as 127.0.0.1:8000 is", raw.http.addr);
        return Err(invalid("http.addr", problem));
    }
    let format = match raw.log.format.as_str() {
        "text" => LogFormat::Text,
        "json" => LogFormat::Json,
        other => return Err(invalid("log.format", format!("{other:?} is neither text nor json"))),
    };
    for (key, share) in [
        ("quality.max_reject_ratio", raw.quality.max_reject_ratio),
        ("quality.max_row_drop", raw.quality.max_row_drop),
    ] {
        if !(0.0..=1.0).contains(&share) {
            return Err(invalid(key, format!("{share} is not between 0 and 1")));
        }
    }
    if !(raw.quality.max_amount > 0.0 && raw.quality.max_amount <= 1e12) {
        let problem = format!("{} is not between 0 and 1e12", raw.quality.max_amount);
        return Err(invalid("quality.max_amount", problem));
    }
    check_models(raw.models, raw.churn.horizon_days)?;
    // A request may still be reading the generation before the one just published.
    if !(2..=MOST_GENERATIONS).contains(&raw.publish.keep_generations) {
        let kept = raw.publish.keep_generations;
        let problem = format!("{kept} is not between 2 and {MOST_GENERATIONS}");
        return Err(invalid("publish.keep_generations", problem));
    }
    if raw.publish.keep_runs == 0 {
        return Err(invalid("publish.keep_runs", "0 would forget the run that goes on".to_owned()));
    }
    if raw.sqlite.path.is_empty() || raw.sqlite.path.starts_with(':') {
        return Err(invalid("sqlite.path", format!("{:?} is not a file", raw.sqlite.path)));
    }
    if raw.http.workers > MOST_WORKERS {
        let problem = format!("{} is more than {MOST_WORKERS}", raw.http.workers);
        return Err(invalid("http.workers", problem));
    }
    for (key, token) in
        [("auth.admin_token", &raw.auth.admin_token), ("auth.read_token", &raw.auth.read_token)]
    {
        let is_sendable = token.chars().all(|c| c == ' ' || c.is_ascii_graphic());
        if !is_sendable || token.trim() != token {
            let problem =
                "a header can carry only visible ASCII characters, and no space at either end";
            return Err(invalid(key, problem.to_owned()));
        }
    }
    if !raw.auth.admin_token.is_empty() && raw.auth.admin_token == raw.auth.read_token {
        let problem = "it is the read token too, so that every reader could do what operators do";
        return Err(invalid("auth.admin_token", problem.to_owned()));
    }
    Ok(Settings {
        http: raw.http,
        grace_secs: raw.shutdown.grace_secs,
        lake: check_lake(raw.lake, raw.s3, raw.minio)?,
        sqlite_path: raw.sqlite.path.into(),
        mongodb: check_mongodb(raw.mongodb)?,
        admin_token: secret(raw.auth.admin_token),
        read_token: secret(raw.auth.read_token),
        log: LogOptions {
            format,
            filter: Some(raw.log.filter).filter(|filter| !filter.is_empty()),
        },
        quality: raw.quality,
        models: raw.models,
        churn_horizon_days: raw.churn.horizon_days,
        keep_generations: raw.publish.keep_generations,
        keep_runs: raw.publish.keep_runs,
        refresh: check_refresh(&raw.refresh, &raw.sources)?,
        notify: check_notify(raw.notify, raw.metabase)?,
        sample: raw.sample,
        abort_at: Some(raw.testing.abort_at).filter(|point| !point.is_empty()),
    })
}
