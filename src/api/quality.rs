//! `/quality`, and the quality of sources as other answers show it.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use url::form_urlencoded;
use utoipa::ToSchema;

use super::envelope::Meta;
use super::error::ApiError;
use super::extract::Reader;
use super::parameters::refuse_parameters;
use super::tags;
use crate::domain::account::{Account, Entry, in_units};
use crate::domain::data_set::DataSet;
use crate::domain::files::RejectsFile;
use crate::domain::quality::{Check, Statistics};
use crate::runs::{RowCounts, RunQuality};

/// The data quality a run found in its sources.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QualityView {
    /// Rows of the customers' files.
    clients: CountsView,
    /// Rows of the purchases' files.
    achats: CountsView,
    /// Rejected rows, by reason.
    rejected: BTreeMap<String, u64>,
    /// Rows with a warning, by warning.
    warnings: BTreeMap<String, u64>,
    /// Rows that are neither served nor errors, by reason: repeats, earlier versions, rows of totals.
    set_aside: BTreeMap<String, u64>,
    /// Where the money of each file went, by currency.
    accounts: Vec<AccountView>,
    /// Sentences about what is not served as it stands in the sources.
    findings: Vec<String>,
    /// What files of corrected rows did.
    corrections: Vec<CorrectionView>,
    /// Rejected rows as CSV, by source file.
    rejects: Vec<RejectsView>,
    /// What was checked, and whether it held.
    checks: Vec<CheckView>,
}

/// A check of the sources.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CheckView {
    /// Its name; `quality.severity` of the settings has them all.
    #[schema(example = "amount_drift")]
    check: String,
    /// The data set that it is about; null of one that is about both.
    #[schema(example = "achats")]
    data_set: Option<&'static str>,
    /// `info`, `warn`, or `block`, which stops a run when it does not hold.
    #[schema(example = "warn")]
    severity: &'static str,
    /// Whether it holds.
    holds: bool,
    /// What was measured.
    #[schema(example = 0.031)]
    value: f64,
    /// The greatest value with which it holds.
    #[schema(example = 0.25)]
    limit: f64,
    /// What was found, in a sentence.
    detail: String,
}

/// What a file of corrected rows did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CorrectionView {
    /// The file.
    #[schema(example = "corrections/rejects-achats.csv")]
    file: String,
    /// Its rows.
    #[schema(example = 12)]
    rows: u64,
    /// Rows of source files that they replaced.
    #[schema(example = 11)]
    corrected: u64,
}

/// The rejected rows of a source file.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RejectsView {
    /// The source file.
    #[schema(example = "achats.csv")]
    file: String,
    /// The data set it belongs to.
    #[schema(example = "achats")]
    data_set: &'static str,
    /// Rejected rows.
    #[schema(example = 12)]
    rows: u64,
    /// Where they are as CSV, to be corrected.
    #[schema(example = "/admin/runs/12/rejects?format=csv&file=achats.csv")]
    csv: String,
}

/// The money of one file in one currency: read = sales − refunds + set_aside + left_out.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccountView {
    /// The file.
    #[schema(example = "achats.csv")]
    file: String,
    /// The currency that its rows name; null where they name none.
    currency: Option<String>,
    /// Sum of every readable amount.
    #[schema(example = 1_250_000.5)]
    read: f64,
    /// Sum of the sale lines that are served.
    sales: f64,
    /// Sum of the refund lines that are served, positive.
    refunds: f64,
    /// Sales less refunds in the currency that is served; null where that is their own.
    converted: Option<f64>,
    /// Number of the rows that are served as sales; 0 of runs older than this count.
    #[schema(example = 59_000)]
    sale_rows: u64,
    /// Number of the rows that are served as refunds; 0 of runs older than this count.
    #[schema(example = 1_000)]
    refund_rows: u64,
    /// What is neither served nor an error, by reason.
    set_aside: BTreeMap<String, LeftOutView>,
    /// What is rejected, by reason.
    left_out: BTreeMap<String, LeftOutView>,
}

/// Rows with one reason.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LeftOutView {
    /// Number of rows.
    rows: u64,
    /// Rows of these without a readable amount.
    without_amount: u64,
    /// Sum of the readable amounts.
    sum: f64,
    /// The line of the first of them in its file.
    line: i64,
    /// The cell of that line that the reason is about.
    value: String,
}

/// Rows of a data set.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CountsView {
    /// Rows read.
    #[schema(example = 60012)]
    read: u64,
    /// Rows accepted.
    #[schema(example = 60000)]
    valid: u64,
    /// Rows rejected.
    #[schema(example = 12)]
    rejected: u64,
}

/// The quality of the sources of the served generation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PublishedQuality {
    /// What the run found that built the generation.
    #[serde(flatten)]
    quality: QualityView,
    /// What the rows look like; null of generations older than these statistics.
    statistics: Option<StatisticsView>,
}

/// What the rows look like, as the next run is compared with it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StatisticsView {
    /// Customers without a value, by column.
    clients_without: BTreeMap<String, u64>,
    /// Lines of purchases without a value, by column.
    achats_without: BTreeMap<String, u64>,
    /// Different texts, by column of purchases.
    #[schema(example = json!({"produit": 412, "pays": 14, "devise": 1}))]
    distinct: BTreeMap<String, u64>,
    /// The amounts of sale lines; null where there is no sale.
    amounts: Option<AmountsView>,
}

/// How the amounts of sale lines are distributed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AmountsView {
    /// Number of sale lines.
    #[schema(example = 60_000)]
    lines: u64,
    /// Mean.
    #[schema(example = 61.2)]
    mean: f64,
    /// 5 % of the lines are below.
    #[schema(example = 14.5)]
    p05: f64,
    /// 25 % of the lines are below.
    #[schema(example = 31.0)]
    p25: f64,
    /// Half of the lines are below.
    #[schema(example = 52.9)]
    p50: f64,
    /// 75 % of the lines are below.
    #[schema(example = 80.0)]
    p75: f64,
    /// 95 % of the lines are below.
    #[schema(example = 149.0)]
    p95: f64,
}

/// The quality of sources in the common envelope.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QualityAnswer {
    data: PublishedQuality,
    meta: Meta,
}

/// Quality of the sources of the published data
///
/// Rows and money by what became of them, checks of the sources and of what changed since the generation before, and
/// the statistics that the next run is compared with.
#[utoipa::path(get, path = "/quality", tag = tags::HEADLINE, operation_id = "quality",
    responses((status = 200, description = "The quality", body = QualityAnswer)))]
pub(crate) async fn published(
    reader: Reader,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    refuse_parameters(&request)?;
    let report = &reader.published().manifest.quality;
    let quality = QualityView::of_run(0, RunQuality::from(report));
    let statistics = report.statistics.as_ref().map(StatisticsView::from);
    let answer =
        QualityAnswer { data: PublishedQuality { quality, statistics }, meta: reader.meta(1) };
    Ok(HttpResponse::Ok().json(answer))
}

impl From<&Statistics> for StatisticsView {
    fn from(statistics: &Statistics) -> Self {
        let Statistics { nulls, categories, amounts } = statistics;
        let distinct = categories
            .iter()
            .map(|(column, texts)| (column.clone(), texts.texts.len() as u64 + texts.others));
        Self {
            clients_without: nulls[DataSet::Customers].clone(),
            achats_without: nulls[DataSet::Purchases].clone(),
            distinct: distinct.collect(),
            amounts: amounts.as_ref().map(|amounts| {
                let [p05, p25, p50, p75, p95] = amounts.percentiles;
                AmountsView { lines: amounts.lines, mean: amounts.mean, p05, p25, p50, p75, p95 }
            }),
        }
    }
}

impl From<RowCounts> for CountsView {
    fn from(RowCounts { read, valid, rejected }: RowCounts) -> Self {
        Self { read, valid, rejected }
    }
}

impl QualityView {
    /// What a run found.
    pub(crate) fn of_run(run: u64, quality: RunQuality) -> Self {
        let RunQuality { data_sets, rejected, warnings, set_aside, accounts, findings, .. } =
            quality;
        let corrections = quality.corrections.into_iter().map(|done| CorrectionView {
            file: done.file,
            rows: done.rows,
            corrected: done.corrected,
        });
        let rejects = quality.rejects.into_iter().map(|rejects| RejectsView::of(run, rejects));
        Self {
            clients: data_sets[DataSet::Customers].into(),
            achats: data_sets[DataSet::Purchases].into(),
            rejected,
            warnings,
            set_aside,
            accounts: accounts.into_iter().map(AccountView::from).collect(),
            findings,
            corrections: corrections.collect(),
            rejects: rejects.collect(),
            checks: quality.checks.into_iter().map(CheckView::from).collect(),
        }
    }
}

impl From<Check> for CheckView {
    fn from(check: Check) -> Self {
        Self {
            check: check.name,
            data_set: check.data_set.map(DataSet::name),
            severity: check.severity.into(),
            holds: check.holds,
            value: check.value,
            limit: check.limit,
            detail: check.detail,
        }
    }
}

impl RejectsView {
    fn of(run: u64, rejects: RejectsFile) -> Self {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("format", "csv")
            .append_pair("file", &rejects.source)
            .finish();
        Self {
            csv: format!("/admin/runs/{run}/rejects?{query}"),
            file: rejects.source,
            data_set: rejects.data_set.name(),
            rows: rejects.rows,
        }
    }
}

impl From<Account> for AccountView {
    fn from(account: Account) -> Self {
        let Account { file, currency, read, sales, refunds, sale_rows, refund_rows, .. } = account;
        let Account { converted, set_aside, left_out, .. } = account;
        let views = |entries: BTreeMap<String, Entry>| {
            entries.into_iter().map(|(reason, entry)| (reason, entry.into())).collect()
        };
        Self {
            file,
            currency,
            read: in_units(read),
            sales: in_units(sales),
            refunds: in_units(refunds),
            converted: converted.map(in_units),
            sale_rows,
            refund_rows,
            set_aside: views(set_aside),
            left_out: views(left_out),
        }
    }
}

impl From<Entry> for LeftOutView {
    fn from(entry: Entry) -> Self {
        let Entry { rows, without_amount, sum, line, value } = entry;
        Self { rows, without_amount, sum: in_units(sum), line, value }
    }
}
