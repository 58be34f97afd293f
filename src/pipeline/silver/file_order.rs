//! Which of two files is the later: the one whose name has the later date, else whose data have.

use super::raw::Raw;
use super::raw_table::RawFile;
use crate::domain::reading::DateOrder;
use crate::domain::time::Timestamp;
use crate::pipeline::Result;

impl Raw {
    /// Brings files without a date in their name into their place, by the greatest date in this column. Files
    /// with equal dates stay in the order of their names.
    ///
    /// # Errors
    /// As [`Raw::dates`].
    pub(super) fn in_order(mut self, column: &str, fallback: Option<DateOrder>) -> Result<Self> {
        if self.files.len() < 2 || self.files.iter().all(|file| file.date.is_some()) {
            return Ok(self);
        }
        let dates = self.dates(column, fallback)?.cells;
        let date = |file: &RawFile| {
            let last = || dates[file.rows.clone()].iter().copied().flatten().max();
            file.date.or_else(|| last().map(|last| Timestamp(last).day().parts()))
        };
        if self.files.is_sorted_by_key(date) {
            return Ok(self);
        }
        let mut files = self.files.clone();
        files.sort_by_cached_key(date);
        self.rearrange(files.into_iter().map(|file| (vec![file.rows.clone()], file)))?;
        self.notes.extend(sentence(&self.files));
        Ok(self)
    }
}

/// Which file is the last where names do not tell.
fn sentence(files: &[RawFile]) -> Option<String> {
    let (last, earlier) = files.split_last()?;
    let names: Vec<&str> = earlier.iter().map(|file| file.name.as_str()).collect();
    Some(format!(
        "{} is the latest file, as its dates show, and replaces what it repeats of {}; a date in its name would say so too",
        last.name,
        names.join(", ")
    ))
}
