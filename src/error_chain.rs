//! An error with its causes, as text: one line for a log or a terminal, or one cause at a time.

/// An error with its causes, on one line of at most 1,000 characters.
#[must_use]
pub fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    for cause in all_causes(error) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    on_one_line(&text)
}

/// The causes of an error, one by one, the last being the first to happen.
#[must_use]
pub fn causes(error: &dyn std::error::Error) -> Vec<String> {
    all_causes(error).map(|cause| on_one_line(&cause)).collect()
}

fn all_causes(error: &dyn std::error::Error) -> impl Iterator<Item = String> {
    std::iter::successors(error.source(), |error| error.source()).map(ToString::to_string)
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
