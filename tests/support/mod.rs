//! A shop in a directory of its own, the binary run on it, and the application serving it.

pub mod cdnow;
pub mod mongo;
pub mod proxy;
pub mod s3;
pub mod task;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use goldsmith::sample::{self, Spec};
use goldsmith::settings::{self, Settings};
use goldsmith::startup::{Application, open_store};
use secrecy::ExposeSecret;
use serde_json::Value;

use self::mongo::TestDb;

/// A small sample that every kind of test can afford.
pub const SMALL: Spec = Spec { customers: 120, purchases: 1_500, seed: 3, dirty: 0.0 };
/// A smaller one, with fewer customers than models learn from (`models.min_customers`).
pub const TINY: Spec = Spec { customers: 40, purchases: 300, seed: 0, dirty: 0.0 };

/// A documented path with values in place of its parameters.
pub fn concrete(path: &str, id: &str) -> String {
    path.replace("{id}", id)
        .replace("{model}", "churn")
        .replace("{run}", "1")
        .replace("{generation}", "1")
        .replace("{other}", "1")
}

/// Whether a documented path answers from tables: not about the service, not as a stream.
pub fn answers_from_tables(path: &str) -> bool {
    !["/health", "/metrics", "/admin/", "/events"].iter().any(|other| path.starts_with(other))
}

/// A data directory with sources, gone at the end of the test.
pub struct Shop {
    dir: tempfile::TempDir,
    /// Settings of every run and application on it.
    variables: Vec<(String, String)>,
}

impl Shop {
    /// Without any source.
    pub fn empty() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    /// The same shop, serving from a MongoDB.
    pub fn serving_from(mut self, db: &TestDb) -> Self {
        self.variables.extend(db.variables());
        self
    }

    /// With these sources.
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

    /// With a generated sample that has been published.
    pub fn published(spec: Spec) -> Self {
        let shop = Self::sample(spec);
        shop.run(&["refresh"]).good();
        shop
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A path within its data.
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

    /// Starts the binary; its end is waited for with [`Ran::at_end_of`].
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

    /// The folder of its data that a run put a generation into, as `gold/gen-000001/run-000001`.
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

/// How the binary ended and what it said.
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

    /// Insists that it ended well.
    #[track_caller]
    pub fn good(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    /// Insists that it failed with a code and one sentence that says all of these.
    #[track_caller]
    pub fn refused(self, code: i32, said: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        let sentences: Vec<&str> =
            self.err.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(sentences.len(), 1, "{self:#?}");
        for part in said {
            assert!(sentences[0].contains(part), "{part:?} is not in {:?}", sentences[0]);
        }
        self
    }
}

/// The real application on a free port, stopped at the end of the test.
pub struct TestApp {
    http: Http,
    admin_token: String,
    handle: actix_web::dev::ServerHandle,
    thread: Option<JoinHandle<()>>,
}

/// Tells readers to stop when it is dropped, also by a failed assertion: they would go on for ever.
pub struct Stop<'a>(pub &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub text: String,
}

impl Reply {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A client of one server.
pub struct Http {
    url: String,
    agent: ureq::Agent,
}

impl Http {
    fn to(url: String) -> Self {
        let config =
            ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).build();
        Self { url, agent: config.into() }
    }

    /// Its address, for other clients.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// GET.
    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.get_as(path, None)
    }

    /// GET with a bearer token.
    #[track_caller]
    pub fn get_as(&self, path: &str, token: Option<&str>) -> Reply {
        self.send_as("GET", path, token)
    }

    /// Any method without a body.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str) -> Reply {
        self.send_as(method, path, None)
    }

    /// Any method without a body, with a bearer token.
    #[track_caller]
    pub fn send_as(&self, method: &str, path: &str, token: Option<&str>) -> Reply {
        let mut request =
            ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        reply(self.agent.run(request.body(()).unwrap()).unwrap())
    }

    /// Any method with headers and a body, with a bearer token.
    #[track_caller]
    pub fn ask(
        &self,
        method: &str,
        path: &str,
        token: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("Authorization", format!("Bearer {token}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        reply(self.agent.run(request.body(body.to_owned()).unwrap()).unwrap())
    }

    /// Sends a request to somebody who may not live to answer.
    pub fn try_send(&self, method: &str, path: &str, token: &str) {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("Authorization", format!("Bearer {token}"));
        drop(self.agent.run(request.body(()).unwrap()));
    }

    /// The body of a GET as it comes; `heard` is the last event that was heard.
    pub fn stream(
        &self,
        path: &str,
        token: Option<&str>,
        heard: Option<&str>,
    ) -> impl Read + Send + 'static {
        let mut request = ureq::http::Request::builder().uri(format!("{}{path}", self.url));
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        if let Some(heard) = heard {
            request = request.header("Last-Event-ID", heard);
        }
        let response = self.agent.run(request.body(()).unwrap()).unwrap();
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        response.into_body().into_reader()
    }

    /// The `data` of a good answer.
    #[track_caller]
    pub fn data(&self, path: &str) -> Value {
        let reply = self.get(path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        reply.json()["data"].take()
    }
}

impl TestApp {
    /// Serves what the shop has published.
    pub fn spawn(shop: &Shop) -> Self {
        Self::spawn_with(shop, &[])
    }

    /// Serves with settings from the environment.
    pub fn spawn_with(shop: &Shop, variables: &[(&str, &str)]) -> Self {
        let settings = shop.settings(variables);
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let store = open_store(&settings).unwrap();
                let application = Application::build(&settings, store).unwrap();
                let token = application.admin_token().token.expose_secret().to_owned();
                sender.send((application.addr(), application.handle(), token)).unwrap();
                application.run().await.unwrap();
            });
        });
        let (addr, handle, admin_token) = receiver.recv().unwrap();
        let http = Http::to(format!("http://{addr}"));
        Self { http, admin_token, handle, thread: Some(thread) }
    }

    /// Any method with headers and a body, as an administrator.
    #[track_caller]
    pub fn admin_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        self.http.ask(method, path, &self.admin_token, headers, body)
    }

    /// The token of administrators.
    pub fn admin_token(&self) -> &str {
        &self.admin_token
    }

    /// Any method, as an administrator.
    #[track_caller]
    pub fn admin(&self, method: &str, path: &str) -> Reply {
        self.http.send_as(method, path, Some(&self.admin_token))
    }
}

impl std::ops::Deref for TestApp {
    type Target = Http;

    fn deref(&self) -> &Http {
        &self.http
    }
}

/// A running `goldsmith`, its address read from its own first lines.
pub struct Running {
    child: std::process::Child,
    /// What it said on standard output until it served.
    pub said: String,
    /// A client of it.
    pub http: Http,
}

impl Running {
    /// Starts a command that serves and waits until it does.
    pub fn start(shop: &Shop, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::serving(shop.command(arguments, variables))
    }

    /// Starts `serve` with file systems of its own, which these shell commands mount.
    pub fn start_in_own_mounts(shop: &Shop, mount: &str, token: &str) -> Self {
        let path = std::env::var_os("PATH").unwrap();
        let script = format!("{mount} && exec {} serve", env!("CARGO_BIN_EXE_goldsmith"));
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--map-root-user", "sh", "-c", &script])
            .current_dir(shop.path())
            .env_clear()
            .env("PATH", path)
            .env("HTTP_ADDR", "127.0.0.1:0")
            .env("ADMIN_TOKEN", token);
        Self::serving(command)
    }

    fn serving(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while said.matches("  curl ").count() < 3 {
            let Some(line) = lines.next() else {
                let ran = Ran::of(child.wait_with_output().unwrap());
                panic!("it ended: {said} {ran:?}");
            };
            said.push_str(&(line.unwrap() + "\n"));
        }
        let url = said.split("serving on ").nth(1).unwrap().split(',').next().unwrap().to_owned();
        Self { child, said, http: Http::to(url) }
    }

    /// Waits until it has ended by itself.
    pub fn wait_for_its_end(mut self) {
        let ends = std::time::Instant::now() + Duration::from_mins(1);
        while self.child.try_wait().unwrap().is_none() {
            assert!(std::time::Instant::now() < ends, "it did not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGTERM; how it ended and what it said on standard error. One that does not end is killed
    /// after a minute and fails the test, which otherwise would wait for ever.
    pub fn stop(mut self) -> (Option<i32>, String) {
        self.signal("TERM");
        let (pid, mut stderr) = (self.child.id(), self.child.stderr.take().unwrap());
        let (ended, has_ended) = mpsc::channel::<()>();
        let guard = std::thread::spawn(move || {
            let is_stuck = has_ended.recv_timeout(Duration::from_mins(1))
                == Err(mpsc::RecvTimeoutError::Timeout);
            if is_stuck {
                let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
            }
            is_stuck
        });
        let mut err = String::new();
        stderr.read_to_string(&mut err).unwrap();
        let code = self.child.wait().unwrap().code();
        drop(ended);
        assert!(!guard.join().unwrap(), "SIGTERM did not end it within a minute: {err}");
        (code, err)
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }
}

impl Drop for Running {
    /// One that a failed test leaves behind.
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn reply(mut response: ureq::http::Response<ureq::Body>) -> Reply {
    Reply {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        text: response.body_mut().read_to_string().unwrap(),
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        // Ordered from here, carried out by the server's own thread.
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the application panicked");
        }
    }
}
