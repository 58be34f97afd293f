//! The header of a CSV file: where it ends, its separator, and which column each cell names.

use std::io::BufRead;

use crate::pipeline::silver::columns::{
    DECIMAL_COMMA, LINE_NUMBER, REASON, SOURCE_FILE, SURPLUS, SourceColumn,
};

/// Bytes within which the header row has to end.
const MAX_HEAD_BYTES: usize = 1 << 20;
/// Most bytes taken from the reader at a time.
const CHUNK_BYTES: usize = 64 << 10;
/// Headers that an error message lists.
const MAX_LISTED: usize = 30;

/// The byte order mark that some programs write before UTF-8 text.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Reads the file at least up to the end of its header row and drops the byte order mark.
pub(super) fn read_head(text: &mut dyn BufRead) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    loop {
        let ready = text.fill_buf()?;
        if ready.is_empty() {
            break;
        }
        let taken = ready.len().min(CHUNK_BYTES);
        head.extend_from_slice(&ready[..taken]);
        text.consume(taken);
        if head.len() >= MAX_HEAD_BYTES {
            break;
        }
        if head.len() >= BOM.len() {
            let rest = head.strip_prefix(BOM).unwrap_or(&head).trim_ascii_start();
            if header_row(rest).len() < rest.len() {
                break;
            }
        }
    }
    if head.starts_with(BOM) {
        head.drain(..BOM.len());
    }
    Ok(head)
}

/// Checks that [`read_head`] found a header row.
///
/// # Errors
/// What is wrong with the file.
pub(super) fn check_head(head: &[u8]) -> Result<(), String> {
    let rest = head.trim_ascii_start();
    if head.len() + BOM.len() >= MAX_HEAD_BYTES && header_row(rest).len() == rest.len() {
        let mebibytes = MAX_HEAD_BYTES >> 20;
        return Err(format!("no header row ends within the first {mebibytes} MiB"));
    }
    if rest.is_empty() { Err("the file is empty".to_owned()) } else { Ok(()) }
}

/// Everything before the first line end outside quotation marks.
fn header_row(text: &[u8]) -> &[u8] {
    let mut is_quoted = false;
    let end = text.iter().position(|byte| {
        is_quoted ^= *byte == b'"';
        matches!(byte, b'\n' | b'\r') && !is_quoted
    });
    &text[..end.unwrap_or(text.len())]
}

/// The separator that occurs more often in the header row outside quotation marks; a comma when
/// neither does.
pub(super) fn guess_separator(head: &[u8]) -> u8 {
    let (mut commas, mut semicolons, mut is_quoted) = (0, 0, false);
    for byte in header_row(head.trim_ascii_start()) {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => commas += 1,
            b';' if !is_quoted => semicolons += 1,
            _ => {}
        }
    }
    if semicolons > commas { b';' } else { b',' }
}

/// The column of the raw frame for each header cell.
///
/// # Errors
/// What is wrong with the header.
pub(super) fn resolve_header(
    known: &[SourceColumn],
    header: &csv::StringRecord,
) -> Result<Vec<String>, String> {
    let headers: Vec<String> = header.iter().map(|cell| cell.trim().to_lowercase()).collect();
    for (index, name) in headers.iter().enumerate() {
        if !name.is_empty() && headers[..index].contains(name) {
            return Err(format!("the column {name} is there twice"));
        }
    }
    let mut columns: Vec<Option<&str>> = vec![None; headers.len()];
    for column in known {
        let found = column
            .accepted
            .iter()
            .find_map(|accepted| headers.iter().position(|name| name == accepted));
        match found {
            Some(index) => columns[index] = Some(column.name),
            None if column.is_required => {
                return Err(format!(
                    "the required column {} is missing (accepted headers: {}; found: {})",
                    column.name,
                    column.accepted.join(", "),
                    headers[..headers.len().min(MAX_LISTED)].join(", "),
                ));
            }
            None => {}
        }
    }
    let reserved = [SOURCE_FILE, LINE_NUMBER, REASON, DECIMAL_COMMA, SURPLUS];
    let is_taken =
        |name: &str| reserved.contains(&name) || known.iter().any(|column| column.name == name);
    Ok(columns
        .into_iter()
        .zip(headers)
        .enumerate()
        .map(|(index, (canonical, header))| match canonical {
            Some(name) => name.to_owned(),
            None if header.is_empty() => format!("column_{}", index + 1),
            None if is_taken(&header) || header.starts_with('~') => format!("extra_{header}"),
            None => header,
        })
        .collect())
}
