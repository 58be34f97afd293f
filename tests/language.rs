//! The words of this project: retired phrases come back nowhere, retired identifiers not in code.
//!
//! The field's own terms replaced them; `docs/ARCHITECTURE.md` has the list of what to write instead.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Phrases, in lower case, and what to write instead.
const PHRASES: &[(&str, &str)] = &[
    ("in passing", "transient"),
    ("it may pass", "transient"),
    ("what may pass", "transient"),
    ("foretold", "predicted, forecast"),
    ("foretell", "predict"),
    ("sign of life", "heartbeat"),
    ("signs of life", "heartbeats"),
    ("older name", "legacy route, legacy view"),
    ("keeps house", "runs background tasks"),
    ("keep house", "run background tasks"),
    ("lets one in", "credentials"),
    ("key for programs", "API key"),
    ("goes on", "is running, continues"),
    ("going on", "running"),
    ("in line", "queued"),
    ("look over", "audit"),
    ("looks over", "audits"),
    ("looking over", "auditing"),
    ("by chance", "random, sampled"),
    ("made up at", "generated at"),
    ("somebody", "the operator, another process, the client"),
    ("nobody", "no client, no process"),
    ("whoever", "the caller, the client"),
];

/// Words that name nothing: never the whole of an identifier.
const IDENTIFIERS: &[&str] = &[
    "house",
    "kept",
    "told",
    "word",
    "chance",
    "contest",
    "lesson",
    "figures",
    "outlook",
    "buying",
    "spending",
    "wish",
    "given",
    "beat",
    "beats",
    "asked",
    "says",
    "said",
    "passing",
    "lasting",
    "foretold",
    "begun",
    "going_on",
    "in_line",
    "by_chance",
    "sign_of_life",
    "look_again",
    "give_back",
    "ask_cancel",
    "settle",
    "word_of",
    "Wish",
    "Asked",
    "Given",
    "Lesson",
    "Contest",
    "Figures",
    "Outlook",
    "Chance",
    "Buying",
    "Spending",
    "Hold",
    "Untold",
    "Swept",
    "Holding",
    "Overtaken",
    "Begun",
    "Kept",
    "Told",
    "Facts",
    "Typical",
    "Maximum",
    "GLANCE",
    "SULK",
    "NAP",
    "BREATH",
    "PATIENCE",
    "LOOK",
    "LOOKS",
    "TROUBLE",
    "FAREWELL",
    "ROUND",
    "LISTEN",
    "SEEN",
    "RETOLD",
    "COME_BACK",
    "SOON",
    "YES",
    "WHAT",
    "SOMEWHERE",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_under(path: &Path, extensions: &[&str], files: &mut Vec<PathBuf>) {
    if path.is_file() {
        files.push(path.to_owned());
        return;
    }
    for entry in std::fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() {
            files_under(&path, extensions, files);
        } else if extension.is_some_and(|extension| extensions.contains(&extension)) {
            files.push(path);
        }
    }
}

fn files(places: &[&str], extensions: &[&str]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for place in places {
        files_under(&root().join(place), extensions, &mut files);
    }
    files.retain(|file| {
        !file.ends_with("tests/language.rs") && !file.starts_with(root().join("tests/data"))
    });
    files.sort();
    assert!(!files.is_empty());
    files
}

/// Lower case, one space between words, without the signs that comments begin with: a phrase is found
/// across the end of a line, also in a name of several words.
fn plain(line: &str) -> String {
    let line = line.trim_start().trim_start_matches(['/', '!', '#', '*']);
    line.to_lowercase().replace('_', " ")
}

/// Whether a phrase stands in a text with no letter right before and after it.
fn has_phrase(text: &str, phrase: &str) -> bool {
    text.match_indices(phrase).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + phrase.len()..].chars().next();
        let is_letter = |c: Option<char>| c.is_some_and(char::is_alphabetic);
        let is_plural = text[at + phrase.len()..].starts_with("s ");
        !is_letter(before) && (!is_letter(after) || is_plural)
    })
}

#[test]
fn retired_phrases_come_back_nowhere() {
    let places = [
        "src",
        "tests",
        "benches",
        "docs",
        "scripts",
        "README.md",
        "CHANGELOG.md",
        ".env.example",
        "openapi/openapi.json",
    ];
    let mut found = Vec::new();
    for file in files(&places, &["rs", "md", "toml", "html", "json", "sh", "py"]) {
        let text = std::fs::read_to_string(&file).unwrap();
        let lines: Vec<String> = text.lines().map(plain).collect();
        for (number, line) in lines.iter().enumerate() {
            let next = lines.get(number + 1).map_or("", String::as_str);
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            let (line, both) = (words(line), words(&format!("{line} {next}")));
            for (phrase, instead) in PHRASES {
                // One that ends on the next line belongs to this one.
                let is_here = has_phrase(&line, phrase)
                    || (has_phrase(&both, phrase) && !has_phrase(&words(next), phrase));
                if is_here {
                    let file = file.strip_prefix(root()).unwrap().display();
                    found.push(format!("{file}:{}: \"{phrase}\": write {instead}", number + 1));
                }
            }
        }
    }
    assert!(found.is_empty(), "{} places\n{}", found.len(), found.join("\n"));
}

/// Code without line comments and texts on one line; what is left of a text over several lines is prose, in
/// which single words seldom stand alone between signs, so it is left out by its quotes as well.
fn code(text: &str) -> String {
    let mut code = String::new();
    let mut is_text = false;
    let mut signs = text.chars().peekable();
    while let Some(sign) = signs.next() {
        match sign {
            '\\' if is_text => drop(signs.next()),
            '"' => is_text = !is_text,
            '\'' if !is_text => {
                let mut ahead = signs.clone();
                let (first, second, third) = (ahead.next(), ahead.next(), ahead.next());
                let length = match (first, second, third) {
                    (Some('\\'), Some(_), Some('\'')) => 3,
                    (Some(_), Some('\''), _) => 2,
                    _ => 0,
                };
                signs.by_ref().take(length).for_each(drop);
            }
            '/' if !is_text && signs.peek() == Some(&'/') => {
                signs.by_ref().take_while(|sign| *sign != '\n').for_each(drop);
                code.push('\n');
            }
            '\n' => code.push('\n'),
            _ if is_text => {}
            _ => code.push(sign),
        }
    }
    code
}

#[test]
fn retired_identifiers_name_nothing() {
    let retired: BTreeSet<&str> = IDENTIFIERS.iter().copied().collect();
    let mut found = Vec::new();
    for file in files(&["src", "tests", "benches"], &["rs"]) {
        let text = std::fs::read_to_string(&file).unwrap();
        for (number, line) in code(&text).lines().enumerate() {
            for name in line.split(|c: char| !c.is_alphanumeric() && c != '_') {
                if retired.contains(name) {
                    let file = file.strip_prefix(root()).unwrap().display();
                    found.push(format!("{file}:{}: {name}", number + 1));
                }
            }
        }
    }
    assert!(found.is_empty(), "{} places\n{}", found.len(), found.join("\n"));
}

/// The two tests above are only worth something if they find what they look for.
#[test]
fn a_retired_phrase_or_identifier_is_found() {
    assert!(has_phrase(&plain("/// It failed in passing."), "in passing"));
    assert!(has_phrase(&plain("fn what_goes_on()"), "goes on"));
    assert!(!has_phrase("a baseline of it", "in line") && !has_phrase("inline", "in line"));
    let text = code("let kept = 'a'; // told\nlet s = \"word\"; let c = '\"'; let wish = 1;");
    assert!(text.contains("kept") && text.contains("wish"), "{text}");
    assert!(!text.contains("told") && !text.contains("word"), "{text}");
}
