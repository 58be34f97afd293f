//! What a run would make of the source files, found out without a run.

use super::account::Account;
use super::file_rows::FileRows;
use super::files::UnreadFile;
use super::verdict::Verdict;

/// What a run would make of the source files.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inspection {
    /// Every file that is looked at.
    pub files: Vec<InspectedFile>,
    /// Why a run would stop, causes included; `None` when it would not.
    pub stops: Option<String>,
    /// Sentences about what would not be served as it stands in the files.
    pub findings: Vec<String>,
}

/// A file of the sources layer.
#[derive(Debug, Clone, PartialEq)]
pub struct InspectedFile {
    /// Its name in the sources layer.
    pub name: String,
    /// How it is read; `None` for one that is not.
    pub verdict: Option<Verdict>,
    /// Why it is not read.
    pub unread: Option<UnreadFile>,
    /// What becomes of its rows; `None` when a run would stop before that shows.
    pub rows: Option<FileRows>,
    /// Where its money goes, by currency; none for a file without purchases.
    pub accounts: Vec<Account>,
}

impl InspectedFile {
    /// A file of which no more is known.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let name = name.to_owned();
        Self { name, verdict: None, unread: None, rows: None, accounts: Vec::new() }
    }
}
