//! The beginning of a file: the separator, and the line of the header below titles and empty lines.

use super::headers::fold;
use super::options::{FileMapping, SourceOptions};
use super::profile::{fits, set_of};
use super::profiles::{Profile, find, without_header};
use super::text::{decode_any, is_blank};

/// Bytes within which the header row has to end.
pub(super) const MAX_HEAD_BYTES: usize = 1 << 20;
/// Lines with something on them that may precede the header, and the header.
const MAX_HEADER_LINES: usize = 20;
/// More columns than any export has; rows of so many are held in memory.
const MAX_COLUMNS: usize = 2_000;
/// What may stand between cells, the most usual first.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// What stands between cells where nothing else does: any number of blanks.
const BLANKS: u8 = b' ';

/// The least share of the first lines that have the shape of a file without a header.
const FITTING: (usize, usize) = (3, 4);

/// The header row of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The line that it starts on, from 1.
    pub line: u64,
    /// Where it starts.
    pub offset: usize,
    pub separator: u8,
    /// Its cells as written, without outer blanks.
    pub cells: Vec<String>,
    /// Whether a first line `sep=X` names the separator.
    pub is_separator_named: bool,
    /// Lines with something on them before the header, that one apart.
    pub title_lines: usize,
    /// Whether it may continue beyond the end of the head.
    is_cut: bool,
}

/// A line of the head that is not empty.
#[derive(Clone, Copy)]
struct Line<'a> {
    number: u64,
    offset: usize,
    text: &'a [u8],
}

/// Finds the header in the first bytes of a file, which are all of it if `is_whole`.
///
/// # Errors
/// Why there is none, in a sentence without the file's name; `None` when more bytes are needed.
pub(super) fn find_header(
    head: &[u8],
    is_whole: bool,
    options: &SourceOptions,
    mapping: Option<&FileMapping>,
) -> Result<Header, Option<String>> {
    let mut lines = lines(head);
    let Some(first) = lines.first().copied() else {
        return Err(is_whole.then(|| "the file is empty".to_owned()));
    };
    let named = named_separator(first.text);
    if named.is_some() {
        lines.remove(0);
    }
    lines.truncate(MAX_HEADER_LINES);
    let Some(first) = lines.first().copied() else {
        return Err(is_whole.then(|| "the file is empty".to_owned()));
    };
    let best = |separators: &[u8]| {
        best_header(head, is_whole, &lines, separators, &options.profiles, mapping)
    };
    let found = named.and_then(|separator| best(&[separator]));
    let found = found.or_else(|| best(&SEPARATORS)).or_else(|| best(&[BLANKS]));
    if found.is_none()
        && mapping.is_none()
        && let Some(header) = no_header(&lines, is_whole, &options.profiles)
    {
        return Ok(header);
    }
    let mut header = found.unwrap_or_else(|| {
        let separator = named.unwrap_or_else(|| most_frequent(first.text));
        parse(head, is_whole, first, separator)
    });
    if header.is_cut && !is_whole {
        return Err(None);
    }
    header.is_separator_named = named == Some(header.separator);
    header.title_lines = lines.iter().filter(|line| line.number < header.line).count();
    if header.cells.len() > MAX_COLUMNS {
        let columns = header.cells.len();
        return Err(Some(format!(
            "the header has {columns} columns; no more than {MAX_COLUMNS} are read"
        )));
    }
    Ok(header)
}

/// The header that names most of what is known, the first of several.
fn best_header(
    head: &[u8],
    is_whole: bool,
    starts: &[Line<'_>],
    separators: &[u8],
    profiles: &[Profile],
    mapping: Option<&FileMapping>,
) -> Option<Header> {
    /// One known header alone may be an accident.
    const MIN_KNOWN: usize = 2;
    let mut best: Option<((bool, usize, usize), Header)> = None;
    for start in starts {
        for separator in separators {
            let header = parse(head, is_whole, *start, *separator);
            let folded: Vec<String> = header.cells.iter().map(|cell| fold(cell)).collect();
            let mapped = mapping.map_or(0, |mapping| {
                let is_there = |(_, name): &&(String, String)| folded.contains(&fold(name));
                mapping.columns.iter().filter(is_there).count()
            });
            let by_profile = find(profiles, &folded).map(|found| found.headers);
            let known = fits(&folded).values().map(|fit| fit.columns).max().unwrap_or(0);
            let known = known.max(by_profile.unwrap_or(0));
            let is_known = by_profile.is_some() || set_of(&folded).is_some();
            let score = (is_known, mapped + known, header.cells.len());
            let is_better = best.as_ref().is_none_or(|(least, best)| {
                (score.0, score.1) > (least.0, least.1)
                    || (best.line == header.line && score > *least)
            });
            if (mapped > 0 || known >= MIN_KNOWN) && is_better {
                best = Some((score, header));
            }
        }
    }
    best.map(|(_, header)| header)
}

/// The header of a file that has none, known by the shape of its first lines: line 0, with an empty cell
/// per column.
fn no_header(lines: &[Line<'_>], is_whole: bool, profiles: &[Profile]) -> Option<Header> {
    // The last line may be cut.
    let whole = if is_whole { lines } else { &lines[..lines.len().saturating_sub(1)] };
    SEPARATORS.into_iter().chain([BLANKS]).find_map(|separator| {
        let fits = |line: &Line<'_>| {
            let cells = cells_of(line.text, separator);
            without_header(profiles)
                .find(|found| has_shape(&cells, &found.file.positions))
                .map(|_| cells.len())
        };
        let widths: Vec<usize> = whole.iter().filter_map(fits).collect();
        let width = *widths.first()?;
        // Single values may be wrong.
        let is_shape = widths.len() * FITTING.1 >= whole.len() * FITTING.0
            && widths.iter().all(|other| *other == width);
        is_shape.then(|| Header {
            line: 0,
            offset: 0,
            separator,
            cells: vec![String::new(); width],
            is_separator_named: false,
            title_lines: 0,
            is_cut: false,
        })
    })
}

/// The cells of a line without quotation marks.
fn cells_of(line: &[u8], separator: u8) -> Vec<String> {
    let text = decode_any(line);
    match separator {
        BLANKS => text.split_ascii_whitespace().map(str::to_owned).collect(),
        other => text.split(char::from(other)).map(trimmed).collect(),
    }
}

/// Whether cells could be values of these fields.
fn has_shape(cells: &[String], fields: &[String]) -> bool {
    let is_digits = |cell: &str| !cell.is_empty() && cell.bytes().all(|byte| byte.is_ascii_digit());
    let fits = |(cell, field): (&String, &String)| match field.as_str() {
        "date_achat" => {
            let month_and_day = cell.get(4..6).zip(cell.get(6..8));
            let is_real = |(month, day): (&str, &str)| {
                ("01"..="12").contains(&month) && ("01"..="31").contains(&day)
            };
            is_digits(cell) && cell.len() == 8 && month_and_day.is_some_and(is_real)
        }
        "montant" => cell.parse::<f64>().is_ok_and(f64::is_finite),
        _ => is_digits(cell),
    };
    cells.len() == fields.len() && cells.iter().zip(fields).all(fits)
}

/// The lines with something on them but separators.
fn lines(head: &[u8]) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let (mut offset, mut number) = (0, 1);
    while offset < head.len() && lines.len() <= MAX_HEADER_LINES {
        let rest = &head[offset..];
        let length = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let text = &rest[..length];
        let is_empty = |byte: &u8| is_blank(&[*byte]) || SEPARATORS.contains(byte);
        if !text.iter().all(is_empty) {
            lines.push(Line { number, offset, text });
        }
        let is_pair = rest[length..].starts_with(b"\r\n");
        offset += length + 1 + usize::from(is_pair);
        number += 1;
    }
    lines
}

/// The separator that a line `sep=X` names.
fn named_separator(line: &[u8]) -> Option<u8> {
    let line = line.trim_ascii_start();
    let line = line.strip_prefix(b"\"").unwrap_or(line);
    let (name, rest) = line.split_at_checked(4)?;
    let separator = *rest.first()?;
    let is_rest_empty = rest[1..].iter().all(|byte| *byte == b'"' || is_blank(&[*byte]));
    let is_separator =
        separator.is_ascii() && !separator.is_ascii_alphanumeric() && separator != b'"';
    (name.eq_ignore_ascii_case(b"sep=") && is_rest_empty && is_separator).then_some(separator)
}

/// The separator that occurs most often outside quotation marks; a comma where none does.
fn most_frequent(text: &[u8]) -> u8 {
    let mut counts = [0; SEPARATORS.len()];
    let mut is_quoted = false;
    for byte in text {
        is_quoted ^= *byte == b'"';
        if let Some(index) = SEPARATORS.iter().position(|separator| separator == byte)
            && !is_quoted
        {
            counts[index] += 1;
        }
    }
    let most = counts.iter().max().copied().unwrap_or(0);
    let index = counts.iter().position(|count| *count == most).unwrap_or(0);
    SEPARATORS[index]
}

/// The record that starts on a line.
fn parse(head: &[u8], is_whole: bool, line: Line<'_>, separator: u8) -> Header {
    if separator == BLANKS {
        return Header {
            line: line.number,
            offset: line.offset,
            separator,
            cells: cells_of(line.text, separator),
            is_separator_named: false,
            title_lines: 0,
            is_cut: false,
        };
    }
    let bytes = &head[line.offset..];
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .from_reader(bytes);
    let mut record = csv::ByteRecord::new();
    let is_read = reader.read_byte_record(&mut record).unwrap_or(false);
    let end = usize::try_from(reader.position().byte()).unwrap_or(usize::MAX);
    let cells = record.iter().map(|cell| trimmed(&decode_any(cell)));
    Header {
        line: line.number,
        offset: line.offset,
        separator,
        cells: if is_read { cells.collect() } else { Vec::new() },
        is_separator_named: false,
        title_lines: 0,
        is_cut: !is_whole && end >= bytes.len(),
    }
}

fn trimmed(cell: &str) -> String {
    let is_outside = |letter: char| letter.is_whitespace() || matches!(letter, '\0' | '\u{feff}');
    cell.trim_matches(is_outside).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(head: &str) -> Header {
        find_header(head.as_bytes(), true, &SourceOptions::default(), None).unwrap()
    }

    #[test]
    fn the_header_is_found_below_titles_and_empty_lines() {
        let columns = "id_achat;id_client;date_achat;montant";
        for (head, line, titles) in [
            (format!("{columns}\n1;2;3;4\n"), 1, 0),
            (format!("\r\n \r\n{columns}\r\n"), 3, 0),
            (format!("Export of orders, all; 2026\n;;;\n\n{columns}\n"), 4, 1),
            (format!("sep=;\r{columns}\r"), 2, 0),
            (format!("\"sep=;\"\nOrders\n{columns}\n"), 3, 1),
            (format!("{}{columns}", "title\n".repeat(19)), 20, 19),
        ] {
            let header = found(&head);
            assert_eq!((header.line, header.title_lines), (line, titles), "{head}");
            assert_eq!(header.cells.len(), 4, "{head}");
            assert_eq!(header.separator, b';', "{head}");
        }
        assert_eq!(found(&format!("{}{columns}", "title\n".repeat(20))).line, 1);
    }

    #[test]
    fn the_separator_is_the_one_with_which_the_header_is_known() {
        for separator in [",", ";", "\t", "|"] {
            let header =
                ["id_client", "\"nom, prénom; titre | rue\"", "nom", "pays"].join(separator);
            let header = found(&header);
            assert_eq!(char::from(header.separator).to_string(), separator);
            assert_eq!(header.cells.len(), 4);
        }
        assert_eq!(found("a;b;c,d\n").separator, b';');
    }

    #[test]
    fn a_header_that_does_not_end_within_the_head_needs_more_bytes() {
        let head = b"id_client;nom;\"pa";
        assert_eq!(find_header(head, false, &SourceOptions::default(), None).unwrap_err(), None);
        assert_eq!(
            find_header(b" \n", true, &SourceOptions::default(), None).unwrap_err().unwrap(),
            "the file is empty"
        );
        let wide = vec!["x"; 10_000].join(",");
        let error = find_header(wide.as_bytes(), true, &SourceOptions::default(), None)
            .unwrap_err()
            .unwrap();
        assert!(error.contains("10000 columns"), "{error}");
    }
}
