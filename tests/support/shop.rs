//! A shop in a directory of its own, and the binary run on it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use goldsmith::sample::{self, Spec};
use goldsmith::settings::{self, Settings};
use serde_json::Value;

use super::mongo::TestDb;

/// A data directory with sources, removed at the end of the test. `published.rs` has shops that
/// are published already.
pub struct Shop {
    dir: tempfile::TempDir,
    /// Settings of every run and application on it.
    variables: Vec<(String, String)>,
}

impl Shop {
    /// Without sources.
    pub fn empty() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    /// The same shop, serving from a MongoDB.
    pub fn serving_from(mut self, db: &TestDb) -> Self {
        self.variables.extend(db.variables());
        self
    }

    /// With these source files.
    pub fn with(files: &[(&str, &str)]) -> Self {
        let shop = Self::empty();
        for (name, content) in files {
            shop.put(name, content.as_bytes());
        }
        shop
    }

    /// With a generated sample.
    pub fn sample(spec: Spec) -> Self {
        let shop = Self::empty();
        for (name, bytes) in sample::generate(spec).unwrap() {
            shop.put(name, &bytes);
        }
        shop
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A path in its data directory.
    pub fn data(&self, path: &str) -> PathBuf {
        self.path().join("data").join(path)
    }

    /// Writes a source file.
    pub fn put(&self, name: &str, content: &[u8]) {
        std::fs::create_dir_all(self.data("sources")).unwrap();
        std::fs::write(self.data("sources").join(name), content).unwrap();
    }

    /// Removes every source file.
    pub fn clear_sources(&self) {
        std::fs::remove_dir_all(self.data("sources")).unwrap();
    }

    /// The same shop with these settings from the environment.
    pub fn with_settings(mut self, variables: &[(&str, &str)]) -> Self {
        self.variables.extend(
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        self
    }

    /// The binary in this directory, with nothing but these variables in its environment.
    pub fn command(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_goldsmith"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("HTTP_ADDR", "127.0.0.1:0")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .envs(variables.iter().copied());
        command
    }

    /// Starts the binary; [`Ran::at_end_of`] waits for its end.
    pub fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments, &[]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs the binary to its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, &[])
    }

    /// Runs the binary to its end with settings from the environment.
    pub fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
        Ran::of(self.command(arguments, variables).output().unwrap())
    }

    /// The settings the binary would use here.
    pub fn settings(&self, variables: &[(&str, &str)]) -> Settings {
        let data = self.path().join("data");
        let mut pairs = vec![
            ("HTTP_ADDR".to_owned(), "127.0.0.1:0".to_owned()),
            ("LAKE_URL".to_owned(), data.join("{layer}").display().to_string()),
            ("SQLITE_PATH".to_owned(), data.join("serving.db").display().to_string()),
            ("HTTP__WORKERS".to_owned(), "2".to_owned()),
        ];
        pairs.extend(self.variables.iter().cloned());
        pairs.extend(
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        settings::load_from(None, Vec::new(), pairs).unwrap().settings
    }

    /// Names of the entries of a folder of its data, sorted; hidden ones left out.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.data(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.starts_with('.'))
            .collect();
        names.sort();
        names
    }

    /// The folder of its data that a run wrote a generation to, as `gold/gen-000001/run-000001`.
    pub fn made(&self, layer: &str, generation: u64) -> String {
        let folder = format!("{layer}/gen-{generation:06}");
        let runs = self.names(&folder).into_iter().filter(|name| name.starts_with("run-"));
        let runs: Vec<String> = runs.collect();
        assert_eq!(runs.len(), 1, "{runs:?} in {folder}");
        format!("{folder}/{}", runs[0])
    }

    /// The physical names of the tables of these generations.
    pub fn physical_names(&self, generations: &[u64]) -> BTreeSet<String> {
        let manifests = generations
            .iter()
            .map(|number| self.json(&format!("gold/gen-{number:06}/manifest.json")));
        let tables = manifests.flat_map(|manifest| manifest["tables"].as_array().unwrap().clone());
        let name_of = |table: Value| {
            let hash = &table["content_hash"].as_str().unwrap()[..16];
            format!("{}_{hash}_revision", table["name"].as_str().unwrap())
        };
        tables.map(name_of).collect()
    }

    /// A JSON file of its data.
    pub fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.data(path)).unwrap()).unwrap()
    }

    /// A connection to its serving store.
    pub fn sqlite(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.data("serving.db")).unwrap()
    }
}

/// How the binary ended, and its output.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Waits for a run that was started.
    pub fn at_end_of(child: Child) -> Self {
        Self::of(child.wait_with_output().unwrap())
    }

    /// Asserts that it succeeded.
    #[track_caller]
    pub fn good(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    /// Asserts that it failed with a code and one error line that contains all of these.
    #[track_caller]
    pub fn refused(self, code: i32, parts: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        let errors: Vec<&str> =
            self.err.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{self:#?}");
        for part in parts {
            assert!(errors[0].contains(part), "{part:?} is not in {:?}", errors[0]);
        }
        self
    }
}
