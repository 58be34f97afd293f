//! The errors of every store, as one enum, and the reasons why a source of rows ends early.
//!
//! Which failures are transient is a property of the variant; no text is ever searched for it.

use crate::domain::time::Timestamp;

/// The cause beneath an error of a store.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The result of a store operation.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Why a store operation failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached, or does not answer in time: transient.
    #[error("the serving store {location} cannot be reached")]
    Unavailable {
        /// The store, for people.
        location: String,
        /// Its answer.
        source: Cause,
    },
    /// The store refuses this process: permanent until the configuration or the server changes.
    #[error(
        "the serving store {location} cannot be used with this configuration; retrying does not help"
    )]
    Unusable {
        /// The store, for people.
        location: String,
        /// Its answer.
        source: Cause,
    },
    /// A setting of the store is malformed.
    #[error("setting {setting}: {problem}")]
    Malformed {
        /// The setting.
        setting: &'static str,
        /// What is wrong, without its value.
        problem: String,
    },
    /// Another process publishes to the same store.
    #[error("another refresh is publishing to {0}; wait for it to end")]
    Locked(String),
    /// Another process took the lease, because this one did not renew it in time.
    #[error(
        "another refresh took over publishing to {0}, as this one did not renew its lease in time; \
         this one published nothing more"
    )]
    LeaseLost(String),
    /// The queued run to be started was cancelled, or another process started it.
    #[error("run {0} is no longer queued")]
    NotEnqueued(u64),
    /// Another run exists for this instant of the schedule.
    #[error("the scheduled run of {0} was already started")]
    AlreadyRun(Timestamp),
    /// Names to publish under are used by collections or views that goldsmith did not create.
    #[error(
        "{names} in {location} are collections or views that goldsmith did not create; rename or \
         drop them (docs/OPERATIONS.md describes how), then refresh again"
    )]
    NamesTaken {
        /// The store, for people.
        location: String,
        /// The names.
        names: String,
    },
    /// A table or manifest to be read or served was removed.
    #[error("{table} no longer exists in {location}")]
    Removed {
        /// The physical table.
        table: String,
        /// The store, for people.
        location: String,
    },
    /// There is no such generation to roll back to.
    #[error("{0}")]
    NoGeneration(String),
    /// The rows stored differ from the manifest.
    #[error("{table} was not stored as its manifest describes it: {problem}")]
    Mismatch {
        /// The table.
        table: String,
        /// The difference.
        problem: String,
    },
    /// A stored value cannot be read as its declared type.
    #[error("{table}.{column} holds a value that is not of type {ty} in the row with key {key}")]
    Decode {
        /// The physical table.
        table: String,
        /// The column.
        column: String,
        /// The declared type.
        ty: &'static str,
        /// The row's key.
        key: String,
    },
    /// The source of rows was cancelled; what was written of the table is undone.
    #[error("writing was cancelled")]
    Cancelled,
    /// Any other failure.
    #[error("{action} failed in {location}")]
    Failed {
        /// What was tried.
        action: String,
        /// The store, for people.
        location: String,
        /// Its answer.
        source: Cause,
    },
}

impl StoreError {
    /// Whether the store is to blame, rather than the request or the values stored: a request may
    /// succeed later, unchanged.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. }
                | Self::Unusable { .. }
                | Self::Failed { .. }
                | Self::Removed { .. }
        )
    }

    /// Whether a retry may succeed a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// Why a source of rows ended before its last row.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The run was cancelled.
    #[error("the run was cancelled")]
    Cancelled,
    /// The rows cannot be read.
    #[error(transparent)]
    Failed(#[from] Cause),
}

impl RowsError {
    /// The error that a store reports: cancellation stays typed, `failed` adds context to any other
    /// cause.
    pub(super) fn into_store_error(self, failed: impl FnOnce(Cause) -> StoreError) -> StoreError {
        match self {
            Self::Cancelled => StoreError::Cancelled,
            Self::Failed(cause) => failed(cause),
        }
    }

    /// The same as a cause that gets its context later.
    pub(super) fn into_cause(self) -> Cause {
        match self {
            Self::Cancelled => StoreError::Cancelled.into(),
            Self::Failed(cause) => cause,
        }
    }
}
