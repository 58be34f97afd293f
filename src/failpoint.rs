//! Fail points: named places where a test can end the process without clean-up, or make it panic.
//!
//! They exist where debug assertions do, which is what `cargo run` and `cargo test` build, and with the
//! cargo feature `failpoints` (`cargo test --release --features failpoints`). In a released binary
//! `failpoint!` is dead code, and the setting that arms it is refused. Armed for the whole process.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether this build has fail points.
pub(crate) const COMPILED_IN: bool = cfg!(any(feature = "failpoints", debug_assertions));

static ARMED: OnceLock<Vec<Point>> = OnceLock::new();

struct Point {
    name: String,
    panics: bool,
    is_used: AtomicBool,
}

/// Marks a place that a test may fail at; the arguments are those of `format!`.
macro_rules! failpoint {
    ($($name:tt)+) => {
        if $crate::failpoint::COMPILED_IN {
            $crate::failpoint::reach(format_args!($($name)+));
        }
    };
}
pub(crate) use failpoint;

/// Arms points, separated by commas: at `name` the process aborts, at `panic:name` the code panics once.
/// Only the first call of a process counts.
pub(crate) fn arm(points: &str) {
    let parse = |point: &str| {
        let (name, panics) = match point.trim().strip_prefix("panic:") {
            Some(name) => (name, true),
            None => (point.trim(), false),
        };
        Point { name: name.to_owned(), panics, is_used: AtomicBool::new(false) }
    };
    let _ = ARMED.set(points.split(',').map(parse).collect());
}

pub(crate) fn reach(name: fmt::Arguments<'_>) {
    let Some(armed) = ARMED.get() else { return };
    let name = name.to_string();
    let is_here =
        |point: &&Point| point.name == name && !point.is_used.swap(true, Ordering::Relaxed);
    match armed.iter().find(is_here) {
        None => {}
        Some(Point { panics: true, .. }) => panic!("panic at fail point {name}"),
        Some(_) => std::process::abort(),
    }
}
