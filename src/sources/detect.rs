//! What a file is and how it is read: one look at all of it, in bounded memory.

use std::io::{self, BufRead};

use super::columns::resolve;
use super::container::{container_of, peek, unpack, workbook};
use super::describe::{found, is_like};
use super::encoding::of_prefix;
use super::head::{Header, MAX_HEAD_BYTES, find_header};
use super::headers::fold;
use super::options::{FileMapping, SourceOptions};
use super::profile::{nearest_set, set_by_name, set_of};
use super::profiles::{self, Resolved};
use super::scan::{Scan, Scanner};
use super::text::{Bytes, take, transcode};
use crate::domain::data_set::DataSet;
use crate::domain::reading::Reading;
use crate::domain::verdict::{Container, Encoding, FileColumn, Quoting, Verdict};
use crate::pipeline::{PipelineError, Result};

/// Bytes that show whether a file is text.
const PREFIX_BYTES: usize = 4 << 10;
/// Bytes in which the header is looked for first.
const HEAD_BYTES: usize = 64 << 10;

/// What a file turned out to be.
#[derive(Debug)]
pub enum Detected {
    /// A table of a data set.
    Table(Box<Verdict>),
    /// Nothing known: why, in a sentence without the file's name.
    Unknown(String),
}

/// Looks at a file. `expected` is the data set of a file that is known to be one whatever its header
/// says. The reader may be left anywhere.
///
/// # Errors
/// [`PipelineError::BadSource`] for a file of a data set (by header, name or mapping) that cannot be
/// read; [`PipelineError::Unreadable`] when its bytes cannot be read.
pub fn detect(
    name: &str,
    bytes: &mut (dyn BufRead + Send),
    options: &SourceOptions,
    expected: Option<DataSet>,
) -> Result<Detected> {
    let mapping = options.mapping(name);
    let announced = mapping.map(|mapping| mapping.data_set).or(expected);
    match look(name, Box::new(bytes), options, mapping, announced) {
        Ok(verdict) => Ok(Detected::Table(Box::new(verdict))),
        Err(Failure::Bytes(source)) => {
            Err(PipelineError::Unreadable { file: name.to_owned(), source })
        }
        Err(Failure::File { problem, is_known }) => {
            if is_known || announced.or(set_by_name(name)).is_some() {
                Err(PipelineError::BadSource { file: name.to_owned(), problem })
            } else {
                Ok(Detected::Unknown(problem))
            }
        }
    }
}

/// Looks at the beginning of a file that is not read because of its name; gives a sentence without
/// the name if it seems to be a table all the same.
///
/// # Errors
/// When its bytes cannot be read.
pub fn describe_other(bytes: &mut (dyn BufRead + Send)) -> io::Result<Option<String>> {
    let prefix = take(bytes, HEAD_BYTES)?;
    if prefix.starts_with(b"PK\x03\x04") {
        let problem =
            "it is a spreadsheet of another kind than XLSX, or a ZIP archive, which is not read";
        return Ok(Some(format!("{problem}; save it as XLSX or CSV")));
    }
    if let Some(problem) = known_format(&prefix) {
        return Ok(Some(problem));
    }
    let is_whole = prefix.len() < HEAD_BYTES;
    let header = find_header(&prefix, is_whole, &SourceOptions::default(), None).ok();
    let folded: Vec<String> =
        header.iter().flat_map(|header| &header.cells).map(|cell| fold(cell)).collect();
    let by_profile = profiles::find(&[], &folded).map(|found| found.file.data_set());
    Ok(by_profile.or_else(|| set_of(&folded)).map(|set| {
        format!("its header is that of {}, but files with such a name are not read", set.noun())
    }))
}

/// Why there is no verdict.
enum Failure {
    /// The bytes cannot be read.
    Bytes(io::Error),
    /// The file cannot be used; whether its header is that of a data set.
    File { problem: String, is_known: bool },
}

impl Failure {
    fn unknown(problem: impl Into<String>) -> Self {
        Self::File { problem: problem.into(), is_known: false }
    }

    /// A failure to read: of the compressed stream, or of the bytes below it.
    fn reading(error: io::Error, container: Container) -> Self {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        match (error.kind(), container) {
            (InvalidData | InvalidInput | UnexpectedEof, Container::Gzip) => Self::unknown(
                format!("its gzip stream is cut or damaged, or too good to be true ({error})"),
            ),
            (InvalidData, Container::Xlsx | Container::Parquet) => Self::unknown(error.to_string()),
            _ => Self::Bytes(error),
        }
    }
}

type Look<T> = std::result::Result<T, Failure>;

fn look(
    name: &str,
    bytes: Bytes<'_>,
    options: &SourceOptions,
    mapping: Option<&FileMapping>,
    announced: Option<DataSet>,
) -> Look<Verdict> {
    let (prefix, bytes) = peek(bytes, 4).map_err(Failure::Bytes)?;
    let container = container_of(&prefix);
    let failed = |error| Failure::reading(error, container);
    let at = Place { name, options, mapping, announced, container };
    if container != Container::Xlsx {
        return at.look_text(unpack(bytes, container, None).map_err(failed)?, None);
    }
    let mut workbook = workbook(bytes).map_err(failed)?;
    let (mut first, mut found, mut others): (_, Option<Verdict>, Vec<String>) =
        (None, None, Vec::new());
    for sheet in workbook.sheets() {
        let csv = workbook.as_csv(&sheet).map_err(failed)?;
        match at.look_text(Box::new(io::Cursor::new(csv)), Some(sheet.clone())) {
            Ok(verdict) if found.is_none() => found = Some(verdict),
            Ok(_) => others.push(format!("{sheet:?}")),
            Err(_) if found.is_some() => {}
            // Of several sheets that cannot be read the one with a known header is the one to speak of.
            Err(failure @ Failure::File { is_known: true, .. }) => return Err(failure),
            Err(failure) => first = first.or(Some(failure)),
        }
    }
    let Some(mut verdict) = found else {
        return Err(first.unwrap_or_else(|| Failure::unknown("its spreadsheet has no sheets")));
    };
    if !others.is_empty() {
        let names = others.join(", ");
        verdict.warnings.push(format!(
            "a spreadsheet is read from one sheet: {names} could be read too and is not; save it as a file of its own"
        ));
    }
    Ok(verdict)
}

/// Where a text is found.
#[derive(Clone, Copy)]
struct Place<'o> {
    name: &'o str,
    options: &'o SourceOptions,
    mapping: Option<&'o FileMapping>,
    announced: Option<DataSet>,
    container: Container,
}

impl Place<'_> {
    /// Looks at the text of a file, or of a sheet.
    fn look_text(self, bytes: Bytes<'_>, sheet: Option<String>) -> Look<Verdict> {
        let Self { name, options, mapping, announced, container } = self;
        let reading = |error| Failure::reading(error, container);
        let (prefix, bytes) = peek(bytes, PREFIX_BYTES).map_err(reading)?;
        if let Some(problem) = known_format(&prefix) {
            return Err(Failure::unknown(problem));
        }
        let by_prefix = of_prefix(&prefix);
        let (encoding, has_mark) = by_prefix.unwrap_or((Encoding::Utf8, false));
        if is_binary(&prefix) && by_prefix.is_none() {
            return Err(Failure::unknown("it is not a text table"));
        }
        let mut text = transcode(bytes, encoding, has_mark).map_err(reading)?;
        let (head, header) =
            read_header(text.as_mut(), options, mapping).map_err(|failure| match failure {
                Failure::Bytes(error) => reading(error),
                failure @ Failure::File { .. } => failure,
            })?;

        let What { set, profile, columns, reading: meaning, by_name } =
            what(name, options, mapping, announced, &header)?;
        let bad = |problem| Failure::File { problem, is_known: !by_name };
        let mut scanner = Scanner::new(header.separator, header.cells.len(), header.line);
        if header.line == 0 {
            scanner.feed(b"\n");
        }
        scanner.feed(&head[header.offset..]);
        scanner.feed_all(text.as_mut()).map_err(reading)?;
        let scan = scanner.finish().map_err(bad)?;
        let encoding = match (encoding, scan.letters.encoding()) {
            (Encoding::Utf8, Encoding::Windows1252) if has_mark => Encoding::Mixed,
            (Encoding::Utf8, found) => found,
            (encoding, _) => encoding,
        };
        let mut verdict = Verdict {
            data_set: set,
            profile,
            container,
            sheet,
            encoding,
            has_mark,
            separator: char::from(header.separator),
            header_line: header.line,
            quoting: scan.quoting,
            columns,
            notes: Vec::new(),
            warnings: Vec::new(),
            reading: meaning,
        };
        verdict.notes = notes(&verdict, &header, &scan, mapping);
        verdict.warnings.extend(cut(&verdict, &scan));
        if by_name {
            verdict.notes.push(format!("taken for {} because of its name", set.noun()));
        }
        Ok(verdict)
    }
}

/// What a header is.
struct What {
    set: DataSet,
    /// The name of the profile that knows it.
    profile: String,
    columns: Vec<FileColumn>,
    reading: Reading,
    /// Whether only the file's name told its data set.
    by_name: bool,
}

/// What a header is: as the settings map it, else as a profile knows it, else as the older systems
/// wrote it.
fn what(
    name: &str,
    options: &SourceOptions,
    mapping: Option<&FileMapping>,
    announced: Option<DataSet>,
    header: &Header,
) -> Look<What> {
    let folded: Vec<String> = header.cells.iter().map(|cell| fold(cell)).collect();
    let found = match header.line {
        0 => profiles::without_header(&options.profiles)
            .find(|found| found.file.positions.len() == header.cells.len()),
        _ => profiles::find(&options.profiles, &folded),
    };
    let fits = |found: &profiles::Match<'_>| {
        announced.is_none_or(|announced| announced == found.file.data_set())
    };
    if let (None, Some(found)) = (mapping, found.filter(fits)) {
        let known = |problem| Failure::File { problem, is_known: true };
        let Resolved { columns, mut reading } =
            profiles::resolve(found, &header.cells).map_err(known)?;
        for status in &mut reading.statuses {
            status.values.extend(options.statuses.iter().map(|(text, to)| (fold(text), *to)));
        }
        let (set, profile) = (found.file.data_set(), found.profile.name.clone());
        return Ok(What { set, profile, columns, reading, by_name: false });
    }
    let known = announced.or_else(|| set_of(&folded));
    let Some(set) = known.or(set_by_name(name)) else {
        let nearest = nearest_set(&folded);
        return Err(Failure::unknown(describe_unknown(nearest, name, &header.cells)));
    };
    let bad = |problem| Failure::File { problem, is_known: known.is_some() };
    let columns = resolve(set, name, &header.cells, mapping).map_err(bad)?;
    let profile = mapping.map_or(Verdict::GOLDSMITH, |_| Verdict::MAPPED).to_owned();
    Ok(What { set, profile, columns, reading: Reading::default(), by_name: known.is_none() })
}

/// Reads as much of a text as its header needs.
fn read_header(
    text: &mut dyn BufRead,
    options: &SourceOptions,
    mapping: Option<&FileMapping>,
) -> Look<(Vec<u8>, Header)> {
    let mut head = Vec::new();
    for limit in [HEAD_BYTES, MAX_HEAD_BYTES] {
        let more = take(text, limit - head.len()).map_err(Failure::Bytes)?;
        head.extend_from_slice(&more);
        match find_header(&head, head.len() < limit, options, mapping) {
            Ok(header) => return Ok((head, header)),
            Err(Some(problem)) => return Err(Failure::unknown(problem)),
            Err(None) => {}
        }
    }
    let mebibytes = MAX_HEAD_BYTES >> 20;
    Err(Failure::unknown(format!("no header row ends within the first {mebibytes} MiB")))
}

/// A format by its first bytes that is not a text table.
fn known_format(prefix: &[u8]) -> Option<String> {
    const FORMATS: [(&[u8], &str); 3] = [
        (b"\xd0\xcf\x11\xe0", "a spreadsheet of an old format (XLS)"),
        (b"%PDF", "a PDF"),
        (b"SQLite format 3", "a database"),
    ];
    let (_, format) = FORMATS.iter().find(|(magic, _)| prefix.starts_with(magic))?;
    Some(format!("it is {format}, which is not read; save it as CSV"))
}

/// Whether bytes are those of something else than text.
fn is_binary(prefix: &[u8]) -> bool {
    /// Of so many bytes one at most may be a control character.
    const TEXT_BYTES: usize = 20;
    let is_control = |byte: &&u8| matches!(**byte, 0..=8 | 14..=25 | 27..=31 | 127);
    prefix.iter().filter(is_control).count() * TEXT_BYTES > prefix.len()
}

/// What a header that is of no data set lacks to be of the nearest one.
fn describe_unknown(nearest: DataSet, name: &str, header: &[String]) -> String {
    let noun = nearest.noun();
    match resolve(nearest, name, header, None) {
        Err(problem) if is_like(nearest, header) => {
            format!("its header is that of no data set; nearest is {noun}, where {problem}")
        }
        _ => format!("its header is that of no data set, nearest is {noun} ({})", found(header)),
    }
}

/// What shows that a file was cut.
fn cut(verdict: &Verdict, scan: &Scan) -> Option<String> {
    if let Some(line) = scan.cut_quotation {
        return Some(format!("it ends within the quotation of line {line}: it may have been cut"));
    }
    let is_cut = scan.letters.ends_within_character() && verdict.encoding == Encoding::Utf8;
    is_cut.then(|| "it ends within a character: it may have been cut".to_owned())
}

/// What was assumed, a sentence each.
fn notes(
    verdict: &Verdict,
    header: &Header,
    scan: &Scan,
    mapping: Option<&FileMapping>,
) -> Vec<String> {
    let mut notes = Vec::new();
    notes.extend(verdict.sheet.iter().map(|sheet| format!("its sheet {sheet:?} is read")));
    let line = scan.broken_line.unwrap_or(header.line);
    match verdict.encoding {
        Encoding::Windows1252 => notes.push(match scan.letters.other_guess() {
            None => format!("read as Windows-1252: line {line} is not UTF-8"),
            Some(guess) => format!(
                "read as Windows-1252: line {line} is not UTF-8; its letters look like {}: if names are \
                 wrong, save the file as UTF-8",
                guess.name()
            ),
        }),
        Encoding::Mixed => notes.push(format!(
            "read as UTF-8, and as Windows-1252 where cells are not UTF-8, the first on line {line}"
        )),
        Encoding::Utf16Le | Encoding::Utf16Be if !verdict.has_mark => {
            notes.push(format!("read as {} though it has no mark", verdict.encoding.label()));
        }
        Encoding::Utf8 | Encoding::Utf16Le | Encoding::Utf16Be => {}
    }
    let separated = match verdict.separator {
        ',' => None,
        ';' => Some("semicolons".to_owned()),
        '\t' => Some("tabs".to_owned()),
        ' ' => Some("blanks".to_owned()),
        other => Some(format!("{other:?}")),
    };
    if header.is_separator_named {
        let shown = separated.unwrap_or_else(|| "commas".to_owned());
        notes.push(format!("cells are separated by {shown}, as its first line says"));
    } else if let Some(shown) = separated {
        notes.push(format!("cells are separated by {shown}"));
    }
    if header.title_lines > 0 {
        let line = verdict.header_line;
        notes.push(format!("the header is on line {line}; what stands above it is not read"));
    }
    if header.line == 0 {
        notes.push(format!("it has no header; its lines are those of {}", verdict.profile));
    } else if verdict.profile != Verdict::GOLDSMITH && mapping.is_none() {
        notes.push(format!("its header is that of {}", verdict.profile));
    }
    if let (Quoting::Backslash, Some(line)) = (verdict.quoting, scan.deciding_line) {
        notes.push(format!(
            "a quotation mark within a cell is written \\\": rows fit the header only so (line {line})"
        ));
    }
    if let Some(line) = scan.zero_line {
        notes.push(format!("zero bytes around cells are left out, the first on line {line}"));
    }
    if let Some(mapping) = mapping {
        notes.push(format!("its columns are mapped by {}", mapping.key));
    }
    notes
}
