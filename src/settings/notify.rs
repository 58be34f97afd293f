//! `[notify]` and `[metabase]`: who is notified of the end of a run.

use secrecy::SecretString;
use serde::Deserialize;

use super::error::{SettingsError, invalid, secret};
use crate::jobs::notify::{MetabaseOptions, NotifyOptions};

#[derive(Debug, Deserialize)]
pub(super) struct RawNotify {
    urls: String,
    secret: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawMetabase {
    url: String,
    database_id: u32,
    api_key: String,
}

pub(super) fn validate(
    raw: RawNotify,
    metabase: RawMetabase,
) -> Result<NotifyOptions, SettingsError> {
    let urls: Vec<&str> = raw.urls.split([',', ' ']).filter(|url| !url.is_empty()).collect();
    if let Some(index) = urls.iter().position(|url| !is_http(url)) {
        // The address itself may hold credentials.
        let problem = format!("address {} is not an http or https address", index + 1);
        return Err(invalid("notify.urls", problem));
    }
    if !urls.is_empty() && raw.secret.is_empty() {
        return Err(invalid("notify.secret", "it is required, together with notify.urls"));
    }
    let urls = urls.into_iter().map(SecretString::from).collect();
    Ok(NotifyOptions { urls, secret: secret(raw.secret), metabase: validate_metabase(metabase)? })
}

fn validate_metabase(raw: RawMetabase) -> Result<Option<MetabaseOptions>, SettingsError> {
    if raw.url.is_empty() {
        return Ok(None);
    }
    if !is_http(&raw.url) {
        return Err(invalid("metabase.url", "it is not an http or https address"));
    }
    if raw.url.contains('@') {
        let problem = "it holds a user or password; put an API key into metabase.api_key instead";
        return Err(invalid("metabase.url", problem));
    }
    if raw.database_id == 0 {
        let problem = "it is required, together with metabase.url: the number in the address of the \
                       database in Metabase's admin pages";
        return Err(invalid("metabase.database_id", problem));
    }
    Ok(Some(MetabaseOptions {
        url: raw.url.trim_end_matches('/').to_owned(),
        database_id: raw.database_id,
        api_key: secret(raw.api_key),
    }))
}

fn is_http(address: &str) -> bool {
    url::Url::parse(address).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}
