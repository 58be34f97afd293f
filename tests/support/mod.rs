//! What tests share: shops, servers and clients. Nothing here outlives the test process.

pub mod cdnow;
mod dump;
mod http;
pub mod mongo;
pub mod proxy;
mod published;
pub mod readers;
pub mod s3;
mod server;
mod shop;
pub mod task;
pub mod wait;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use goldsmith::sample::Spec;

pub use self::dump::Dump;
pub use self::http::{Http, Reply};
pub use self::server::{Running, TestApp};
pub use self::shop::{Ran, Shop};

/// A small sample that every kind of test can afford; models learn from it.
pub const SMALL: Spec = Spec { customers: 120, purchases: 1_500, seed: 3, dirty: 0.0 };
/// A smaller one, with fewer customers than models learn from (`models.min_customers`).
pub const TINY: Spec = Spec { customers: 40, purchases: 300, seed: 0, dirty: 0.0 };

/// How many orders and how many rows of `achats.csv` a clean sample has.
pub fn orders_and_rows(spec: Spec) -> (u64, u64) {
    let files = goldsmith::sample::generate(spec).unwrap();
    let truth: serde_json::Value = serde_json::from_slice(&files[0].1).unwrap();
    let number = |name: &str| truth["totals"][name].as_u64().unwrap();
    (number("orders"), number("sale_lines") + number("refund_lines"))
}

/// A documented path with values in place of its parameters.
pub fn concrete(path: &str, id: &str) -> String {
    path.replace("{id}", id)
        .replace("{model}", "churn")
        .replace("{run}", "1")
        .replace("{generation}", "1")
        .replace("{other}", "1")
}

/// Whether a documented path answers from tables, neither about the service nor as a stream.
pub fn answers_from_tables(path: &str) -> bool {
    !["/health", "/metrics", "/admin/", "/events"].iter().any(|other| path.starts_with(other))
}

/// The files of a shop of real size, from a folder beside the repository. Where that is absent, the
/// run reports it.
pub fn reference_folder() -> Option<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = manifest.join("../shared/data/electromenager");
    if !folder.is_dir() {
        report_left_out(&format!("the reference data are not there ({})", folder.display()));
        return None;
    }
    Some(folder)
}

/// Reports what the current test did not test, past the output capture of the test harness.
pub fn report_left_out(what: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let mut stderr = std::io::stderr();
    writeln!(stderr, "left out: {test}: {what}").unwrap();
}
