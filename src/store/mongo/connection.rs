//! The way to the server: options, one client, what kind of deployment it is, and what its refusals
//! mean in one sentence.
//!
//! Nothing here prints the connection string: it holds a password.

use std::time::Duration;

use futures::TryStreamExt;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind, WriteFailure};
use mongodb::options::{
    ClientOptions, ConnectionString, DatabaseOptions, ReadConcern, ReadPreference,
    SelectionCriteria, WriteConcern,
};
use mongodb::{Client, Collection, Database};
use secrecy::{ExposeSecret, SecretString};

use super::POINTER;
use super::runs::run_filter;
use crate::runs::{RunQuery, RunState};
use crate::store::{Result, StoreError};

/// The oldest server that is supported, and its wire protocol version.
const OLDEST: (&str, i32) = ("6.0", 17);
/// How soon a member that was found unable is looked at again, unless the connection string says
/// otherwise: well within the wait for a server.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// Connections to each server unless the connection string says otherwise.
const MOST_CONNECTIONS: u32 = 100;
/// What the database of manifests, the pointer, runs and leases is called after.
const OPS_SUFFIX: &str = "_ops";

/// Where to serve from and how patient to be.
#[derive(Debug, Clone)]
pub struct MongoOptions {
    /// Connection string.
    pub uri: SecretString,
    /// The serving database.
    pub db: String,
    /// Which members of a replica set answer the API; `None` for what the connection string says,
    /// or the primary.
    pub read_from: Option<ReadFrom>,
    /// Longest wait for a server that can answer.
    pub selection: Duration,
    /// Longest time one read may take.
    pub query: Duration,
    /// Longest time one write of rows may take, an index build or a look over a whole table.
    pub write: Duration,
    /// After this time without a sign of life the right to publish goes to who asks for it.
    pub lease: Duration,
}

/// Which members of a replica set answer reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom {
    /// The primary only.
    Primary,
    /// The primary, a secondary while there is none.
    PrimaryPreferred,
    /// Secondaries only.
    Secondary,
    /// A secondary, the primary when there is none.
    SecondaryPreferred,
    /// Whichever answers fastest.
    Nearest,
}

impl ReadFrom {
    /// Parses the driver's word; `None` for any other.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "primary" => Self::Primary,
            "primaryPreferred" => Self::PrimaryPreferred,
            "secondary" => Self::Secondary,
            "secondaryPreferred" => Self::SecondaryPreferred,
            "nearest" => Self::Nearest,
            _ => return None,
        })
    }

    fn criteria(self) -> SelectionCriteria {
        let options = None;
        SelectionCriteria::ReadPreference(match self {
            Self::Primary => ReadPreference::Primary,
            Self::PrimaryPreferred => ReadPreference::PrimaryPreferred { options },
            Self::Secondary => ReadPreference::Secondary { options },
            Self::SecondaryPreferred => ReadPreference::SecondaryPreferred { options },
            Self::Nearest => ReadPreference::Nearest { options },
        })
    }
}

/// A client, and the databases it is for.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The client.
    pub client: Client,
    /// Business tables, read as the settings say.
    pub db: Database,
    /// Manifests, the pointer, runs, leases: what decides, so always the primary's and what a
    /// majority has.
    pub ops: Database,
    /// The same as a request sees them, read as the settings say.
    pub served: Database,
    /// Longest time one read may take.
    pub longest: Duration,
    /// From whom requests read.
    reads: SelectionCriteria,
}

/// What a deployment can do.
#[derive(Debug, Clone, Copy)]
pub struct Deployment {
    /// Whether it is a replica set or a sharded cluster: transactions, index builds by quorum.
    pub is_replicated: bool,
}

impl Connection {
    /// Makes the client; it connects when first used.
    ///
    /// # Errors
    /// When the connection string's DNS records cannot be read.
    pub async fn open(options: &MongoOptions) -> std::result::Result<Self, Error> {
        let mut client = ClientOptions::parse(options.uri.expose_secret()).await?;
        client.app_name = Some("goldsmith".to_owned());
        client.server_selection_timeout = Some(options.selection);
        client.connect_timeout = Some(options.selection);
        // One that a member that steps down cannot take back, and on disk.
        let majority =
            WriteConcern::builder().w(mongodb::options::Acknowledgment::Majority).journal(true);
        client.write_concern = Some(majority.build());
        // A few slow questions must not keep the others waiting for a connection.
        client.max_pool_size.get_or_insert(MOST_CONNECTIONS);
        client.heartbeat_freq.get_or_insert(HEARTBEAT);
        let asked = options.read_from.map(ReadFrom::criteria);
        let reads = asked
            .or(client.selection_criteria.take())
            .unwrap_or_else(|| ReadFrom::Primary.criteria());
        client.selection_criteria = Some(reads.clone());
        let client = Client::with_options(client)?;
        let db = client.database(&options.db);
        let ops = format!("{}{OPS_SUFFIX}", options.db);
        let settled = |criteria: SelectionCriteria| {
            DatabaseOptions::builder()
                .read_concern(ReadConcern::majority())
                .selection_criteria(criteria)
                .build()
        };
        let served = client.database_with_options(&ops, settled(reads.clone()));
        let ops = client.database_with_options(&ops, settled(ReadFrom::Primary.criteria()));
        let longest = options.query;
        Ok(Self { client, db, ops, served, longest, reads })
    }

    /// Asks the server what it is.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it does not answer, [`StoreError::Unusable`] when it is too old.
    pub async fn inspect(&self, location: &str) -> Result<Deployment> {
        let admin = self.client.database("admin");
        let hello = admin.run_command(doc! { "hello": 1 });
        let hello = hello.selection_criteria(self.reads.clone()).await;
        let hello = hello.map_err(|error| {
            let (location, source) = (location.to_owned(), in_words(&error).into());
            if is_lasting(&error) {
                StoreError::Unusable { location, source }
            } else {
                StoreError::Unavailable { location, source }
            }
        })?;
        if hello.get_i32("maxWireVersion").unwrap_or(0) < OLDEST.1 {
            let info = admin.run_command(doc! { "buildInfo": 1 }).await.unwrap_or_default();
            let version = info.get_str("version").unwrap_or("of an unknown version");
            let problem =
                format!("the server is MongoDB {version}, goldsmith needs {} or newer", OLDEST.0);
            let location = location.to_owned();
            return Err(StoreError::Unusable { location, source: problem.into() });
        }
        let is_replicated =
            hello.contains_key("setName") || hello.get_str("msg").is_ok_and(|m| m == "isdbgrid");
        Ok(Deployment { is_replicated })
    }

    /// The generations kept.
    pub fn manifests(&self) -> Collection<Document> {
        self.ops.collection("manifests")
    }

    /// The pointer: one document.
    pub fn pointer(&self) -> Collection<Document> {
        self.ops.collection(POINTER)
    }

    /// The pointer as it is now; `None` before the first run.
    ///
    /// # Errors
    /// The driver's.
    pub async fn read_pointer(&self) -> std::result::Result<Option<Document>, Error> {
        self.pointer().find_one(doc! { "_id": POINTER }).max_time(self.longest).await
    }

    /// Runs, newest first, and how many there are.
    pub async fn find_runs(
        &self,
        query: &RunQuery,
    ) -> std::result::Result<(Vec<Document>, u64), Error> {
        let runs = self.runs();
        let filter = run_filter(query);
        let found = runs
            .find(filter.clone())
            .sort(doc! { "_id": -1 })
            .skip(query.offset.into())
            .limit(query.limit.into());
        let found = found.max_time(self.longest).await?.try_collect().await?;
        let found: Vec<Document> = found;
        let total = if query.counts {
            runs.count_documents(filter).max_time(self.longest).await?
        } else {
            found.len() as u64
        };
        Ok((found, total))
    }

    /// The running runs among these.
    ///
    /// # Errors
    /// The driver's.
    pub async fn running(&self, mut filter: Document) -> std::result::Result<Vec<Document>, Error> {
        filter.insert("state", RunState::Running.as_str());
        self.runs().find(filter).max_time(self.longest).await?.try_collect().await
    }

    /// The newest runs, newest first.
    ///
    /// # Errors
    /// The driver's.
    pub async fn newest_runs(&self, limit: u32) -> std::result::Result<Vec<Document>, Error> {
        let runs = self.runs();
        let newest = runs.find(doc! {}).sort(doc! { "_id": -1 }).limit(i64::from(limit));
        newest.max_time(self.longest).await?.try_collect().await
    }

    /// The runs.
    pub fn runs(&self) -> Collection<Document> {
        self.ops.collection("runs")
    }

    /// What was asked for under keys of requests.
    pub fn keys(&self) -> Collection<Document> {
        self.ops.collection("keys")
    }

    /// The right to publish, one document, and the run that waits, another.
    pub fn leases(&self) -> Collection<Document> {
        self.ops.collection("leases")
    }
}

/// What a connection string names, without user, password and options: `host:port,…/db`.
///
/// # Errors
/// What is wrong with the connection string, without quoting it.
pub fn location_of(options: &MongoOptions) -> std::result::Result<String, String> {
    let uri = options.uri.expose_secret();
    ConnectionString::parse(uri).map_err(|error| match *error.kind {
        // The driver's words may repeat what they are about.
        ErrorKind::InvalidArgument { ref message, .. } if !repeats_secret(message, uri) => {
            message.clone()
        }
        _ => "it is not mongodb://[user:password@]host[:port][,…][/[authdb][?options]], with special \
              characters of user and password as %XX"
            .to_owned(),
    })?;
    let after_scheme = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let before_options = after_scheme.split('?').next().unwrap_or_default();
    let after_user = before_options.rsplit_once('@').map_or(before_options, |(_, rest)| rest);
    let hosts = after_user.split('/').next().unwrap_or_default();
    Ok(format!("mongodb {hosts}/{}", options.db))
}

/// Whether a message repeats a part of a connection string that may be a secret: anything before the
/// options, and the values of options that are secrets themselves.
fn repeats_secret(message: &str, uri: &str) -> bool {
    let after_scheme = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let (before, options) = after_scheme.split_once('?').unwrap_or((after_scheme, ""));
    let parts = before.split([':', '/', '@', ',']);
    let is_secret = |option: &&str| {
        let name = option.to_lowercase();
        ["password", "properties", "token", "secret"].iter().any(|word| name.contains(word))
    };
    let secrets = options.split('&').filter(is_secret).filter_map(|option| option.split_once('='));
    let secrets = secrets.flat_map(|(_, value)| value.split([':', ',']));
    parts.chain(secrets).filter(|part| !part.is_empty()).any(|part| message.contains(part))
}

/// Codes of refusals that pass: a member steps down, shuts down, cannot be reached or is busy with
/// a conflicting change, also where `mongos` tells so of a shard.
const PASSING_CODES: [i32; 22] = [
    6, 7, 46, 64, 89, 91, 112, 117, 133, 134, 189, 202, 249, 262, 9001, 10_058, 10_107, 11_600,
    11_602, 13_388, 13_435, 13_436,
];
/// What the server or the driver marks such refusals with. A commit of which nothing is known may
/// be asked for again, since the changes are the same.
const PASSING_LABELS: [&str; 4] = [
    "RetryableWriteError",
    "RetryableError",
    "TransientTransactionError",
    "UnknownTransactionCommitResult",
];
const UNAUTHORIZED: i32 = 13;
const AUTHENTICATION_FAILED: i32 = 18;
/// The code of a key that is there already.
pub const DUPLICATE_KEY: i32 = 11_000;
/// The code of a collection that is not there.
pub const NAMESPACE_NOT_FOUND: i32 = 26;
/// The code of a collection or view that is there already.
pub const NAMESPACE_EXISTS: i32 = 48;

/// The server's code in an error, where it has one.
#[must_use]
pub fn code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(refusal) => Some(refusal.code),
        ErrorKind::Write(WriteFailure::WriteError(refusal)) => Some(refusal.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(refusal)) => Some(refusal.code),
        _ => None,
    }
}

/// Whether a code names a refusal that passes.
#[must_use]
pub fn is_passing_code(code: i32) -> bool {
    PASSING_CODES.contains(&code)
}

/// Whether the same request may succeed a moment later.
#[must_use]
pub fn is_passing(error: &Error) -> bool {
    let is_connection = matches!(
        *error.kind,
        ErrorKind::Io(_)
            | ErrorKind::ConnectionPoolCleared { .. }
            | ErrorKind::ServerSelection { .. }
    );
    is_connection
        || PASSING_LABELS.iter().any(|label| error.contains_label(label))
        || code(error).is_some_and(is_passing_code)
}

/// Whether the server could not be asked at all.
#[must_use]
pub fn is_unreachable(error: &Error) -> bool {
    matches!(
        *error.kind,
        ErrorKind::Io(_)
            | ErrorKind::ConnectionPoolCleared { .. }
            | ErrorKind::ServerSelection { .. }
            | ErrorKind::DnsResolve { .. }
    ) || code(error).is_some_and(is_passing_code)
}

/// Whether the server refuses us as we are.
#[must_use]
pub fn is_lasting(error: &Error) -> bool {
    matches!(
        *error.kind,
        ErrorKind::Authentication { .. }
            | ErrorKind::InvalidTlsConfig { .. }
            | ErrorKind::IncompatibleServer { .. }
    ) || code(error) == Some(AUTHENTICATION_FAILED)
}

/// An error of the driver as a sentence without secrets and without the command.
#[must_use]
pub fn in_words(error: &Error) -> String {
    match &*error.kind {
        ErrorKind::Authentication { .. } => {
            "the user or the password in mongodb.uri (MONGODB_URI) is not accepted".to_owned()
        }
        ErrorKind::Command(refusal) if refusal.code == AUTHENTICATION_FAILED => {
            "the user or the password in mongodb.uri (MONGODB_URI) is not accepted".to_owned()
        }
        ErrorKind::Command(refusal) if refusal.code == UNAUTHORIZED => {
            // "not authorized on shop to execute command { find: "kpis", filter: … }"
            let mut told = refusal.message.splitn(2, " { ");
            let what = told.next().unwrap_or_default();
            let command = told.next().and_then(|rest| rest.split(',').next()).unwrap_or_default();
            format!(
                "the user in mongodb.uri (MONGODB_URI) lacks a privilege: {what} {command} \
                 (docs/OPERATIONS.md lists all that are needed)"
            )
        }
        ErrorKind::Command(refusal) => refusal.message.clone(),
        ErrorKind::Write(WriteFailure::WriteError(refusal)) => refusal.message.clone(),
        ErrorKind::Write(WriteFailure::WriteConcernError(refusal)) => refusal.message.clone(),
        ErrorKind::ServerSelection { message, .. } => {
            // The driver shows its whole view of the deployment; the first reason is what helps.
            let reason = message.split("Error: Kind: ").nth(1);
            let reason = reason.and_then(|rest| rest.split(", labels").next());
            let hosts: Vec<&str> = message
                .split("Address: ")
                .skip(1)
                .filter_map(|rest| rest.split([',', ' ']).next())
                .collect();
            match reason {
                Some(reason) => format!("no server answers at {}: {reason}", hosts.join(", ")),
                None if hosts.is_empty() => {
                    "none of the servers is of the replica set that the connection string names"
                        .to_owned()
                }
                None => format!("no server that can do this answers at {}", hosts.join(", ")),
            }
        }
        ErrorKind::Io(error) => format!("the connection broke: {error}"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(uri: &str) -> MongoOptions {
        let second = Duration::from_secs(1);
        MongoOptions {
            uri: uri.to_owned().into(),
            db: "shop".to_owned(),
            read_from: None,
            selection: second,
            query: second,
            write: second,
            lease: second,
        }
    }

    #[test]
    fn a_description_holds_hosts_and_database_and_no_secret() {
        for (uri, shown) in [
            ("mongodb://a.example:27018", "mongodb a.example:27018/shop"),
            ("mongodb://user:p%40ss@a,b:1/admin?replicaSet=rs", "mongodb a,b:1/shop"),
        ] {
            assert_eq!(location_of(&options(uri)).unwrap(), shown);
        }
    }

    #[test]
    fn a_malformed_string_is_not_repeated() {
        let named = location_of(&options("mongodb://user:secret@host/?readPreference=best"));
        assert!(named.as_ref().unwrap_err().contains("best"), "{named:?}");
        for uri in ["mongodb://user:secret", "mongodb://us@er:secret@a", "secret", "mongodb://"] {
            let problem = location_of(&options(uri));
            assert!(problem.is_err() || uri == "mongodb://us@er:secret@a", "{uri}");
            assert!(!format!("{problem:?}").contains("secret"), "{problem:?}");
        }
    }
}
