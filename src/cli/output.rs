//! The screen: lines that may find nobody reading, and how a refresh shows: bars on a terminal,
//! lines elsewhere.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::jobs::{Observer, Step};

/// Writes a line to standard output. A screen that cannot be written to stops no work: the exit
/// code tells how it went.
macro_rules! say {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        let _nobody_reads = writeln!(std::io::stdout(), $($line)*);
    }};
}

/// The same, to standard error.
macro_rules! complain {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        let _nobody_reads = writeln!(std::io::stderr(), $($line)*);
    }};
}

pub(crate) use {complain, say};

/// One bar per step, on standard error.
#[derive(Debug, Default)]
pub struct Bars {
    all: MultiProgress,
    running: Mutex<Option<ProgressBar>>,
}

impl Bars {
    fn with_running(&self, act: impl FnOnce(&ProgressBar)) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = running.as_ref() {
            act(bar);
        }
    }
}

impl Observer for Bars {
    fn started(&self, step: Step, parts: u64) {
        /// How often a bar that waits for its next part shows that it lives.
        const TICK: Duration = Duration::from_millis(100);
        let bar = self.all.add(ProgressBar::new(parts).with_prefix(step.to_string()));
        if let Ok(style) = ProgressStyle::with_template("{prefix:<8} [{bar:24}] {pos}/{len} {msg}")
        {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(TICK);
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar);
    }

    fn advanced(&self, _step: Step, part: &str) {
        self.with_running(|bar| {
            bar.inc(1);
            bar.set_message(part.to_owned());
        });
    }

    fn finished(&self, _step: Step, took: Duration, summary: &str) {
        self.with_running(|bar| {
            bar.set_position(bar.length().unwrap_or(1));
            bar.finish_with_message(format!("{:.3} s, {summary}", took.as_secs_f64()));
        });
    }
}

/// One line at the end of each step, on standard error.
#[derive(Debug)]
pub struct Lines;

impl Observer for Lines {
    fn started(&self, _step: Step, _parts: u64) {}

    fn advanced(&self, _step: Step, _part: &str) {}

    fn finished(&self, step: Step, took: Duration, summary: &str) {
        complain!("{:<8} {:.3} s, {summary}", step.to_string(), took.as_secs_f64());
    }
}
