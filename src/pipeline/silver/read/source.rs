//! A source file as the readers take it.

use std::io::BufRead;

use crate::domain::data_set::{DataSet, PerDataSet};

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

    /// Files in memory, grouped by the data set that their names tell; others are left out.
    #[must_use]
    pub fn by_data_set<B: AsRef<[u8]>>(files: &'a [(&str, B)]) -> PerDataSet<Vec<Self>> {
        PerDataSet::from_fn(|set| {
            let of_set = files.iter().filter(|(name, _)| DataSet::of_file(name) == Some(set));
            of_set.map(|(name, bytes)| Self::of(name, bytes.as_ref())).collect()
        })
    }
}
