//! Why a lake operation failed, and whether a later attempt may succeed.

use std::error::Error;
use std::io::ErrorKind;

use object_store::client::{HttpError, HttpErrorKind};

use crate::error_chain::chain;

/// The result of a lake operation.
pub type Result<T> = std::result::Result<T, LakeError>;

/// Why a lake operation failed.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The location is not one this build can open.
    #[error("setting {setting}: {url}: {problem}")]
    Location {
        /// The setting that names it.
        setting: &'static str,
        /// The template as written, without a password.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A directory cannot be used.
    #[error("{path} cannot be used")]
    Directory {
        /// The directory.
        path: String,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A bucket is missing.
    #[error("{place}: there is no bucket {bucket}; create it, or set lake.create_buckets = true")]
    NoBucket {
        /// The layer that is to be in it.
        place: String,
        /// The bucket's name.
        bucket: String,
    },
    /// Another process holds the lock of this lake.
    #[error("another refresh is running on {0}; wait for it to end")]
    Locked(String),
    /// The lake belongs to another serving store.
    #[error(
        "{place} belongs to the serving store {owner}, and this one is {store}; set LAKE_URL to a \
         lake of its own, or hand this lake over with goldsmith lake adopt"
    )]
    OtherOwner {
        /// Where the lake is.
        place: String,
        /// The store it belongs to.
        owner: String,
        /// The store that was refused.
        store: String,
    },
    /// The object that names the owner of the lake cannot be read.
    #[error(
        "{path} does not name a serving store; restore it, or replace it with goldsmith lake adopt"
    )]
    Owner {
        /// Where it lies.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
    /// Another run has written the object that this run was about to commit.
    #[error("{0} was written by another run; this one publishes nothing")]
    AlreadyCommitted(String),
    /// An object cannot be read, written, listed or deleted.
    #[error("cannot {action} {path}")]
    Object {
        /// The verb.
        action: &'static str,
        /// Where.
        path: String,
        /// The object store's error.
        source: object_store::Error,
    },
    /// There is no such object.
    #[error("{0} is missing")]
    Missing(String),
    /// An object differs from its manifest.
    #[error("{path} is damaged: {problem}")]
    Damaged {
        /// Where.
        path: String,
        /// How it differs.
        problem: String,
    },
    /// A manifest cannot be read as one.
    #[error("{path} is not a manifest")]
    Manifest {
        /// Where it lies.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
    /// An object was replaced while it was being read.
    #[error("{0} changed while it was being read")]
    Changed(String),
    /// A source file was replaced after it was hashed.
    #[error("{0} was replaced while it was being read; refresh again")]
    Replaced(String),
    /// A write was not completed: another process wrote the same object or aborted the upload.
    #[error("{0} was not completed: another process wrote it, or aborted its upload")]
    Interrupted(String),
    /// The content of an object cannot be produced.
    #[error("cannot make {path}")]
    Produce {
        /// Where it was to be written.
        path: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A temporary copy of an object cannot be written.
    #[error("cannot keep {path} in the temporary directory {directory}")]
    Spool {
        /// The object.
        path: String,
        /// The directory for temporary files.
        directory: String,
        /// The operating system's error.
        source: std::io::Error,
    },
}

impl LakeError {
    /// Whether the same operation may succeed a little later: the connection to the storage failed, not
    /// the storage.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Changed(_) | Self::Interrupted(_) => true,
            Self::Object { source, .. } => is_transient(source),
            other => chain(other).any(is_transient_io),
        }
    }
}

/// Whether the same request may succeed a little later.
pub(super) fn is_transient(error: &object_store::Error) -> bool {
    use object_store::Error as E;
    match error {
        E::NotFound { .. }
        | E::AlreadyExists { .. }
        | E::PermissionDenied { .. }
        | E::Unauthenticated { .. }
        | E::InvalidPath { .. } => false,
        // A refusal by the server comes as an `HttpError` too, with the kind that says whether it is
        // transient.
        _ => chain(error).any(|cause| {
            is_transient_io(cause)
                || cause.downcast_ref::<HttpError>().is_some_and(|error| {
                    !matches!(error.kind(), HttpErrorKind::Decode | HttpErrorKind::Unknown)
                })
        }),
    }
}

fn is_transient_io(cause: &(dyn Error + 'static)) -> bool {
    /// What the operating system reports when the connection to a storage, such as a network drive,
    /// fails.
    const TRANSIENT: [ErrorKind; 11] = [
        ErrorKind::BrokenPipe,
        ErrorKind::ConnectionAborted,
        ErrorKind::ConnectionRefused,
        ErrorKind::ConnectionReset,
        ErrorKind::HostUnreachable,
        ErrorKind::Interrupted,
        ErrorKind::NetworkDown,
        ErrorKind::NetworkUnreachable,
        ErrorKind::ResourceBusy,
        ErrorKind::StaleNetworkFileHandle,
        ErrorKind::TimedOut,
    ];
    cause.downcast_ref::<std::io::Error>().is_some_and(|error| TRANSIENT.contains(&error.kind()))
}
