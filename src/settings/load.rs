//! Loads the settings: embedded defaults (`default.toml`, which documents every key), then a TOML file,
//! then `.env`, then the environment; a later layer overrides an earlier one. Unknown keys are refused.
//! What a value may be is checked in `validate`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use config::{Config, ConfigError, File, FileFormat, Map, Source, Value, ValueKind};

use super::error::SettingsError;
use super::validate::{Raw, Settings, validate};

const DEFAULTS: &str = include_str!("../default.toml");
/// Read from the working directory if it is there and no other file is named.
const DEFAULT_FILE: &str = "goldsmith.toml";

/// Well-known names and the keys they set. Of two names for one key the first wins.
const SHORT_NAMES: &[(&str, &str)] = &[
    ("HTTP_ADDR", "http.addr"),
    ("LAKE_URL", "lake.url"),
    ("LAKE_SOURCES_URL", "lake.sources_url"),
    ("LAKE_BRONZE_URL", "lake.bronze_url"),
    ("LAKE_SILVER_URL", "lake.silver_url"),
    ("LAKE_GOLD_URL", "lake.gold_url"),
    ("AWS_ENDPOINT_URL_S3", "s3.endpoint"),
    ("AWS_ENDPOINT_URL", "s3.endpoint"),
    ("AWS_ACCESS_KEY_ID", "s3.access_key_id"),
    ("AWS_SECRET_ACCESS_KEY", "s3.secret_access_key"),
    ("AWS_SESSION_TOKEN", "s3.session_token"),
    ("AWS_REGION", "s3.region"),
    ("AWS_DEFAULT_REGION", "s3.region"),
    ("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "s3.virtual_hosted_style"),
    ("AWS_ALLOW_HTTP", "s3.allow_http"),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", "s3.web_identity_token_file"),
    ("AWS_ROLE_ARN", "s3.role_arn"),
    ("AWS_ROLE_SESSION_NAME", "s3.role_session_name"),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "s3.container_credentials_relative_uri"),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "s3.container_credentials_full_uri"),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "s3.container_authorization_token_file"),
    ("MINIO_ENDPOINT", "minio.endpoint"),
    ("MINIO_ACCESS_KEY", "minio.access_key"),
    ("MINIO_SECRET_KEY", "minio.secret_key"),
    ("MINIO_SECURE", "minio.secure"),
    ("SQLITE_PATH", "sqlite.path"),
    ("MONGODB_URI", "mongodb.uri"),
    ("MONGODB_DB", "mongodb.db"),
    ("ADMIN_TOKEN", "auth.admin_token"),
    ("READ_TOKEN", "auth.read_token"),
    ("REFRESH_SCHEDULE", "refresh.schedule"),
    ("NOTIFY_URLS", "notify.urls"),
    ("NOTIFY_SECRET", "notify.secret"),
    ("METABASE_URL", "metabase.url"),
    ("METABASE_API_KEY", "metabase.api_key"),
    ("LOG_FORMAT", "log.format"),
    ("RUST_LOG", "log.filter"),
];

/// The well-known names of variables that settings are read from.
pub fn short_names() -> impl Iterator<Item = &'static str> {
    SHORT_NAMES.iter().map(|(name, _)| *name)
}

/// Keys whose values are never shown.
const SECRETS: &[&str] = &[
    "mongodb.uri",
    "auth.admin_token",
    "auth.read_token",
    "s3.access_key_id",
    "s3.secret_access_key",
    "s3.session_token",
    "minio.access_key",
    "minio.secret_key",
    // Addresses of webhooks often hold credentials.
    "notify.urls",
    "notify.secret",
    "metabase.api_key",
];

/// A resolved setting, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// `section.key`
    pub key: String,
    /// The value; secrets are masked, an empty one is `(not set)`.
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
    /// The variables that limit the threads of Polars and rayon and that the environment does not set.
    pub unset_thread_limits: Vec<&'static str>,
}

/// The variables from which the pipeline's libraries, Polars and rayon, read their number of threads.
const THREAD_LIMITS: [&str; 2] = ["POLARS_MAX_THREADS", "RAYON_NUM_THREADS"];

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
        // No setting has a name that is not UTF-8; a value that is not may be meant for a setting.
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

/// The same with the `.env` file and the environment as arguments, for tests and embedding.
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
        None => File::from(Path::new(DEFAULT_FILE)).format(FileFormat::Toml).required(false),
    };
    let is_unset = |limit: &&str| environment.iter().all(|(name, _)| name != limit);
    let unset_thread_limits = THREAD_LIMITS.into_iter().filter(is_unset).collect();
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
    Ok(Loaded { settings: validate(raw)?, resolved, unset_thread_limits })
}

/// Environment variables that name settings.
#[derive(Debug, Clone)]
struct Variables {
    values: Map<String, Value>,
}

impl Variables {
    /// Selects the short names and every `SECTION__KEY` whose section exists; the rest of the environment
    /// belongs to other programs. An empty value means: not set in this layer.
    fn new(layer: &str, pairs: Vec<(String, String)>, sections: &[&str]) -> Self {
        let mut named: Vec<(usize, String, String, String)> = Vec::new();
        for (name, value) in pairs {
            if value.is_empty() {
                continue;
            }
            let short = SHORT_NAMES.iter().position(|(short, _)| *short == name);
            let long = name
                .split_once("__")
                .map(|(section, key)| (section.to_lowercase(), key.to_lowercase()));
            let (rank, key) = match (short, long) {
                (Some(index), _) => (1 + index, SHORT_NAMES[index].1.to_owned()),
                (None, Some((section, key))) if sections.contains(&section.as_str()) => {
                    (0, format!("{section}.{}", key.replace("__", ".")))
                }
                _ => continue,
            };
            named.push((rank, name, key, value));
        }
        // Of several names for one key the full name wins, then the first in the list.
        named.sort_by_key(|(rank, ..)| std::cmp::Reverse(*rank));
        let values = named.into_iter().map(|(_, name, key, value)| {
            let origin = format!("{layer} {name}");
            (key, Value::new(Some(&origin), ValueKind::String(value)))
        });
        Self { values: values.collect() }
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
    let mut scope = format!("[{section}]");
    if valid.is_empty() {
        "the file".clone_into(&mut scope);
        valid = all.iter().filter_map(|known| section_of(known)).collect();
        valid.dedup();
    }
    SettingsError::Unknown {
        key: key.to_owned(),
        origin: origin_of(value),
        section: scope,
        valid: valid.join(", "),
    }
}

fn resolve(key: &str, value: &Value) -> Resolved {
    let text = value.to_string();
    // An address may hold a user and a password, even where that is refused later.
    let is_address =
        ["lake.", "s3.", "minio.", "metabase."].iter().any(|part| key.starts_with(part));
    let shown = if text.is_empty() {
        "(not set)".to_owned()
    } else if SECRETS.contains(&key) || (is_address && text.contains('@')) {
        "********".to_owned()
    } else {
        text
    };
    Resolved { key: key.to_owned(), value: shown, origin: origin_of(value) }
}

impl fmt::Display for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<29} {:<28} {}", self.key, self.value, self.origin)
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
        assert_eq!(loaded.settings.lake.templates[0].url, "./data/{layer}");
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
        let hook = [("NOTIFY_URLS", "https://a.example/00123"), ("NOTIFY_SECRET", "x00123")];
        let metabase = [
            ("METABASE_URL", "https://bi.example"),
            ("METABASE_API_KEY", "mb_00123"),
            ("METABASE__DATABASE_ID", "2"),
        ];
        let loaded = with(&[&hook[..], &metabase[..]].concat()).unwrap();
        assert_eq!(loaded.settings.notify.urls.len(), 1);
        assert!(!format!("{:?}", loaded.settings).contains("00123"), "{:?}", loaded.settings);
        assert!(loaded.resolved.iter().all(|r| !r.value.contains("00123")));
    }

    #[test]
    fn wrong_settings_are_refused_by_name() {
        for (name, value, expected) in [
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
            (
                "REFRESH_SCHEDULE",
                "daily",
                "refresh.schedule: \"daily\" is not a valid cron expression",
            ),
            ("REFRESH__TIMEZONE", "Mars", "refresh.timezone: \"Mars\" is not a known time zone"),
            ("REFRESH__JITTER_SECS", "86401", "refresh.jitter_secs"),
            ("REFRESH__THREADS", "1025", "refresh.threads"),
            ("SOURCES__WATCH_SECS", "0", "sources.watch_secs"),
            ("NOTIFY_URLS", "https://a.example/hook", "notify.secret: it is required"),
            ("NOTIFY_URLS", "ftp://a.example", "notify.urls: address 1 is not an http"),
            ("METABASE_URL", "metabase.example", "metabase.url: it is not an http"),
            ("METABASE_URL", "https://u:p@bi.example", "metabase.url: it holds a user or password"),
            ("METABASE_URL", "https://bi.example", "metabase.database_id"),
            ("SQLITE_PATH", ":memory:", "sqlite.path"),
            ("MONGODB_DB", "a.b", "mongodb.db"),
            ("MONGODB_DB", "admin", "mongodb.db"),
            ("MONGODB_DB", "analytics_ops", "mongodb.db"),
            ("MONGODB_DB", &"x".repeat(60), "mongodb.db"),
            ("MONGODB__READ_PREFERENCE", "any", "mongodb.read_preference"),
            ("MONGODB__QUERY_SECS", "0", "mongodb.query_secs"),
        ] {
            let error = with(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
