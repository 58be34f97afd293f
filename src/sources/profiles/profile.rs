//! The form of a profile, the built-in ones, and which of them knows a header.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::domain::data_set::DataSet;
use crate::domain::reading::{DateOrder, Join, Status};
use crate::sources::headers::fold;
use crate::sources::profile::is_column;

/// The built-in profiles beside `goldsmith`, by file.
const BUILT_IN: [(&str, &str); 12] = [
    ("amazon.toml", include_str!("amazon.toml")),
    ("bigcommerce.toml", include_str!("bigcommerce.toml")),
    ("cdnow.toml", include_str!("cdnow.toml")),
    ("etsy.toml", include_str!("etsy.toml")),
    ("magento.toml", include_str!("magento.toml")),
    ("olist.toml", include_str!("olist.toml")),
    ("online_retail.toml", include_str!("online_retail.toml")),
    ("prestashop.toml", include_str!("prestashop.toml")),
    ("shopify.toml", include_str!("shopify.toml")),
    ("square.toml", include_str!("square.toml")),
    ("stripe.toml", include_str!("stripe.toml")),
    ("woocommerce.toml", include_str!("woocommerce.toml")),
];

static PARSED: LazyLock<Vec<Profile>> = LazyLock::new(|| {
    let parse = |(file, text): &(&str, &str)| {
        // A unit test parses every one.
        Profile::parse(text).unwrap_or_else(|problem| panic!("{file}: {problem}"))
    };
    BUILT_IN.iter().map(parse).collect()
});

/// How the exports of one system are read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// The public source of its header rows.
    #[allow(dead_code)]
    source: String,
    files: Vec<ProfileFile>,
}

/// One kind of file that a system exports.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::sources) struct ProfileFile {
    pub(super) kind: FileKind,
    /// Headers that it is known by: all of them, of an inner list any.
    #[serde(default)]
    pub(super) headers: Vec<Names>,
    /// The fields of a file without a header, in file order; an empty one is skipped.
    #[serde(default)]
    pub(in crate::sources) positions: Vec<String>,
    #[serde(default)]
    pub(super) columns: BTreeMap<String, Origin>,
    pub(super) date_order: Option<DateOrder>,
    #[serde(default)]
    pub(super) two_digit_years: bool,
    pub(super) ids: Option<Ids>,
    pub(super) currency: Option<String>,
    pub(super) countries: Option<Countries>,
    pub(super) refund_prefix: Option<String>,
    #[serde(default)]
    pub(super) order_totals: bool,
    #[serde(default)]
    pub(super) guests: Vec<String>,
    pub(super) fill_down: Option<FillDownEntry>,
    #[serde(default)]
    pub(super) statuses: Vec<StatusEntry>,
    #[serde(default)]
    pub(super) not_goods: Vec<NotGoodsEntry>,
    pub(super) split: Option<SplitEntry>,
    #[serde(default)]
    pub(super) join: Vec<Join>,
    pub(super) table: Option<String>,
    pub(super) key: Option<String>,
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FileKind {
    Customers,
    Purchases,
    /// Other files take columns from it.
    Lookup,
}

/// One header, or several that mean the same.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Names {
    One(String),
    Any(Vec<String>),
}

/// Where the cells of a field come from.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Origin {
    Names(Names),
    Join { join: Vec<Names> },
    LastPart { last_of: Names },
    Always { always: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ids {
    Integer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Countries {
    Iso,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FillDownEntry {
    pub(super) by: Names,
    pub(super) columns: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatusEntry {
    pub(super) column: Names,
    #[serde(default)]
    pub(super) values: BTreeMap<String, Status>,
    pub(super) filled: Option<Status>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NotGoodsEntry {
    pub(super) column: Names,
    pub(super) values: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SplitEntry {
    pub(super) column: Names,
}

impl Names {
    pub(super) fn all(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Any(names) => names,
        }
    }

    /// The first of the names that a folded header has.
    pub(super) fn position(&self, folded: &[String]) -> Option<usize> {
        self.all().iter().find_map(|name| {
            let name = fold(name);
            folded.iter().position(|cell| *cell == name)
        })
    }
}

impl Profile {
    /// Reads a profile.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence without the file's name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let profile: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        profile.check()?;
        Ok(profile)
    }

    /// Whether its fields exist.
    fn check(&self) -> Result<(), String> {
        for (index, file) in self.files.iter().enumerate() {
            let place = format!("files[{}]", index + 1);
            if file.headers.is_empty() == file.positions.is_empty() {
                return Err(format!("{place} needs either headers or positions"));
            }
            let named = file.positions.iter().filter(|name| !name.is_empty());
            for field in file.columns.keys().chain(named) {
                if !is_field(file.data_set(), field) {
                    return Err(format!("{place}.columns: {field:?} is no field"));
                }
            }
            if (file.kind == FileKind::Lookup || file.key.is_some()) && file.table.is_none() {
                return Err(format!("{place} has no table"));
            }
        }
        Ok(())
    }
}

impl ProfileFile {
    pub(in crate::sources) const fn data_set(&self) -> DataSet {
        match self.kind {
            FileKind::Customers => DataSet::Customers,
            FileKind::Purchases | FileKind::Lookup => DataSet::Purchases,
        }
    }

    /// The number of its headers if a folded header has them all.
    fn fit(&self, folded: &[String]) -> Option<usize> {
        let has = |names: &Names| names.position(folded).is_some();
        (!self.headers.is_empty() && self.headers.iter().all(has)).then_some(self.headers.len())
    }
}

/// Fields of purchases that only profiles fill, beside the canonical columns.
pub(in crate::sources) const PURCHASE_FIELDS: [&str; 15] = [
    "ref_commande",
    "telephone",
    "remise",
    "livraison_ligne",
    "taxe_ligne",
    "montant_commande",
    "sous_total",
    "sous_total_brut",
    "remise_commande",
    "livraison",
    "taxe",
    "total",
    "remboursement",
    "date_remboursement",
    "litige",
];

/// Whether a profile can fill this field.
fn is_field(set: DataSet, name: &str) -> bool {
    let more: &[&str] = match set {
        DataSet::Customers => &["telephone"],
        DataSet::Purchases => &PURCHASE_FIELDS,
    };
    is_column(set, name) || more.contains(&name)
}

/// A kind of file of a profile.
#[derive(Clone, Copy)]
pub(in crate::sources) struct Match<'a> {
    pub(in crate::sources) profile: &'a Profile,
    pub(in crate::sources) file: &'a ProfileFile,
    /// Headers that it was known by.
    pub(in crate::sources) headers: usize,
}

/// The file of a profile that a folded header is of: the one that is known by most headers; the user's
/// profiles count before the built-in ones.
pub(in crate::sources) fn find<'a>(own: &'a [Profile], folded: &[String]) -> Option<Match<'a>> {
    let mut best: Option<Match<'a>> = None;
    for profile in own.iter().chain(PARSED.iter()) {
        for file in &profile.files {
            let Some(headers) = file.fit(folded) else { continue };
            if best.is_none_or(|best| headers > best.headers) {
                best = Some(Match { profile, file, headers });
            }
        }
    }
    best
}

/// The files of profiles that have no header.
pub(in crate::sources) fn without_header(own: &[Profile]) -> impl Iterator<Item = Match<'_>> {
    let profiles = own.iter().chain(PARSED.iter());
    let files = profiles.flat_map(|profile| {
        profile.files.iter().map(move |file| Match { profile, file, headers: 0 })
    });
    files.filter(|found| !found.file.positions.is_empty())
}

/// The names of the built-in profiles, `goldsmith` apart.
pub fn built_in() -> impl Iterator<Item = &'static str> {
    PARSED.iter().map(|profile| profile.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_profile_is_valid_and_named_as_its_file() {
        for (file, text) in BUILT_IN {
            let profile = Profile::parse(text).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert_eq!(format!("{}.toml", profile.name), file);
        }
    }

    #[test]
    fn no_two_profiles_know_the_same_header() {
        for profile in PARSED.iter() {
            for file in profile.files.iter().filter(|file| !file.headers.is_empty()) {
                let folded: Vec<String> =
                    file.headers.iter().map(|names| fold(&names.all()[0])).collect();
                let found = find(&[], &folded).unwrap();
                assert_eq!(found.profile.name, profile.name);
            }
        }
    }

    #[test]
    fn a_profile_that_is_wrong_is_refused_in_a_sentence() {
        for (text, expected) in [
            (
                "name = 'x'\nsource = ''\n[[files]]\nkind = 'purchases'\n",
                "either headers or positions",
            ),
            (
                "name = 'x'\nsource = ''\n[[files]]\nkind = 'customers'\nheaders = ['a']\n[files.columns]\nmontant = 'b'",
                "\"montant\" is no field",
            ),
            ("name = 'x'\nfiles = []", "source"),
        ] {
            let problem = Profile::parse(text).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
