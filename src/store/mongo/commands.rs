//! Writes as all of them are made: on the primary, durable, tried again while they fail in passing.
//!
//! What fails in passing is told by [`super::connection`]; a refusal within an answer that is
//! otherwise good is an error here.

use std::future::Future;
use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable};
use mongodb::Database;
use mongodb::action::RunCommand;
use mongodb::bson::{Bson, Document, RawDocumentBuf, cstr, doc};
use mongodb::error::Error;
use mongodb::options::{ReadPreference, SelectionCriteria};

use super::connection::{DUPLICATE_KEY, in_words, is_passing, is_passing_code};
use super::{MongoStore, whole};
use crate::store::{GoldStore as _, Result, StoreError};

/// How long a write that fails in passing is tried again: longer than an election or a restart.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits between tries: 0.1 s, doubling up to 2.5 s, and up to as much again at random.
fn patience() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_millis(2_500))
        .without_max_times()
        .with_jitter()
}

/// The same for what is only said in parting: a server that is away has been waited for before.
pub fn brevity() -> ExponentialBuilder {
    patience().with_max_times(2)
}

/// That the lease was lost, found out within a write.
#[derive(Debug)]
pub struct Fenced;

impl MongoStore {
    /// Waits for a write, and tries it again while it fails in passing. Every write here may be
    /// done twice: its second time finds what the first has left.
    pub(super) async fn write<T, W>(&self, action: &str, work: impl FnMut() -> W) -> Result<T>
    where
        W: Future<Output = std::result::Result<T, Error>>,
    {
        self.patiently(self.inner.options.write, patience(), action, work).await
    }

    /// The same for what takes no longer than a read: the lease, the pointer, lists.
    pub(super) async fn quick<T, W>(&self, action: &str, work: impl FnMut() -> W) -> Result<T>
    where
        W: Future<Output = std::result::Result<T, Error>>,
    {
        let options = &self.inner.options;
        self.patiently(options.query + options.selection, patience(), action, work).await
    }

    /// The same with a limit and waits of one's own.
    pub(super) async fn patiently<T, W>(
        &self,
        longest: Duration,
        patience: ExponentialBuilder,
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
                let ended = tokio::time::timeout(longest, work).await;
                ended.unwrap_or_else(|_| {
                    let waited = format!("no answer within {} s", longest.as_secs());
                    Err(Error::custom(Refusal { problem: waited, is_passing: true }))
                })
            }
        };
        let tried = attempt
            .retry(patience)
            .when(|error| {
                let is_passing = is_passing(error)
                    || error.get_custom::<Refusal>().is_some_and(|refusal| refusal.is_passing);
                is_passing && started.elapsed() < PATIENCE
            })
            .notify(|error, wait| {
                let problem = in_words(error);
                tracing::warn!(action, problem, wait_secs = wait.as_secs_f64(), "trying again");
            })
            .await;
        tried.map_err(|error| match error.get_custom::<Refusal>() {
            Some(refusal) if refusal.is_passing => StoreError::Unavailable {
                location: self.location(),
                source: format!("{action}: {}", refusal.problem).into(),
            },
            Some(refusal) => StoreError::Failed {
                action: action.to_owned(),
                location: self.location(),
                source: refusal.problem.clone().into(),
            },
            None if error.get_custom::<Fenced>().is_some() => {
                StoreError::LeaseLost(self.location())
            }
            None => self.failed(action, &error),
        })
    }
}

/// As the server's commands want it.
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A command that changes something, durably.
pub fn durable(mut command: Document) -> Document {
    command.insert("writeConcern", majority());
    command
}

fn majority() -> Document {
    doc! { "w": "majority", "j": true }
}

/// The write concern of [`durable`] in bytes.
pub fn raw_majority() -> RawDocumentBuf {
    let mut concern = RawDocumentBuf::new();
    concern.append(cstr!("w"), "majority");
    concern.append(cstr!("j"), true);
    concern
}

/// Has the primary carry out a command.
pub async fn primary(db: &Database, command: Document) -> std::result::Result<Document, Error> {
    carry_out(db.run_command(command), false).await
}

/// Has the primary carry out a command that may have been sent before; what its answer refuses is
/// an error.
pub async fn carry_out(
    command: RunCommand<'_>,
    was_sent: bool,
) -> std::result::Result<Document, Error> {
    let on_primary = SelectionCriteria::ReadPreference(ReadPreference::Primary);
    let answer = command.selection_criteria(on_primary).await?;
    match refusal(&answer, was_sent) {
        None => Ok(answer),
        Some(refusal) => Err(Error::custom(refusal)),
    }
}

/// A refusal within an answer that is otherwise good.
#[derive(Debug)]
struct Refusal {
    problem: String,
    is_passing: bool,
}

/// What an answer to a write refuses, if anything. A key that is there already is no refusal when
/// the batch may have been written by an earlier try; the count afterwards tells.
fn refusal(answer: &Document, was_sent: bool) -> Option<Refusal> {
    let told = |refused: &Document| Refusal {
        problem: refused.get_str("errmsg").unwrap_or("refused without a reason").to_owned(),
        is_passing: whole(refused, "code")
            .is_some_and(|code| i32::try_from(code).is_ok_and(is_passing_code)),
    };
    let errors = answer.get_array("writeErrors").map(Vec::as_slice).unwrap_or_default();
    let refused = errors
        .iter()
        .filter_map(Bson::as_document)
        .find(|refused| !(was_sent && whole(refused, "code") == Some(i64::from(DUPLICATE_KEY))));
    refused.or_else(|| answer.get_document("writeConcernError").ok()).map(told)
}
