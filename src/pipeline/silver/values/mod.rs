//! What a cell means: dates, amounts, identifiers, texts.
//!
//! Pure functions and column builders over text; knows no frames. Where one cell reads two ways, the
//! whole column decides, and where the column does not, nothing is guessed.

pub(super) mod amounts;
pub(super) mod contacts;
pub(super) mod countries;
pub(super) mod currency;
pub(super) mod date_forms;
pub(super) mod dates;
pub(super) mod identifiers;
pub(super) mod texts;
