//! The paths of objects within their layer. No other file builds one.

use crate::domain::data_set::DataSet;

/// The folder of a generation: `gen-000007`.
#[must_use]
pub fn generation(number: u64) -> String {
    format!("gen-{number:06}")
}

/// The number of a generation's folder; `None` for any other folder.
#[must_use]
pub fn generation_number(folder: &str) -> Option<u64> {
    /// More than a run a second for 30 000 years; keeps arithmetic on numbers far from its limits.
    const LIMIT: u64 = 1_000_000_000_000;
    folder.strip_prefix("gen-")?.parse().ok().filter(|number| *number < LIMIT)
}

/// A source file in bronze, by its content: `clients/<sha256>.csv`.
#[must_use]
pub fn bronze(set: DataSet, sha256: &str) -> String {
    format!("{set}/{sha256}.csv")
}

/// The folder of corrected rows in sources and bronze.
pub const CORRECTIONS: &str = "corrections";

/// A file of corrected rows in bronze, by its content.
#[must_use]
pub fn bronze_corrections(sha256: &str) -> String {
    format!("{CORRECTIONS}/{sha256}.csv")
}

/// Whether a path in bronze is one that [`bronze`] or [`bronze_corrections`] gives.
#[must_use]
pub fn is_bronze(path: &str) -> bool {
    let folders = DataSet::ALL.iter().map(|set| set.name()).chain([CORRECTIONS]);
    let name = folders
        .into_iter()
        .find_map(|folder| path.strip_prefix(folder)?.strip_prefix('/')?.strip_suffix(".csv"));
    name.is_some_and(|name| name.len() == 64 && name.bytes().all(|c| c.is_ascii_hexdigit()))
}

/// Whether a path in bronze, silver or gold is one that runs write.
#[must_use]
pub fn is_managed(path: &str) -> bool {
    let folder = path.split('/').next().unwrap_or_default();
    is_bronze(path)
        || is_probe(path)
        || path == OWNER
        || (folder != path && generation_number(folder).is_some())
}

/// Names the serving store that the lake belongs to, in gold.
pub const OWNER: &str = "owner.json";

const PROBE: &str = ".probe-";

/// The object that conditional writes are probed with, in gold.
#[must_use]
pub fn probe(nonce: u64) -> String {
    format!("{PROBE}{nonce:016x}")
}

/// Whether a name in gold is one that [`probe`] gives.
#[must_use]
pub fn is_probe(name: &str) -> bool {
    name.strip_prefix(PROBE)
        .is_some_and(|nonce| nonce.len() == 16 && nonce.bytes().all(|c| c.is_ascii_hexdigit()))
}

/// The manifest of a generation, in gold: its commit point.
#[must_use]
pub fn manifest(number: u64) -> String {
    format!("{}/manifest.json", generation(number))
}

/// The folder in silver and gold that a run writes a generation to. No other run writes there, so that no
/// object is ever written by two runs: a run that has lost its lease without noticing does no harm.
#[derive(Debug, Clone, Copy)]
pub struct Folder {
    /// The generation that the run makes.
    pub generation: u64,
    /// The number of the run.
    pub run: u64,
    /// Random, in case another process gives the same number to a run.
    pub nonce: u32,
}

impl Folder {
    fn file(self, name: &str) -> String {
        let Self { generation: number, run, nonce } = self;
        format!("{}/run-{run:06}-{nonce:08x}/{name}", generation(number))
    }

    /// A gold table.
    #[must_use]
    pub fn gold_table(self, table: &str) -> String {
        self.file(&format!("{table}.parquet"))
    }

    /// The models, in gold.
    #[must_use]
    pub fn models(self) -> String {
        self.file("models.json")
    }

    /// The valid rows of a data set, in silver; of one month (`YYYY-MM`) where it is stored by month.
    #[must_use]
    pub fn silver(self, set: DataSet, month: Option<&str>) -> String {
        match month {
            Some(month) => self.file(&format!("{set}/mois={month}/part-0.parquet")),
            None => self.file(&format!("{set}.parquet")),
        }
    }

    /// The folder of rejected rows, in silver.
    #[must_use]
    pub fn rejects_folder(self) -> String {
        self.file("rejects")
    }

    /// The rejected rows of a data set, in silver.
    #[must_use]
    pub fn rejects(self, set: DataSet) -> String {
        format!("{}/{set}.parquet", self.rejects_folder())
    }

    /// The rejected rows of the source file with this SHA-256 as CSV, in silver.
    #[must_use]
    pub fn rejects_csv(self, set: DataSet, sha256: &str) -> String {
        /// Enough to tell the files of a run apart.
        const CHARS: usize = 16;
        let name = sha256.get(..CHARS).unwrap_or(sha256);
        format!("{}/{set}-{name}.csv", self.rejects_folder())
    }

    /// The rejected rows of a source file as another run wrote them, in silver.
    #[must_use]
    pub fn copied_rejects(self, set: DataSet, number: usize) -> String {
        format!("{}/{set}-{number}.csv", self.rejects_folder())
    }

    /// What corrections replaced, in silver.
    #[must_use]
    pub fn changes(self) -> String {
        self.file("corrections.csv")
    }

    /// The quality report, in silver.
    #[must_use]
    pub fn quality_report(self) -> String {
        self.file("quality_report.json")
    }
}
