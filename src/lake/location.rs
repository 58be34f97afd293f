//! Where a layer lives: a directory, or a prefix in a bucket of an S3 store.

use super::{LakeError, Layer, Result};

/// A location template of a layer and the setting it comes from.
#[derive(Debug, Clone)]
pub struct Template {
    /// The setting, for refusals.
    pub setting: &'static str,
    /// `path`, `file://path` or `s3://bucket/prefix`; `{layer}` stands for the layer's word.
    pub url: String,
}

/// The place of one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A directory of this machine.
    Directory(String),
    /// Everything beneath a prefix of a bucket.
    Bucket {
        /// The bucket's name.
        bucket: String,
        /// Without slashes at either end; may be empty.
        prefix: String,
    },
}

impl Location {
    /// The place of each layer, in the order of [`Layer::ALL`].
    ///
    /// # Errors
    /// [`LakeError::Location`] for a template of a kind this build does not know, or two layers in
    /// one place.
    pub fn of_layers(templates: &[Template; 4]) -> Result<[Self; 4]> {
        let [a, b, c, d] = Layer::ALL.map(|layer| Self::parse(layer, &templates[layer as usize]));
        let places = [a?, b?, c?, d?];
        for layer in Layer::ALL {
            let place = &places[layer as usize];
            let shared = Layer::ALL.into_iter().find(|other| {
                *other as usize > layer as usize && places[*other as usize].overlaps(place)
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
                return Err(refuse(template, problem));
            }
        }
        Ok(places)
    }

    fn parse(layer: Layer, template: &Template) -> Result<Self> {
        let refuse = |problem: &str| refuse(template, problem.to_owned());
        let url = template.url.replace("{layer}", layer.as_str());
        match url.split_once("://") {
            None if url.is_empty() => Err(refuse("it is empty")),
            // A drive's letter is no scheme.
            None if url.split_once(":/").is_some_and(|(scheme, _)| {
                scheme.len() > 1 && scheme.bytes().all(|c| c.is_ascii_alphanumeric())
            }) =>
            {
                Err(refuse("after the scheme come two slashes, as in s3://{layer}"))
            }
            None => Ok(Self::Directory(url)),
            Some(("file", path)) => Ok(Self::Directory(path.to_owned())),
            Some(("s3", place)) => {
                let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
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
                        "its prefix is to be of names of letters, digits and -_.=+ between slashes",
                    ));
                }
                Ok(Self::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
            }
            Some(_) => Err(refuse("only local paths, file:// and s3:// are understood")),
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

    /// The place as people write it.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Directory(path) => path.trim_end_matches('/').to_owned(),
            Self::Bucket { bucket, prefix } if prefix.is_empty() => format!("s3://{bucket}"),
            Self::Bucket { bucket, prefix } => format!("s3://{bucket}/{prefix}"),
        }
    }
}

fn refuse(template: &Template, problem: String) -> LakeError {
    // What stands before an @ may be a password.
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

    fn shown(url: &str) -> Vec<String> {
        all(url).unwrap().iter().map(Location::shown).collect()
    }

    #[test]
    fn a_template_names_four_places() {
        assert_eq!(shown("./data/{layer}/")[1], "./data/bronze");
        assert_eq!(shown("file:///srv/{layer}")[0], "/srv/sources");
        assert_eq!(
            shown("s3://{layer}"),
            ["s3://sources", "s3://bronze", "s3://silver", "s3://gold"]
        );
        assert_eq!(
            shown("s3://company-lake/analytics/{layer}")[3],
            "s3://company-lake/analytics/gold"
        );
        assert_eq!(shown("s3://shop-{layer}-eu/")[2], "s3://shop-silver-eu");
    }

    #[test]
    fn what_no_layer_can_live_in_is_refused_without_repeating_passwords() {
        for (url, said) in [
            ("./data", "it must contain {layer}"),
            ("s3://lake", "it must contain {layer}"),
            ("s3://lake/x", "sources and bronze would lie in one another"),
            ("gs://{layer}", "only local paths, file:// and s3://"),
            ("s3://Lake/{layer}", "a bucket's name is"),
            ("s3:///{layer}", "a bucket's name is"),
            ("s3://lake/../{layer}", "its prefix is to be"),
            ("s3://key:00123@lake/{layer}", "***@lake/{layer}: a bucket's name is"),
            ("", "it is empty"),
            ("s3:/lake/{layer}", "after the scheme come two slashes"),
        ] {
            let error = all(url).unwrap_err().to_string();
            assert!(error.contains(said) && !error.contains("00123"), "{url}: {error}");
        }
    }

    #[test]
    fn layers_may_live_apart_but_not_in_one_another() {
        let template = |url: &str| Template { setting: "lake.gold_url", url: url.to_owned() };
        let apart = ["/in", "s3://lake/a", "s3://lake/ab", "/out"].map(template);
        assert!(Location::of_layers(&apart).is_ok());
        let within = ["/in", "s3://lake/a", "s3://lake/a/b", "/out"].map(template);
        let error = Location::of_layers(&within).unwrap_err().to_string();
        assert!(error.contains("bronze and silver would lie in one another"), "{error}");
    }
}
