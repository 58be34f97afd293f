//! Files of corrected rows: found beside the sources, stored in bronze, matched to source files.

use std::collections::BTreeSet;

use super::error::RefreshError;
use crate::blocking::spawn_blocking;
use crate::domain::digest::sha256_hex;
use crate::domain::files::{CorrectionFile, SourceFile, UnreadFile};
use crate::domain::quality::CorrectionOutcome;
use crate::domain::text::counted;
use crate::lake::{Lake, Layer, keys};
use crate::sources::{CorrectedRow, Corrections, is_candidate, parse_corrections, reading_order};

/// A larger file is not one that was corrected by hand.
const MAX_BYTES: u64 = 64 << 20;

/// The files of corrected rows beside the sources, in the order in which they count, and those that are
/// none.
///
/// # Errors
/// When the layer cannot be read.
pub async fn find(lake: &Lake) -> Result<(Vec<CorrectionFile>, Vec<UnreadFile>), RefreshError> {
    let (mut files, mut unread) = (Vec::new(), Vec::new());
    for (name, size_bytes) in listed(lake).await? {
        if size_bytes > MAX_BYTES {
            let problem = format!("it has more than {} MiB of corrected rows", MAX_BYTES >> 20);
            unread.push(UnreadFile { name, problem });
            continue;
        }
        let Some(bytes) = lake.get(Layer::Sources, &name).await? else { continue };
        let checked = spawn_blocking(move || {
            let sha256 = sha256_hex(&bytes);
            Ok::<_, RefreshError>((
                parse_corrections(&bytes).map(|_| ()),
                sha256,
                bytes.len() as u64,
            ))
        });
        match checked.await? {
            (Ok(()), sha256, size_bytes) => {
                let bronze = keys::bronze_corrections(&sha256);
                files.push(CorrectionFile { name, size_bytes, sha256, bronze });
            }
            (Err(problem), ..) => unread.push(UnreadFile { name, problem }),
        }
    }
    Ok((files, unread))
}

/// The names and sizes of the files that may hold corrected rows, in the order in which they count.
async fn listed(lake: &Lake) -> Result<Vec<(String, u64)>, RefreshError> {
    let objects = lake.list(Layer::Sources, keys::CORRECTIONS).await?;
    let named = objects.into_iter().filter(|object| {
        let name = object.path.rsplit('/').next().unwrap_or_default();
        is_candidate(name)
    });
    let mut listed: Vec<_> = named.map(|object| (object.path, object.size_bytes)).collect();
    listed.sort_by(|(a, _), (b, _)| reading_order(a, b));
    Ok(listed)
}

/// The names of the files that may hold corrected rows.
///
/// # Errors
/// When the layer cannot be read.
pub async fn names(lake: &Lake) -> Result<Vec<String>, RefreshError> {
    Ok(listed(lake).await?.into_iter().map(|(name, _)| name).collect())
}

/// Corrected rows of a run, by file.
#[derive(Debug, Clone, Default)]
pub struct Loaded(Vec<(String, Vec<CorrectedRow>)>);

/// Reads files of corrected rows from a layer.
///
/// # Errors
/// When a file cannot be read.
pub async fn load(
    lake: &Lake,
    layer: Layer,
    files: &[CorrectionFile],
) -> Result<Loaded, RefreshError> {
    let mut loaded = Vec::with_capacity(files.len());
    for file in files {
        let path = if layer == Layer::Sources { &file.name } else { &file.bronze };
        let bytes = lake.get(layer, path).await?;
        let bytes = bytes.ok_or_else(|| RefreshError::Vanished(lake.locate(layer, path)))?;
        // It could be parsed when it was found.
        let rows = spawn_blocking(move || Ok::<_, RefreshError>(parse_corrections(&bytes)));
        loaded.push((file.name.clone(), rows.await?.unwrap_or_default()));
    }
    Ok(Loaded(loaded))
}

impl Loaded {
    /// The corrected records of a source file; the later file counts.
    #[must_use]
    pub fn of(&self, source: &SourceFile) -> Corrections {
        let mut corrections = Corrections::new();
        let Some(verdict) = &source.verdict else { return corrections };
        for (name, rows) in &self.0 {
            let of_file = rows.iter().filter(|row| row.sha256 == source.sha256);
            let of_file = of_file.map(|row| (row.line, row.correction(&verdict.columns, name)));
            corrections.extend(of_file);
        }
        corrections
    }

    /// What each file did, and sentences about rows that did nothing. `corrected` counts the records that a
    /// file changed and those that it has as they are; `unmatched` has the lines of source files that begin no record.
    #[must_use]
    pub fn outcomes(
        &self,
        sources: &[SourceFile],
        corrected: impl Fn(&str) -> (u64, u64),
        unmatched: &[(String, String, Vec<i64>)],
    ) -> (Vec<CorrectionOutcome>, Vec<String>) {
        let known: BTreeSet<&str> = sources.iter().map(|source| source.sha256.as_str()).collect();
        let (mut outcomes, mut sentences) = (Vec::new(), Vec::new());
        let mut seen = BTreeSet::new();
        for (name, rows) in &self.0 {
            let (corrected, unchanged) = corrected(name);
            outcomes.push(CorrectionOutcome {
                file: name.clone(),
                rows: rows.len() as u64,
                corrected,
            });
            if corrected > 0 {
                sentences.push(format!("{name}: {} corrected", counted(corrected, "row")));
            }
            if unchanged > 0 {
                let rows = counted(unchanged, "row");
                sentences
                    .push(format!("{name}: {rows} not corrected, as the source file has the same"));
            }
            sentences.extend(repeated(name, rows, &mut seen));
            sentences.extend(unknown_columns(name, rows, sources));
            let foreign: Vec<_> = rows.iter().filter(|row| !known.contains(&*row.sha256)).collect();
            if let Some(first) = foreign.first() {
                sentences.push(format!(
                    "{name}: {} match no source file, for example line {} of the file with SHA-256 {}; correct \
                     the rejects of a file that is among the sources",
                    counted(foreign.len(), "row"),
                    first.line,
                    first.sha256.get(..12).unwrap_or(&first.sha256)
                ));
            }
            for (_, source, lines) in unmatched.iter().filter(|(from, ..)| from == name) {
                sentences.push(format!(
                    "{name}: {} match no row of {source}, for example line {}",
                    counted(lines.len(), "row"),
                    lines.first().copied().unwrap_or_default()
                ));
            }
        }
        (outcomes, sentences)
    }
}

/// What is said of rows that correct a record again; `seen` has the records so far.
fn repeated<'a>(
    name: &str,
    rows: &'a [CorrectedRow],
    seen: &mut BTreeSet<(&'a str, i64)>,
) -> Option<String> {
    let again: Vec<&CorrectedRow> =
        rows.iter().filter(|row| !seen.insert((&row.sha256, row.line))).collect();
    let first = again.first()?;
    Some(format!(
        "{name}: {} for records that are corrected before, for example line {}: the last row counts",
        counted(again.len(), "row"),
        first.line
    ))
}

/// What is said of a column that the source file does not have.
fn unknown_columns(name: &str, rows: &[CorrectedRow], sources: &[SourceFile]) -> Option<String> {
    rows.iter().find_map(|row| {
        let source = sources.iter().find(|source| source.sha256 == row.sha256)?;
        let header = row.unknown_header(&source.verdict.as_ref()?.columns)?;
        Some(format!(
            "{name}: its column {header:?} is none of {}, and corrects nothing",
            source.name
        ))
    })
}
