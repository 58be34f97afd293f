//! What holds of any bytes: detection ends, what it accepts can be read, and a file that was cut is
//! read up to there or refused in one sentence.

use std::io::{self, BufReader, Read, Write as _};
use std::path::Path;

use polars::prelude::DataFrame;
use proptest::prelude::*;

use super::corrections::Correction;
use super::detect::{Detected, detect};
use super::lookup::Lookups;
use super::options::SourceOptions;
use super::raw::RawColumns;
use super::read::read;
use super::rows::Rows;
use super::source::SourceText;
use crate::domain::verdict::Verdict;
use crate::pipeline::silver::columns::ROW_KIND;
use crate::pipeline::{PipelineError, Result};

/// The rows of a file of purchases, `None` where it is nothing known.
fn rows_of(name: &str, bytes: &[u8]) -> Result<Option<DataFrame>> {
    match detect(name, &mut &*bytes, &SourceOptions::default(), None)? {
        Detected::Unknown(_) => Ok(None),
        Detected::Table(verdict) => {
            let set = verdict.data_set;
            let text = SourceText::new(name, *verdict, Box::new(bytes));
            Ok(Some(read(set, vec![text]).expect("what detection accepts can be read").frame))
        }
    }
}

/// The rows of a file that is read in blocks of so many bytes, and what is said about them.
fn in_blocks(verdict: &Verdict, bytes: &[u8], size: usize) -> (DataFrame, Vec<String>) {
    let text = SourceText::new("achats.csv", verdict.clone(), Box::new(bytes));
    // Every other line of a few is corrected.
    let correction = |line: i64| {
        let cells = vec![None, Some(format!("corrected {line}"))];
        (line, Correction { from: "corrections.csv".to_owned(), cells, surplus: None })
    };
    let corrections = (2..40).step_by(4).map(correction).collect();
    let text = SourceText { corrections, ..text };
    let mut raw = RawColumns::new(verdict.data_set);
    let notes = Rows::open(text, &Lookups::new()).unwrap().append_to(&mut raw, size).unwrap();
    (raw.finish().unwrap(), notes)
}

#[test]
fn exports_are_the_same_in_blocks_of_any_size() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/exports");
    let (mut files, mut made) = (0, 0);
    for folder in std::fs::read_dir(root).unwrap() {
        for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            let options = SourceOptions::default();
            let Ok(Detected::Table(verdict)) = detect("export.csv", &mut &*bytes, &options, None)
            else {
                continue;
            };
            let (whole, notes) = in_blocks(&verdict, &bytes, 1 << 20);
            for size in [1, 60, 700] {
                let (rows, sentences) = in_blocks(&verdict, &bytes, size);
                assert!(rows.equals_missing(&whole), "{} in {size}", verdict.profile);
                assert_eq!(sentences, notes);
            }
            files += 1;
            made += usize::from(whole.column(ROW_KIND).is_ok());
        }
    }
    assert!(files > 10 && made > 5, "{files} files, {made} of profiles that make rows");
}

#[test]
fn a_mark_within_a_text_stays_wherever_a_block_ends() {
    let text = "id_client,date,montant\n7,2026-01-01,1.00\n\u{feff}8,2026-01-02,2.00\n";
    let Detected::Table(verdict) =
        detect("achats.csv", &mut text.as_bytes(), &SourceOptions::default(), None).unwrap()
    else {
        panic!("it is no table")
    };
    let (whole, _) = in_blocks(&verdict, text.as_bytes(), 1 << 20);
    for size in 1..text.len() {
        let (rows, _) = in_blocks(&verdict, text.as_bytes(), size);
        assert!(rows.equals_missing(&whole), "{size}: {rows}");
    }
    assert_eq!(whole.column("id_client").unwrap().str().unwrap().get(1), Some("\u{feff}8"));
}

/// The first cells of the rows of a frame.
fn cells(frame: &DataFrame) -> Vec<String> {
    let column = |name: &str| frame.column(name).unwrap().str().unwrap().clone();
    let columns = ["id_client", "date_achat", "montant", "produit"].map(column);
    (0..frame.height())
        .map(|row| columns.iter().map(|column| column.get(row).unwrap_or_default()).collect())
        .collect()
}

const TEXT: &str = "Orders;of\r\n\r\nid_achat;id_client;date;montant;produit\r\n\
    1;7;2026-01-01;10.00;Th\u{e9}i\u{e8}re\r\n2;8;2026-01-02;20.00;\"a \"\"b\"\";\nc\"\r\n\r\n;;;;\r\n\
    3;9;2026-01-03;30.00;\"Mug\"\r\n";

/// The same text in every form.
fn forms() -> Vec<Vec<u8>> {
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let legacy = encoding_rs::WINDOWS_1252.encode(TEXT).0.into_owned();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(TEXT.as_bytes()).unwrap();
    vec![
        TEXT.into(),
        [b"\xef\xbb\xbf", TEXT.as_bytes()].concat(),
        [b"\xff\xfe", &utf16(TEXT)[..]].concat(),
        legacy,
        gzip.finish().unwrap(),
    ]
}

#[test]
fn a_file_that_is_cut_anywhere_is_read_up_to_there_or_refused_in_one_sentence() {
    for whole in forms() {
        let all = cells(&rows_of("orders.csv", &whole).unwrap().unwrap());
        assert_eq!(all.len(), 3);
        for length in 0..whole.len() {
            match rows_of("achats.csv", &whole[..length]) {
                Ok(Some(frame)) => {
                    let rows = cells(&frame);
                    let complete = rows.len().saturating_sub(1);
                    assert_eq!(rows[..complete], all[..complete], "cut after {length} bytes");
                }
                Ok(None) => panic!("achats.csv is unknown after {length} bytes"),
                Err(PipelineError::BadSource { problem, .. }) => {
                    let sentence = problem.split("\n\n[[sources.files]]").next().unwrap();
                    assert!(!sentence.contains('\n') && !sentence.is_empty(), "{problem}");
                }
                Err(error) => panic!("cut after {length} bytes: {error}"),
            }
        }
    }
}

/// A text of so many bytes on one line, and how many were read of it.
struct OneLine {
    start: &'static [u8],
    left: u64,
    read: u64,
}

impl Read for OneLine {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = if self.start.is_empty() {
            let length = out.len().min(usize::try_from(self.left).unwrap());
            out[..length].fill(b'x');
            self.left -= length as u64;
            length
        } else {
            self.start.read(out)?
        };
        self.read += length as u64;
        Ok(length)
    }
}

#[test]
fn a_gigabyte_on_one_line_is_refused_once_it_is_too_long() {
    for start in
        [&b"id_client,date,montant\n7,2026-01-01,\""[..], b"id_client,date,montant\n7,", b"id"]
    {
        let mut text = BufReader::new(OneLine { start, left: 1 << 30, read: 0 });
        let error = detect("achats.csv", &mut text, &SourceOptions::default(), None).unwrap_err();
        assert!(error.to_string().contains("achats.csv"), "{error}");
        assert!(text.get_ref().read < 8 << 20, "{} bytes", text.get_ref().read);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn detection_never_panics_on_arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = rows_of("orders.csv", &bytes);
        let _ = rows_of("achats.csv", &bytes);
        let _ = rows_of("achats.csv", &[b"\x1f\x8b\x08", &bytes[..]].concat());
        let _ = rows_of("achats.csv", &[b"\xff\xfe", &bytes[..]].concat());
        let header = b"id_client;date;montant;produit\n";
        let _ = rows_of("orders.csv", &[&header[..], &bytes[..]].concat());
    }

    #[test]
    fn what_detection_accepts_can_be_read(text in "[\",;\t|\\\\\r\n a1é\u{0}]{0,80}") {
        for header in ["id_client,date,montant", "sep=;\nid_client;date;montant\r", "x\n\n"] {
            let _ = rows_of("orders.csv", format!("{header}\n{text}").as_bytes());
            let _ = rows_of("achats.csv", format!("{text}\n{header}\n1,2,3").as_bytes());
        }
    }

    /// Files are read in blocks, which may end anywhere.
    #[test]
    fn rows_are_the_same_in_blocks_of_any_size(text in "[\",\\\\\r\n a1é]{0,80}", size in 1_usize..90) {
        for header in ["id_client,date,montant\n", "x\r\nid_client,date,montant\r"] {
            let whole = format!("{header}{text}");
            let options = SourceOptions::default();
            if let Ok(Detected::Table(verdict)) = detect("achats.csv", &mut whole.as_bytes(), &options, None) {
                let rows = |size: usize| in_blocks(&verdict, whole.as_bytes(), size);
                prop_assert!(rows(size).0.equals_missing(&rows(1 << 20).0), "{:?}", verdict.quoting);
            }
        }
    }

    /// The walk that detection judges quoting by and the parser that reads agree on what a row is.
    #[test]
    fn rows_are_counted_as_they_are_read(text in "[\",\r\n a1]{0,60}") {
        let whole = format!("id_client,date,montant\n{text}");
        let mut walk = super::quoting::RowWalk::new(b',', 3, 1);
        walk.feed(whole.as_bytes());
        let unclosed = walk.finish();
        if let Ok(Some(frame)) = rows_of("orders.csv", whole.as_bytes()) {
            prop_assert_eq!(walk.rows, frame.height() as u64, "{:?}", unclosed);
        }
    }
}
