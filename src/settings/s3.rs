//! `[lake]`, `[s3]` and `[minio]`: where the layers live, and how an S3 store is reached.

use std::net::IpAddr;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use url::{Host, Url};

use super::error::{MAX_SECS, SettingsError, invalid, secret, within};
use crate::lake::location::{LakeOptions, Template};
use crate::lake::s3::S3Options;

/// AWS's own default.
const DEFAULT_REGION: &str = "us-east-1";

#[derive(Debug, Deserialize)]
pub(super) struct RawLake {
    url: String,
    sources_url: String,
    bronze_url: String,
    silver_url: String,
    gold_url: String,
    create_buckets: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawS3 {
    endpoint: String,
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    region: String,
    virtual_hosted_style: bool,
    allow_http: bool,
    web_identity_token_file: String,
    role_arn: String,
    role_session_name: String,
    container_credentials_relative_uri: String,
    container_credentials_full_uri: String,
    container_authorization_token_file: String,
    request_secs: u64,
    retries: usize,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawMinio {
    endpoint: String,
    access_key: String,
    secret_key: String,
    secure: String,
}

pub(super) fn validate(
    raw: RawLake,
    s3: RawS3,
    minio: RawMinio,
) -> Result<LakeOptions, SettingsError> {
    let template = |setting: &'static str, url: String| {
        if url.is_empty() {
            Template { setting: "lake.url", url: raw.url.clone() }
        } else {
            Template { setting, url }
        }
    };
    let templates = [
        template("lake.sources_url", raw.sources_url),
        template("lake.bronze_url", raw.bronze_url),
        template("lake.silver_url", raw.silver_url),
        template("lake.gold_url", raw.gold_url),
    ];
    let create_buckets = flag("lake.create_buckets", &raw.create_buckets)?;
    // A lake in directories does not need the S3 store: settings of other programs are no reason to refuse it.
    let is_used = templates.iter().any(|template| template.url.starts_with("s3://"));
    let s3 = if is_used { Some(validate_s3(s3, minio, create_buckets)?) } else { None };
    Ok(LakeOptions { templates, s3 })
}

fn validate_s3(
    raw: RawS3,
    minio: RawMinio,
    create_buckets: Option<bool>,
) -> Result<S3Options, SettingsError> {
    /// More retries only delay the error.
    const MAX_RETRIES: usize = 100;
    let request_secs = within("s3.request_secs", raw.request_secs, 1..=MAX_SECS)?;
    let retries = within("s3.retries", raw.retries, 0..=MAX_RETRIES)?;
    let secure = flag("minio.secure", &minio.secure)?;
    let (endpoint, is_minio) = resolve_endpoint(&raw, &minio, secure)?;
    let identity = identity_of(&raw);
    check_sendable("s3.session_token", &raw.session_token)?;
    let (keys, session_token) = resolve_keys(
        Keys {
            aws: (
                "s3.access_key_id",
                raw.access_key_id,
                "s3.secret_access_key",
                raw.secret_access_key,
            ),
            minio: ("minio.access_key", minio.access_key, "minio.secret_key", minio.secret_key),
            session_token: raw.session_token,
        },
        endpoint.is_some(),
        is_minio,
    )?;
    if let Some(url) = &endpoint {
        let may_be_plain = raw.allow_http || secure == Some(false) || is_private(url);
        if url.scheme() == "http" && !may_be_plain {
            let problem = format!(
                "plain HTTP to {} can be read on the way; use https, or set AWS_ALLOW_HTTP=true",
                url.host_str().unwrap_or_default()
            );
            return Err(invalid(if is_minio { "minio.endpoint" } else { "s3.endpoint" }, problem));
        }
        if keys.is_none() && identity.is_empty() {
            let problem = "it is required, together with s3.secret_access_key, for the endpoint";
            return Err(invalid("s3.access_key_id", problem));
        }
    }
    if !raw.region.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
        let problem = format!("{:?} is not a region such as eu-west-3", raw.region);
        return Err(invalid("s3.region", problem));
    }
    Ok(S3Options {
        create_buckets: create_buckets.unwrap_or(endpoint.is_some()),
        endpoint: endpoint.map(|url| url.as_str().trim_end_matches('/').to_owned()),
        keys,
        session_token,
        region: if raw.region.is_empty() { DEFAULT_REGION.to_owned() } else { raw.region },
        virtual_hosted_style: raw.virtual_hosted_style,
        identity,
        request_timeout: Duration::from_secs(request_secs),
        retries,
    })
}

/// The endpoint, and whether only `[minio]` names it.
fn resolve_endpoint(
    raw: &RawS3,
    minio: &RawMinio,
    secure: Option<bool>,
) -> Result<(Option<Url>, bool), SettingsError> {
    let by_aws = endpoint("s3.endpoint", &raw.endpoint, None)?;
    let by_minio = endpoint("minio.endpoint", &minio.endpoint, secure)?;
    if let (Some(aws), Some(minio)) = (&by_aws, &by_minio)
        && aws != minio
    {
        let problem = "s3.endpoint (AWS_ENDPOINT_URL) is another one; set one of them";
        return Err(invalid("minio.endpoint", problem));
    }
    let is_minio = by_aws.is_none() && by_minio.is_some();
    Ok((by_aws.or(by_minio), is_minio))
}

/// An access key and its secret key.
type AccessKeys = (SecretString, SecretString);

/// The names and values of the two.
type KeyPair = (&'static str, String, &'static str, String);

struct Keys {
    aws: KeyPair,
    minio: KeyPair,
    session_token: String,
}

/// The keys that go with the endpoint: those of the section that names it, else those of the other section.
/// A session token belongs to AWS's keys.
fn resolve_keys(
    keys: Keys,
    has_endpoint: bool,
    is_minio: bool,
) -> Result<(Option<AccessKeys>, Option<SecretString>), SettingsError> {
    let aws = key_pair(keys.aws)?;
    // The keys of a MinIO are of no use at AWS.
    let minio = key_pair(keys.minio)?.filter(|_| has_endpoint);
    let takes_minio = minio.is_some() && (is_minio || aws.is_none());
    let session_token = secret(keys.session_token).filter(|_| !takes_minio);
    Ok((if takes_minio { minio } else { aws }, session_token))
}

/// How the machine's identity is found, by the names that object_store has for it.
fn identity_of(raw: &RawS3) -> Vec<(&'static str, String)> {
    [
        ("aws_web_identity_token_file", &raw.web_identity_token_file),
        ("aws_role_arn", &raw.role_arn),
        ("aws_role_session_name", &raw.role_session_name),
        ("aws_container_credentials_relative_uri", &raw.container_credentials_relative_uri),
        ("aws_container_credentials_full_uri", &raw.container_credentials_full_uri),
        ("aws_container_authorization_token_file", &raw.container_authorization_token_file),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(name, value)| (name, value.clone()))
    .collect()
}

/// Both keys or none.
fn key_pair(
    (id_name, id, secret_name, secret_key): KeyPair,
) -> Result<Option<AccessKeys>, SettingsError> {
    check_sendable(id_name, &id)?;
    check_sendable(secret_name, &secret_key)?;
    match (secret(id), secret(secret_key)) {
        (Some(id), Some(secret_key)) => Ok(Some((id, secret_key))),
        (None, None) => Ok(None),
        (Some(_), None) => {
            Err(invalid(secret_name, format!("it is required, together with {id_name}")))
        }
        (None, Some(_)) => {
            Err(invalid(id_name, format!("it is required, together with {secret_name}")))
        }
    }
}

/// Refuses characters that a header cannot carry, without repeating them.
fn check_sendable(key: &'static str, text: &str) -> Result<(), SettingsError> {
    if text.chars().all(|c| c.is_ascii_graphic()) {
        return Ok(());
    }
    Err(invalid(key, "it holds a space, a line break or another character that keys do not have"))
}

/// Parses the usual words for true and false; `None` when not set.
fn flag(key: &'static str, text: &str) -> Result<Option<bool>, SettingsError> {
    match text.to_lowercase().as_str() {
        "" => Ok(None),
        "true" | "1" | "yes" | "on" => Ok(Some(true)),
        "false" | "0" | "no" | "off" => Ok(Some(false)),
        _ => Err(invalid(key, format!("{text:?} is neither true nor false"))),
    }
}

/// An address, or `host:port` as MinIO's client takes it.
fn endpoint(
    key: &'static str,
    text: &str,
    secure: Option<bool>,
) -> Result<Option<Url>, SettingsError> {
    if text.is_empty() {
        return Ok(None);
    }
    // The address itself may hold a password.
    let refuse = |problem: &str| invalid(key, problem);
    let no_address = "it is not an address such as http://127.0.0.1:9000";
    let parse = |text: &str| Url::parse(text).map_err(|_| refuse(no_address));
    let url = if text.contains("://") {
        let url = parse(text)?;
        if secure.is_some_and(|secure| secure != (url.scheme() == "https")) {
            return Err(refuse("its scheme and minio.secure (MINIO_SECURE) contradict each other"));
        }
        url
    } else {
        let plain = parse(&format!("http://{text}"))?;
        let is_secure = secure.unwrap_or(!is_private(&plain));
        if is_secure { parse(&format!("https://{text}"))? } else { plain }
    };
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(refuse(no_address));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("it holds a user or password; use the settings for keys instead"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("it has more than scheme, host, port and path"));
    }
    Ok(Some(url))
}

/// Whether a host is this machine or in a private network, judged by its address or name.
fn is_private(url: &Url) -> bool {
    /// The last parts of names that do not exist in public networks.
    const PRIVATE: [&str; 6] = ["localhost", "local", "internal", "lan", "home.arpa", "svc"];
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Some(Host::Ipv6(ip)) => match ip.to_canonical() {
            IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
            IpAddr::V6(ip) => {
                ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()
            }
        },
        // A name without a dot is local, as those of containers are.
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            !name.contains('.')
                || PRIVATE
                    .iter()
                    .any(|end| name.strip_suffix(end).is_some_and(|rest| rest.ends_with('.')))
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::settings::{Loaded, load_from};

    fn with(variables: &[(&str, &str)]) -> Result<Loaded, SettingsError> {
        let keys = [("LAKE_URL", "s3://{layer}")];
        let pairs = keys.iter().chain(variables);
        let pairs = pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        load_from(None, Vec::new(), pairs.collect())
    }

    fn s3(variables: &[(&str, &str)]) -> S3Options {
        with(variables).unwrap().settings.lake.s3.unwrap()
    }

    const AWS: [(&str, &str); 2] =
        [("AWS_ACCESS_KEY_ID", "A-00123"), ("AWS_SECRET_ACCESS_KEY", "S-00123")];
    const MINIO: [(&str, &str); 2] =
        [("MINIO_ACCESS_KEY", "MA-00123"), ("MINIO_SECRET_KEY", "MS-00123")];

    #[test]
    fn the_names_of_aws_and_of_minio_mean_the_same() {
        let aws = s3(&[&[("AWS_ENDPOINT_URL", "http://minio:9000/")], &AWS[..]].concat());
        assert_eq!(aws.endpoint.as_deref(), Some("http://minio:9000"));
        assert_eq!(aws.keys.unwrap().0.expose_secret(), "A-00123");
        assert!(aws.create_buckets && !aws.virtual_hosted_style);
        assert_eq!(aws.region, "us-east-1");
        let minio = s3(&[&[("MINIO_ENDPOINT", "minio:9000")], &MINIO[..], &AWS[..]].concat());
        assert_eq!(minio.endpoint.as_deref(), Some("http://minio:9000"));
        assert_eq!(minio.keys.unwrap().0.expose_secret(), "MA-00123");
        // At AWS the keys of a MinIO are ignored, and a token goes with the keys it belongs to.
        let token = [("AWS_SESSION_TOKEN", "T")];
        let machine = s3(&[&MINIO[..], &token].concat());
        assert!(machine.keys.is_none() && machine.session_token.is_some());
        let minio = s3(&[&[("MINIO_ENDPOINT", "minio")], &MINIO[..], &AWS[..], &token].concat());
        assert!(minio.session_token.is_none());
        let lent = s3(&[&[("AWS_ENDPOINT_URL", "http://minio")], &MINIO[..]].concat());
        assert_eq!(lent.keys.unwrap().0.expose_secret(), "MA-00123");
        let real = s3(&AWS);
        assert_eq!((real.endpoint, real.create_buckets), (None, false));
        let specific = [
            ("AWS_ENDPOINT_URL", "https://all.example"),
            ("AWS_ENDPOINT_URL_S3", "https://s3.example"),
        ];
        let specific = s3(&[&specific[..], &AWS[..]].concat());
        assert_eq!(specific.endpoint.as_deref(), Some("https://s3.example"));
    }

    #[test]
    fn a_host_without_a_scheme_speaks_https_unless_it_is_private_or_set_otherwise() {
        for (host, secure, expected) in [
            ("localhost:9000", "", "http://localhost:9000"),
            ("10.1.2.3:9000", "", "http://10.1.2.3:9000"),
            ("[fd00::1]:9000", "", "http://[fd00::1]:9000"),
            ("minio.svc:9000", "", "http://minio.svc:9000"),
            ("minio:9000", "True", "https://minio:9000"),
            ("store.example", "", "https://store.example"),
            ("store.example:9000", "False", "http://store.example:9000"),
        ] {
            let named = [("MINIO_ENDPOINT", host), ("MINIO_SECURE", secure)];
            let found = s3(&[&named[..], &MINIO[..]].concat());
            assert_eq!(found.endpoint.as_deref(), Some(expected), "{host} {secure}");
        }
    }

    #[test]
    fn contradictory_settings_are_refused_by_name_and_without_repeating_secrets() {
        let cases: &[(&[(&str, &str)], &str)] = &[
            (&[("AWS_ENDPOINT_URL", "http://store.example")], "s3.endpoint: plain HTTP"),
            (&[("AWS_ENDPOINT_URL", "http://203.0.113.9:9000")], "s3.endpoint: plain HTTP"),
            (&[("AWS_ENDPOINT_URL", "http://localhost.example")], "s3.endpoint: plain HTTP"),
            (&[("AWS_ENDPOINT_URL", "ftp://minio")], "s3.endpoint: it is not an address"),
            (&[("AWS_ENDPOINT_URL", "http://u:00123@minio")], "s3.endpoint: it holds a user"),
            (&[("AWS_ENDPOINT_URL", "http://minio?a=00123")], "s3.endpoint: it has more than"),
            (
                &[("AWS_ENDPOINT_URL", "http://a"), ("MINIO_ENDPOINT", "b")],
                "minio.endpoint: s3.endpoint (AWS_ENDPOINT_URL) is another one",
            ),
            (
                &[("MINIO_ENDPOINT", "http://minio"), ("MINIO_SECURE", "true")],
                "minio.endpoint: its scheme and minio.secure",
            ),
            (&[("MINIO_SECURE", "perhaps")], "minio.secure: \"perhaps\" is neither"),
            (&[("LAKE__CREATE_BUCKETS", "2")], "lake.create_buckets: \"2\" is neither"),
            (&[("S3__REQUEST_SECS", "0")], "s3.request_secs"),
            (&[("S3__RETRIES", "101")], "s3.retries"),
            (&[("MINIO_ACCESS_KEY", "MA-00123")], "minio.secret_key: it is required"),
            (&[("AWS_SESSION_TOKEN", "T-00123\n")], "s3.session_token: it holds"),
            (&[("MINIO_SECRET_KEY", "é00123")], "minio.secret_key: it holds"),
            (&[("AWS_REGION", "eu west")], "s3.region: \"eu west\" is not a region"),
        ];
        for (variables, expected) in cases {
            let error = with(&[*variables, &AWS[..]].concat()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error} instead of {expected}");
            assert!(!error.contains("00123"), "{error}");
        }
        let error = with(&[("AWS_ENDPOINT_URL", "http://minio")]).unwrap_err().to_string();
        assert!(error.contains("s3.access_key_id: it is required"), "{error}");
        let allowed = [("AWS_ENDPOINT_URL", "http://store.example"), ("AWS_ALLOW_HTTP", "true")];
        assert!(with(&[&allowed[..], &AWS[..]].concat()).is_ok());
        // A lake in directories needs none of it.
        let local = [("LAKE_URL", "./data/{layer}"), ("AWS_ENDPOINT_URL", "nonsense")];
        assert!(with(&local).is_ok());
    }

    #[test]
    fn keys_are_never_shown() {
        let token = [("AWS_SESSION_TOKEN", "T-00123"), ("MINIO_ENDPOINT", "http://u:00123@minio")];
        let pairs = [&AWS[..], &MINIO[..], &token].concat();
        let shown = |loaded: Loaded| format!("{:?} {:?}", loaded.settings, loaded.resolved);
        assert!(with(&pairs).is_err());
        let pairs = [&AWS[..], &MINIO[..], &token[..1], &[("AWS_REGION", "eu-west-3")]].concat();
        let shown = shown(with(&pairs).unwrap());
        assert!(shown.contains("eu-west-3") && !shown.contains("00123"), "{shown}");
    }
}
