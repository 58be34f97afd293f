//! A source file as the readers take it.

use std::io::BufRead;

use crate::domain::verdict::Verdict;

/// A source file, read once from its beginning.
pub struct SourceText<'a> {
    /// Its name in the sources layer.
    pub name: String,
    /// How it is read.
    pub verdict: Verdict,
    /// Its content, as it arrived.
    pub bytes: Box<dyn BufRead + Send + 'a>,
}
