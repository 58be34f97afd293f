//! An error with its causes: walked, or as text for a log, a terminal or a record.

use std::error::Error;

/// An error and its causes, the outermost first.
pub fn chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::once(error).chain(sources(error))
}

fn sources(error: &dyn Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let mut next = error.source();
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

/// An error with its causes, on one line of at most 1,000 characters. A cause that its error repeats is left out.
#[must_use]
pub fn describe(error: &dyn Error) -> String {
    let mut text = error.to_string();
    for cause in sources(error).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    on_one_line(&text)
}

/// The causes of an error, one by one; the last is the root cause.
#[must_use]
pub fn causes(error: &dyn Error) -> Vec<String> {
    sources(error).map(|cause| on_one_line(&cause.to_string())).collect()
}

/// Texts from files and the environment may hold control characters; a log gets one clean line.
fn on_one_line(text: &str) -> String {
    const MAX_CHARS: usize = 1_000;
    let mut clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if let Some((end, _)) = clean.char_indices().nth(MAX_CHARS) {
        clean.truncate(end);
        clean.push('…');
    }
    clean
}
