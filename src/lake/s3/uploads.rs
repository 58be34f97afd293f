//! The multipart uploads that killed processes have left incomplete.

use bytes::Bytes;
use http::Method;
use serde::Deserialize;

use super::bucket::Bucket;
use super::request::parse_xml;
use crate::error_chain::describe;
use crate::lake::error::Result;
use crate::lake::refusal::has_code;

impl Bucket {
    /// Aborts incomplete uploads whose final path `is_managed`, or only counts them when `is_dry`. Returns how
    /// many there are.
    pub(crate) async fn abort_uploads(
        &self,
        is_managed: impl Fn(&str) -> bool,
        is_dry: bool,
    ) -> Result<usize> {
        let uploads = match self.list_uploads().await {
            Ok(uploads) => uploads,
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => {
                // Some stores do not support it, and some users may not list uploads.
                tracing::debug!(error = describe(&error), "incomplete uploads are left alone");
                return Ok(0);
            }
        };
        let root = self.key("");
        let is_managed = |upload: &Upload| upload.key.strip_prefix(&root).is_some_and(&is_managed);
        let managed: Vec<Upload> = uploads.into_iter().filter(is_managed).collect();
        for upload in managed.iter().filter(|_| !is_dry) {
            self.abort_upload(upload).await?;
        }
        Ok(managed.len())
    }

    async fn list_uploads(&self) -> Result<Vec<Upload>> {
        let mut all = Vec::new();
        let prefix = self.key("");
        let (mut key_marker, mut upload_marker) = (String::new(), String::new());
        loop {
            let mut query = vec![("uploads", ""), ("prefix", prefix.as_str())];
            if !key_marker.is_empty() {
                query.push(("key-marker", &key_marker));
                query.push(("upload-id-marker", &upload_marker));
            }
            let page = self.request(Method::GET, "", &query, Bytes::new()).await;
            let page = page.and_then(|page| parse_xml::<Uploads>(&page));
            let page = page.map_err(|error| self.failed("list incomplete uploads in", error))?;
            all.extend(page.upload.into_iter().filter(|upload| upload.key.starts_with(&prefix)));
            match (page.is_truncated, page.next_key_marker) {
                (true, Some(next)) if !next.is_empty() => {
                    key_marker = next;
                    upload_marker = page.next_upload_id_marker.unwrap_or_default();
                }
                _ => return Ok(all),
            }
        }
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<()> {
        let query = [("uploadId", upload.upload_id.as_str())];
        match self.request(Method::DELETE, &upload.key, &query, Bytes::new()).await {
            Err(error) if !has_code(&error, "NoSuchUpload") => {
                Err(self.failed("abort an incomplete upload in", error))
            }
            _ => Ok(()),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Uploads {
    #[serde(default)]
    upload: Vec<Upload>,
    #[serde(default)]
    is_truncated: bool,
    next_key_marker: Option<String>,
    next_upload_id_marker: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Upload {
    /// The whole key of the object.
    key: String,
    upload_id: String,
}
