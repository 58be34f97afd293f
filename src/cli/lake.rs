//! `goldsmith lake`: lists, verifies and vacuums the lake.

use std::time::Duration;

use super::args::LakeCommand;
use super::error::CliError;
use super::output::{outln, plain_table};
use crate::domain::text::counted;
use crate::jobs::maintenance::{self, Vacuum, VacuumReport, Verified};
use crate::lake::Lake;
use crate::settings::Settings;
use crate::store::GoldStore;

/// Runs a subcommand of `goldsmith lake`.
pub(super) async fn lake(
    settings: &Settings,
    lake: &Lake,
    store: &dyn GoldStore,
    command: LakeCommand,
) -> Result<(), CliError> {
    match command {
        LakeCommand::Ls => list(lake, store).await,
        LakeCommand::Verify => verify(lake, store).await,
        LakeCommand::Vacuum { dry_run, bronze, older_than } => {
            let days = older_than.filter(|_| bronze).map(u64::from);
            let options = Vacuum {
                keep_generations: settings.keep_generations,
                is_dry: dry_run,
                limit: settings.refresh.step,
                bronze_older_than: days.map(|days| Duration::from_hours(24 * days)),
            };
            vacuum(lake, store, options).await
        }
    }
}

async fn list(lake: &Lake, store: &dyn GoldStore) -> Result<(), CliError> {
    let listing = maintenance::list(lake, store).await?;
    let rows = listing.into_iter().map(|entry| {
        [
            lake.place(entry.layer),
            entry.generation.map_or_else(String::new, |number| number.to_string()),
            entry.objects.to_string(),
            entry.bytes.to_string(),
            entry.state,
        ]
    });
    let header = ["layer", "generation", "objects", "bytes", "state"];
    outln!("{}", plain_table(header, &[1, 2, 3], rows));
    Ok(())
}

async fn verify(lake: &Lake, store: &dyn GoldStore) -> Result<(), CliError> {
    let Verified { objects, bytes, problems } = maintenance::verify(lake, store).await?;
    for problem in &problems {
        outln!("{problem}");
    }
    outln!("{} of {bytes} bytes as written", counted(objects, "object"));
    if problems.is_empty() { Ok(()) } else { Err(CliError::Damaged) }
}

async fn vacuum(lake: &Lake, store: &dyn GoldStore, options: Vacuum) -> Result<(), CliError> {
    let verb = if options.is_dry { "would remove" } else { "removed" };
    let VacuumReport { objects, half_written } = maintenance::vacuum(lake, store, options).await?;
    for (path, bytes) in &objects {
        outln!("{verb} {path} ({bytes} bytes)");
    }
    let bytes: u64 = objects.iter().map(|(_, bytes)| bytes).sum();
    outln!(
        "{verb} {} of {bytes} bytes and {half_written} half-written",
        counted(objects.len(), "object")
    );
    Ok(())
}
