//! Where to serve from, and how long to wait: plain values that the settings fill in.
//!
//! Nothing here prints the connection string: it holds a password.

use std::time::Duration;

use mongodb::error::ErrorKind;
use mongodb::options::{ConnectionString, ReadPreference as DriverPreference, SelectionCriteria};
use secrecy::{ExposeSecret, SecretString};

/// How to connect to MongoDB.
#[derive(Debug, Clone)]
pub struct MongoOptions {
    /// Connection string.
    pub uri: SecretString,
    /// The serving database.
    pub database: String,
    /// Which members of a replica set answer the API; `None` for what the connection string
    /// specifies, or the primary.
    pub read_preference: Option<ReadPreference>,
    /// Longest wait for a server that can answer.
    pub server_selection_timeout: Duration,
    /// Longest time one read may take.
    pub query_timeout: Duration,
    /// Longest time one write of rows, an index build or the audit of a table may take.
    pub write_timeout: Duration,
    /// How long a lease lasts without a heartbeat; then another process may publish.
    pub lease: Duration,
}

/// Which members of a replica set answer reads, under the driver's names.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::VariantNames, strum::IntoStaticStr,
)]
#[strum(serialize_all = "camelCase")]
pub enum ReadPreference {
    /// The primary only.
    Primary,
    /// The primary, or a secondary while there is none.
    PrimaryPreferred,
    /// Secondaries only.
    Secondary,
    /// A secondary, or the primary when there is none.
    SecondaryPreferred,
    /// The member with the lowest latency.
    Nearest,
}

impl ReadPreference {
    pub(super) fn criteria(self) -> SelectionCriteria {
        let options = None;
        SelectionCriteria::ReadPreference(match self {
            Self::Primary => DriverPreference::Primary,
            Self::PrimaryPreferred => DriverPreference::PrimaryPreferred { options },
            Self::Secondary => DriverPreference::Secondary { options },
            Self::SecondaryPreferred => DriverPreference::SecondaryPreferred { options },
            Self::Nearest => DriverPreference::Nearest { options },
        })
    }
}

impl MongoOptions {
    /// What the connection string names, without user, password and options:
    /// `mongodb host:port,…/db`.
    ///
    /// # Errors
    /// What is wrong with the connection string, without quoting it.
    pub(super) fn location(&self) -> Result<String, String> {
        let uri = self.uri.expose_secret();
        ConnectionString::parse(uri).map_err(|error| match *error.kind {
            // The driver's message may quote the part that it is about.
            ErrorKind::InvalidArgument { ref message, .. } if !repeats_secret(message, uri) => {
                message.clone()
            }
            _ => "it is not of the form mongodb://[user:password@]host[:port][,…][/[authdb][?options]], \
                  with special characters of user and password as %XX"
                .to_owned(),
        })?;
        let after_scheme = uri.split_once("://").map_or(uri, |(_, rest)| rest);
        let before_options = after_scheme.split('?').next().unwrap_or_default();
        let after_user = before_options.rsplit_once('@').map_or(before_options, |(_, rest)| rest);
        let hosts = after_user.split('/').next().unwrap_or_default();
        Ok(format!("mongodb {hosts}/{}", self.database))
    }
}

/// Whether a message repeats a part of a connection string that may be a secret: anything before the
/// options, and the values of options that are secrets themselves.
fn repeats_secret(message: &str, uri: &str) -> bool {
    let after_scheme = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let (before, options) = after_scheme.split_once('?').unwrap_or((after_scheme, ""));
    let parts = before.split([':', '/', '@', ',']);
    let is_secret = |option: &&str| {
        let name = option.to_lowercase();
        ["password", "properties", "token", "secret"].iter().any(|part| name.contains(part))
    };
    let secrets = options.split('&').filter(is_secret).filter_map(|option| option.split_once('='));
    let secrets = secrets.flat_map(|(_, value)| value.split([':', ',']));
    parts.chain(secrets).filter(|part| !part.is_empty()).any(|part| message.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(uri: &str) -> MongoOptions {
        let second = Duration::from_secs(1);
        MongoOptions {
            uri: uri.to_owned().into(),
            database: "shop".to_owned(),
            read_preference: None,
            server_selection_timeout: second,
            query_timeout: second,
            write_timeout: second,
            lease: second,
        }
    }

    #[test]
    fn a_location_holds_hosts_and_database_and_no_secret() {
        for (uri, expected) in [
            ("mongodb://a.example:27018", "mongodb a.example:27018/shop"),
            ("mongodb://user:p%40ss@a,b:1/admin?replicaSet=rs", "mongodb a,b:1/shop"),
        ] {
            assert_eq!(options(uri).location().unwrap(), expected);
        }
    }

    #[test]
    fn a_malformed_string_is_not_repeated() {
        let named = options("mongodb://user:secret@host/?readPreference=best").location();
        assert!(named.as_ref().unwrap_err().contains("best"), "{named:?}");
        for uri in ["mongodb://user:secret", "mongodb://us@er:secret@a", "secret", "mongodb://"] {
            let problem = options(uri).location();
            assert!(problem.is_err() || uri == "mongodb://us@er:secret@a", "{uri}");
            assert!(!format!("{problem:?}").contains("secret"), "{problem:?}");
        }
    }

    #[test]
    fn read_preferences_have_the_drivers_names() {
        assert_eq!("secondaryPreferred".parse(), Ok(ReadPreference::SecondaryPreferred));
        assert!("any".parse::<ReadPreference>().is_err());
    }
}
