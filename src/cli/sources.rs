//! `goldsmith sources`: what source files are read as, without refreshing.

use std::path::Path;

use super::args::SourcesCommand;
use super::error::CliError;
use super::output::print_document;
use crate::domain::account::shown;
use crate::domain::file_rows::{FileRows, ReadRow};
use crate::domain::inspection::{InspectedFile, Inspection};
use crate::domain::text::counted;
use crate::domain::verdict::{Container, FileColumn, Verdict};
use crate::jobs::inspect::{Judgement, inspect};
use crate::lake::{Lake, Layer};
use crate::settings::Settings;
use crate::sources::is_column;
use crate::startup::LakeOpener;

/// Runs a subcommand of `goldsmith sources`.
pub(super) async fn sources(settings: &Settings, command: SourcesCommand) -> Result<(), CliError> {
    let SourcesCommand::Inspect { file } = command;
    let judgement = Judgement {
        sources: settings.sources.clone(),
        cleaning: settings.quality.cleaning.clone(),
        gate: settings.quality.gate.clone(),
    };
    if let Some(file) = file.as_ref().filter(|file| file.contains('/') && Path::new(file).is_file())
    {
        // It cannot be one of the sources by name, and nothing is made beside it.
        return print_document(&describe(&inspect_alone(file, &judgement).await?));
    }
    let lake = LakeOpener::new(settings)?.open()?;
    let inspection = match file {
        None => inspect(&lake, &judgement).await?,
        Some(file) if lake.head(Layer::Sources, &file).await?.is_some() => {
            let mut inspection = inspect(&lake, &judgement).await?;
            inspection.files.retain(|inspected| inspected.name == file);
            inspection.findings.retain(|finding| finding.starts_with(&format!("{file}:")));
            inspection
        }
        Some(file) if Path::new(&file).is_file() => inspect_alone(&file, &judgement).await?,
        Some(file) => {
            return Err(CliError::Request(format!(
                "there is no file {file}, neither here nor in {}",
                lake.place(Layer::Sources)
            )));
        }
    };
    print_document(&describe(&inspection))
}

/// Inspects a file that is not among the sources, as if it were the only one.
async fn inspect_alone(file: &str, judgement: &Judgement) -> Result<Inspection, CliError> {
    let failed = |source| CliError::Read { path: file.to_owned(), source };
    let folder = tempfile::tempdir().map_err(failed)?;
    let sources = folder.path().join(Layer::Sources.as_str());
    let whole = std::fs::canonicalize(file).map_err(failed)?;
    std::fs::create_dir_all(&sources).map_err(failed)?;
    let name = whole.file_name().unwrap_or_default();
    std::os::unix::fs::symlink(&whole, sources.join(name)).map_err(failed)?;
    let lake = Lake::in_directory(&folder.path().join("{layer}").display().to_string())?;
    Ok(inspect(&lake, judgement).await?)
}

/// An inspection, line by line.
fn describe(inspection: &Inspection) -> String {
    let Inspection { files, stops, findings } = inspection;
    let mut lines: Vec<String> = files.iter().flat_map(describe_file).collect();
    if !findings.is_empty() {
        lines.push("what a refresh would say:".to_owned());
        lines.extend(findings.iter().map(|finding| format!("  {finding}")));
    }
    lines.extend(stops.iter().map(|stops| format!("a refresh would stop: {stops}")));
    if files.is_empty() && stops.is_none() {
        lines.push("there are no source files".to_owned());
    }
    lines.iter().map(|line| line.to_owned() + "\n").collect()
}

fn describe_file(file: &InspectedFile) -> Vec<String> {
    let InspectedFile { name, verdict, unread, rows, .. } = file;
    let mut lines = Vec::new();
    if let Some(unread) = unread {
        lines.push(format!("{}: not read: {}", name.escape_debug(), unread.problem));
        return lines;
    }
    if let Some(verdict) = verdict {
        lines.extend(describe_verdict(name, verdict));
    }
    if let Some(rows) = rows {
        lines.extend(rows.forms.iter().map(|form| format!("  {form}")));
        lines.extend(describe_rows(rows, file));
        lines.extend(rows.examples.iter().map(describe_example));
    }
    lines
}

fn describe_verdict(name: &str, verdict: &Verdict) -> Vec<String> {
    let Verdict { data_set, profile, encoding, separator, header_line, .. } = verdict;
    let packed = match (verdict.container, &verdict.sheet) {
        (Container::None, _) => String::new(),
        (container, None) => format!(", {}", container.as_str()),
        (container, Some(sheet)) => format!(", {} sheet {sheet:?}", container.as_str()),
    };
    let first = format!(
        "{name}: {} by {profile}, {}{packed}, cells separated by {separator:?}, header on line {header_line}",
        data_set.noun(),
        encoding.label()
    );
    // A column that is not read has its own name.
    let is_field = |column: &&FileColumn| {
        is_column(*data_set, &column.column) || column.column != column.header.to_lowercase()
    };
    let fields = verdict
        .columns
        .iter()
        .filter(is_field)
        .map(|column| format!("{} from \"{}\"", column.column, column.header.escape_debug()));
    let fields: Vec<String> = fields.collect();
    let others = match verdict.columns.len() - fields.len() {
        0 => String::new(),
        others => format!("; {}", counted(others, "other column")),
    };
    let columns = format!("  columns: {}{others}", fields.join(", "));
    let notes = verdict.notes.iter().chain(&verdict.warnings).map(|note| format!("  {note}"));
    [first, columns].into_iter().chain(notes).collect()
}

/// The kinds of a file's rows with their numbers and sums.
fn describe_rows(rows: &FileRows, file: &InspectedFile) -> Vec<String> {
    if file.accounts.is_empty() {
        let others = rows.set_aside.iter().map(|(reason, count)| (reason, count, "not counted"));
        let left_out = rows.left_out.iter().map(|(reason, count)| (reason, count, "left out"));
        let others = others.chain(left_out);
        let others = others.map(|(reason, count, what)| format!("  {what}: {reason} {count}"));
        return [format!("  served: {}", counted(rows.served, "row"))]
            .into_iter()
            .chain(others)
            .collect();
    }
    let mut lines = Vec::new();
    for account in &file.accounts {
        let currency = account.currency.as_deref().unwrap_or("no currency named");
        let line = |what: &str, rows: u64, sum: i64| {
            format!("  {what}: {}, {} ({currency})", counted(rows, "row"), shown(sum))
        };
        if account.sale_rows > 0 || account.read == 0 {
            lines.push(line("sales", account.sale_rows, account.sales));
        }
        if account.refund_rows > 0 {
            lines.push(line("refunds", account.refund_rows, account.refunds));
        }
        for (reason, entry) in &account.set_aside {
            lines.push(line(&format!("not counted, {reason}"), entry.rows, entry.sum));
        }
        for (reason, entry) in &account.left_out {
            lines.push(line(&format!("left out, {reason}"), entry.rows, entry.sum));
        }
    }
    lines
}

fn describe_example(row: &ReadRow) -> String {
    let values =
        row.values.iter().map(|(column, value)| format!("{column}={}", value.escape_debug()));
    let values = values.collect::<Vec<_>>().join(" | ");
    format!("  line {}, {}: {values}", row.line, row.kind)
}
