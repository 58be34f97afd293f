//! Clients that read while a test publishes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Between the requests of a client. Without it clients take the processor time of what they read
/// during, and see no more of it.
const PAUSE: Duration = Duration::from_millis(100);

/// Waits before a client's next request.
pub fn pause() {
    std::thread::sleep(PAUSE);
}

/// Reads with several clients for as long as the work takes, at least once each. Returns what they
/// saw.
pub fn read_during<T: Send>(
    clients: usize,
    read: impl Fn(&mut Vec<T>) + Sync,
    work: impl FnOnce(),
) -> Vec<T> {
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..clients)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = Vec::new();
                    loop {
                        read(&mut seen);
                        if is_done.load(Ordering::Relaxed) {
                            return seen;
                        }
                    }
                })
            })
            .collect();
        let end = Stop(&is_done);
        work();
        drop(end);
        readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect()
    })
}

/// Sets a flag when it is dropped, also by a failed assertion, for threads that otherwise would
/// never stop.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
