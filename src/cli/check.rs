//! `goldsmith check`: audits the published data and prints the findings.

use super::error::CliError;
use super::output::{outln, plain_table};
use crate::jobs::check;
use crate::lake::Lake;
use crate::settings::Settings;
use crate::store::GoldStore;
use crate::store::mongo::ReadPreference;

/// The settings to audit with: a MongoDB secondary may lag and would show an older generation than
/// its views do.
pub(super) fn read_from_primary(settings: &mut Settings) {
    if let Some(mongodb) = &mut settings.mongodb {
        mongodb.read_preference = Some(ReadPreference::Primary);
    }
}

/// Audits every published table, view and model.
///
/// # Errors
/// [`CliError::Deviates`] after the findings were printed.
pub(super) async fn check(store: &dyn GoldStore, lake: &Lake) -> Result<(), CliError> {
    let findings = check::check(store, lake).await?;
    let Some(generation) = findings.generation else {
        return Err(CliError::Request("nothing is published; run goldsmith refresh".to_owned()));
    };
    let rows = findings.tables.iter().map(|(name, rows, problems)| {
        let result =
            if problems.is_empty() { "as declared".to_owned() } else { problems.join("; ") };
        [(*name).to_owned(), rows.to_string(), result]
    });
    outln!("{}", plain_table(["table", "rows", "result"], &[1], rows));
    for problem in &findings.names {
        outln!(" the name {problem}");
    }
    for problem in &findings.models {
        outln!(" the models: {problem}");
    }
    if !findings.is_good() {
        return Err(CliError::Deviates);
    }
    outln!("generation {generation} matches its manifest and the data contract");
    Ok(())
}
