//! Logs and metrics: the subscriber, the span of a request, blocking work that stays in its span,
//! errors in one sentence, and the registry of what is counted.
//!
//! Lines go to the sink that is handed in, standard error in practice: standard output is for
//! results.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::{Error, HttpMessage};
use prometheus::{IntCounterVec, Opts, Registry, TextEncoder};
use tracing::Span;
use tracing_actix_web::{RequestId, RootSpanBuilder};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::settings::{Log, LogFormat};

/// The span of a request: at debug level, so that a hundred thousand requests a second do not pay for
/// it. What goes wrong is logged with method, path and status in any case (`api::problems`).
#[derive(Debug)]
pub struct RequestSpan;

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let id = request.extensions().get::<RequestId>().copied();
        let id = id.map(tracing::field::display);
        let (method, path) = (request.method(), request.path());
        tracing::debug_span!("request", %method, path, id)
    }

    fn on_request_end<B: MessageBody>(_span: Span, _outcome: &Result<ServiceResponse<B>, Error>) {}
}

/// Installs the subscriber of this process; a second call leaves the first in place.
///
/// # Errors
/// When the filter directives cannot be read.
pub fn init<W>(
    log: &Log,
    default_filter: &str,
    sink: W,
) -> Result<(), tracing_subscriber::filter::ParseError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let directives = log.filter.as_deref().unwrap_or(default_filter);
    let filter = EnvFilter::builder().parse(directives)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(sink);
    // Refused only when a subscriber is there already, as in tests that start several applications.
    let _already_there = match log.format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}

static ALL_RETRIES: AtomicU64 = AtomicU64::new(0);
static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);
static RETRIES: LazyLock<Option<IntCounterVec>> = LazyLock::new(|| {
    let what = Opts::new(
        "goldsmith_retries_total",
        "Attempts that failed in passing and were made again, as long as tries were left.",
    );
    let counted = IntCounterVec::new(what, &["what", "cause"]).ok()?;
    REGISTRY.register(Box::new(counted.clone())).ok()?;
    Some(counted)
});

/// Counts an attempt that failed in passing: of what, and why.
pub fn count_retry(what: &str, cause: &str) {
    ALL_RETRIES.fetch_add(1, Ordering::Relaxed);
    if let Some(retries) = RETRIES.as_ref() {
        retries.with_label_values(&[what, cause]).inc();
    }
}

/// How many attempts failed in passing so far, whatever they were.
#[must_use]
pub fn retries() -> u64 {
    ALL_RETRIES.load(Ordering::Relaxed)
}

/// Everything that is counted in this process, in the text format of Prometheus.
#[must_use]
pub fn metrics() -> String {
    LazyLock::force(&RETRIES);
    let mut text = String::new();
    // A text can be written to whatever is in it.
    let _ = TextEncoder::new().encode_utf8(&REGISTRY.gather(), &mut text);
    text
}

/// Runs work that blocks on a thread made for it, within the current span.
///
/// # Panics
/// Resumes a panic of the work.
pub async fn spawn_blocking<T, F>(work: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let span = Span::current();
    match tokio::task::spawn_blocking(move || span.in_scope(work)).await {
        Ok(answer) => answer,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Blocking work is cancelled only when the runtime is torn down before it began.
            Err(cancelled) => std::panic::resume_unwind(Box::new(cancelled.to_string())),
        },
    }
}

/// An error with its causes, as one sentence of bearable length.
#[must_use]
pub fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    for said in all_causes(error) {
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
    }
    on_one_line(&text)
}

/// The causes of an error, one by one, the last being the first to happen.
#[must_use]
pub fn causes(error: &dyn std::error::Error) -> Vec<String> {
    all_causes(error).map(|cause| on_one_line(&cause)).collect()
}

fn all_causes(error: &dyn std::error::Error) -> impl Iterator<Item = String> {
    std::iter::successors(error.source(), |error| error.source()).map(ToString::to_string)
}

/// Texts from files and the environment may hold anything; the screen gets one clean line.
fn on_one_line(text: &str) -> String {
    /// Characters.
    const LONGEST: usize = 1_000;
    let mut clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if let Some((end, _)) = clean.char_indices().nth(LONGEST) {
        clean.truncate(end);
        clean.push('…');
    }
    clean
}
