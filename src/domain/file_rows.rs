//! What became of the rows of a source file, and how its values were read.

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter, Result};

use serde::{Deserialize, Serialize};

/// How a file was read and what became of its rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRows {
    /// The file's name.
    pub file: String,
    /// How dates and amounts were read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forms: Vec<ColumnForm>,
    /// Rows that are served.
    pub served: u64,
    /// Rows that are neither served nor rejected, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set_aside: BTreeMap<String, u64>,
    /// Rejected rows, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<String, u64>,
    /// The first rows as they are read: for inspections, not kept.
    #[serde(skip)]
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

/// How the values of a column were read, where they could be read in several ways.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnForm {
    /// The column.
    pub column: String,
    /// What its cells are.
    pub form: ValueForm,
    /// What decided, the rest of a sentence; empty where the form says it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub proof: String,
}

/// A form of dates or amounts that a column decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueForm {
    /// Dates with the day before the month.
    DayFirst,
    /// Dates with the month before the day.
    MonthFirst,
    /// A spreadsheet's numbers of days.
    SpreadsheetDays,
    /// Amounts with a decimal point.
    DecimalPoint,
    /// Amounts with a decimal comma.
    DecimalComma,
    /// Amounts of both kinds.
    BothDecimalSigns,
}

impl ValueForm {
    const fn text(self) -> &'static str {
        match self {
            Self::DayFirst => "day first",
            Self::MonthFirst => "month first",
            Self::SpreadsheetDays => "a spreadsheet's numbers of days since 1899-12-30",
            Self::DecimalPoint => "decimals after a point",
            Self::DecimalComma => "decimals after a comma",
            Self::BothDecimalSigns => "decimals after a point and after a comma",
        }
    }
}

impl Display for ColumnForm {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self { column, form, proof } = self;
        write!(f, "{column}: {}", form.text())?;
        if proof.is_empty() { Ok(()) } else { write!(f, ", {proof}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Manifests hold it: neither names nor values may change.
    #[test]
    fn the_rows_of_a_file_keep_their_persisted_form() {
        let json = r#"{"file":"a.csv","forms":[{"column":"date_achat","form":"day_first","proof":"as line 2 \"31/12/2025\" shows"},{"column":"x","form":"spreadsheet_days"}],"served":2,"set_aside":{"repeated":1},"left_out":{"invalid_date":1}}"#;
        let read: FileRows = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
        assert_eq!(
            read.forms[0].to_string(),
            "date_achat: day first, as line 2 \"31/12/2025\" shows"
        );
        assert_eq!(
            read.forms[1].to_string(),
            "x: a spreadsheet's numbers of days since 1899-12-30"
        );
    }
}
