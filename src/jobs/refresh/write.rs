//! Writing one object of a new generation to the lake, with retries.

use polars::prelude::DataFrame;

use super::refresher::Refresher;
use super::steps::Steps;
use crate::domain::files::TableFile;
use crate::jobs::error::Result;
use crate::lake::writing::PartWriter;
use crate::lake::{Layer, parquet};

/// Objects written at once, each in parts: a store that is far away answers late.
pub(super) const WRITERS: usize = 3;

impl Refresher {
    /// Writes what `encode` makes, in parts while it is being made.
    pub(super) async fn write<E>(
        &self,
        layer: Layer,
        path: String,
        encode: impl FnOnce(&mut PartWriter) -> std::result::Result<(), E> + Clone + Send + 'static,
        steps: &Steps<'_>,
    ) -> Result<TableFile>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let write = async || Ok(self.lake.write(layer, &path, encode.clone()).await?);
        steps.retry("writing to the lake", write).await
    }

    /// Writes a frame as Parquet.
    pub(super) async fn write_frame(
        &self,
        layer: Layer,
        path: String,
        frame: DataFrame,
        steps: &Steps<'_>,
    ) -> Result<TableFile> {
        let encode = move |to: &mut PartWriter| parquet::encode(&mut frame.clone(), to);
        self.write(layer, path, encode, steps).await
    }
}
