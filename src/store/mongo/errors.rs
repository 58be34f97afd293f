//! The driver's errors: which are transient, which are permanent, and each as one sentence.

use mongodb::error::{Error, ErrorKind, WriteFailure};

/// Codes of transient failures: a member steps down, shuts down, cannot be reached or is busy with
/// a conflicting change, also where `mongos` reports it of a shard.
const TRANSIENT_CODES: [i32; 22] = [
    6, 7, 46, 64, 89, 91, 112, 117, 133, 134, 189, 202, 249, 262, 9001, 10_058, 10_107, 11_600,
    11_602, 13_388, 13_435, 13_436,
];
/// Labels by which the server or the driver marks transient failures. A commit with an unknown
/// result may be retried, since the changes are the same.
const TRANSIENT_LABELS: [&str; 4] = [
    "RetryableWriteError",
    "RetryableError",
    "TransientTransactionError",
    "UnknownTransactionCommitResult",
];
const UNAUTHORIZED: i32 = 13;
const AUTHENTICATION_FAILED: i32 = 18;
/// The code of a key that exists already.
pub(super) const DUPLICATE_KEY: i32 = 11_000;
/// The code of a collection that does not exist.
pub(super) const NAMESPACE_NOT_FOUND: i32 = 26;
/// The code of a collection or view that exists already.
pub(super) const NAMESPACE_EXISTS: i32 = 48;

/// That another process holds the lease now, found out within a write.
#[derive(Debug)]
pub(super) struct Fenced;

/// The server's code in an error, where it has one.
pub(super) fn code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(failure) => Some(failure.code),
        ErrorKind::Write(WriteFailure::WriteError(failure)) => Some(failure.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(failure)) => Some(failure.code),
        _ => None,
    }
}

pub(super) fn is_transient_code(code: i32) -> bool {
    TRANSIENT_CODES.contains(&code)
}

/// Whether the same request may succeed a moment later.
pub(super) fn is_transient(error: &Error) -> bool {
    let is_connection = matches!(
        *error.kind,
        ErrorKind::Io(_)
            | ErrorKind::ConnectionPoolCleared { .. }
            | ErrorKind::ServerSelection { .. }
    );
    is_connection
        || TRANSIENT_LABELS.iter().any(|label| error.contains_label(label))
        || code(error).is_some_and(is_transient_code)
}

/// Whether the request did not reach a server that could carry it out.
pub(super) fn is_unreachable(error: &Error) -> bool {
    matches!(
        *error.kind,
        ErrorKind::Io(_)
            | ErrorKind::ConnectionPoolCleared { .. }
            | ErrorKind::ServerSelection { .. }
            | ErrorKind::DnsResolve { .. }
    ) || code(error).is_some_and(is_transient_code)
}

/// Whether the server refuses this configuration: credentials, TLS or version.
pub(super) fn is_permanent(error: &Error) -> bool {
    matches!(
        *error.kind,
        ErrorKind::Authentication { .. }
            | ErrorKind::InvalidTlsConfig { .. }
            | ErrorKind::IncompatibleServer { .. }
    ) || code(error) == Some(AUTHENTICATION_FAILED)
}

/// An error of the driver as a sentence, without secrets and without the command.
pub(super) fn sentence(error: &Error) -> String {
    match &*error.kind {
        ErrorKind::Authentication { .. } => wrong_credentials(),
        ErrorKind::Command(failure) if failure.code == AUTHENTICATION_FAILED => wrong_credentials(),
        ErrorKind::Command(failure) if failure.code == UNAUTHORIZED => {
            // "not authorized on shop to execute command { find: "kpis", filter: … }"
            let mut parts = failure.message.splitn(2, " { ");
            let what = parts.next().unwrap_or_default();
            let command = parts.next().and_then(|rest| rest.split(',').next()).unwrap_or_default();
            format!(
                "the user in mongodb.uri (MONGODB_URI) lacks a privilege: {what} {command} \
                 (docs/OPERATIONS.md lists all that are needed)"
            )
        }
        ErrorKind::Command(failure) => failure.message.clone(),
        ErrorKind::Write(WriteFailure::WriteError(failure)) => failure.message.clone(),
        ErrorKind::Write(WriteFailure::WriteConcernError(failure)) => failure.message.clone(),
        ErrorKind::ServerSelection { message, .. } => no_server(message),
        ErrorKind::Io(error) => format!("the connection broke: {error}"),
        other => other.to_string(),
    }
}

fn wrong_credentials() -> String {
    "the user or the password in mongodb.uri (MONGODB_URI) is not accepted".to_owned()
}

/// The driver's message shows its whole view of the deployment; the first reason is what helps.
fn no_server(message: &str) -> String {
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
            "none of the servers belongs to the replica set that the connection string names"
                .to_owned()
        }
        None => format!("no server at {} can carry out the request", hosts.join(", ")),
    }
}
