//! What a run would make of the source files, found out without a run: nothing is written.

use super::corrections::{self, Loaded};
use super::error::RefreshError;
use super::sources::{self, Sources};
use crate::blocking::compute;
use crate::domain::files::UnreadFile;
use crate::domain::inspection::{InspectedFile, Inspection};
use crate::domain::time::Timestamp;
use crate::error_chain::describe;
use crate::lake::{Lake, Layer};
use crate::pipeline::silver::quality::check_gate;
use crate::pipeline::silver::{CleaningOptions, CleaningRules, Gate, Silver, clean};
use crate::sources::{SourceOptions, read_all};

/// How a run would judge.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// What the operator decided about source files.
    pub sources: SourceOptions,
    /// How rows are judged where sources alone do not decide.
    pub cleaning: CleaningRules,
    /// Limits of the quality gate; what was published before is not looked at.
    pub gate: Gate,
}

/// Looks at all source files and cleans their rows.
///
/// # Errors
/// When the lake cannot be read. That a run would stop is part of the answer.
pub async fn inspect(lake: &Lake, judgement: &Judgement) -> Result<Inspection, RefreshError> {
    let survey = sources::survey(lake, &judgement.sources).await?;
    let mut inspection = Inspection::default();
    for file in &survey.tables {
        let verdict = file.verdict.clone();
        inspection.files.push(InspectedFile { verdict, ..InspectedFile::named(&file.name) });
    }
    let unread = [&survey.bad, &survey.unknown, &survey.others].into_iter().flatten();
    inspection.files.extend(unread.map(unread_file));
    let read = match survey.decide(lake, &judgement.sources) {
        Ok(sources) => read_rows(lake, &sources, judgement, &mut inspection).await,
        Err(error) => Err(error),
    };
    match read {
        Ok(()) => {}
        Err(error) if error.is_transient() => return Err(error),
        Err(error) => inspection.stops = Some(describe(&error)),
    }
    Ok(inspection)
}

/// Reads and cleans the rows of the files that a run would read.
async fn read_rows(
    lake: &Lake,
    sources: &Sources,
    judgement: &Judgement,
    inspection: &mut Inspection,
) -> Result<(), RefreshError> {
    for unread in &sources.unread {
        let file = inspection.files.iter_mut().find(|file| file.name == unread.name);
        if let Some(file) = file {
            file.unread = Some(unread.clone());
        }
    }
    let (corrected, not_corrections) = corrections::find(lake).await?;
    inspection.files.extend(not_corrections.iter().map(unread_file));
    let corrections = corrections::load(lake, Layer::Sources, &corrected).await?;
    let silver = silver_of(lake, sources, &corrections, judgement).await?;
    inspection.findings.clone_from(&silver.report.findings);
    for file in &mut inspection.files {
        file.rows = silver.report.file_rows.iter().find(|rows| rows.file == file.name).cloned();
        let accounts = silver.report.accounts.iter();
        file.accounts = accounts.filter(|account| account.file == file.name).cloned().collect();
    }
    check_gate(&silver.report, None, &judgement.gate, false)?;
    Ok(())
}

async fn silver_of(
    lake: &Lake,
    sources: &Sources,
    corrections: &Loaded,
    judgement: &Judgement,
) -> Result<Silver, RefreshError> {
    let texts = sources::texts(lake, Layer::Sources, &sources.files, corrections);
    let rules = judgement.cleaning.clone();
    let options = CleaningOptions::new(rules, Timestamp::now());
    Ok(compute(move || clean(read_all(texts)?, &options)).await?)
}

fn unread_file(unread: &UnreadFile) -> InspectedFile {
    InspectedFile { unread: Some(unread.clone()), ..InspectedFile::named(&unread.name) }
}
