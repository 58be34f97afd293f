//! What a refresh is made of: source files as they are, those of an earlier generation from bronze, or
//! the cleaned rows of one from silver.

use crate::domain::manifest::{SilverFiles, SourceFile};

/// What a generation is made of.
pub struct Inputs {
    /// The source files, for its manifest.
    pub files: Vec<SourceFile>,
    /// Where the pipeline begins.
    pub given: Given,
    /// Whether they are the generated sample; `None` when nobody has looked yet.
    pub is_sample: Option<bool>,
}

/// Where the pipeline begins.
pub enum Given {
    /// The source files, which are to be kept in bronze.
    Sources,
    /// Source files that bronze has.
    Bronze,
    /// Silver of an earlier generation.
    Silver(Box<SilverFiles>),
}
