//! The rows of a file: its records, or what its profile makes of them (see [`super::record`]).

use std::borrow::Cow;

use csv::StringRecord;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::lookup::Lookups;
use super::profile::reading_of;
use super::raw::{RawColumns, RawRows};
use super::record::{Recipe, Seen};
use super::records::{OpenText, Records};
use super::source::SourceText;
use crate::domain::reading::Reading;
use crate::pipeline::Result;

/// A file that is open at its header.
pub(super) struct Rows<'a> {
    text: OpenText<'a>,
    /// The column of the raw frame for each column of the file, in file order.
    columns: Vec<String>,
    reading: Reading,
    /// What its profile makes of each record; `None` when records are rows.
    recipe: Option<Recipe>,
}

impl<'a> Rows<'a> {
    pub(super) fn open(file: SourceText<'a>, lookups: &Lookups) -> Result<Self> {
        let reading = reading_of(&file.verdict);
        let columns: Vec<String> =
            file.verdict.columns.iter().map(|column| column.column.clone()).collect();
        let recipe = Recipe::of(&columns, &reading, lookups);
        Ok(Self { text: OpenText::of(file)?, columns, reading, recipe })
    }

    /// How the values of the file are meant.
    pub(super) fn reading(&self) -> &Reading {
        &self.reading
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        self.text.name()
    }

    /// Appends its rows, which are read in blocks of so many bytes; gives what is worth saying about them, a sentence each.
    pub(super) fn append_to(self, raw: &mut RawColumns, block_bytes: usize) -> Result<Vec<String>> {
        let name = self.name().to_owned();
        match self.recipe {
            None => {
                for rows in records(self.text, &self.columns, block_bytes)? {
                    raw.append(&name, rows)?;
                }
                Ok(Vec::new())
            }
            Some(recipe) => {
                let (rows, seen) = made(self.text, recipe, block_bytes)?;
                rows.into_iter().try_for_each(|rows| raw.append(&name, rows))?;
                Ok(seen.notes(&name))
            }
        }
    }
}

/// Records as rows.
fn records(text: OpenText<'_>, columns: &[String], block_bytes: usize) -> Result<Vec<RawRows>> {
    text.in_blocks(block_bytes, |records| {
        let mut rows = RawRows::new(columns);
        while records.advance()? {
            rows.push(records.line(), records.surplus(), |index| records.cell(index));
        }
        Ok(rows)
    })
}

/// What a recipe makes of records, and what it saw in them.
fn made(
    text: OpenText<'_>,
    mut recipe: Recipe,
    block_bytes: usize,
) -> Result<(Vec<RawRows>, Seen)> {
    let made = if recipe.fills() {
        // An order may be filled from rows that follow: all are learned first.
        let blocks: Vec<Vec<Texts>> = text.in_blocks(block_bytes, |records| {
            let mut texts = Vec::new();
            while records.advance()? {
                texts.push(Texts::of(records));
            }
            Ok(texts)
        })?;
        blocks.iter().flatten().for_each(|texts| recipe.learn(&texts.cells));
        let made = |block: Vec<Texts>| {
            let mut made = Made::new(&recipe);
            for texts in block {
                made.add(texts);
            }
            (made.rows, made.seen)
        };
        blocks.into_par_iter().map(made).collect::<Vec<_>>()
    } else {
        text.in_blocks(block_bytes, |records| {
            let mut made = Made::new(&recipe);
            while records.advance()? {
                made.add(Texts::of(records));
            }
            Ok((made.rows, made.seen))
        })?
    };
    let (mut rows, mut all) = (Vec::with_capacity(made.len()), Seen::default());
    for (of_block, seen) in made {
        rows.push(of_block);
        all.add(seen);
    }
    Ok((rows, all))
}

/// A record by itself.
struct Texts {
    line: i64,
    /// The cells beyond the header.
    surplus: Option<String>,
    cells: StringRecord,
}

impl Texts {
    fn of(records: &Records<'_>) -> Self {
        let cells = records.cells().iter().collect();
        Self { line: records.line(), surplus: records.surplus(), cells }
    }
}

/// What a recipe makes of the records of a block.
struct Made<'r> {
    recipe: &'r Recipe,
    rows: RawRows,
    seen: Seen,
}

impl<'r> Made<'r> {
    fn new(recipe: &'r Recipe) -> Self {
        Self { recipe, rows: RawRows::new(recipe.columns()), seen: Seen::default() }
    }

    fn add(&mut self, texts: Texts) {
        let Texts { line, surplus, cells } = texts;
        for row in self.recipe.rows(&cells, &mut self.seen) {
            let cell = |index: usize| row[index].as_deref().map(Cow::Borrowed);
            self.rows.push(line, surplus.clone(), cell);
        }
    }
}
