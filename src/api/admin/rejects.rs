//! `/admin/runs/{run}/rejects` and `/corrections`: the rows of source files that a run rejected, and the
//! cells that corrections replaced.

use actix_web::http::header::ContentDisposition;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::runs::{find_record, parse_number};
use crate::api::envelope::Meta;
use crate::api::error::ApiError;
use crate::api::extract::Admin;
use crate::api::parameters::{QueryParams, refuse_parameters};
use crate::api::tags;
use crate::domain::files::{RejectsFile, TableFile};
use crate::domain::rejects::CHANGES_HEADER;
use crate::error_chain::describe;
use crate::runs::{RunQuality, StartError};

/// A rejected row.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RejectView {
    /// The source file.
    #[schema(example = "achats.csv")]
    file: String,
    /// The line of the file that it starts on.
    #[schema(example = 17)]
    line: i64,
    /// Why it was rejected.
    #[schema(example = "invalid_date")]
    reason: String,
    /// What there is to do about it.
    hint: String,
    /// Its cells by header, as the file has them; the later one of equal headers.
    #[serde(serialize_with = "as_object")]
    #[schema(value_type = Object, example = json!({"id_achat": "17", "date": "30/02/2026"}))]
    cells: Vec<(String, String)>,
    /// Cells beyond the header; null where there are none.
    surplus_cells: Option<String>,
}

/// Cells by header in their order.
fn as_object<S: Serializer>(cells: &[(String, String)], to: S) -> Result<S::Ok, S::Error> {
    let is_last = |at: usize| cells[at + 1..].iter().all(|(header, _)| *header != cells[at].0);
    let distinct = cells.iter().enumerate().filter(|(at, _)| is_last(*at));
    to.collect_map(distinct.map(|(_, (header, cell))| (header, cell)))
}

/// Rejected rows in the common envelope.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RejectsAnswer {
    data: Vec<RejectView>,
    meta: Meta,
}

const PARAMETERS: &[&str] = &["file", "reason", "format", "limit", "offset"];

/// What a request asks of rejected rows.
struct Wanted {
    file: Option<String>,
    reason: Option<String>,
    is_csv: bool,
    limit: usize,
    offset: usize,
}

fn parse(query: &str) -> Result<Wanted, ApiError> {
    let params = QueryParams::parse(query, PARAMETERS)?;
    let text = |text: &str| Some(text.to_owned());
    let (limit, offset) = params.page()?;
    Ok(Wanted {
        file: params.read("file", "the name of a source file", text)?,
        reason: params.read("reason", "a reason", text)?,
        is_csv: params
            .read("format", "json or csv", |text| match text {
                "json" => Some(false),
                "csv" => Some(true),
                _ => None,
            })?
            .unwrap_or(false),
        limit: limit as usize,
        offset: offset as usize,
    })
}

/// The rows that a run rejected
///
/// Row by row with the cells as the source file has them, the reason and what there is to do. With `format=csv` the
/// rows of one file as CSV: corrected and put into the folder `corrections` beside the source files, its rows take
/// the place of those of the file in the next run. The rejected rows of a run that failed can be read until the next
/// run.
#[utoipa::path(get, path = "/admin/runs/{run}/rejects", tag = tags::ADMIN,
    operation_id = "admin_runs_rejects",
    params(
        ("run" = u64, Path, description = "The run's number"),
        ("file" = Option<String>, Query, description = "Only rows of this source file; required for CSV when several files have rejected rows"),
        ("reason" = Option<String>, Query, description = "Only rows with this reason; not with CSV"),
        ("format" = Option<String>, Query, description = "`json` or `csv` [default: json]"),
        ("limit" = Option<u32>, Query, description = "How many rows to return at most; not with CSV"),
        ("offset" = Option<u32>, Query, description = "How many of the first rows to skip; not with CSV"),
    ),
    security(("admin_token" = [])),
    responses(
        (status = 200, description = "The rows", content((RejectsAnswer = "application/json"), (String = "text/csv"))),
    ))]
pub(crate) async fn list(
    admin: Admin,
    run: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let wanted = parse(request.query_string())?;
    let run = parse_number(&run)?;
    let RunQuality { rejects, .. } = quality_of(&admin, run).await?;
    let files = chosen(run, rejects, wanted.file.as_deref())?;
    if wanted.is_csv {
        return csv_of(&admin, run, files).await;
    }
    let (mut data, mut total) = (Vec::new(), 0);
    for file in files {
        let rows = admin.run_control.rejects(&file).await.map_err(unreadable)?;
        let is_wanted = |reason: &str| wanted.reason.as_deref().is_none_or(|other| other == reason);
        for row in rows.into_iter().filter(|row| is_wanted(&row.reason)) {
            if total >= wanted.offset && data.len() < wanted.limit {
                data.push(RejectView {
                    file: file.source.clone(),
                    line: row.line,
                    reason: row.reason,
                    hint: row.hint,
                    cells: row.cells,
                    surplus_cells: row.surplus,
                });
            }
            total += 1;
        }
    }
    let meta = Meta::of_service(data.len(), total as u64, admin.started);
    Ok(HttpResponse::Ok().json(RejectsAnswer { data, meta }))
}

/// The cells that corrections replaced in a run
///
/// As CSV: source file, line, column, the cell before and after, and the file of corrections; the header alone where
/// nothing was replaced.
#[utoipa::path(get, path = "/admin/runs/{run}/corrections", tag = tags::ADMIN,
    operation_id = "admin_runs_corrections",
    params(("run" = u64, Path, description = "The run's number")),
    security(("admin_token" = [])),
    responses(
        (status = 200, description = "The cells", body = String, content_type = "text/csv"),
    ))]
pub(crate) async fn corrections(
    admin: Admin,
    run: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    refuse_parameters(&request)?;
    let run = parse_number(&run)?;
    let csv = match quality_of(&admin, run).await?.changes {
        Some(changes) => read(&admin, &changes).await?,
        None => (CHANGES_HEADER.join(",") + "\n").into(),
    };
    Ok(csv_answer(csv, &format!("corrections-of-run-{run}.csv")))
}

/// What a run found in its sources.
async fn quality_of(admin: &Admin, run: u64) -> Result<RunQuality, ApiError> {
    let record = find_record(admin, run).await?;
    record.quality.ok_or_else(|| {
        ApiError::NotFound(format!(
            "run {run} read no rows of source files; /admin/runs/{run} has its state"
        ))
    })
}

/// The files with rejected rows that a request is about.
fn chosen(
    run: u64,
    rejects: Vec<RejectsFile>,
    file: Option<&str>,
) -> Result<Vec<RejectsFile>, ApiError> {
    let Some(wanted) = file else { return Ok(rejects) };
    let names: Vec<String> = rejects.iter().map(|rejects| rejects.source.clone()).collect();
    let chosen: Vec<_> = rejects.into_iter().filter(|rejects| rejects.source == wanted).collect();
    if chosen.is_empty() {
        return Err(ApiError::InvalidParameter {
            parameter: "file".to_owned(),
            detail: format!("run {run} rejected no row of a file {wanted:?}"),
            valid: names,
        });
    }
    Ok(chosen)
}

/// The rows of the only one of these files as CSV.
async fn csv_of(
    admin: &Admin,
    run: u64,
    files: Vec<RejectsFile>,
) -> Result<HttpResponse, ApiError> {
    match &files[..] {
        [file] => {
            let csv = read(admin, &file.file).await?;
            Ok(csv_answer(csv, &format!("rejects-of-{}.csv", stem(&file.source))))
        }
        [] => Err(ApiError::NotFound(format!("run {run} rejected no row"))),
        files => Err(ApiError::InvalidParameter {
            parameter: "file".to_owned(),
            detail: "several files have rejected rows, and each is a CSV file of its own"
                .to_owned(),
            valid: files.iter().map(|file| file.source.clone()).collect(),
        }),
    }
}

async fn read(admin: &Admin, file: &TableFile) -> Result<Bytes, ApiError> {
    admin.run_control.silver_file(file).await.map_err(unreadable)
}

#[allow(clippy::needless_pass_by_value)] // as map_err calls it
fn unreadable(error: StartError) -> ApiError {
    match error {
        StartError::NotFound(_) => ApiError::NotFound(format!(
            "the file is no longer in the lake, which has those of stored generations and of the last run: {}",
            describe(&error)
        )),
        _ => ApiError::LakeUnavailable(describe(&error)),
    }
}

fn csv_answer(csv: Bytes, name: &str) -> HttpResponse {
    let disposition = ContentDisposition::attachment(name);
    HttpResponse::Ok().content_type("text/csv; charset=utf-8").insert_header(disposition).body(csv)
}

/// A file's name without its end.
fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}
