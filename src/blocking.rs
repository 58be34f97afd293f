//! Blocking work on threads of its own, within the caller's span; heavy computations one at a time.

use std::sync::{Arc, LazyLock};

use tokio::sync::Semaphore;
use tracing::Span;

/// Held by the computation that runs, also after a cancelled run has stopped waiting for it: two at once
/// would need twice the memory.
static COMPUTING: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(1)));

/// Runs blocking work on a thread made for it, within the current span.
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
            // Blocking work is cancelled only when the runtime shuts down before it starts.
            Err(cancelled) => std::panic::resume_unwind(Box::new(cancelled.to_string())),
        },
    }
}

/// The same for a computation that needs much memory: it starts when the one before has ended.
pub(crate) async fn compute<T, F>(work: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    // An error would mean that the semaphore was closed, which never happens.
    let permit = Arc::clone(&COMPUTING).acquire_owned().await.ok();
    spawn_blocking(move || {
        let _permit = permit;
        work()
    })
    .await
}
