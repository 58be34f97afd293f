//! `goldsmith lake`: lists, verifies and vacuums the lake, and hands it over to another serving store.

use std::time::Duration;

use super::args::LakeCommand;
use super::error::CliError;
use super::output::{outln, plain_table};
use crate::domain::text::counted;
use crate::jobs::maintenance::{self, VacuumOptions, VacuumReport, VerifyReport};
use crate::lake::{Lake, Layer};
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
        LakeCommand::Adopt => adopt(lake, store).await,
        LakeCommand::Vacuum { dry_run, bronze, older_than } => {
            let days = older_than.filter(|_| bronze).map(u64::from);
            let options = VacuumOptions {
                keep_generations: settings.keep_generations,
                is_dry: dry_run,
                timeout: settings.refresh.step_timeout,
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
    let VerifyReport { objects, bytes, problems } = maintenance::verify(lake, store).await?;
    for problem in &problems {
        outln!("{problem}");
    }
    outln!("{} of {bytes} bytes as written", counted(objects, "object"));
    if problems.is_empty() { Ok(()) } else { Err(CliError::Damaged) }
}

async fn vacuum(
    lake: &Lake,
    store: &dyn GoldStore,
    options: VacuumOptions,
) -> Result<(), CliError> {
    let verb = if options.is_dry { "would remove" } else { "removed" };
    let VacuumReport { objects, incomplete } = maintenance::vacuum(lake, store, options).await?;
    for (path, bytes) in &objects {
        outln!("{verb} {path} ({bytes} bytes)");
    }
    let bytes: u64 = objects.iter().map(|(_, bytes)| bytes).sum();
    outln!(
        "{verb} {} of {bytes} bytes and {incomplete} half-written",
        counted(objects.len(), "object")
    );
    Ok(())
}

async fn adopt(lake: &Lake, store: &dyn GoldStore) -> Result<(), CliError> {
    let (owner, former) = maintenance::adopt(lake, store).await?;
    let (place, store) = (lake.place(Layer::Gold), owner.location);
    match former {
        Some(former) if former.store_id != owner.store_id => {
            outln!("{place} belongs to {store} now, no longer to {}", former.location);
        }
        _ => outln!("{place} belongs to {store}"),
    }
    Ok(())
}
