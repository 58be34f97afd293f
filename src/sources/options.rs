//! `[sources]` as reading needs it: mapped files, and what to do about unknown ones.

use super::profiles::Profile;
use crate::domain::data_set::DataSet;
use crate::domain::reading::Status;

/// What the operator decided about source files.
#[derive(Debug, Clone, Default)]
pub struct SourceOptions {
    /// Files whose columns are mapped; the first whose pattern matches a name counts.
    pub files: Vec<FileMapping>,
    /// What a run does about a file that is nothing known.
    pub unknown: UnknownFiles,
    /// Profiles of the operator, which count before the built-in ones.
    pub profiles: Vec<Profile>,
    /// What texts of status columns mean, over what profiles say.
    pub statuses: Vec<(String, Status)>,
    /// The profile whose sales count where several bring some.
    pub sales: Option<String>,
}

/// What a run does about a file that is nothing known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum UnknownFiles {
    /// It names the file and reads the others.
    #[default]
    Warn,
    /// It stops.
    Stop,
}

/// An entry of `[[sources.files]]`.
#[derive(Debug, Clone)]
pub struct FileMapping {
    /// Its key in the settings, for messages: `sources.files[1]`.
    pub key: String,
    /// Names of the files that it is about.
    pub pattern: glob::Pattern,
    /// What they hold.
    pub data_set: DataSet,
    /// Canonical columns with their headers.
    pub columns: Vec<(String, String)>,
}

impl SourceOptions {
    /// The mapping of a file.
    #[must_use]
    pub fn mapping(&self, name: &str) -> Option<&FileMapping> {
        self.files.iter().find(|mapping| mapping.pattern.matches(name))
    }

    /// Mappings that none of these names matches, a sentence each.
    #[must_use]
    pub fn unmatched(&self, names: &[String]) -> Vec<String> {
        let is_unmatched =
            |mapping: &&FileMapping| !names.iter().any(|name| mapping.pattern.matches(name));
        let describe = |mapping: &FileMapping| {
            format!("{}: no source file is named {}", mapping.key, mapping.pattern)
        };
        self.files.iter().filter(is_unmatched).map(describe).collect()
    }
}
