//! What a run would make of the source files, found out without a run.

use std::collections::BTreeMap;

use serde::Serialize;

use super::account::Account;
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

/// What became of the rows of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileRows {
    /// The file's name.
    pub file: String,
    /// How dates and amounts were read, with what shows it, a sentence per column.
    pub forms: Vec<String>,
    /// Rows that are served.
    pub served: u64,
    /// Rows that are neither served nor rejected, by reason.
    pub set_aside: BTreeMap<String, u64>,
    /// Rejected rows, by reason.
    pub left_out: BTreeMap<String, u64>,
    /// The first rows as they are read.
    pub examples: Vec<ReadRow>,
}

/// A row as it is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadRow {
    /// The line of the file that its record starts on.
    pub line: i64,
    /// What it is: `customer`, `sale`, `refund`, or why it is not served.
    pub kind: String,
    /// Its values with their columns; those that it has not are left out.
    pub values: Vec<(&'static str, String)>,
}
