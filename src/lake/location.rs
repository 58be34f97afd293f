//! Where a layer lives: a directory, or a prefix in a bucket of an S3 store.

use super::error::{LakeError, Result};
use super::layer::Layer;
use super::s3::S3Options;

/// A location template of a layer and the setting it comes from.
#[derive(Debug, Clone)]
pub struct Template {
    /// The setting, for error messages.
    pub setting: &'static str,
    /// `path`, `file://path` or `s3://bucket/prefix`; `{layer}` stands for the layer's name.
    pub url: String,
}

/// Where the layers live, and how their S3 store is reached.
#[derive(Debug, Clone)]
pub struct LakeOptions {
    /// The location template of each layer, in the order of [`Layer::ALL`].
    pub templates: [Template; 4],
    /// `None` when no layer is in an S3 store.
    pub s3: Option<S3Options>,
}

/// The location of one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Location {
    /// A directory of this machine.
    Directory(String),
    /// A prefix in a bucket.
    Bucket {
        /// The bucket's name.
        bucket: String,
        /// Without slashes at either end; may be empty.
        prefix: String,
    },
}

impl Location {
    /// The location of each layer, in the order of [`Layer::ALL`].
    ///
    /// # Errors
    /// [`LakeError::Location`] for a template of an unknown kind, or when one layer would lie in another.
    pub(super) fn of_layers(templates: &[Template; 4]) -> Result<[Self; 4]> {
        let [a, b, c, d] = Layer::ALL.map(|layer| Self::parse(layer, &templates[layer as usize]));
        let locations = [a?, b?, c?, d?];
        for layer in Layer::ALL {
            let location = &locations[layer as usize];
            let shared = Layer::ALL.into_iter().find(|other| {
                *other as usize > layer as usize && locations[*other as usize].overlaps(location)
            });
            if let Some(other) = shared {
                let (template, other) = (&templates[other as usize], other.as_str());
                let problem = if template.url.contains("{layer}") {
                    format!("{} and {other} would lie in one another", layer.as_str())
                } else {
                    format!(
                        "{} and {other} would lie in one another; it must contain {{layer}}, as \
                         ./data/{{layer}} and s3://{{layer}} do",
                        layer.as_str()
                    )
                };
                return Err(invalid(template, problem));
            }
        }
        Ok(locations)
    }

    fn parse(layer: Layer, template: &Template) -> Result<Self> {
        let refuse = |problem: &str| invalid(template, problem.to_owned());
        let url = template.url.replace("{layer}", layer.as_str());
        match url.split_once("://") {
            None if url.is_empty() => Err(refuse("it is empty")),
            // A single letter is a drive.
            None if url.split_once(":/").is_some_and(|(scheme, _)| {
                scheme.len() > 1 && scheme.bytes().all(|c| c.is_ascii_alphanumeric())
            }) =>
            {
                Err(refuse("a scheme is followed by two slashes, as in s3://{layer}"))
            }
            None => Ok(Self::Directory(url)),
            Some(("file", path)) => Ok(Self::Directory(path.to_owned())),
            Some(("s3", path)) => {
                let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
                let is_name = (3..=63).contains(&bucket.len())
                    && bucket.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-'))
                    && !bucket.starts_with(['.', '-'])
                    && !bucket.ends_with(['.', '-'])
                    && !bucket.contains("..");
                if !is_name {
                    return Err(refuse(
                        "a bucket's name is 3 to 63 lower-case letters, digits, hyphens and dots, \
                         as in s3://{layer} or s3://company-lake/analytics/{layer}",
                    ));
                }
                let prefix = prefix.trim_matches('/');
                let is_plain = prefix.is_empty()
                    || prefix.split('/').all(|part| {
                        !matches!(part, "" | "." | "..")
                            && part
                                .chars()
                                .all(|c| c.is_ascii_alphanumeric() || "-_.=+ ".contains(c))
                    });
                if !is_plain {
                    return Err(refuse(
                        "its prefix may only hold letters, digits, spaces and -_.=+ between slashes",
                    ));
                }
                Ok(Self::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
            }
            Some(_) => Err(refuse("only local paths, file:// and s3:// are supported")),
        }
    }

    /// Whether one lies in the other.
    fn overlaps(&self, other: &Self) -> bool {
        let within = |a: &str, b: &str| {
            a.is_empty() || b == a || b.strip_prefix(a).is_some_and(|rest| rest.starts_with('/'))
        };
        match (self, other) {
            (Self::Directory(a), Self::Directory(b)) => {
                let (a, b) = (a.trim_end_matches('/'), b.trim_end_matches('/'));
                within(a, b) || within(b, a)
            }
            (
                Self::Bucket { bucket: a, prefix: in_a },
                Self::Bucket { bucket: b, prefix: in_b },
            ) => a == b && (within(in_a, in_b) || within(in_b, in_a)),
            _ => false,
        }
    }

    /// The location as the settings have it.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Directory(path) => path.trim_end_matches('/').to_owned(),
            Self::Bucket { bucket, prefix } if prefix.is_empty() => format!("s3://{bucket}"),
            Self::Bucket { bucket, prefix } => format!("s3://{bucket}/{prefix}"),
        }
    }
}

fn invalid(template: &Template, problem: String) -> LakeError {
    // What precedes an @ may be a password.
    let url = match template.url.rsplit_once('@') {
        Some((_, rest)) => format!("***@{rest}"),
        None => template.url.clone(),
    };
    LakeError::Location { setting: template.setting, url, problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(url: &str) -> Result<[Location; 4]> {
        let template = || Template { setting: "lake.url", url: url.to_owned() };
        Location::of_layers(&[template(), template(), template(), template()])
    }

    fn described(url: &str) -> Vec<String> {
        all(url).unwrap().iter().map(Location::describe).collect()
    }

    #[test]
    fn a_template_names_four_locations() {
        assert_eq!(described("./data/{layer}/")[1], "./data/bronze");
        assert_eq!(described("file:///srv/{layer}")[0], "/srv/sources");
        assert_eq!(
            described("s3://{layer}"),
            ["s3://sources", "s3://bronze", "s3://silver", "s3://gold"]
        );
        assert_eq!(
            described("s3://company-lake/analytics/{layer}")[3],
            "s3://company-lake/analytics/gold"
        );
        assert_eq!(described("s3://shop-{layer}-eu/")[2], "s3://shop-silver-eu");
    }

    #[test]
    fn an_unusable_location_is_refused_without_repeating_passwords() {
        for (url, expected) in [
            ("./data", "it must contain {layer}"),
            ("s3://lake", "it must contain {layer}"),
            ("s3://lake/x", "sources and bronze would lie in one another"),
            ("gs://{layer}", "only local paths, file:// and s3://"),
            ("s3://Lake/{layer}", "a bucket's name is"),
            ("s3:///{layer}", "a bucket's name is"),
            ("s3://lake/../{layer}", "its prefix may only hold"),
            ("s3://key:00123@lake/{layer}", "***@lake/{layer}: a bucket's name is"),
            ("", "it is empty"),
            ("s3:/lake/{layer}", "a scheme is followed by two slashes"),
        ] {
            let error = all(url).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("00123"), "{url}: {error}");
        }
    }

    #[test]
    fn layers_may_be_apart_but_not_within_one_another() {
        let template = |url: &str| Template { setting: "lake.gold_url", url: url.to_owned() };
        let apart = ["/in", "s3://lake/a", "s3://lake/ab", "/out"].map(template);
        assert!(Location::of_layers(&apart).is_ok());
        let within = ["/in", "s3://lake/a", "s3://lake/a/b", "/out"].map(template);
        let error = Location::of_layers(&within).unwrap_err().to_string();
        assert!(error.contains("bronze and silver would lie in one another"), "{error}");
    }
}
