//! A prefix of a bucket: its keys and its errors.

use std::sync::Arc;

use object_store::Error;
use object_store::aws::AmazonS3;

use super::client::S3;
use crate::lake::error::{LakeError, Result};

/// A prefix of a bucket.
#[derive(Clone)]
pub(crate) struct Bucket {
    pub(super) s3: Arc<S3>,
    pub(super) store: Arc<AmazonS3>,
    pub(super) name: String,
    /// Without slashes at either end; may be empty.
    pub(super) prefix: String,
}

impl Bucket {
    pub(crate) fn open(s3: &Arc<S3>, name: &str, prefix: &str) -> Result<Self> {
        let store = s3.store(name)?;
        Ok(Self { s3: Arc::clone(s3), store, name: name.to_owned(), prefix: prefix.to_owned() })
    }

    /// Its objects, by their whole keys.
    pub(crate) fn store(&self) -> Arc<AmazonS3> {
        Arc::clone(&self.store)
    }

    /// The whole key of a path of the layer.
    pub(super) fn key(&self, path: &str) -> String {
        if self.prefix.is_empty() { path.to_owned() } else { format!("{}/{path}", self.prefix) }
    }

    pub(super) fn failed(&self, action: &'static str, source: Error) -> LakeError {
        let path = format!("s3://{}/{}", self.name, self.prefix);
        LakeError::Object { action, path: path.trim_end_matches('/').to_owned(), source }
    }
}
