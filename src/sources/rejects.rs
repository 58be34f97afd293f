//! Rejected records as CSV, for the shop to correct, and what corrections replaced.
//!
//! A file is read once more for it, since only its records have the columns as the shop knows them.

use std::collections::BTreeMap;

use super::records::{OpenText, Records};
use super::source::SourceText;
use crate::domain::formula::{neutralised, restored};
use crate::domain::reasons::hint;
use crate::domain::rejects::{CHANGES_HEADER, CellChange, OWN_COLUMNS, RejectedRecord};
use crate::pipeline::{PipelineError, Result};

/// What became of the records of a file that are rejected or corrected.
#[derive(Debug, Default)]
pub struct Documented {
    /// Rejected records as CSV; empty where there is none.
    pub rejects: Vec<u8>,
    /// How many they are.
    pub rejected: u64,
    /// The cells that corrections replaced.
    pub changes: Vec<CellChange>,
    /// For each file of corrections, the lines that no record starts on.
    pub unmatched: BTreeMap<String, Vec<i64>>,
    /// For each file of corrections, the records it changed.
    pub corrected: BTreeMap<String, u64>,
    /// For each file of corrections, the records that it has as the source file does.
    pub unchanged: BTreeMap<String, u64>,
}

/// Goes through a file for the records that start on these lines and for those that are corrected.
/// `rejected` has the reason of each line.
///
/// # Errors
/// [`PipelineError::Unreadable`] when its bytes cannot be read.
pub fn document(
    text: SourceText<'_>,
    sha256: &str,
    rejected: &BTreeMap<i64, String>,
) -> Result<Documented> {
    let headers: Vec<String> =
        text.verdict.columns.iter().map(|column| column.header.clone()).collect();
    let mut records = OpenText::of(text)?.records()?;
    let mut documented = Documented::default();
    let mut writer = csv::Writer::from_writer(Vec::new());
    if !rejected.is_empty() {
        let own = OWN_COLUMNS.iter().copied().map(str::to_owned);
        let of_file = headers.iter().map(|header| neutralised(header).into_owned());
        writer
            .write_record(own.chain(of_file))
            .map_err(|error| unwritten(records.name(), error))?;
    }
    while let Some(has_cells) = records.step()? {
        documented.note_changes(&records, &headers);
        if !has_cells {
            continue;
        }
        let Some(reason) = rejected.get(&records.line()) else { continue };
        let own = [
            sha256.to_owned(),
            neutralised(records.name()).into_owned(),
            records.line().to_string(),
            reason.clone(),
            hint(reason).to_owned(),
            neutralised(&records.surplus().unwrap_or_default()).into_owned(),
        ];
        let of_file = (0..headers.len())
            .map(|index| neutralised(&records.cell(index).unwrap_or_default()).into_owned());
        writer
            .write_record(own.into_iter().chain(of_file))
            .map_err(|error| unwritten(records.name(), error))?;
        documented.rejected += 1;
    }
    for (line, correction) in records.corrections_left() {
        documented.unmatched.entry(correction.from.clone()).or_default().push(*line);
    }
    documented.rejects = writer
        .into_inner()
        .map_err(|error| unwritten(records.name(), error.into_error().into()))?;
    Ok(documented)
}

impl Documented {
    fn note_changes(&mut self, records: &Records<'_>, headers: &[String]) {
        let Some(correction) = records.correction() else { return };
        let changes = self.changes.len();
        for (index, header) in headers.iter().enumerate() {
            let before = records.original(index).unwrap_or_default();
            let after = records.cell(index).unwrap_or_default();
            if before != after {
                self.changes.push(CellChange {
                    file: records.name().to_owned(),
                    line: records.line(),
                    header: header.clone(),
                    before: before.into_owned(),
                    after: after.into_owned(),
                    from: correction.from.clone(),
                });
            }
        }
        let is_changed =
            self.changes.len() > changes || records.surplus() != records.original_surplus();
        let counts = if is_changed { &mut self.corrected } else { &mut self.unchanged };
        *counts.entry(correction.from.clone()).or_default() += 1;
    }
}

/// The cells that corrections replaced, as CSV.
///
/// # Errors
/// When a row cannot be written.
pub fn changes_as_csv(changes: &[CellChange]) -> Result<Vec<u8>> {
    let name = "corrections.csv";
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(CHANGES_HEADER).map_err(|error| unwritten(name, error))?;
    for CellChange { file, line, header, before, after, from } in changes {
        let line = line.to_string();
        let cells = [file, &line, header, before, after, from].map(|cell| neutralised(cell));
        let cells = cells.iter().map(|cell| cell.as_bytes());
        writer.write_record(cells).map_err(|error| unwritten(name, error))?;
    }
    writer.into_inner().map_err(|error| unwritten(name, error.into_error().into()))
}

/// Reads back what [`document`] wrote.
///
/// # Errors
/// [`PipelineError::BadSource`] when it is not such a file.
pub fn read_rejects(name: &str, csv: &[u8]) -> Result<Vec<RejectedRecord>> {
    let bad = |error: csv::Error| PipelineError::BadSource {
        file: name.to_owned(),
        problem: format!("it is not a CSV file of rejects: {error}"),
    };
    let mut reader = csv::Reader::from_reader(csv);
    let headers: Vec<String> =
        reader.headers().map_err(bad)?.iter().map(|cell| restored(cell).to_owned()).collect();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(bad)?;
        let cell = |index: usize| record.get(index).map(restored).unwrap_or_default().to_owned();
        let surplus = cell(5);
        let of_file = OWN_COLUMNS.len()..headers.len();
        rows.push(RejectedRecord {
            line: cell(2).parse().unwrap_or(0),
            reason: cell(3),
            hint: cell(4),
            surplus: (!surplus.is_empty()).then_some(surplus),
            cells: of_file.map(|index| (headers[index].clone(), cell(index))).collect(),
        });
    }
    Ok(rows)
}

/// Writing to memory fails for a row that has not the length of the others only.
#[allow(clippy::needless_pass_by_value)] // as map_err calls it
fn unwritten(file: &str, error: csv::Error) -> PipelineError {
    let problem = format!("its rejected rows cannot be written as CSV: {error}");
    PipelineError::BadSource { file: file.to_owned(), problem }
}
