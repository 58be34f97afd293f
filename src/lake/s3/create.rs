//! Whether a bucket exists, and creating it.

use bytes::Bytes;
use http::Method;

use super::bucket::Bucket;
use super::list::parse_page;
use crate::lake::error::{LakeError, Result};
use crate::lake::refusal::has_code;

impl Bucket {
    /// Checks that the bucket exists and can be listed; creates it if it is missing and the settings allow it.
    pub(crate) async fn prepare(&self, place: &str) -> Result<()> {
        let prefix = self.key("");
        let query = [("list-type", "2"), ("max-keys", "1"), ("prefix", prefix.as_str())];
        let listed = self.request(Method::GET, "", &query, Bytes::new()).await;
        match listed.and_then(|page| parse_page(&page)) {
            Ok(_) => Ok(()),
            Err(error) if !has_code(&error, "NoSuchBucket") => Err(self.failed("look into", error)),
            Err(_) if self.s3.options.create_buckets => self.create().await,
            Err(_) => {
                Err(LakeError::NoBucket { place: place.to_owned(), bucket: self.name.clone() })
            }
        }
    }

    async fn create(&self) -> Result<()> {
        /// The region of a request without a location constraint.
        const DEFAULT_REGION: &str = "us-east-1";
        let options = &self.s3.options;
        let body = if options.region == DEFAULT_REGION || options.endpoint.is_some() {
            String::new()
        } else {
            format!(
                "<CreateBucketConfiguration><LocationConstraint>{}</LocationConstraint>\
                 </CreateBucketConfiguration>",
                options.region
            )
        };
        match self.request(Method::PUT, "", &[], body.into()).await {
            Ok(_) => {
                tracing::info!(bucket = self.name, "created a bucket");
                Ok(())
            }
            // Another process has created it meanwhile.
            Err(error) if has_code(&error, "BucketAlreadyOwnedByYou") => Ok(()),
            Err(error) => Err(self.failed("create", error)),
        }
    }
}
