//! What was found out about a source file: everything that reading it needs to know.
//!
//! A verdict is made once, over the whole file (`sources::detect`), stored in the manifest, and
//! obeyed by whatever reads the file later (`sources::read`).

use serde::{Deserialize, Serialize};

use super::data_set::DataSet;
use super::reading::Reading;

/// What a source file is and how its bytes become rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The data set whose rows it holds.
    #[serde(rename = "kind")]
    pub data_set: DataSet,
    /// What recognised its columns: the name of a profile, or [`Verdict::MAPPED`].
    pub profile: String,
    /// What its text is packed in.
    #[serde(rename = "compression")]
    pub container: Container,
    /// The sheet that is read, of a spreadsheet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sheet: Option<String>,
    /// How its bytes are letters.
    pub encoding: Encoding,
    /// Whether it begins with a byte order mark.
    pub has_mark: bool,
    /// What stands between cells.
    pub separator: char,
    /// The line that the header starts on, from 1; what precedes it is not read.
    pub header_line: u64,
    /// How a quotation mark is written within a quoted cell.
    pub quoting: Quoting,
    /// Its columns, in file order.
    pub columns: Vec<FileColumn>,
    /// What was assumed, a sentence each, for the operator.
    pub notes: Vec<String>,
    /// What may be missing from what is read, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// How its values are meant, as its profile says.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub reading: Reading,
}

fn is_empty(reading: &Reading) -> bool {
    *reading == Reading::default()
}

/// A column of a source file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileColumn {
    /// Its header as written.
    pub header: String,
    /// The column of the raw frame that it fills: a canonical one, or one of its own.
    pub column: String,
}

/// What the text of a source file is packed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Container {
    /// Nothing.
    None,
    /// A gzip stream of any number of members.
    Gzip,
    /// A spreadsheet.
    Xlsx,
    /// A Parquet file.
    Parquet,
}

/// How the bytes of a source file are letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    /// UTF-8.
    #[serde(rename = "utf-8")]
    Utf8,
    /// UTF-16, the low byte first.
    #[serde(rename = "utf-16le")]
    Utf16Le,
    /// UTF-16, the high byte first.
    #[serde(rename = "utf-16be")]
    Utf16Be,
    /// Windows-1252, which includes ISO 8859-1.
    #[serde(rename = "windows-1252")]
    Windows1252,
    /// UTF-8 in most cells and Windows-1252 in those that are not UTF-8: two exports in one file.
    #[serde(rename = "utf-8, windows-1252")]
    Mixed,
}

/// How a quotation mark is written within a quoted cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quoting {
    /// Twice.
    Doubled,
    /// Twice, or after a backslash.
    Backslash,
}

impl Verdict {
    /// The [`Self::profile`] of a file with the column names of the older systems.
    pub const GOLDSMITH: &str = "goldsmith";
    /// The [`Self::profile`] of a file whose columns the settings map.
    pub const MAPPED: &str = "sources.files";

    /// Whether a version that knew no verdicts read such a file in the same way: then the verdict
    /// adds nothing to what the bytes decide, and generations of that version stay up to date.
    #[must_use]
    pub fn is_plain(&self, newer_columns: &[&str]) -> bool {
        self.profile == Self::GOLDSMITH
            && self.container == Container::None
            && self.encoding == Encoding::Utf8
            && matches!(self.separator, ',' | ';')
            && self.header_line == 1
            && self.quoting == Quoting::Doubled
            && !self.columns.iter().any(|column| newer_columns.contains(&column.column.as_str()))
    }
}

impl Container {
    /// Its name in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Xlsx => "xlsx",
            Self::Parquet => "parquet",
        }
    }
}

impl Encoding {
    /// Its name for people.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Utf16Le => "UTF-16 (little endian)",
            Self::Utf16Be => "UTF-16 (big endian)",
            Self::Windows1252 => "Windows-1252",
            Self::Mixed => "UTF-8 and Windows-1252",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Manifests hold it: neither names nor order may change.
    #[test]
    fn a_verdict_keeps_its_persisted_form() {
        let json = r#"{"kind":"achats","profile":"goldsmith","compression":"gzip","encoding":"windows-1252","has_mark":false,"separator":"\t","header_line":3,"quoting":"backslash","columns":[{"header":"Le","column":"date_achat"}],"notes":["a"]}"#;
        let read: Verdict = serde_json::from_str(json).unwrap();
        assert_eq!(read.encoding, Encoding::Windows1252);
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
    }
}
