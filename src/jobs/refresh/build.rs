//! Building a generation: bronze, silver, gold, models, proof, and the manifest last.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use polars::prelude::DataFrame;
use tokio::sync::Semaphore;

use super::inputs::{self, Given, Inputs};
use super::steps::Steps;
use super::{ENGINE, RefreshError, Refresher, Result};
use crate::domain::digest::sha256_hex;
use crate::domain::manifest::{Manifest, Memo, SourceFile, SourceKind, TableEntry, TableFile};
use crate::domain::run::{Flow, RefreshRequest, RunQuality};
use crate::domain::schema::Table;
use crate::domain::time::Timestamp;
use crate::jobs::Step;
use crate::jobs::sources::{self, Source};
use crate::lake::{LakeError, Layer, keys, parquet};
use crate::pipeline::gold::{self, Gold, GoldTable, Refined};
use crate::pipeline::model::history::History;
use crate::pipeline::model::{self, Artefact, LastSegments, Trained};
use crate::pipeline::silver::quality::check_gate;
use crate::pipeline::silver::{self, Silver};
use crate::pipeline::tables;
use crate::telemetry::spawn_blocking;

impl Refresher {
    /// Bronze, silver and gold of a new generation; the manifest is written last.
    pub(super) async fn build(
        &self,
        run: Run,
        inputs: Inputs,
        steps: &mut Steps<'_>,
    ) -> Result<Manifest> {
        let files = inputs.files;
        let silver = match inputs.given {
            Given::Sources(sources) => {
                self.keep_sources(&sources, steps).await?;
                steps.start(Step::Silver, 1).await?;
                self.clean(&files, sources, run.started_at).await?
            }
            Given::Silver(generation) => {
                steps.start(Step::Silver, 1).await?;
                steps
                    .again("reading silver", || inputs::read_silver(&self.lake, generation))
                    .await?
            }
        };
        let (silver, bytes) = self.write_silver(run.generation, silver, steps).await?;
        steps.observer.reached("silver");
        let report = &silver.report;
        let found = RunQuality::from(report);
        steps.notes.quality = Some(found.clone());
        let quality = run.last.as_ref().map(|manifest| &manifest.quality);
        check_gate(report, quality, self.gate, run.request.force).map_err(|source| {
            let rejects = self.lake.locate(Layer::Silver, &keys::rejects_folder(run.generation));
            RefreshError::Gate { source, rejects }
        })?;
        let RunQuality { clients, achats, .. } = found;
        let summary = format!(
            "{} customers, {} purchases, {} rows rejected",
            clients.valid,
            achats.valid,
            clients.rejected + achats.rejected
        );
        let kept = clients.valid + achats.valid;
        let flow = Flow {
            rows_in: Some(clients.read + achats.read),
            rows_out: Some(kept),
            bytes: Some(bytes),
        };
        steps.finish(Step::Silver, &summary, flow).await;

        steps.start(Step::Gold, 1).await?;
        let (clients, achats) = (silver.clients, silver.achats);
        let asked = run.request.as_of;
        let refined = compute(move || gold::refine(&clients, &achats, asked)).await?;
        let flow =
            Flow { rows_in: Some(kept), rows_out: Some(refined.fact.height() as u64), bytes: None };
        steps.finish(Step::Gold, &format!("as of {}", refined.as_of), flow).await;
        steps.observer.reached("gold");

        let last = steps
            .again("reading the last segments", || self.last_segments(run.last.as_ref()))
            .await?;
        let (refined, trained, last) = self.train(refined, last, steps).await?;
        let models = self.write_models(run.generation, &trained.artefact, steps).await?;
        steps.observer.reached("models");

        steps.start(Step::Proof, tables::ALL.len()).await?;
        let (rules, trained_at) = (self.models, run.started_at.to_second());
        let Gold { tables, proof, as_of, purchases_after_as_of } =
            compute(move || gold::complete(refined, &trained, &rules, &last, trained_at)).await?;
        let mut entries = Vec::with_capacity(tables.len());
        for table in tables {
            let name = table.table.name;
            entries.push(self.write_gold(run.generation, table, steps).await?);
            steps.observer.advanced(Step::Proof, name);
        }
        steps.observer.reached("proof");
        let manifest = Manifest {
            generation: run.generation,
            engine: ENGINE.to_owned(),
            fingerprint: run.fingerprint,
            as_of,
            started_at: run.started_at,
            committed_at: Timestamp::now(),
            sources: files,
            is_sample: run.is_sample,
            quality: silver.report,
            purchases_after_as_of,
            proof,
            tables: entries,
            models: Some(models),
        };
        self.write_json(Layer::Gold, keys::manifest(run.generation), &manifest, steps).await?;
        steps.observer.reached("manifest");
        let rows: u64 = manifest.tables.iter().map(|table| table.rows).sum();
        let files = manifest.tables.iter().flat_map(|table| &table.files);
        let flow = Flow {
            rows_in: None,
            rows_out: Some(rows),
            bytes: Some(files.map(|file| file.size_bytes).sum()),
        };
        let summary = format!(
            "generation {}, {} tables, {rows} rows, {} checks hold",
            manifest.generation,
            manifest.tables.len(),
            manifest.proof.len()
        );
        steps.finish(Step::Proof, &summary, flow).await;
        Ok(manifest)
    }

    /// Trains, judges and scores; returns what it was given as well.
    async fn train(
        &self,
        refined: Refined,
        last: LastSegments,
        steps: &mut Steps<'_>,
    ) -> Result<(Refined, Trained, LastSegments)> {
        steps.start(Step::Models, 1).await?;
        let rules = self.models;
        let rows = refined.fact.height() as u64;
        let (refined, trained, last) = compute(move || {
            let trained = model::train(&History::new(&refined.fact)?, refined.as_of, &rules, &last);
            Ok::<_, RefreshError>((refined, trained, last))
        })
        .await?;
        let serving = trained.entries.iter().filter(|entry| entry.serves);
        let told: Vec<String> = serving
            .map(|entry| format!("{} by {}", entry.task.word(), entry.method.word()))
            .collect();
        let flow = Flow { rows_in: Some(rows), ..Flow::default() };
        steps.finish(Step::Models, &told.join(", "), flow).await;
        Ok((refined, trained, last))
    }

    /// Keeps the source files in bronze.
    async fn keep_sources(&self, sources: &[Source], steps: &mut Steps<'_>) -> Result<()> {
        steps.start(Step::Bronze, sources.len()).await?;
        let (mut new, mut bytes) = (0, 0);
        for source in sources {
            let keep = || sources::keep(&self.lake, source);
            if steps.again("keeping a source file", keep).await? {
                new += 1;
                bytes += source.file.size_bytes;
            }
            steps.observer.advanced(Step::Bronze, &source.file.name);
        }
        let flow = Flow { bytes: Some(bytes), ..Flow::default() };
        steps.finish(Step::Bronze, &format!("{new} new of {}", sources.len()), flow).await;
        steps.observer.reached("bronze");
        Ok(())
    }

    /// Silver of the source files.
    async fn clean(
        &self,
        files: &[SourceFile],
        sources: Vec<Source>,
        run_start: Timestamp,
    ) -> Result<Silver> {
        let rules = silver::Rules { max_amount: self.max_amount, run_start };
        let mut silver = compute(move || refine(&sources, &rules)).await?;
        for (quality, kind) in [
            (&mut silver.report.clients, SourceKind::Clients),
            (&mut silver.report.achats, SourceKind::Achats),
        ] {
            let names = files.iter().filter(|file| file.kind == kind);
            quality.files = names.map(|file| file.name.clone()).collect();
        }
        Ok(silver)
    }

    /// Writes silver's rows, rejects and report; returns silver for what follows, and the bytes.
    async fn write_silver(
        &self,
        generation: u64,
        silver: Silver,
        steps: &Steps<'_>,
    ) -> Result<(Silver, u64)> {
        let (silver, objects) = spawn_blocking(move || {
            let mut objects = Vec::new();
            let mut encode = |path: String, frame: &DataFrame| -> Result<()> {
                objects.push((path, parquet::encode(&mut frame.clone())?));
                Ok(())
            };
            encode(keys::silver_clients(generation), &silver.clients)?;
            encode(keys::rejects(generation, SourceKind::Clients), &silver.rejected_clients)?;
            encode(keys::rejects(generation, SourceKind::Achats), &silver.rejected_achats)?;
            for (month, frame) in silver::by_month(&silver.achats)? {
                encode(keys::silver_achats(generation, &month), &frame)?;
            }
            Ok::<_, RefreshError>((silver, objects))
        })
        .await?;
        let mut written = 0;
        for (path, bytes) in objects {
            written += bytes.len() as u64;
            self.put(Layer::Silver, &path, bytes, steps).await?;
        }
        let report = keys::quality_report(generation);
        self.write_json(Layer::Silver, report, &silver.report, steps).await?;
        Ok((silver, written))
    }

    async fn put(&self, layer: Layer, path: &str, bytes: Bytes, steps: &Steps<'_>) -> Result<()> {
        let put = async || Ok(self.lake.put(layer, path, bytes.clone()).await?);
        steps.again("writing to the lake", put).await
    }

    async fn put_file(&self, path: String, bytes: Bytes, steps: &Steps<'_>) -> Result<TableFile> {
        let put = async || Ok(self.lake.put_file(path.clone(), bytes.clone()).await?);
        steps.again("writing to the lake", put).await
    }

    /// Who was in which segment in the last published run; empty when there is none to compare with.
    async fn last_segments(&self, last: Option<&Manifest>) -> Result<LastSegments> {
        let table = &tables::models::CUSTOMER_SEGMENTS;
        let Some(entry) = last.and_then(|manifest| manifest.table(table.name)) else {
            return Ok(LastSegments::new());
        };
        let mut frames = Vec::with_capacity(entry.files.len());
        for file in &entry.files {
            match self.lake.get_file(file).await {
                Ok(bytes) => frames.push(bytes),
                // What the lake has lost is nothing to compare with, and no reason to stop.
                Err(LakeError::Damaged { path, problem }) => {
                    tracing::warn!(path, problem, "the last run's segments cannot be read");
                    return Ok(LastSegments::new());
                }
                Err(error) => return Err(error.into()),
            }
        }
        spawn_blocking(move || {
            let mut last = LastSegments::new();
            for bytes in frames {
                last.extend(model::frames::read_segments(&parquet::decode(bytes)?)?);
            }
            Ok(last)
        })
        .await
    }

    /// Keeps what scores with the generation.
    async fn write_models(
        &self,
        generation: u64,
        artefact: &Artefact,
        steps: &Steps<'_>,
    ) -> Result<TableFile> {
        let path = keys::models(generation);
        let json = serde_json::to_vec(artefact).map_err(|source| RefreshError::Manifest {
            path: self.lake.locate(Layer::Gold, &path),
            source,
        })?;
        self.put_file(path, json.into(), steps).await
    }

    async fn write_gold(
        &self,
        generation: u64,
        built: GoldTable,
        steps: &Steps<'_>,
    ) -> Result<TableEntry> {
        let GoldTable { table, mut frame, totals } = built;
        let rows = frame.height() as u64;
        let bytes = spawn_blocking(move || parquet::encode(&mut frame)).await?;
        let file = self.put_file(keys::gold_table(generation, table.name), bytes, steps).await?;
        Ok(TableEntry {
            name: table.name.to_owned(),
            rows,
            content_hash: content_hash(table, std::slice::from_ref(&file)),
            files: vec![file],
            totals,
            physical: Memo::default(),
        })
    }

    async fn write_json<T: serde::Serialize>(
        &self,
        layer: Layer,
        path: String,
        value: &T,
        steps: &Steps<'_>,
    ) -> Result<()> {
        let json = serde_json::to_vec_pretty(value).map_err(|source| RefreshError::Manifest {
            path: self.lake.locate(layer, &path),
            source,
        })?;
        self.put(layer, &path, json.into(), steps).await
    }
}

/// Held by what computes, also after a run that was cancelled has given up waiting for it: two at once would
/// need twice the memory.
static COMPUTING: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(1)));

/// Computes something on a blocking thread, after what was being computed before.
async fn compute<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    // It is never closed.
    let permit = Arc::clone(&COMPUTING).acquire_owned().await.ok();
    spawn_blocking(move || {
        let _permit = permit;
        work()
    })
    .await
}

/// A new generation under construction.
pub struct Run {
    pub generation: u64,
    pub fingerprint: String,
    pub started_at: Timestamp,
    pub request: RefreshRequest,
    pub is_sample: bool,
    /// The last published run, unless that was of the sample and this one is not.
    pub last: Option<Manifest>,
}

fn refine(sources: &[Source], rules: &silver::Rules) -> Result<Silver> {
    let of_kind = |kind: SourceKind| -> Vec<_> {
        let files = sources.iter().filter(|source| source.file.kind == kind);
        files.map(Source::as_bytes).collect()
    };
    let silver =
        silver::refine(&of_kind(SourceKind::Clients), &of_kind(SourceKind::Achats), rules)?;
    Ok(silver)
}

/// Hash of a table's declaration and files: a store keeps rows and indexes, both must be the same.
fn content_hash(table: &Table, files: &[TableFile]) -> String {
    let mut text = format!("{:?} {:?} {:?}", table.key, table.order, table.access);
    for column in table.columns {
        let (name, ty) = (column.name, column.ty);
        let _ = write!(text, " {name}:{ty:?}:{}:{}", column.nullable, column.indexed);
    }
    for file in files {
        text.push_str(&file.sha256);
    }
    sha256_hex(text.as_bytes())
}
