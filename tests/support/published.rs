//! Published shops, made once per test process and copied.
//!
//! Most tests need a shop with a published generation and do not care how it was published.
//! `Shop::published(SMALL)` is such a shop with SQLite, `Shop::published_to(SMALL, &db)` one with a
//! MongoDB: the first test to ask for a sample runs `goldsmith refresh` on it, every test gets its
//! own copy. Take [`super::TINY`] where models do not matter, and `Shop::sample` followed by
//! `run(&["refresh"])` where the refresh itself is tested.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use goldsmith::sample::Spec;

use super::dump::Dump;
use super::mongo::TestDb;
use super::shop::Shop;

/// Waits for the end of the test process, however that ends, and removes a directory.
const WATCHDOG: &str = r#"cat >/dev/null; rm -rf "$1""#;

/// One template per sample, made by the test that asks first; others that want it wait for that.
struct Templates<T>(OnceLock<Mutex<HashMap<String, Arc<OnceLock<T>>>>>);

impl<T> Templates<T> {
    const fn new() -> Self {
        Self(OnceLock::new())
    }

    fn get(&self, name: &str) -> Arc<OnceLock<T>> {
        let templates = self.0.get_or_init(Mutex::default);
        // A test that failed to make a template leaves the map as it should be.
        let mut templates = templates.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(templates.entry(name.to_owned()).or_default())
    }
}

/// The directory that templates live in, and the process that removes it.
fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<(PathBuf, Child)> = OnceLock::new();
    let (dir, _) = DIRECTORY.get_or_init(|| {
        let name = format!("shops-{}", std::process::id());
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&dir).unwrap();
        let mut watchdog = Command::new("sh");
        watchdog.args(["-c", WATCHDOG, "watchdog"]).arg(&dir).stdin(Stdio::piped());
        (dir, watchdog.spawn().unwrap())
    });
    dir
}

/// Copies a directory's content with times and modes.
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().unwrap();
    assert!(copied.success(), "cannot copy {}", from.display());
}

impl Shop {
    /// With a generated sample that has been published.
    pub fn published(spec: Spec) -> Self {
        Self::published_once(&format!("{spec:?}"), || Self::sample(spec))
    }

    /// With the sources in a folder, published.
    pub fn published_from(folder: &Path) -> Self {
        Self::published_once(&folder.display().to_string(), || {
            let shop = Self::empty();
            for name in ["clients.csv", "achats.csv"] {
                shop.put(name, &std::fs::read(folder.join(name)).unwrap());
            }
            shop
        })
    }

    fn published_once(name: &str, shop: impl FnOnce() -> Self) -> Self {
        static TEMPLATES: Templates<PathBuf> = Templates::new();
        let template = TEMPLATES.get(name);
        let template = template.get_or_init(|| {
            let shop = shop();
            shop.run(&["refresh"]).good();
            let dir = tempfile::tempdir_in(directory()).unwrap().keep();
            copy(shop.path(), &dir);
            dir
        });
        let shop = Self::empty();
        copy(template, shop.path());
        shop
    }

    /// With a generated sample that has been published to a MongoDB. The databases must not exist.
    pub fn published_to(spec: Spec, db: &TestDb) -> Self {
        static TEMPLATES: Templates<(PathBuf, Dump)> = Templates::new();
        let template = TEMPLATES.get(&format!("{spec:?}"));
        let (template, dump) = template.get_or_init(|| {
            let db = TestDb::new();
            let shop = Self::sample(spec).serving_from(&db);
            shop.run(&["refresh"]).good();
            let dir = tempfile::tempdir_in(directory()).unwrap().keep();
            copy(shop.path(), &dir);
            (dir, Dump::of(&db))
        });
        dump.restore(db);
        let shop = Self::empty().serving_from(db);
        copy(template, shop.path());
        shop
    }
}
