//! A source file as the readers take it.

use std::io::BufRead;

use super::corrections::Corrections;
use crate::domain::verdict::Verdict;

/// A source file, read once from its beginning.
pub struct SourceText<'a> {
    /// Its name in the sources layer.
    pub name: String,
    /// How it is read.
    pub verdict: Verdict,
    /// Its content, as it arrived.
    pub bytes: Box<dyn BufRead + Send + 'a>,
    /// Records that others take the place of.
    pub corrections: Corrections,
}

impl<'a> SourceText<'a> {
    /// A file without corrections.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        verdict: Verdict,
        bytes: Box<dyn BufRead + Send + 'a>,
    ) -> Self {
        Self { name: name.into(), verdict, bytes, corrections: Corrections::new() }
    }
}
