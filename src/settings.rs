//! The settings tree and its loader; the only file that reads the environment.
//!
//! Layers, later ones win: embedded defaults (`default.toml`, which documents every key), a TOML
//! file, `.env`, the environment. Unknown keys are refused. [`Settings`] is what comes out, checked.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use config::{Config, ConfigError, File, FileFormat, Map, Source, Value, ValueKind};
use secrecy::SecretString;
use serde::Deserialize;

const DEFAULTS: &str = include_str!("default.toml");
/// Read from the working directory when present and no other file is named.
const FILE: &str = "goldsmith.toml";

/// Names that operators know, and the keys they set.
const SHORT_NAMES: &[(&str, &str)] = &[
    ("HTTP_ADDR", "http.addr"),
    ("LAKE_URL", "lake.url"),
    ("SQLITE_PATH", "sqlite.path"),
    ("MONGODB_URI", "mongodb.uri"),
    ("MONGODB_DB", "mongodb.db"),
    ("ADMIN_TOKEN", "auth.admin_token"),
    ("READ_TOKEN", "auth.read_token"),
    ("LOG_FORMAT", "log.format"),
    ("RUST_LOG", "log.filter"),
];

/// What the HTTP server can start.
const MOST_WORKERS: usize = 512;
/// More is no retention but an archive.
const MOST_GENERATIONS: usize = 100_000;

/// A day: a longer wait is no limit.
const MOST_SECS: u64 = 86_400;

/// Keys whose values are never shown.
const SECRETS: &[&str] = &["mongodb.uri", "auth.admin_token", "auth.read_token"];

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A key nobody knows.
    #[error("unknown setting {key} (from {origin}); {section} has {valid}")]
    Unknown {
        /// The key.
        key: String,
        /// Where it was given.
        origin: String,
        /// Its section, or the whole.
        section: String,
        /// What exists there.
        valid: String,
    },
    /// A value that does not fit its key.
    #[error("setting {key}: {problem}")]
    Invalid {
        /// The key.
        key: &'static str,
        /// What is wrong and what would fit.
        problem: String,
    },
    /// A file or value that cannot be read at all.
    #[error("the settings cannot be read: {0}")]
    Unreadable(String),
    /// The `.env` file cannot be read.
    #[error("the file .env cannot be read: {0}")]
    DotEnv(String),
    /// A variable whose value is no text.
    #[error("the environment variable {name} is not UTF-8 text")]
    NotText {
        /// The variable.
        name: String,
    },
}

impl SettingsError {
    /// Says what is wrong with `.env` without repeating its lines: they hold secrets.
    fn dot_env(error: dotenvy::Error) -> Self {
        Self::DotEnv(match error {
            dotenvy::Error::Io(error) => error.to_string(),
            _ => "a line is not NAME=VALUE (put a value with spaces in quotation marks)".to_owned(),
        })
    }

    /// Says what is wrong with a file or value without the lines that parsers like to quote.
    fn unreadable(error: &ConfigError) -> Self {
        let text = error.to_string();
        let told: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.contains('|'))
            .collect();
        Self::Unreadable(told.join("; "))
    }
}

/// The settings, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `[http]`
    pub http: Http,
    /// `shutdown.grace_secs`: for requests in flight and the run that goes on at a stop, seconds.
    pub grace_secs: u64,
    /// `lake.url`: location template with `{layer}`.
    pub lake_url: String,
    /// `sqlite.path`
    pub sqlite_path: PathBuf,
    /// `[mongodb]`; `None` when no `mongodb.uri` is given.
    pub mongodb: Option<MongoDb>,
    /// `auth.admin_token`
    pub admin_token: Option<SecretString>,
    /// `auth.read_token`
    pub read_token: Option<SecretString>,
    /// `[log]`
    pub log: Log,
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

/// `[log]`
#[derive(Debug, Clone)]
pub struct Log {
    /// Shape of a line.
    pub format: LogFormat,
    /// Filter directives; `None` for the command's default.
    pub filter: Option<String>,
}

/// Shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
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

/// The tree as written, before it is checked.
#[derive(Debug, Deserialize)]
struct Raw {
    http: Http,
    shutdown: RawShutdown,
    lake: RawLake,
    sqlite: RawSqlite,
    mongodb: RawMongoDb,
    auth: RawAuth,
    log: RawLog,
    quality: Quality,
    models: Models,
    churn: RawChurn,
    publish: RawPublish,
    sample: Sample,
    testing: RawTesting,
}
#[derive(Debug, Deserialize)]
struct RawShutdown {
    grace_secs: u64,
}
#[derive(Debug, Deserialize)]
struct RawLake {
    url: String,
}
#[derive(Debug, Deserialize)]
struct RawSqlite {
    path: String,
}
#[derive(Debug, Deserialize)]
struct RawMongoDb {
    uri: String,
    db: String,
    read_preference: String,
    server_selection_secs: u64,
    query_secs: u64,
    write_secs: u64,
    lease_secs: u64,
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
struct RawChurn {
    horizon_days: u32,
}
#[derive(Debug, Deserialize)]
struct RawPublish {
    keep_generations: usize,
    keep_runs: u32,
}
#[derive(Debug, Deserialize)]
struct RawTesting {
    abort_at: String,
}

/// One resolved setting, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// `section.key`
    pub key: String,
    /// The value; secrets are masked, nothing is `(not set)`.
    pub value: String,
    /// The layer it came from.
    pub origin: String,
}

/// Settings and where each came from.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Every key, in the order of the defaults' sections.
    pub resolved: Vec<Resolved>,
}

/// Loads the settings of this process: `file` if given, else `goldsmith.toml` if present, then
/// `.env` and the environment.
///
/// # Errors
/// [`SettingsError`], naming the key and where it came from.
pub fn load(file: Option<&Path>) -> Result<Loaded, SettingsError> {
    let dot_env = match dotenvy::from_path_iter(".env") {
        Ok(pairs) => pairs.collect::<Result<Vec<_>, _>>().map_err(SettingsError::dot_env)?,
        Err(error) if error.not_found() => Vec::new(),
        Err(error) => return Err(SettingsError::dot_env(error)),
    };
    let mut environment = Vec::new();
    for (name, value) in std::env::vars_os() {
        // A name that is not UTF-8 cannot be one of ours; a value may have been meant for one.
        let Ok(name) = name.into_string() else { continue };
        match value.into_string() {
            Ok(value) => environment.push((name, value)),
            Err(_)
                if SHORT_NAMES.iter().any(|(short, _)| *short == name) || name.contains("__") =>
            {
                return Err(SettingsError::NotText { name });
            }
            Err(_) => {}
        }
    }
    load_from(file, dot_env, environment)
}

/// The same from given `.env` pairs and a given environment, for tests and embedding.
///
/// # Errors
/// As [`load`].
pub fn load_from(
    file: Option<&Path>,
    dot_env: Vec<(String, String)>,
    environment: Vec<(String, String)>,
) -> Result<Loaded, SettingsError> {
    let defaults = File::from_str(DEFAULTS, FileFormat::Toml);
    let known = flatten(&defaults.collect().map_err(|error| SettingsError::unreadable(&error))?);
    let sections: Vec<&str> = {
        let mut sections: Vec<&str> = known.keys().filter_map(|key| section_of(key)).collect();
        sections.dedup();
        sections
    };

    let file = match file {
        Some(path) => File::from(path).format(FileFormat::Toml).required(true),
        None => File::from(Path::new(FILE)).format(FileFormat::Toml).required(false),
    };
    let dot_env = Variables::new(".env", dot_env, &sections);
    let environment = Variables::new("environment", environment, &sections);
    let config = Config::builder()
        .add_source(defaults)
        .add_source(file)
        .add_source(dot_env)
        .add_source(environment)
        .build()
        .map_err(|error| SettingsError::unreadable(&error))?;

    let tree = flatten(&config.collect().map_err(|error| SettingsError::unreadable(&error))?);
    for (key, value) in &tree {
        if !known.contains_key(key) {
            return Err(unknown_key(key, value, known.keys()));
        }
    }
    let resolved = tree.iter().map(|(key, value)| resolve(key, value)).collect();
    let raw: Raw = config.try_deserialize().map_err(|error| SettingsError::unreadable(&error))?;
    Ok(Loaded { settings: check(raw)?, resolved })
}

/// Environment variables that name settings.
#[derive(Debug, Clone)]
struct Variables {
    values: Map<String, Value>,
}

impl Variables {
    /// Keeps the short names and every `SECTION__KEY` whose section exists; the rest of the
    /// environment belongs to others. An empty value means: not set here.
    fn new(layer: &str, pairs: Vec<(String, String)>, sections: &[&str]) -> Self {
        let mut values = Map::new();
        for (name, value) in pairs {
            if value.is_empty() {
                continue;
            }
            let short = SHORT_NAMES.iter().find(|(short, _)| *short == name);
            let long = name
                .split_once("__")
                .map(|(section, key)| (section.to_lowercase(), key.to_lowercase()));
            let key = match (short, long) {
                (Some((_, key)), _) => (*key).to_owned(),
                (None, Some((section, key))) if sections.contains(&section.as_str()) => {
                    format!("{section}.{key}")
                }
                _ => continue,
            };
            let origin = format!("{layer} {name}");
            values.insert(key, Value::new(Some(&origin), ValueKind::String(value)));
        }
        Self { values }
    }
}

impl Source for Variables {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.values.clone())
    }
}

/// The leaves of a tree by dotted key.
fn flatten(tree: &Map<String, Value>) -> BTreeMap<String, Value> {
    let mut leaves = BTreeMap::new();
    for (name, value) in tree {
        match &value.kind {
            ValueKind::Table(table) => {
                for (inner, value) in flatten(table) {
                    leaves.insert(format!("{name}.{inner}"), value);
                }
            }
            _ => {
                leaves.insert(name.clone(), value.clone());
            }
        }
    }
    leaves
}

fn section_of(key: &str) -> Option<&str> {
    key.split_once('.').map(|(section, _)| section)
}

fn origin_of(value: &Value) -> String {
    value.origin().map_or_else(|| "default".to_owned(), str::to_owned)
}

fn unknown_key<'a>(
    key: &str,
    value: &Value,
    known: impl Iterator<Item = &'a String>,
) -> SettingsError {
    let section = section_of(key).unwrap_or_default();
    let all: Vec<&String> = known.collect();
    let mut valid: Vec<&str> = all
        .iter()
        .filter(|known| section_of(known) == Some(section))
        .filter_map(|known| known.split_once('.').map(|(_, name)| name))
        .collect();
    let mut place = format!("[{section}]");
    if valid.is_empty() {
        "the file".clone_into(&mut place);
        valid = all.iter().filter_map(|known| section_of(known)).collect();
        valid.dedup();
    }
    SettingsError::Unknown {
        key: key.to_owned(),
        origin: origin_of(value),
        section: place,
        valid: valid.join(", "),
    }
}

fn resolve(key: &str, value: &Value) -> Resolved {
    let text = value.to_string();
    let shown = if text.is_empty() {
        "(not set)".to_owned()
    } else if SECRETS.contains(&key) {
        "********".to_owned()
    } else {
        text
    };
    Resolved { key: key.to_owned(), value: shown, origin: origin_of(value) }
}

fn invalid(key: &'static str, problem: String) -> SettingsError {
    SettingsError::Invalid { key, problem }
}

fn secret(text: String) -> Option<SecretString> {
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

fn check(raw: Raw) -> Result<Settings, SettingsError> {
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
        lake_url: raw.lake.url,
        sqlite_path: raw.sqlite.path.into(),
        mongodb: check_mongodb(raw.mongodb)?,
        admin_token: secret(raw.auth.admin_token),
        read_token: secret(raw.auth.read_token),
        log: Log { format, filter: Some(raw.log.filter).filter(|filter| !filter.is_empty()) },
        quality: raw.quality,
        models: raw.models,
        churn_horizon_days: raw.churn.horizon_days,
        keep_generations: raw.publish.keep_generations,
        keep_runs: raw.publish.keep_runs,
        sample: raw.sample,
        abort_at: Some(raw.testing.abort_at).filter(|point| !point.is_empty()),
    })
}

impl fmt::Display for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<26} {:<28} {}", self.key, self.value, self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(environment: &[(&str, &str)]) -> Result<Loaded, SettingsError> {
        let pairs = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
        };
        load_from(
            None,
            pairs(&[("HTTP_ADDR", "127.0.0.1:1"), ("PUBLISH__KEEP_GENERATIONS", "7")]),
            pairs(environment),
        )
    }

    #[test]
    fn the_environment_wins_over_dot_env_and_that_over_defaults() {
        let loaded =
            with(&[("HTTP_ADDR", "127.0.0.1:2"), ("PATH", "/bin"), ("A__B", "c")]).unwrap();
        assert_eq!(loaded.settings.http.addr, "127.0.0.1:2");
        assert_eq!(loaded.settings.keep_generations, 7);
        assert_eq!(loaded.settings.lake_url, "./data/{layer}");
        let origin =
            |key: &str| loaded.resolved.iter().find(|r| r.key == key).unwrap().origin.clone();
        assert_eq!(origin("http.addr"), "environment HTTP_ADDR");
        assert_eq!(origin("publish.keep_generations"), ".env PUBLISH__KEEP_GENERATIONS");
        assert_eq!(origin("lake.url"), "default");
    }

    #[test]
    fn secrets_are_never_shown_and_keep_their_text() {
        use secrecy::ExposeSecret;
        let loaded = with(&[("READ_TOKEN", "00123")]).unwrap();
        assert_eq!(loaded.settings.read_token.as_ref().unwrap().expose_secret(), "00123");
        assert!(!format!("{:?}", loaded.settings).contains("00123"));
        assert!(loaded.resolved.iter().all(|r| !r.value.contains("00123")));
    }

    #[test]
    fn wrong_settings_are_refused_by_name() {
        for (name, value, said) in [
            (
                "QUALITY__MAX_REJECT_RATO",
                "0.1",
                "quality.max_reject_rato (from environment QUALITY__MAX_REJECT_RATO)",
            ),
            (
                "QUALITY__MAX_REJECT_RATIO",
                "2",
                "quality.max_reject_ratio: 2 is not between 0 and 1",
            ),
            ("QUALITY__MAX_REJECT_RATIO", "much", "quality.max_reject_ratio"),
            ("HTTP_ADDR", "8000", "http.addr"),
            ("LOG_FORMAT", "xml", "log.format"),
            ("PUBLISH__KEEP_GENERATIONS", "1", "publish.keep_generations"),
            ("PUBLISH__KEEP_GENERATIONS", "18446744073709551615", "publish.keep_generations"),
            ("PUBLISH__KEEP_RUNS", "0", "publish.keep_runs"),
            ("MODELS__SEED", "9223372036854775808", "models.seed"),
            ("MODELS__MIN_CUSTOMERS", "9", "models.min_customers"),
            ("MODELS__MAX_FIT_ROWS", "49", "models.max_fit_rows"),
            ("CHURN__HORIZON_DAYS", "0", "churn.horizon_days"),
            ("HTTP__WORKERS", "513", "http.workers"),
            ("READ_TOKEN", "tokén", "auth.read_token"),
            ("READ_TOKEN", " abc", "auth.read_token"),
            ("SQLITE_PATH", ":memory:", "sqlite.path"),
            ("MONGODB_DB", "a.b", "mongodb.db"),
            ("MONGODB_DB", "admin", "mongodb.db"),
            ("MONGODB_DB", "analytics_ops", "mongodb.db"),
            ("MONGODB_DB", &"x".repeat(60), "mongodb.db"),
            ("MONGODB__READ_PREFERENCE", "any", "mongodb.read_preference"),
            ("MONGODB__QUERY_SECS", "0", "mongodb.query_secs"),
        ] {
            let error = with(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
