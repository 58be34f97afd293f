//! Progress of a refresh on standard error: bars on a terminal, lines elsewhere.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use parking_lot::Mutex;

use super::output::errln;
use crate::jobs::observer::Observer;
use crate::runs::Step;

/// What suits standard error.
pub(super) fn observer() -> Box<dyn Observer> {
    if std::io::stderr().is_terminal() { Box::new(Bars::default()) } else { Box::new(Lines) }
}

/// One bar per step.
#[derive(Debug, Default)]
struct Bars {
    all: MultiProgress,
    current: Mutex<Option<ProgressBar>>,
}

impl Observer for Bars {
    fn started(&self, step: Step, parts: u64) {
        /// How often a bar that waits for its next part redraws its elapsed state.
        const TICK: Duration = Duration::from_millis(100);
        let bar = self.all.add(ProgressBar::new(parts).with_prefix(step.to_string()));
        if let Ok(style) = ProgressStyle::with_template("{prefix:<8} [{bar:24}] {pos}/{len} {msg}")
        {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(TICK);
        *self.current.lock() = Some(bar);
    }

    fn advanced(&self, _step: Step, part: &str) {
        if let Some(bar) = self.current.lock().as_ref() {
            bar.inc(1);
            bar.set_message(part.to_owned());
        }
    }

    fn finished(&self, _step: Step, took: Duration, summary: &str) {
        if let Some(bar) = self.current.lock().as_ref() {
            bar.set_position(bar.length().unwrap_or(1));
            bar.finish_with_message(format!("{:.3} s, {summary}", took.as_secs_f64()));
        }
    }
}

/// One line at the end of each step.
#[derive(Debug)]
struct Lines;

impl Observer for Lines {
    fn started(&self, _step: Step, _parts: u64) {}

    fn advanced(&self, _step: Step, _part: &str) {}

    fn finished(&self, step: Step, took: Duration, summary: &str) {
        errln!("{:<8} {:.3} s, {summary}", step.to_string(), took.as_secs_f64());
    }
}
