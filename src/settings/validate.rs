//! All sections as they are written, and the settings that are made of them.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

use super::error::{SettingsError, invalid, secret, within};
use super::mongodb::{self, RawMongoDb};
use super::notify::{self, RawMetabase, RawNotify};
use super::quality::{self, Quality, RawQuality};
use super::refresh::{self, RawRefresh, Refresh};
use super::s3::{self, RawLake, RawMinio, RawS3};
use super::sources::{self, RawSources};
use crate::failpoint;
use crate::jobs::notify::NotifyOptions;
use crate::lake::location::LakeOptions;
use crate::logging::{LogFormat, LogOptions};
use crate::pipeline::ml::TrainingOptions;
use crate::sources::SourceOptions;
use crate::store::mongo::MongoOptions;

/// The sections as written.
#[derive(Debug, Deserialize)]
pub(super) struct Raw {
    http: Http,
    shutdown: RawShutdown,
    lake: RawLake,
    s3: RawS3,
    minio: RawMinio,
    sqlite: RawSqlite,
    mongodb: RawMongoDb,
    auth: RawAuth,
    log: RawLog,
    quality: RawQuality,
    models: RawModels,
    churn: RawChurn,
    publish: RawPublish,
    refresh: RawRefresh,
    sources: RawSources,
    notify: RawNotify,
    metabase: RawMetabase,
    sample: Sample,
    testing: RawTesting,
}

/// The settings, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `[http]`
    pub http: Http,
    /// `shutdown.grace_secs`
    pub grace_secs: u64,
    /// `[lake]`, `[s3]`, `[minio]`
    pub lake: LakeOptions,
    /// `sqlite.path`
    pub sqlite_path: PathBuf,
    /// `[mongodb]`; `None` when `mongodb.uri` is not set.
    pub mongodb: Option<MongoOptions>,
    /// `auth.admin_token`
    pub admin_token: Option<SecretString>,
    /// `auth.read_token`
    pub read_token: Option<SecretString>,
    /// `[log]`
    pub log: LogOptions,
    /// `[quality]`
    pub quality: Quality,
    /// `[models]`, `[churn]`
    pub models: TrainingOptions,
    /// `publish.keep_generations`
    pub keep_generations: usize,
    /// `publish.keep_runs`
    pub keep_runs: u32,
    /// `[refresh]`, `sources.watch`
    pub refresh: Refresh,
    /// `[sources]`
    pub sources: SourceOptions,
    /// `[notify]`, `[metabase]`
    pub notify: NotifyOptions,
    /// `[sample]`
    pub sample: Sample,
    /// `testing.abort_at`
    pub abort_at: Option<String>,
}

/// `[http]`
#[derive(Debug, Clone, Deserialize)]
pub struct Http {
    /// Host and port to listen on.
    pub addr: String,
    /// Number of serving threads; 0 for one per core.
    pub workers: usize,
    /// Memory for rendered responses, in bytes.
    pub cache_bytes: u64,
}

#[derive(Debug, Deserialize)]
struct RawShutdown {
    grace_secs: u64,
}

#[derive(Debug, Deserialize)]
struct RawSqlite {
    path: String,
}

#[derive(Debug, Deserialize)]
struct RawAuth {
    admin_token: String,
    read_token: String,
}

#[derive(Debug, Deserialize)]
struct RawLog {
    format: String,
    filter: String,
}

#[derive(Debug, Deserialize)]
struct RawModels {
    seed: u64,
    min_customers: usize,
    max_fit_rows: usize,
}

#[derive(Debug, Deserialize)]
struct RawChurn {
    horizon_days: u32,
}

#[derive(Debug, Deserialize)]
struct RawPublish {
    keep_generations: usize,
    keep_runs: u32,
}

/// `[sample]`
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Sample {
    /// Number of customers.
    pub customers: u32,
    /// Number of their orders.
    pub purchases: u32,
    /// Seed of the generator.
    pub seed: u64,
}

#[derive(Debug, Deserialize)]
struct RawTesting {
    abort_at: String,
}

pub(super) fn validate(raw: Raw) -> Result<Settings, SettingsError> {
    /// More is not retention but an archive.
    const MAX_GENERATIONS: usize = 100_000;
    let RawPublish { keep_generations, keep_runs } = raw.publish;
    if keep_runs == 0 {
        let problem = "0 would remove the record of the run that is running";
        return Err(invalid("publish.keep_runs", problem));
    }
    if raw.sqlite.path.is_empty() || raw.sqlite.path.starts_with(':') {
        return Err(invalid("sqlite.path", format!("{:?} is not a file", raw.sqlite.path)));
    }
    let (admin_token, read_token) = validate_tokens(raw.auth)?;
    Ok(Settings {
        http: validate_http(raw.http)?,
        grace_secs: raw.shutdown.grace_secs,
        lake: s3::validate(raw.lake, raw.s3, raw.minio)?,
        sqlite_path: raw.sqlite.path.into(),
        mongodb: mongodb::validate(raw.mongodb)?,
        admin_token,
        read_token,
        log: validate_log(raw.log)?,
        quality: quality::validate(&raw.quality, &raw.sources)?,
        models: validate_models(&raw.models, &raw.churn)?,
        // A request may still be reading the generation before the one just published.
        keep_generations: within(
            "publish.keep_generations",
            keep_generations,
            2..=MAX_GENERATIONS,
        )?,
        keep_runs,
        refresh: refresh::validate(&raw.refresh, &raw.sources)?,
        sources: sources::validate(raw.sources)?,
        notify: notify::validate(raw.notify, raw.metabase)?,
        sample: raw.sample,
        abort_at: check_abort_at(raw.testing.abort_at)?,
    })
}

fn validate_http(raw: Http) -> Result<Http, SettingsError> {
    /// The most that the HTTP server starts.
    const MAX_WORKERS: usize = 512;
    let has_port = raw
        .addr
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !has_port {
        let problem = format!("{:?} is not host:port, such as 127.0.0.1:8000", raw.addr);
        return Err(invalid("http.addr", problem));
    }
    within("http.workers", raw.workers, 0..=MAX_WORKERS)?;
    Ok(raw)
}

fn validate_log(raw: RawLog) -> Result<LogOptions, SettingsError> {
    let format = match raw.format.as_str() {
        "text" => LogFormat::Text,
        "json" => LogFormat::Json,
        other => return Err(invalid("log.format", format!("{other:?} is neither text nor json"))),
    };
    Ok(LogOptions { format, filter: Some(raw.filter).filter(|filter| !filter.is_empty()) })
}

fn validate_models(raw: &RawModels, churn: &RawChurn) -> Result<TrainingOptions, SettingsError> {
    /// Below it no share of customers can be held out.
    const MIN_CUSTOMERS: usize = 10;
    /// A shop whose customers buy less often than every ten years has no use for a churn model.
    const MAX_DAYS: u32 = 3_650;
    // Models store it as a signed number.
    let seed = within("models.seed", raw.seed, 0..=i64::MAX.unsigned_abs())?;
    if raw.min_customers < MIN_CUSTOMERS {
        let problem = format!("{} is less than {MIN_CUSTOMERS}", raw.min_customers);
        return Err(invalid("models.min_customers", problem));
    }
    if raw.max_fit_rows < raw.min_customers {
        let problem = format!(
            "{} is more than models.max_fit_rows ({})",
            raw.min_customers, raw.max_fit_rows
        );
        return Err(invalid("models.min_customers", problem));
    }
    Ok(TrainingOptions {
        seed,
        min_customers: raw.min_customers,
        churn_horizon_days: within("churn.horizon_days", churn.horizon_days, 1..=MAX_DAYS)?,
        max_fit_rows: raw.max_fit_rows,
    })
}

fn validate_tokens(
    raw: RawAuth,
) -> Result<(Option<SecretString>, Option<SecretString>), SettingsError> {
    for (key, token) in
        [("auth.admin_token", &raw.admin_token), ("auth.read_token", &raw.read_token)]
    {
        let is_sendable = token.chars().all(|c| c == ' ' || c.is_ascii_graphic());
        if !is_sendable || token.trim() != token {
            let problem =
                "a header can carry only visible ASCII characters, and no space at either end";
            return Err(invalid(key, problem));
        }
    }
    if !raw.admin_token.is_empty() && raw.admin_token == raw.read_token {
        let problem = "it is the read token too, which would give every reader the admin routes";
        return Err(invalid("auth.admin_token", problem));
    }
    Ok((secret(raw.admin_token), secret(raw.read_token)))
}

/// A released binary refuses what it would not do.
fn check_abort_at(points: String) -> Result<Option<String>, SettingsError> {
    if points.is_empty() {
        return Ok(None);
    }
    if !failpoint::COMPILED_IN {
        let problem = "this binary has no fail points; build it with --features failpoints";
        return Err(invalid("testing.abort_at", problem));
    }
    Ok(Some(points))
}
