//! Silver: typed, cleaned, deduplicated rows, and a reason for every row that is not among them.
//!
//! [`read`] turns bytes into raw text columns, [`clients`] and [`achats`] hold each data set's
//! rules, [`checks`] the expressions both share, [`quality`] the report and the gate.

pub mod achats;
pub mod checks;
pub mod clients;
pub mod quality;
pub mod read;

use polars::prelude::*;

use crate::domain::manifest::{QualityReport, SourceKind};
use crate::domain::time::{Day, Timestamp};
use crate::pipeline::Result;
use read::SourceText;

/// What silver needs to know besides the rows.
#[derive(Debug, Clone, Copy)]
pub struct CleaningOptions {
    /// Greatest acceptable amount of one purchase, EUR.
    pub max_amount: f64,
    /// Start of the run: later dates lie in the future.
    pub run_start: Timestamp,
}

/// The silver layer of one run.
#[derive(Debug)]
pub struct Silver {
    /// id_client, nom, email, date_inscription, pays; ascending id_client.
    pub clients: DataFrame,
    /// id_achat, id_client, date_achat, montant, produit, quantite, prix; ascending id_achat.
    pub achats: DataFrame,
    /// Rejected rows of `clients*.csv`: raw texts, source_file, line_number, reason.
    pub rejected_clients: DataFrame,
    /// Rejected rows of `achats*.csv`: the same.
    pub rejected_achats: DataFrame,
    /// The counts.
    pub report: QualityReport,
}

/// One data set after its rules: what stays, what does not and why.
#[derive(Debug)]
pub struct Refined {
    /// The typed rows.
    pub valid: DataFrame,
    /// The raw rows with `source_file`, `line_number` and `reason`.
    pub rejected: DataFrame,
    /// The earliest rejected instant after the start of the run.
    pub earliest_future: Option<Timestamp>,
    /// Values of optional columns that could not be read, by warning name.
    pub warnings: Vec<(&'static str, u64)>,
}

/// Refines all files of both kinds.
///
/// # Errors
/// [`crate::pipeline::PipelineError::BadSource`] for a file that cannot be used at all,
/// [`crate::pipeline::PipelineError::Unreadable`] for one whose bytes cannot be had.
pub fn refine(
    clients: Vec<SourceText<'_>>,
    achats: Vec<SourceText<'_>>,
    rules: &CleaningOptions,
) -> Result<Silver> {
    let raw_clients = read::read(SourceKind::Clients, clients)?;
    let clients = clients::refine(raw_clients, rules)?;
    let raw_achats = read::read(SourceKind::Achats, achats)?;
    let achats = achats::refine(raw_achats, rules, clients.valid.column("id_client")?)?;
    let report = quality::report(&clients, &achats)?;
    Ok(Silver {
        clients: clients.valid,
        achats: achats.valid,
        rejected_clients: clients.rejected,
        rejected_achats: achats.rejected,
        report,
    })
}

/// Refines purchases without asking who made them: every customer named in them is known.
///
/// # Errors
/// As [`refine`].
pub fn purchases_of_anyone(
    achats: Vec<SourceText<'_>>,
    rules: &CleaningOptions,
) -> Result<Refined> {
    let raw = read::read(SourceKind::Achats, achats)?;
    let named = raw.clone().lazy().select([checks::positive_integer("id_client")]).collect()?;
    achats::refine(raw, rules, &named.columns()[0])
}

/// Purchases by month (`YYYY-MM`) of date_achat, months ascending, rows ascending by id_achat.
///
/// # Errors
/// Whatever the frame engine says.
pub fn by_month(achats: &DataFrame) -> Result<Vec<(String, DataFrame)>> {
    const MONTH: &str = "mois";
    let month_start = col("date_achat").dt().month_start().cast(DataType::Date);
    let with_month = achats.clone().lazy().with_column(month_start.alias(MONTH)).collect()?;
    let mut months = Vec::new();
    for mut frame in with_month.partition_by([MONTH], true)? {
        let first = frame.drop_in_place(MONTH)?.to_physical_repr().i32()?.get(0);
        let name = Day(first.unwrap_or(0)).to_string();
        months.push((name[..7].to_owned(), frame));
    }
    months.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(months)
}
