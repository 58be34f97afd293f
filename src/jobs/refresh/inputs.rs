//! What a refresh is made of: source files as they are, those of an earlier generation from bronze, or
//! the cleaned rows of one from silver.

use polars::prelude::{DataFrame, SortMultipleOptions, UnionArgs};
use polars::prelude::{IntoLazy as _, concat};

use super::{RefreshError, Result};
use crate::domain::digest::sha256_hex;
use crate::domain::manifest::{Manifest, QualityReport, SourceFile, SourceKind};
use crate::jobs::sources::Source;
use crate::lake::{Lake, LakeError, Layer, keys, parquet};
use crate::pipeline::silver::Silver;
use crate::telemetry::spawn_blocking;

/// What a generation is made of.
pub struct Inputs {
    /// The source files, for its manifest.
    pub files: Vec<SourceFile>,
    /// Their content, or what was made of it.
    pub given: Given,
    /// Whether they are the generated sample; `None` when nobody has looked yet.
    pub is_sample: Option<bool>,
}

/// Where the pipeline begins.
pub enum Given {
    /// The bytes of the source files.
    Sources(Vec<Source>),
    /// Silver of this generation.
    Silver(u64),
}

/// The source files that a generation was made of, from bronze.
pub async fn read_bronze(lake: &Lake, manifest: &Manifest) -> Result<Vec<Source>> {
    let mut sources = Vec::with_capacity(manifest.sources.len());
    for file in &manifest.sources {
        let damaged = |problem: &str| LakeError::Damaged {
            path: lake.locate(Layer::Bronze, &file.bronze),
            problem: problem.to_owned(),
        };
        let bytes = lake.get(Layer::Bronze, &file.bronze).await?;
        let bytes = bytes.ok_or_else(|| damaged("it is missing"))?;
        let hashed = bytes.clone();
        if spawn_blocking(move || sha256_hex(&hashed)).await != file.sha256 {
            return Err(damaged("its SHA-256 is not the one in its manifest").into());
        }
        sources.push(Source { file: file.clone(), bytes });
    }
    Ok(sources)
}

/// Silver of a generation as it was written.
pub async fn read_silver(lake: &Lake, generation: u64) -> Result<Silver> {
    let get = async |path: String| -> Result<_> {
        let bytes = lake.get(Layer::Silver, &path).await?;
        bytes.ok_or_else(|| damaged(lake, &path, "it is missing").into())
    };
    let path = keys::quality_report(generation);
    let report: QualityReport =
        serde_json::from_slice(&get(path.clone()).await?).map_err(|source| {
            RefreshError::Manifest { path: lake.locate(Layer::Silver, &path), source }
        })?;
    let clients = get(keys::silver_clients(generation)).await?;
    let rejected_clients = get(keys::rejects(generation, SourceKind::Clients)).await?;
    let rejected_achats = get(keys::rejects(generation, SourceKind::Achats)).await?;
    let mut months = Vec::new();
    for path in lake.list(Layer::Silver, &keys::silver_achats_folder(generation)).await? {
        months.push(get(path).await?);
    }
    let silver = spawn_blocking(move || -> Result<Silver> {
        let months = months.into_iter().map(|bytes| Ok(parquet::decode(bytes)?.lazy()));
        let months = months.collect::<Result<Vec<_>>>()?;
        let achats: DataFrame = if months.is_empty() {
            DataFrame::empty()
        } else {
            let order = SortMultipleOptions::default();
            concat(months, UnionArgs::default())?.sort(["id_achat"], order).collect()?
        };
        Ok(Silver {
            clients: parquet::decode(clients)?,
            achats,
            rejected_clients: parquet::decode(rejected_clients)?,
            rejected_achats: parquet::decode(rejected_achats)?,
            report,
        })
    });
    let silver = silver.await?;
    for (frame, rows, path) in [
        (&silver.clients, silver.report.clients.rows_valid, keys::silver_clients(generation)),
        (&silver.achats, silver.report.achats.rows_valid, keys::silver_achats_folder(generation)),
    ] {
        if frame.height() as u64 != rows {
            let problem = format!("it has {} rows instead of {rows}", frame.height());
            return Err(damaged(lake, &path, &problem).into());
        }
    }
    Ok(silver)
}

fn damaged(lake: &Lake, path: &str, problem: &str) -> LakeError {
    LakeError::Damaged { path: lake.locate(Layer::Silver, path), problem: problem.to_owned() }
}
