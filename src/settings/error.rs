//! Why the settings cannot be used, and the checks that sections share.

use std::fmt::Display;
use std::ops::RangeInclusive;

use config::ConfigError;
use secrecy::SecretString;

/// A day: a longer limit is not a limit.
pub(super) const MAX_SECS: u64 = 86_400;

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A key that does not exist.
    #[error("unknown setting {key} (from {origin}); {section} has {valid}")]
    Unknown {
        /// The key.
        key: String,
        /// Where it was set.
        origin: String,
        /// Its section, or the whole file.
        section: String,
        /// The keys or sections that exist there.
        valid: String,
    },
    /// A value that its key does not take.
    #[error("setting {key}: {problem}")]
    Invalid {
        /// The key.
        key: String,
        /// What is wrong and what is valid.
        problem: String,
    },
    /// A file or value that cannot be read at all.
    #[error("the settings cannot be read: {0}")]
    Unreadable(String),
    /// The `.env` file cannot be read.
    #[error("the file .env cannot be read: {0}")]
    DotEnv(String),
    /// A variable whose value is not text.
    #[error("the environment variable {name} is not UTF-8 text")]
    NotText {
        /// The variable.
        name: String,
    },
}

impl SettingsError {
    /// Says what is wrong with `.env` without repeating its lines, which hold secrets.
    pub(super) fn dot_env(error: dotenvy::Error) -> Self {
        Self::DotEnv(match error {
            dotenvy::Error::Io(error) => error.to_string(),
            _ => "a line is not NAME=VALUE (put a value with spaces in quotation marks)".to_owned(),
        })
    }

    /// Says what is wrong with a file or value without the lines that parsers quote.
    pub(super) fn unreadable(error: &ConfigError) -> Self {
        let text = error.to_string();
        let lines: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.contains('|'))
            .collect();
        Self::Unreadable(lines.join("; "))
    }
}

pub(super) fn invalid(key: impl Into<String>, problem: impl Into<String>) -> SettingsError {
    SettingsError::Invalid { key: key.into(), problem: problem.into() }
}

/// Refuses a value outside a range.
pub(super) fn within<T: PartialOrd + Display>(
    key: &'static str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<T, SettingsError> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(invalid(key, format!("{value} is not between {} and {}", range.start(), range.end())))
}

/// A secret; `None` when it is not set.
pub(super) fn secret(text: String) -> Option<SecretString> {
    (!text.is_empty()).then(|| SecretString::from(text))
}
