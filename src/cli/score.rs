//! `goldsmith score`: scores as CSV on standard output, the summary on standard error.

use std::path::Path;

use super::error::CliError;
use super::output::{errln, print_document};
use crate::domain::text::counted;
use crate::domain::time::Timestamp;
use crate::jobs::score;
use crate::lake::Lake;
use crate::settings::Settings;
use crate::store::GoldStore;

/// Scores the customers whose purchases are in a file.
pub(super) async fn score(
    settings: &Settings,
    lake: &Lake,
    store: &dyn GoldStore,
    file: &Path,
    as_of: Option<Timestamp>,
) -> Result<(), CliError> {
    let scored = score::score(lake, store, file, &settings.quality.cleaning, as_of).await?;
    print_document(&String::from_utf8_lossy(&scored.csv))?;
    for (reason, rows) in &scored.rejected {
        errln!("warning: {} rejected: {reason}", counted(rows, "row"));
    }
    errln!(
        "{} scored as of {} by the models of generation {}",
        counted(scored.customers, "customer"),
        scored.as_of,
        scored.generation
    );
    Ok(())
}
