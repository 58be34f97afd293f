//! `goldsmith sources`: what source files are read as, without refreshing.

use super::args::SourcesCommand;
use super::error::CliError;
use super::output::print_document;
use crate::domain::manifest::UnreadFile;
use crate::domain::verdict::{Compression, Verdict};
use crate::jobs::sources::{self, Inspected};
use crate::settings::Settings;
use crate::startup::LakeOpener;

/// Rows that are shown of each file.
const ROWS: usize = 3;

/// Runs a subcommand of `goldsmith sources`.
pub(super) async fn sources(settings: &Settings, command: SourcesCommand) -> Result<(), CliError> {
    let SourcesCommand::Inspect { file } = command;
    let lake = LakeOpener::new(settings)?.open()?;
    let names = match file {
        Some(file) => vec![file],
        None => sources::candidates(&lake, &settings.sources).await?,
    };
    let mut lines = Vec::new();
    for name in names {
        match sources::inspect(&lake, &settings.sources, &name, ROWS).await? {
            Inspected::Read { verdict, rows } => lines.extend(describe(&name, &verdict, &rows)),
            Inspected::Unread(UnreadFile { name, problem }) => {
                lines.push(format!("{name}: not read: {problem}"));
            }
        }
    }
    print_document(&lines.iter().map(|line| line.to_owned() + "\n").collect::<String>())
}

/// What a file is read as, line by line.
fn describe(name: &str, verdict: &Verdict, rows: &[Vec<(String, String)>]) -> Vec<String> {
    let Verdict { data_set, profile, encoding, separator, header_line, .. } = verdict;
    let gzip = if verdict.compression == Compression::Gzip { ", gzip" } else { "" };
    let first = format!(
        "{name}: {} by {profile}, {}{gzip}, cells separated by {separator:?}, header on line {header_line}",
        data_set.noun(),
        encoding.label()
    );
    let columns = verdict.columns.iter().map(|column| {
        let (from, to) = (column.header.escape_debug(), column.column.escape_debug());
        format!("{to} from \"{from}\"")
    });
    let columns = format!("  columns: {}", columns.collect::<Vec<_>>().join(", "));
    let notes = verdict.notes.iter().map(|note| format!("  {note}"));
    let rows = rows.iter().map(|row| {
        let cells = row
            .iter()
            .map(|(column, cell)| format!("{}={}", column.escape_debug(), cell.escape_debug()));
        format!("  {}", cells.collect::<Vec<_>>().join(" | "))
    });
    [first, columns].into_iter().chain(notes).chain(rows).collect()
}
