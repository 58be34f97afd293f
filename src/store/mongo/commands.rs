//! Commands as every write makes them: on the primary, durable, retried while they fail transiently.
//!
//! Which errors are transient is decided in [`super::errors`]; a rejection within an otherwise
//! successful answer becomes an error here.

use std::future::Future;
use std::time::{Duration, Instant};

use backon::Retryable;
use mongodb::Database;
use mongodb::action::RunCommand;
use mongodb::bson::{Bson, Document, RawDocumentBuf, cstr, doc};
use mongodb::error::Error;
use mongodb::options::{ReadPreference, SelectionCriteria};

use super::client::MongoStore;
use super::decode::whole;
use super::errors::{DUPLICATE_KEY, Fenced, is_transient, is_transient_code, sentence};
use crate::retry::{self, Policy};
use crate::store::{Result, StoreError};

/// How long a write that fails transiently is retried: longer than an election or a restart.
const RETRY_WINDOW: Duration = Duration::from_mins(1);
impl MongoStore {
    /// Waits for a write, retried while it fails transiently. Every write here is idempotent: a
    /// second attempt finds what the first one did.
    pub(super) async fn write<T, W>(&self, action: &str, work: impl FnMut() -> W) -> Result<T>
    where
        W: Future<Output = std::result::Result<T, Error>>,
    {
        self.with_retries(self.inner.options.write_timeout, retry::MONGODB_COMMAND, action, work)
            .await
    }

    /// The same with the time limit of a read: for the lease, the pointer, lists.
    pub(super) async fn short_command<T, W>(
        &self,
        action: &str,
        work: impl FnMut() -> W,
    ) -> Result<T>
    where
        W: Future<Output = std::result::Result<T, Error>>,
    {
        let options = &self.inner.options;
        let limit = options.query_timeout + options.server_selection_timeout;
        self.with_retries(limit, retry::MONGODB_COMMAND, action, work).await
    }

    /// Waits for work, each attempt for `limit` at most, retried by a policy.
    pub(super) async fn with_retries<T, W>(
        &self,
        limit: Duration,
        policy: Policy,
        action: &str,
        mut work: impl FnMut() -> W,
    ) -> Result<T>
    where
        W: Future<Output = std::result::Result<T, Error>>,
    {
        let started = Instant::now();
        let attempt = || {
            let work = work();
            async {
                let ended = tokio::time::timeout(limit, work).await;
                ended.unwrap_or_else(|_| {
                    let problem = format!("no answer within {} s", limit.as_secs());
                    Err(Error::custom(Rejection { problem, is_transient: true }))
                })
            }
        };
        let result = attempt
            .retry(policy.backoff())
            .when(|error| {
                let is_transient = is_transient(error)
                    || error.get_custom::<Rejection>().is_some_and(|found| found.is_transient);
                is_transient && started.elapsed() < RETRY_WINDOW
            })
            .notify(|error, wait| {
                let problem = sentence(error);
                tracing::warn!(
                    action,
                    problem,
                    wait_secs = wait.as_secs_f64(),
                    "transient failure; retrying"
                );
            })
            .await;
        result.map_err(|error| self.failed_command(action, &error))
    }

    fn failed_command(&self, action: &str, error: &Error) -> StoreError {
        match error.get_custom::<Rejection>() {
            Some(rejection) if rejection.is_transient => {
                self.unavailable(format!("{action}: {}", rejection.problem).into())
            }
            Some(rejection) => StoreError::Failed {
                action: action.to_owned(),
                location: self.place(),
                source: rejection.problem.clone().into(),
            },
            None if error.get_custom::<Fenced>().is_some() => StoreError::LeaseLost(self.place()),
            None => self.failed(action, error),
        }
    }
}

/// A time limit in the unit of the server's commands.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A command that changes something, durably.
pub(super) fn durable(mut command: Document) -> Document {
    command.insert("writeConcern", doc! { "w": "majority", "j": true });
    command
}

/// The write concern of [`durable`] in bytes.
pub(super) fn raw_majority() -> RawDocumentBuf {
    let mut concern = RawDocumentBuf::new();
    concern.append(cstr!("w"), "majority");
    concern.append(cstr!("j"), true);
    concern
}

/// Runs a command on the primary.
pub(super) async fn primary(
    db: &Database,
    command: Document,
) -> std::result::Result<Document, Error> {
    carry_out(db.run_command(command), false).await
}

/// Runs a command on the primary that may have been sent before; a rejection in its answer is an
/// error.
pub(super) async fn carry_out(
    command: RunCommand<'_>,
    was_sent: bool,
) -> std::result::Result<Document, Error> {
    let on_primary = SelectionCriteria::ReadPreference(ReadPreference::Primary);
    let answer = command.selection_criteria(on_primary).await?;
    match rejection(&answer, was_sent) {
        None => Ok(answer),
        Some(rejection) => Err(Error::custom(rejection)),
    }
}

/// A rejection within an otherwise successful answer, or an attempt that ran out of time.
#[derive(Debug)]
struct Rejection {
    problem: String,
    is_transient: bool,
}

/// What an answer to a write rejects, if anything. A duplicate key is accepted when an earlier
/// attempt may have written the batch; the count afterwards verifies it.
fn rejection(answer: &Document, was_sent: bool) -> Option<Rejection> {
    let read = |rejected: &Document| Rejection {
        problem: rejected.get_str("errmsg").unwrap_or("rejected without a reason").to_owned(),
        is_transient: whole(rejected, "code")
            .is_some_and(|code| i32::try_from(code).is_ok_and(is_transient_code)),
    };
    let errors = answer.get_array("writeErrors").map(Vec::as_slice).unwrap_or_default();
    let rejected = errors
        .iter()
        .filter_map(Bson::as_document)
        .find(|rejected| !(was_sent && whole(rejected, "code") == Some(i64::from(DUPLICATE_KEY))));
    rejected.or_else(|| answer.get_document("writeConcernError").ok()).map(read)
}
