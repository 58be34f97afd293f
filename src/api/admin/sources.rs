//! `/admin/sources`: what a run would make of the source files.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::api::envelope::Meta;
use crate::api::error::ApiError;
use crate::api::extract::Admin;
use crate::api::parameters::refuse_parameters;
use crate::api::quality::AccountView;
use crate::api::tags;
use crate::domain::file_rows::{FileRows, ReadRow};
use crate::domain::inspection::{InspectedFile, Inspection};
use crate::domain::verdict::{FileColumn, Quoting, Verdict};
use crate::error_chain::describe;

/// What a run would make of the source files.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SourcesView {
    /// Why a run would stop, in a sentence; null when it would not.
    #[schema(example = json!(null))]
    stops: Option<String>,
    /// Sentences about what would not be served as it stands in the files.
    findings: Vec<String>,
    /// Every file that is looked at.
    files: Vec<SourceView>,
}

/// A source file.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SourceView {
    /// Its name.
    #[schema(example = "orders_export.csv")]
    file: String,
    /// Why it is not read, in a sentence; null for a file that is read.
    #[schema(example = json!(null))]
    problem: Option<String>,
    /// Lines for the settings file that would map it; null where there is nothing to propose.
    #[schema(example = json!(null))]
    mapping: Option<String>,
    /// How it is read; null for a file that is not read.
    verdict: Option<VerdictView>,
    /// How dates and amounts are read, and what shows it.
    #[schema(example = json!(["date_achat: day first, as line 14 \"31/12/2026\" shows"]))]
    forms: Vec<String>,
    /// What becomes of its rows; null when a run would stop before that shows.
    rows: Option<SourceRowsView>,
    /// Where its money goes, by currency.
    accounts: Vec<AccountView>,
    /// The first rows as they are read.
    examples: Vec<ReadRowView>,
}

/// How a file is read.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VerdictView {
    /// The data set that it belongs to.
    #[schema(example = "achats")]
    data_set: &'static str,
    /// What knows its columns: a profile, or `sources.files` of the settings.
    #[schema(example = "shopify")]
    profile: String,
    /// What its text is packed in: `none`, `gzip`, `xlsx` or `parquet`.
    #[schema(example = "none")]
    container: &'static str,
    /// The sheet that is read, of a spreadsheet; else null.
    #[schema(example = json!(null))]
    sheet: Option<String>,
    /// How its bytes are letters.
    #[schema(example = "UTF-8")]
    encoding: &'static str,
    /// What stands between cells.
    #[schema(example = ",")]
    separator: String,
    /// How a quotation mark is written within a quoted cell: `doubled` or `backslash`.
    #[schema(example = "doubled")]
    quoting: &'static str,
    /// The line of its header; 0 when it has none.
    #[schema(example = 1)]
    header_line: u64,
    /// Its columns in file order.
    columns: Vec<FileColumnView>,
    /// What was assumed, a sentence each.
    notes: Vec<String>,
}

/// A column of a file.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FileColumnView {
    /// Its header as the file has it.
    #[schema(example = "Created at")]
    header: String,
    /// What it is read as; a column that nothing is read from has its own name.
    #[schema(example = "date_achat")]
    column: String,
}

/// What becomes of the rows of a file.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SourceRowsView {
    /// Rows that would be served.
    #[schema(example = 59_988)]
    served: u64,
    /// Rows that are neither served nor errors, by reason.
    set_aside: BTreeMap<String, u64>,
    /// Rows that would be rejected, by reason.
    left_out: BTreeMap<String, u64>,
}

/// A row as it is read.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReadRowView {
    /// The line of the file that it starts on.
    #[schema(example = 2)]
    line: i64,
    /// `customer`, `sale`, `refund`, or why it is not served.
    #[schema(example = "sale")]
    kind: String,
    /// Its values by column.
    #[schema(value_type = Object, example = json!({"id_commande": "#1001", "montant": "18.00"}))]
    values: Map<String, Value>,
}

/// The source files in the common envelope.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SourcesAnswer {
    data: SourcesView,
    meta: Meta,
}

impl From<Verdict> for VerdictView {
    fn from(verdict: Verdict) -> Self {
        let column = |FileColumn { header, column }| FileColumnView { header, column };
        Self {
            data_set: verdict.data_set.name(),
            profile: verdict.profile,
            container: verdict.container.as_str(),
            sheet: verdict.sheet,
            encoding: verdict.encoding.label(),
            separator: verdict.separator.to_string(),
            quoting: match verdict.quoting {
                Quoting::Doubled => "doubled",
                Quoting::Backslash => "backslash",
            },
            header_line: verdict.header_line,
            columns: verdict.columns.into_iter().map(column).collect(),
            notes: [verdict.notes, verdict.warnings].concat(),
        }
    }
}

impl From<InspectedFile> for SourceView {
    fn from(file: InspectedFile) -> Self {
        let InspectedFile { name, verdict, unread, rows, accounts } = file;
        let (forms, examples, rows) = match rows {
            None => (Vec::new(), Vec::new(), None),
            Some(FileRows { forms, served, set_aside, left_out, examples, .. }) => {
                let examples = examples.into_iter().map(ReadRowView::from).collect();
                let forms = forms.iter().map(ToString::to_string).collect();
                (forms, examples, Some(SourceRowsView { served, set_aside, left_out }))
            }
        };
        Self {
            file: name,
            problem: unread.as_ref().map(|unread| unread.sentence().to_owned()),
            mapping: unread.as_ref().and_then(|unread| unread.mapping()).map(str::to_owned),
            verdict: verdict.map(VerdictView::from),
            forms,
            rows,
            accounts: accounts.into_iter().map(AccountView::from).collect(),
            examples,
        }
    }
}

impl From<ReadRow> for ReadRowView {
    fn from(ReadRow { line, kind, values }: ReadRow) -> Self {
        let values = values.into_iter().map(|(column, value)| (column.to_owned(), value.into()));
        Self { line, kind, values: values.collect() }
    }
}

impl From<Inspection> for SourcesView {
    fn from(inspection: Inspection) -> Self {
        let Inspection { files, stops, findings } = inspection;
        Self { stops, findings, files: files.into_iter().map(SourceView::from).collect() }
    }
}

/// What a run would make of the source files
///
/// Every file with how it is read and what shows it, what its rows are, how much money would be served and how much
/// left out and why, and its first rows as they are read. All files are read for it, and nothing is written.
#[utoipa::path(get, path = "/admin/sources", tag = tags::ADMIN, operation_id = "admin_sources",
    security(("admin_token" = [])),
    responses((status = 200, description = "The files", body = SourcesAnswer)))]
pub(crate) async fn list(admin: Admin, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    refuse_parameters(&request)?;
    let inspection = admin.run_control.inspect().await;
    let inspection = inspection.map_err(|error| ApiError::LakeUnavailable(describe(&error)))?;
    let count = inspection.files.len();
    let meta = Meta::of_service(count, count as u64, admin.started);
    Ok(HttpResponse::Ok().json(SourcesAnswer { data: inspection.into(), meta }))
}
