//! Rejected and corrected records, written as CSV beside silver for the shop.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::plan::{NewGeneration, StartFrom};
use super::refresher::Refresher;
use super::steps::Steps;
use crate::blocking::spawn_blocking;
use crate::domain::files::{RejectsFile, SilverFiles, SourceFile, TableFile};
use crate::domain::rejects::CellChange;
use crate::jobs::corrections::Loaded;
use crate::jobs::error::Result;
use crate::jobs::sources;
use crate::lake::Layer;
use crate::lake::keys::Folder;
use crate::lake::writing::PartWriter;
use crate::pipeline::silver::{Silver, rejected_lines};
use crate::sources::{changes_as_csv, document};

/// The reasons of rejected records by the lines they start on.
type Lines = BTreeMap<i64, String>;

impl Refresher {
    /// Writes the rejected records of each source file and what corrections replaced, and adds to silver's
    /// report what those did.
    pub(super) async fn document(
        &self,
        new: &NewGeneration,
        corrections: &Loaded,
        silver: &mut Silver,
        steps: &Steps<'_>,
    ) -> Result<(Vec<RejectsFile>, Option<TableFile>)> {
        if let StartFrom::Silver(files) = &new.start_from {
            return self.copy_documents(new.folder, files, steps).await;
        }
        let frames = silver.rejected.clone();
        let lines =
            move || frames.values().map(rejected_lines).collect::<std::result::Result<_, _>>();
        let by_set: Vec<BTreeMap<String, Lines>> = spawn_blocking(lines).await?;
        let mut rejected: BTreeMap<String, Lines> = by_set.into_iter().flatten().collect();
        let (mut written, mut changes, mut unmatched) = (Vec::new(), Vec::new(), Vec::new());
        let mut corrected: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for source in &new.sources {
            let lines = rejected.remove(&source.name).unwrap_or_default();
            let of_file = corrections.of(source);
            if lines.is_empty() && of_file.is_empty() {
                continue;
            }
            let lines = Arc::new(lines);
            let go_through = async || {
                let text = sources::text(&self.lake, Layer::Bronze, source, of_file.clone());
                let (sha256, lines) = (source.sha256.clone(), Arc::clone(&lines));
                let document = move || text.map(|text| document(text, &sha256, &lines)).transpose();
                Ok(spawn_blocking(document).await?)
            };
            let read = steps.retry("reading rejected rows", go_through).await?;
            let Some(found) = read else { continue };
            changes.extend(found.changes);
            for (from, rows) in found.corrected {
                corrected.entry(from).or_default().0 += rows;
            }
            for (from, rows) in found.unchanged {
                corrected.entry(from).or_default().1 += rows;
            }
            let lines = found.unmatched.into_iter();
            unmatched.extend(lines.map(|(from, lines)| (from, source.name.clone(), lines)));
            if found.rejected > 0 {
                let rows = (found.rejected, found.rejects);
                written.push(self.write_rejects(new.folder, source, rows, steps).await?);
            }
        }
        let of_file = |name: &str| corrected.get(name).copied().unwrap_or_default();
        let (outcomes, sentences) = corrections.outcomes(&new.sources, of_file, &unmatched);
        silver.report.corrections = outcomes;
        silver.report.findings.extend(sentences);
        Ok((written, self.write_changes(new.folder, changes, steps).await?))
    }

    async fn write_rejects(
        &self,
        folder: Folder,
        source: &SourceFile,
        (rows, csv): (u64, Vec<u8>),
        steps: &Steps<'_>,
    ) -> Result<RejectsFile> {
        let path = folder.rejects_csv(source.data_set, &source.sha256);
        let file = self.write_bytes(path, csv.into(), steps).await?;
        Ok(RejectsFile { source: source.name.clone(), data_set: source.data_set, rows, file })
    }

    async fn write_changes(
        &self,
        folder: Folder,
        changes: Vec<CellChange>,
        steps: &Steps<'_>,
    ) -> Result<Option<TableFile>> {
        if changes.is_empty() {
            return Ok(None);
        }
        let csv = changes_as_csv(&changes)?;
        Ok(Some(self.write_bytes(folder.changes(), csv.into(), steps).await?))
    }

    /// A run that starts from silver rejects nothing itself: the documents of that silver are its own.
    async fn copy_documents(
        &self,
        folder: Folder,
        files: &SilverFiles,
        steps: &Steps<'_>,
    ) -> Result<(Vec<RejectsFile>, Option<TableFile>)> {
        let mut written = Vec::with_capacity(files.rejects.len());
        for (number, rejects) in files.rejects.iter().enumerate() {
            let csv = self.read_document(&rejects.file, steps).await?;
            let path = folder.copied_rejects(rejects.data_set, number);
            let file = self.write_bytes(path, csv, steps).await?;
            written.push(RejectsFile { file, ..rejects.clone() });
        }
        let changes = match &files.changes {
            None => None,
            Some(changes) => {
                let csv = self.read_document(changes, steps).await?;
                Some(self.write_bytes(folder.changes(), csv, steps).await?)
            }
        };
        Ok((written, changes))
    }

    async fn read_document(&self, file: &TableFile, steps: &Steps<'_>) -> Result<Bytes> {
        let read = async || Ok(self.lake.get_file(Layer::Silver, file).await?);
        steps.retry("reading rejected rows", read).await
    }

    async fn write_bytes(
        &self,
        path: String,
        bytes: Bytes,
        steps: &Steps<'_>,
    ) -> Result<TableFile> {
        let encode = move |to: &mut PartWriter| std::io::Write::write_all(to, &bytes);
        self.write(Layer::Silver, path, encode, steps).await
    }
}
