//! A source file as the readers take it.

use std::io::BufRead;

/// A source file, read once from its beginning.
pub struct SourceText<'a> {
    /// Its name in the sources layer.
    pub name: String,
    /// Its content.
    pub text: Box<dyn BufRead + Send + 'a>,
}

impl<'a> SourceText<'a> {
    /// A file in memory.
    #[must_use]
    pub fn of(name: &str, bytes: &'a [u8]) -> Self {
        Self { name: name.to_owned(), text: Box::new(bytes) }
    }
}
