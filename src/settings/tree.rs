//! The settings as the rest of the program takes them.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use crate::logging::LogOptions;
use crate::runs::schedule::Schedule;

/// The settings, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `[http]`
    pub http: Http,
    /// `shutdown.grace_secs`: for requests in flight and the run that goes on at a stop, seconds.
    pub grace_secs: u64,
    /// `[lake]`, `[s3]`, `[minio]`
    pub lake: Lake,
    /// `sqlite.path`
    pub sqlite_path: PathBuf,
    /// `[mongodb]`; `None` when no `mongodb.uri` is given.
    pub mongodb: Option<MongoDb>,
    /// `auth.admin_token`
    pub admin_token: Option<SecretString>,
    /// `auth.read_token`
    pub read_token: Option<SecretString>,
    /// `[log]`
    pub log: LogOptions,
    /// `[quality]`
    pub quality: Quality,
    /// `[models]`
    pub models: Models,
    /// `churn.horizon_days`
    pub churn_horizon_days: u32,
    /// `publish.keep_generations`
    pub keep_generations: usize,
    /// `publish.keep_runs`
    pub keep_runs: u32,
    /// `[refresh]`, `[sources]`
    pub refresh: Refresh,
    /// `[notify]`, `[metabase]`
    pub notify: Notify,
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
    /// Memory for rendered answers, bytes.
    pub cache_bytes: u64,
}

/// `[lake]`
#[derive(Debug, Clone)]
pub struct Lake {
    /// Where sources, bronze, silver and gold live: the setting that says so, and the location
    /// template, perhaps with `{layer}`.
    pub urls: [(&'static str, String); 4],
    /// `[s3]`, `[minio]`; `None` when no layer lives there.
    pub s3: Option<S3>,
}

/// `[s3]`, `[minio]`
#[derive(Debug, Clone)]
pub struct S3 {
    /// Where it answers, with a scheme and without a slash at the end; `None` for AWS.
    pub endpoint: Option<String>,
    /// Access key and secret key; `None`: who the machine is decides.
    pub keys: Option<(SecretString, SecretString)>,
    /// Belongs to keys that are valid for a time.
    pub session_token: Option<SecretString>,
    /// The region.
    pub region: String,
    /// Whether buckets are named in the host.
    pub virtual_hosted_style: bool,
    /// Where else keys come from, by the names AWS has for it, in lower case.
    pub identity: Vec<(&'static str, String)>,
    /// Whether missing buckets are created.
    pub create_buckets: bool,
    /// Longest wait for an answer, or for more of one.
    pub request: Duration,
    /// Tries of one request after the first.
    pub retries: usize,
}

/// `[mongodb]`
#[derive(Debug, Clone)]
pub struct MongoDb {
    /// Connection string.
    pub uri: SecretString,
    /// Serving database.
    pub db: String,
    /// Which members of a replica set answer the API, in the driver's words; empty when not set.
    pub read_preference: String,
    /// Longest wait for a server that can answer, seconds.
    pub server_selection_secs: u64,
    /// Longest time one read may take, seconds.
    pub query_secs: u64,
    /// Longest time one write may take, seconds.
    pub write_secs: u64,
    /// How long the right to publish outlives its holder, seconds.
    pub lease_secs: u64,
}

/// `[quality]`
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Quality {
    /// Greatest share of rejected rows.
    pub max_reject_ratio: f64,
    /// Greatest fall of valid rows.
    pub max_row_drop: f64,
    /// Greatest amount of one purchase, EUR.
    pub max_amount: f64,
}

/// `[models]`
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Models {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// Fewer customers are too few to learn from.
    pub min_customers: usize,
    /// Most customers a model is fitted on.
    pub max_fit_rows: usize,
}

/// `[sample]`
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Sample {
    /// Number of customers.
    pub customers: u32,
    /// Number of purchases.
    pub purchases: u32,
    /// Seed of the generator.
    pub seed: u64,
}

/// `[refresh]`, `[sources]`
#[derive(Debug, Clone)]
pub struct Refresh {
    /// When a serving process refreshes by itself; `None` for never.
    pub schedule: Option<Schedule>,
    /// Longest chance delay of a scheduled run.
    pub jitter: Duration,
    /// Between looks at the source files for changes; `None` for no looks.
    pub watch: Option<Duration>,
    /// Longest time one step may take.
    pub step: Duration,
    /// Threads of the pipeline; `None` for what is left beside serving.
    pub threads: Option<usize>,
}

/// `[notify]`, `[metabase]`
#[derive(Debug, Clone, Default)]
pub struct Notify {
    /// Who is told of the end of each refresh; the addresses may let one in.
    pub urls: Vec<SecretString>,
    /// Signs what they are told.
    pub secret: Option<SecretString>,
    /// The Metabase that is told of new figures.
    pub metabase: Option<Metabase>,
}

/// `[metabase]`
#[derive(Debug, Clone)]
pub struct Metabase {
    /// Where it answers.
    pub url: String,
    /// Its number for the serving database.
    pub database_id: u32,
    /// Its key for programs.
    pub api_key: Option<SecretString>,
}
