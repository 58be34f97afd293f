//! The driver's client with the databases and collections it is for, and the kind of deployment it
//! talks to.

use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::error::Error;
use mongodb::options::{
    Acknowledgment, ClientOptions, DatabaseOptions, ReadConcern, SelectionCriteria, WriteConcern,
};
use mongodb::{Client, Collection, Database};
use secrecy::ExposeSecret;

use super::errors::{is_permanent, sentence};
use super::options::{MongoOptions, ReadPreference};
use crate::store::{Result, StoreError};

/// The oldest supported server, and its wire protocol version.
const OLDEST: (&str, i32) = ("6.0", 17);
/// How soon the driver checks a failed member again, unless the connection string sets it: well
/// within the server selection timeout.
const MONITORING_INTERVAL: Duration = Duration::from_secs(2);
/// Connections to each server, unless the connection string sets it.
const MAX_CONNECTIONS: u32 = 100;
/// The database of manifests, the pointer, runs and leases is the serving one with this suffix.
const OPS_SUFFIX: &str = "_ops";
/// The `_id` of the pointer, and its collection.
pub(super) const POINTER: &str = "active";

/// A client, and the databases it is for.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    pub client: Client,
    /// Business tables, read as the settings say.
    pub db: Database,
    /// Manifests, the pointer, runs, leases: publishing depends on them, so they are always read
    /// from the primary, with majority read concern.
    pub ops: Database,
    /// The same database for requests, read as the settings say.
    pub served: Database,
    /// Longest time one read may take.
    pub max_time: Duration,
    /// Which members answer requests.
    reads: SelectionCriteria,
}

/// What a deployment supports.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deployment {
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
        client.server_selection_timeout = Some(options.server_selection_timeout);
        client.connect_timeout = Some(options.server_selection_timeout);
        // A write that a member that steps down cannot roll back, and that is on disk.
        let majority = WriteConcern::builder().w(Acknowledgment::Majority).journal(true);
        client.write_concern = Some(majority.build());
        // Slow queries must not exhaust the pool for the others.
        client.max_pool_size.get_or_insert(MAX_CONNECTIONS);
        client.heartbeat_freq.get_or_insert(MONITORING_INTERVAL);
        let configured = options.read_preference.map(ReadPreference::criteria);
        let reads = configured
            .or(client.selection_criteria.take())
            .unwrap_or_else(|| ReadPreference::Primary.criteria());
        client.selection_criteria = Some(reads.clone());
        let client = Client::with_options(client)?;
        let db = client.database(&options.database);
        let ops = format!("{}{OPS_SUFFIX}", options.database);
        let majority_from = |criteria: SelectionCriteria| {
            DatabaseOptions::builder()
                .read_concern(ReadConcern::majority())
                .selection_criteria(criteria)
                .build()
        };
        let served = client.database_with_options(&ops, majority_from(reads.clone()));
        let primary = ReadPreference::Primary.criteria();
        let ops = client.database_with_options(&ops, majority_from(primary));
        let max_time = options.query_timeout;
        Ok(Self { client, db, ops, served, max_time, reads })
    }

    /// Asks the server for its version and kind.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it does not answer, [`StoreError::Unusable`] when it is too
    /// old or refuses the connection.
    pub async fn inspect(&self, location: &str) -> Result<Deployment> {
        let admin = self.client.database("admin");
        let hello = admin.run_command(doc! { "hello": 1 });
        let hello = hello.selection_criteria(self.reads.clone()).await;
        let hello = hello.map_err(|error| {
            let (location, source) = (location.to_owned(), sentence(&error).into());
            if is_permanent(&error) {
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

    pub fn manifests(&self) -> Collection<Document> {
        self.ops.collection("manifests")
    }

    /// The pointer: one document.
    pub fn pointer(&self) -> Collection<Document> {
        self.ops.collection(POINTER)
    }

    pub fn runs(&self) -> Collection<Document> {
        self.ops.collection("runs")
    }

    /// Idempotency keys of requests.
    pub fn keys(&self) -> Collection<Document> {
        self.ops.collection("keys")
    }

    /// The lease, one document, and the queued run, another.
    pub fn leases(&self) -> Collection<Document> {
        self.ops.collection("leases")
    }

    /// The pointer as it is now; `None` before the first run.
    pub async fn read_pointer(&self) -> std::result::Result<Option<Document>, Error> {
        self.pointer().find_one(doc! { "_id": POINTER }).max_time(self.max_time).await
    }
}
