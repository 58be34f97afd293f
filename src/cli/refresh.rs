//! `goldsmith refresh`: one run of the pipeline, cancelled by a signal, with its report.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::error::CliError;
use super::output::{errln, outln, plain_table};
use super::progress;
use crate::domain::manifest::Manifest;
use crate::domain::quality::{Check, Severity};
use crate::domain::text::counted;
use crate::error_chain::describe;
use crate::jobs::refresh::Refresher;
use crate::jobs::report::{Outcome, Report};
use crate::metrics;
use crate::runs::RunSpec;
use crate::settings::Settings;
use crate::startup::{EXIT_AT_ONCE, Signals, notifier};

/// Runs a refresh and prints its outcome. A first signal cancels the run, a second one ends the
/// process at once.
pub(super) async fn refresh(
    settings: &Settings,
    refresher: &Refresher,
    spec: RunSpec,
) -> Result<(), CliError> {
    let observer = progress::observer();
    // Before the run begins: a signal from then on cancels it.
    let mut signals = Signals::listen()?;
    let prepared = refresher.prepare(&spec).await?;
    let run = prepared.run();
    let cancel = CancellationToken::new();
    let cancelling = cancel.clone();
    let listener = tokio::spawn(async move {
        signals.next().await;
        cancelling.cancel();
        signals.next().await;
        std::process::exit(EXIT_AT_ONCE);
    });
    let ended = refresher.run(prepared, observer.as_ref(), &cancel).await;
    notifier(settings).notify(refresher.store.as_ref(), run).await;
    listener.abort();
    print_outcome(&ended?);
    Ok(())
}

fn print_outcome(outcome: &Outcome) {
    match outcome {
        Outcome::Unchanged { generation, active } if generation == active => {
            outln!("nothing changed: generation {generation} is up to date");
        }
        Outcome::Unchanged { generation, active } => outln!(
            "nothing changed since generation {generation}, which was rolled back to {active}; use \
             --force to run anyway"
        ),
        Outcome::Published(report) => {
            print_report(report);
            if let Some(problem) = &report.not_swept {
                errln!("warning: older generations were not removed: {}", describe(problem));
            }
        }
    }
}

fn print_report(report: &Report) {
    let manifest = &report.manifest;
    print_quality(manifest);
    print_sources(manifest);
    print_steps(report);
    match metrics::retries() {
        0 => {}
        retries => outln!(" {}, each retried", counted(retries, "transient failure")),
    }
    if let Some(megabytes) = peak_memory_mb() {
        outln!(" peak memory {megabytes} MB");
    }
    outln!(
        "published generation {} as of {}{}",
        manifest.generation,
        manifest.as_of,
        if report.resumed { " (found complete in the lake)" } else { "" }
    );
}

/// Row counts by data set, then rejections and warnings by reason.
fn print_quality(manifest: &Manifest) {
    let data_sets = &manifest.quality.data_sets;
    let rows = data_sets.iter().map(|(set, quality)| {
        [
            set.noun().to_owned(),
            quality.rows_read.to_string(),
            quality.rows_rejected().to_string(),
            quality.rows_valid.to_string(),
        ]
    });
    outln!("{}", plain_table(["rows", "read", "rejected", "valid"], &[1, 2, 3], rows));
    for (set, quality) in data_sets.iter() {
        for (reason, count) in &quality.rejected {
            outln!("  rejected {}: {reason} {count}", set.noun());
        }
    }
    for (warning, count) in manifest.quality.warnings.iter().filter(|(_, count)| **count > 0) {
        outln!("  warning: {warning} {count}");
    }
    let warnings = &manifest.quality.warnings;
    let is_shown = |check: &&Check| {
        !check.holds && check.severity > Severity::Info && !warnings.contains_key(&check.name)
    };
    for check in manifest.quality.checks.iter().filter(is_shown) {
        outln!("  check {}: {}", check.name, check.detail);
    }
    for (set, quality) in data_sets.iter() {
        for (reason, count) in &quality.set_aside {
            outln!("  set aside {}: {reason} {count}", set.noun());
        }
    }
    for finding in &manifest.quality.findings {
        outln!("  {finding}");
    }
    if manifest.purchases_after_as_of > 0 {
        outln!("  excluded, later than as_of: {} purchases", manifest.purchases_after_as_of);
    }
}

/// What was assumed of source files, and which were not read.
fn print_sources(manifest: &Manifest) {
    for file in &manifest.sources {
        for note in file.verdict.iter().flat_map(|verdict| &verdict.notes) {
            outln!("  {}: {note}", file.name);
        }
    }
    for file in &manifest.unread {
        outln!("  not read: {}: {}", file.name.escape_debug(), file.problem);
    }
}

/// Duration and result by step.
fn print_steps(report: &Report) {
    let seconds = |took: Duration| format!("{:.3}", took.as_secs_f64());
    let total: Duration = report.steps.iter().map(|done| done.took).sum();
    let rows = report
        .steps
        .iter()
        .map(|done| [done.step.to_string(), seconds(done.took), done.summary.clone()])
        .chain([["total".to_owned(), seconds(total), String::new()]]);
    outln!("{}", plain_table(["step", "seconds", "result"], &[1], rows));
}

/// Peak resident memory of this process in megabytes; `None` on systems other than Linux.
fn peak_memory_mb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kilobytes / 1_024)
}
