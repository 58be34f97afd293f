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
    let mut text = String::new();
    for name in names {
        match sources::inspect(&lake, &settings.sources, &name, ROWS).await? {
            Inspected::Read { verdict, rows } => text += &describe(&name, &verdict, &rows),
            Inspected::Unread(UnreadFile { name, problem }) => {
                text += &format!("{name}: not read: {problem}\n");
            }
        }
    }
    print_document(&text)
}

fn describe(name: &str, verdict: &Verdict, rows: &[Vec<(String, String)>]) -> String {
    let Verdict { data_set, profile, encoding, separator, header_line, .. } = verdict;
    let gzip = if verdict.compression == Compression::Gzip { ", gzip" } else { "" };
    let mut text = format!(
        "{name}: {} by {profile}, {}{gzip}, cells separated by {separator:?}, header on line {header_line}\n",
        data_set.noun(),
        encoding.label()
    );
    let columns = verdict.columns.iter().map(|column| {
        let (from, to) = (column.header.escape_debug(), column.column.escape_debug());
        format!("{to} from \"{from}\"")
    });
    text += &format!("  columns: {}\n", columns.collect::<Vec<_>>().join(", "));
    for note in &verdict.notes {
        text += &format!("  {note}\n");
    }
    for row in rows {
        let cells = row
            .iter()
            .map(|(column, cell)| format!("{}={}", column.escape_debug(), cell.escape_debug()));
        text += &format!("  {}\n", cells.collect::<Vec<_>>().join(" | "));
    }
    text
}
