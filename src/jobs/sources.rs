//! The source files of a run: found, looked at, hashed and stored in bronze, where the pipeline reads
//! them.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _};

use super::corrections::{self, Loaded};
use super::error::{FileProblems, RefreshError};
use crate::blocking::spawn_blocking;
use crate::domain::data_set::{DataSet, PerDataSet};
use crate::domain::files::{CorrectionFile, SourceFile, UnreadFile};
use crate::domain::time::Timestamp;
use crate::lake::reading::Reader;
use crate::lake::writing::PartWriter;
use crate::lake::{Lake, LakeError, Layer, keys};
use crate::pipeline::PipelineError;
use crate::sample;
use crate::sources::{
    Corrections, Detected, SourceOptions, SourceText, UnknownFiles, describe_other, detect,
    is_candidate, is_hidden, is_read_for, reading_order, system_of_sales,
};

/// The files of the sources layer.
#[derive(Debug, Default)]
pub struct Sources {
    /// Those that are read, by data set and in reading order.
    pub files: Vec<SourceFile>,
    /// Those that are not, with the reason.
    pub unread: Vec<UnreadFile>,
    /// Files of corrected rows, in the order in which they count.
    pub corrections: Vec<CorrectionFile>,
    /// What else the operator should know, a sentence each.
    pub warnings: Vec<String>,
}

/// The names of all files of the sources layer but hidden ones.
///
/// # Errors
/// When the layer cannot be listed, or the name of a table cannot be printed.
pub async fn names(lake: &Lake) -> Result<Vec<String>, RefreshError> {
    let names = lake.names(Layer::Sources).await?;
    let names: Vec<String> = names.into_iter().filter(|name| !is_hidden(name)).collect();
    let is_unprintable = |name: &&String| is_candidate(name) && name.contains(char::is_control);
    if let Some(name) = names.iter().find(is_unprintable) {
        let path = lake.locate(Layer::Sources, &name.escape_default().to_string());
        return Err(RefreshError::BadFileName(path));
    }
    Ok(names)
}

/// The files that may be tables, by their names or by a mapping.
///
/// # Errors
/// As [`names`].
pub async fn candidates(lake: &Lake, options: &SourceOptions) -> Result<Vec<String>, RefreshError> {
    let mut names = names(lake).await?;
    names.retain(|name| is_candidate(name) || options.mapping(name).is_some());
    Ok(names)
}

/// Every file of the sources layer after a look at it.
#[derive(Debug, Default)]
pub struct Survey {
    /// The tables, by data set and in reading order.
    pub tables: Vec<SourceFile>,
    /// Files that are nothing known.
    pub unknown: Vec<UnreadFile>,
    /// Files of a data set that cannot be read.
    pub bad: Vec<UnreadFile>,
    /// Files that have not the name of a table, and should perhaps be read.
    pub others: Vec<UnreadFile>,
    /// What else the operator should know, a sentence each.
    warnings: Vec<String>,
}

/// Looks at every file of the sources layer and hashes the tables.
///
/// # Errors
/// When the layer cannot be read.
pub async fn survey(lake: &Lake, options: &SourceOptions) -> Result<Survey, RefreshError> {
    let names = names(lake).await?;
    let mut survey = Survey { warnings: options.unmatched(&names), ..Survey::default() };
    survey.others = not_files(lake).await?;
    for name in names {
        if !is_candidate(&name) && options.mapping(&name).is_none() {
            if name != sample::GROUND_TRUTH {
                let problem = other_problem(lake, &name).await?;
                survey.others.push(UnreadFile { name, problem });
            }
            continue;
        }
        match look(lake, Layer::Sources, &name, &name, options, None).await {
            Ok((Detected::Table(verdict), (size_bytes, sha256))) => {
                let (data_set, arrived_at) = (verdict.data_set, Timestamp::now());
                let (bronze, verdict) = (keys::bronze(data_set, &sha256), Some(*verdict));
                let file =
                    SourceFile { data_set, name, size_bytes, sha256, arrived_at, bronze, verdict };
                survey.tables.push(file);
            }
            Ok((Detected::Unknown(problem), _)) => {
                survey.unknown.push(UnreadFile { name, problem });
            }
            Err(RefreshError::Pipeline(PipelineError::BadSource { file: name, problem })) => {
                survey.bad.push(UnreadFile { name, problem });
            }
            Err(error) => return Err(error),
        }
    }
    let by_set = |a: &SourceFile, b: &SourceFile| {
        a.data_set.cmp(&b.data_set).then_with(|| reading_order(&a.name, &b.name))
    };
    survey.tables.sort_by(by_set);
    Ok(survey)
}

/// What lies in the sources layer and is no file.
async fn not_files(lake: &Lake) -> Result<Vec<UnreadFile>, RefreshError> {
    let folders = lake.folders(Layer::Sources).await?;
    let folders = folders.into_iter().filter(|folder| folder != keys::CORRECTIONS);
    let folders = folders.map(|name| {
        let problem = "it is a folder; put its files beside it to have them read".to_owned();
        UnreadFile { name, problem }
    });
    let unreadable = lake.unreadable(Layer::Sources)?.into_iter();
    let unreadable =
        unreadable.map(|(name, problem)| UnreadFile { name, problem: problem.to_owned() });
    Ok(folders.chain(unreadable).filter(|file| !is_hidden(&file.name)).collect())
}

/// Looks at every file of the sources layer and decides which are read.
///
/// # Errors
/// As [`survey`] and [`Survey::decide`].
pub async fn read(lake: &Lake, options: &SourceOptions) -> Result<Sources, RefreshError> {
    let mut sources = survey(lake, options).await?.decide(lake, options)?;
    let (corrections, not_corrections) = corrections::find(lake).await?;
    sources.corrections = corrections;
    sources.unread.extend(not_corrections);
    Ok(sources)
}

impl Survey {
    /// Decides which files are read.
    ///
    /// # Errors
    /// [`RefreshError::NoSources`] when a required data set has no file, [`RefreshError::BadSources`] for
    /// files that cannot be read, [`RefreshError::UnknownSources`] for unknown ones where the settings say
    /// so, [`RefreshError::SalesOfSeveral`].
    pub fn decide(self, lake: &Lake, options: &SourceOptions) -> Result<Sources, RefreshError> {
        let Self { tables, mut unknown, bad, mut others, warnings } = self;
        if !bad.is_empty() {
            return Err(RefreshError::BadSources(FileProblems(bad)));
        }
        let mut sources = Sources { files: tables, warnings, ..Sources::default() };
        choose_sales(&mut sources, options)?;
        if !unknown.is_empty() && options.unknown == UnknownFiles::Stop {
            return Err(RefreshError::UnknownSources(FileProblems(unknown)));
        }
        unknown.append(&mut others);
        unknown.append(&mut sources.unread);
        let is_missing = |set: &&DataSet| {
            set.is_required() && !sources.files.iter().any(|file| file.data_set == **set)
        };
        if let Some(missing) = DataSet::ALL.iter().find(is_missing) {
            let (noun, place) = (missing.noun(), lake.place(Layer::Sources));
            return Err(RefreshError::NoSources { noun, place, unknown: FileProblems(unknown) });
        }
        sources.unread = unknown;
        Ok(sources)
    }
}

/// Leaves out the sales of other systems than the one whose sales count.
///
/// # Errors
/// [`RefreshError::SalesOfSeveral`] when the files hold sales of several and nothing says which count.
fn choose_sales(sources: &mut Sources, options: &SourceOptions) -> Result<(), RefreshError> {
    let profile_of = |file: &SourceFile| system_of_sales(file.verdict.as_ref()?).map(str::to_owned);
    if let Some(sales) = &options.sales {
        let is_other =
            |file: &SourceFile| profile_of(file).is_some_and(|profile| profile != *sales);
        let (others, files) = std::mem::take(&mut sources.files).into_iter().partition(is_other);
        sources.files = files;
        sources.unread.extend(others.into_iter().map(|SourceFile { name, .. }| UnreadFile {
            name,
            problem: format!("it holds sales, and sources.sales says that those of {sales} count"),
        }));
        return Ok(());
    }
    let mut examples: BTreeMap<String, String> = BTreeMap::new();
    for file in &sources.files {
        if let Some(profile) = profile_of(file) {
            examples.entry(profile).or_insert_with(|| file.name.clone());
        }
    }
    if examples.len() < 2 {
        return Ok(());
    }
    let listed = examples.iter().map(|(profile, file)| format!("{profile} ({file})"));
    let listed = listed.collect::<Vec<_>>().join(", ");
    let first = examples.into_keys().next().unwrap_or_default();
    Err(RefreshError::SalesOfSeveral { listed, first })
}

/// Looks at a file and hashes it, in one pass. `name` is its name in the sources layer.
async fn look(
    lake: &Lake,
    layer: Layer,
    path: &str,
    name: &str,
    options: &SourceOptions,
    expected: Option<DataSet>,
) -> Result<(Detected, (u64, String)), RefreshError> {
    let mut reader = lake.reader(layer, path, None);
    let (name, options) = (name.to_owned(), options.clone());
    let looked = spawn_blocking(move || {
        let detected = detect(&name, &mut reader, &options, expected)?;
        drain(&mut reader).map_err(|source| PipelineError::Unreadable { file: name, source })?;
        Ok::<_, RefreshError>((detected, reader.digest()))
    });
    looked.await.map_err(|error| match error {
        RefreshError::Lake(LakeError::Missing(path)) => RefreshError::Vanished(path),
        error => error,
    })
}

/// Reads to the end, for the hash of the whole.
fn drain(reader: &mut Reader) -> io::Result<()> {
    loop {
        let length = reader.fill_buf()?.len();
        if length == 0 {
            return Ok(());
        }
        reader.consume(length);
    }
}

/// Why a file is not read by whose bytes nothing more is known.
const NO_TABLE: &str =
    "its name does not end like that of a table (csv, tsv, txt, gz, xlsx, parquet)";

/// Why a file that has not the name of a table is not read.
async fn other_problem(lake: &Lake, name: &str) -> Result<String, RefreshError> {
    let mut reader = lake.reader(Layer::Sources, name, None);
    let file = name.to_owned();
    let looked = spawn_blocking(move || {
        let unreadable = |source| PipelineError::Unreadable { file, source };
        Ok::<_, RefreshError>(describe_other(&mut reader).map_err(unreadable)?)
    });
    match looked.await {
        Err(error) if error.is_transient() => Err(error),
        // It has not the name of a table, and nothing depends on it.
        looked => Ok(looked.ok().flatten().unwrap_or_else(|| NO_TABLE.to_owned())),
    }
}

/// Hashes these files of the sources layer.
///
/// # Errors
/// [`RefreshError::Vanished`], or when a file cannot be read.
pub async fn hashes(lake: &Lake, names: &[String]) -> Result<Vec<String>, RefreshError> {
    let mut hashes = Vec::with_capacity(names.len());
    for name in names {
        let Some((_, sha256)) = lake.digest(Layer::Sources, name).await? else {
            return Err(RefreshError::Vanished(lake.locate(Layer::Sources, name)));
        };
        hashes.push(sha256);
    }
    Ok(hashes)
}

/// Whether all of these files, with their hashes, are of the generated sample, byte for byte.
///
/// # Errors
/// When the layer cannot be read.
pub async fn are_sample<'a>(
    lake: &Lake,
    mut files: impl Iterator<Item = (&'a String, &'a String)>,
) -> Result<bool, RefreshError> {
    let truth = lake.get(Layer::Sources, sample::GROUND_TRUTH).await?;
    Ok(truth
        .is_some_and(|truth| files.all(|(name, sha256)| sample::is_sample(&truth, name, sha256))))
}

/// Adds verdicts to files of a generation that is older than verdicts, from bronze.
///
/// # Errors
/// When a file cannot be read.
pub async fn complete_verdicts(lake: &Lake, files: &mut [SourceFile]) -> Result<(), RefreshError> {
    let options = SourceOptions::default();
    for file in files.iter_mut().filter(|file| file.verdict.is_none()) {
        let expected = Some(file.data_set);
        let (detected, _) =
            look(lake, Layer::Bronze, &file.bronze, &file.name, &options, expected).await?;
        file.verdict = match detected {
            Detected::Table(verdict) => Some(*verdict),
            Detected::Unknown(problem) => {
                let file = file.name.clone();
                return Err(PipelineError::BadSource { file, problem }.into());
            }
        };
    }
    Ok(())
}

/// A file of the sources layer and its place in bronze.
#[derive(Debug, Clone, Copy)]
pub struct Arrived<'a> {
    /// Its name in the sources layer.
    pub name: &'a str,
    size_bytes: u64,
    sha256: &'a str,
    bronze: &'a str,
}

impl<'a> From<&'a SourceFile> for Arrived<'a> {
    fn from(file: &'a SourceFile) -> Self {
        let SourceFile { name, size_bytes, sha256, bronze, .. } = file;
        Self { name, size_bytes: *size_bytes, sha256, bronze }
    }
}

impl<'a> From<&'a CorrectionFile> for Arrived<'a> {
    fn from(file: &'a CorrectionFile) -> Self {
        let CorrectionFile { name, size_bytes, sha256, bronze } = file;
        Self { name, size_bytes: *size_bytes, sha256, bronze }
    }
}

/// Stores a source in bronze under its content's name; with `overwrite` also if it is there
/// already. Returns whether it was written.
///
/// # Errors
/// When the source has changed since it was hashed, or bronze cannot be written.
pub async fn store(lake: &Lake, file: Arrived<'_>, overwrite: bool) -> Result<bool, RefreshError> {
    let Arrived { name, size_bytes, sha256, bronze } = file;
    let stored = lake.head(Layer::Bronze, bronze).await?;
    if !overwrite && stored.is_some_and(|stored| stored.size_bytes == size_bytes) {
        return Ok(false);
    }
    let mut bytes = lake.reader(Layer::Sources, name, Some(sha256));
    let copy = move |to: &mut PartWriter| std::io::copy(&mut bytes, to).map(|_| ());
    lake.write(Layer::Bronze, bronze, copy).await?;
    Ok(true)
}

/// Opens the files of each data set, as they lie in sources or bronze, to be read once.
///
/// # Panics
/// Outside a tokio runtime.
#[must_use]
pub fn texts(
    lake: &Lake,
    layer: Layer,
    files: &[SourceFile],
    corrections: &Loaded,
) -> PerDataSet<Vec<SourceText<'static>>> {
    PerDataSet::from_fn(|set| {
        let is_read = |file: &&SourceFile| {
            file.verdict.as_ref().is_some_and(|verdict| is_read_for(set, verdict))
        };
        let of_set = files.iter().filter(is_read);
        of_set.filter_map(|file| text(lake, layer, file, corrections.of(file))).collect()
    })
}

/// Opens a file, as it lies in sources or bronze, to be read once; `None` for one of a generation that is older than verdicts.
///
/// # Panics
/// Outside a tokio runtime.
#[must_use]
pub fn text(
    lake: &Lake,
    layer: Layer,
    file: &SourceFile,
    corrections: Corrections,
) -> Option<SourceText<'static>> {
    let verdict = file.verdict.clone()?;
    let path = if layer == Layer::Sources { &file.name } else { &file.bronze };
    let bytes = lake.reader(layer, path, Some(&file.sha256));
    let text = SourceText::new(file.name.as_str(), verdict, Box::new(bytes));
    Some(SourceText { corrections, ..text })
}
