//! Listings. object_store's own fails as a whole on a key that is not one of its paths, and other programs
//! may put such keys into a bucket.

use bytes::Bytes;
use http::Method;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::bucket::Bucket;
use super::request::{generic, parse_xml};
use crate::lake::error::Result;
use crate::lake::layer::ObjectMeta;

impl Bucket {
    /// Names of the objects and of the folders directly beneath the prefix.
    pub(crate) async fn list_level(&self) -> Result<(Vec<String>, Vec<String>)> {
        let (objects, folders) = self.list_keys("", "/").await?;
        Ok((objects.into_iter().map(|object| object.path).collect(), folders))
    }

    /// All objects in a folder beneath the prefix, by their paths in the layer.
    pub(crate) async fn list(&self, folder: &str) -> Result<Vec<ObjectMeta>> {
        Ok(self.list_keys(folder, "").await?.0)
    }

    /// The objects in a folder, and the folders where there is a delimiter.
    async fn list_keys(
        &self,
        folder: &str,
        delimiter: &str,
    ) -> Result<(Vec<ObjectMeta>, Vec<String>)> {
        let root = self.key("");
        let prefix = if folder.is_empty() { root.clone() } else { format!("{root}{folder}/") };
        let (mut objects, mut folders) = (Vec::new(), Vec::new());
        let mut token = None;
        loop {
            let page = self.list_page(&prefix, delimiter, token.as_deref()).await;
            let page = page.map_err(|error| self.failed("list", error))?;
            objects.extend(page.contents.iter().filter_map(|object| object.meta(&root)));
            folders.extend(page.common_prefixes.iter().filter_map(|common| common.name(&root)));
            token = page.next_continuation_token.filter(|_| page.is_truncated);
            if token.is_none() {
                return Ok((objects, folders));
            }
        }
    }

    async fn list_page(
        &self,
        prefix: &str,
        delimiter: &str,
        token: Option<&str>,
    ) -> object_store::Result<Page> {
        let mut query = vec![("list-type", "2"), ("encoding-type", "url"), ("prefix", prefix)];
        if !delimiter.is_empty() {
            query.push(("delimiter", delimiter));
        }
        if let Some(token) = token {
            query.push(("continuation-token", token));
        }
        parse_page(&self.request(Method::GET, "", &query, Bytes::new()).await?)
    }
}

/// A page of a listing.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Page {
    #[serde(default)]
    contents: Vec<Listed>,
    #[serde(default)]
    common_prefixes: Vec<CommonPrefix>,
    #[serde(default)]
    is_truncated: bool,
    next_continuation_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    key: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    last_modified: String,
}

impl Listed {
    /// `None` for a key that cannot be decoded, or with a slash at its end, as consoles make folders.
    fn meta(&self, root: &str) -> Option<ObjectMeta> {
        let key = decode_key(&self.key)?;
        let path = key.strip_prefix(root)?;
        if path.is_empty() || path.ends_with('/') {
            return None;
        }
        let written_at = self.last_modified.parse().map_or(0, jiff::Timestamp::as_microsecond);
        Some(ObjectMeta { path: path.to_owned(), size_bytes: self.size, written_at })
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CommonPrefix {
    prefix: String,
}

impl CommonPrefix {
    fn name(&self, root: &str) -> Option<String> {
        let key = decode_key(&self.prefix)?;
        let name = key.strip_prefix(root)?.trim_end_matches('/');
        (!name.is_empty()).then(|| name.to_owned())
    }
}

/// Fails for what does not come from an S3 store.
pub(super) fn parse_page(bytes: &[u8]) -> object_store::Result<Page> {
    if !String::from_utf8_lossy(bytes).contains("<ListBucketResult") {
        return Err(generic("the server is not an S3 store"));
    }
    parse_xml(bytes)
}

/// A key as listings encode it: as forms do, with a space as `+` (Amazon, MinIO), or as `%20` (Ceph).
fn decode_key(key: &str) -> Option<String> {
    let key = key.replace('+', " ");
    percent_decode_str(&key).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_of_every_store_name_the_same_keys() {
        for (listed, key) in [
            ("sources/clients+2024.csv", "sources/clients 2024.csv"),
            ("sources/clients%202024.csv", "sources/clients 2024.csv"),
            ("sources%2Fa%2Bb.csv", "sources/a+b.csv"),
            ("%C3%A9t%C3%A9%25.csv", "été%.csv"),
        ] {
            assert_eq!(decode_key(listed).as_deref(), Some(key));
        }
        assert_eq!(decode_key("%FF"), None);
    }
}
