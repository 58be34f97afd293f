//! Work that blocks, on a thread of its own and within the caller's span.

use tracing::Span;

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
