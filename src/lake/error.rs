//! Why the lake could not do what was asked, and whether that may pass.

use std::error::Error;
use std::io::ErrorKind;

use object_store::client::{HttpError, HttpErrorKind};

/// Stands in what an S3 store answered when the same request may succeed a little later.
pub const MAY_PASS: &str = "it may pass";

/// Why the lake could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The location is not one this build can open.
    #[error("setting {setting}: {url}: {problem}")]
    Location {
        /// The setting that names it.
        setting: &'static str,
        /// The template as given.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A directory cannot be used.
    #[error("{path} cannot be used")]
    Directory {
        /// The directory.
        path: String,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// A bucket is missing.
    #[error("{place}: there is no bucket {bucket}; create it, or set lake.create_buckets = true")]
    NoBucket {
        /// The layer that was to be in it.
        place: String,
        /// Its name.
        bucket: String,
    },
    /// Another process refreshes the same lake.
    #[error("another refresh is running on {0}; wait for it to end")]
    Locked(String),
    /// Another run has committed what this one was about to.
    #[error("{0} was written by another run; this one publishes nothing")]
    Taken(String),
    /// An object cannot be read, written, listed or deleted.
    #[error("cannot {action} {path}")]
    Object {
        /// The verb.
        action: &'static str,
        /// Where.
        path: String,
        /// The store's answer.
        source: object_store::Error,
    },
    /// There is no such object.
    #[error("{0} is missing")]
    Missing(String),
    /// An object is not what its manifest says.
    #[error("{path} is damaged: {problem}")]
    Damaged {
        /// Where.
        path: String,
        /// How it differs.
        problem: String,
    },
    /// An object became another one while it was being read.
    #[error("{0} changed while it was being read")]
    Changed(String),
    /// A source file is not the one it was when it was hashed.
    #[error("{0} was replaced while it was being read; refresh again")]
    Replaced(String),
    /// Writing an object met another writing of it, or came to nothing.
    #[error("{0} could not be finished: somebody else wrote it, or gave its upload up")]
    Disturbed(String),
    /// What is written cannot be made.
    #[error("cannot make {path}")]
    Produce {
        /// Where it was to lie.
        path: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// What was read cannot be kept for a while on this machine.
    #[error("cannot keep {path} in the temporary directory {directory}")]
    Spool {
        /// What was read.
        path: String,
        /// The directory for temporary files.
        directory: String,
        /// The operating system's answer.
        source: std::io::Error,
    },
}

impl LakeError {
    /// Whether the same may succeed a little later: the way to the storage broke, not what is there.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Changed(_) | Self::Disturbed(_) => true,
            Self::Object { source, .. } => is_passing(source),
            other => chain(other).any(is_passing_io),
        }
    }
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

/// Whether the same request may succeed a little later.
#[must_use]
pub fn is_passing(error: &object_store::Error) -> bool {
    use object_store::Error as E;
    match error {
        E::NotFound { .. }
        | E::AlreadyExists { .. }
        | E::PermissionDenied { .. }
        | E::Unauthenticated { .. }
        | E::InvalidPath { .. } => false,
        _ => chain(error).any(|cause| {
            is_passing_io(cause)
                || cause.downcast_ref::<HttpError>().is_some_and(|error| {
                    !matches!(error.kind(), HttpErrorKind::Decode | HttpErrorKind::Unknown)
                })
                || cause.to_string().contains(MAY_PASS)
        }),
    }
}

fn is_passing_io(cause: &(dyn Error + 'static)) -> bool {
    cause.downcast_ref::<std::io::Error>().is_some_and(|error| PASSING.contains(&error.kind()))
}

/// What the operating system says when the way to a storage, a network drive for one, is broken.
const PASSING: [ErrorKind; 11] = [
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

/// The result of a lake operation.
pub type Result<T> = std::result::Result<T, LakeError>;
