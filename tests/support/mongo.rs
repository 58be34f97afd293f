//! Real MongoDB servers: one replica set of one member for the whole run, others as tests need
//! them, a database of its own for each test. Nothing of them outlives the test process.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use goldsmith::store::mongo::MongoOptions;
use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::ClientOptions;

/// How long a server may take to start or to elect a primary.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// The cache of a test's server.
const SMALL_CACHE: [&str; 2] = ["--wiredTigerCacheSizeGB", "0.25"];
/// The free memory, in bytes, that makes servers keep their files there.
const STORAGE_BYTES: u64 = 8 << 30;
/// Starts a server and ends it when standard input closes, which it does with the test process
/// however that ends; then removes its directory unless it is to be started again.
const WATCHDOG: &str = r#"
dir=$1; shift
"$@" >/dev/null 2>&1 &
pid=$!
echo $pid
cat >/dev/null
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
[ -e "$dir/keep" ] || rm -rf "$dir"
"#;

/// The runtime on which helpers talk to servers.
pub fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    })
}

/// Waits for a future from a test that is not asynchronous.
pub fn wait<F: Future + Send>(future: F) -> F::Output
where
    F::Output: Send,
{
    std::thread::scope(|scope| scope.spawn(|| runtime().block_on(future)).join().unwrap())
}

/// The server program: on PATH, or fetched into the target directory once.
fn mongod() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let runs = |program: &Path| {
            let version = Command::new(program).arg("--version").output();
            version.is_ok_and(|output| output.status.success())
        };
        if runs(Path::new("mongod")) {
            return "mongod".into();
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mongod");
        let installed = Command::new(root.join("scripts/install-mongod.sh")).arg(&place).output();
        let installed = installed.unwrap();
        let program = place.join("bin/mongod");
        assert!(
            installed.status.success() && runs(&program),
            "these tests need a MongoDB server: install mongod so that it is on PATH; \
             scripts/install-mongod.sh could not fetch one: {}",
            String::from_utf8_lossy(&installed.stderr)
        );
        program
    })
}

/// Where servers keep their files: in memory if there is room, else in the target directory.
fn storage() -> &'static Path {
    static STORAGE: OnceLock<&Path> = OnceLock::new();
    STORAGE.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let free = Command::new("df").args(["-B1", "--output=avail"]).arg(memory).output();
        let free = free.ok().and_then(|df| String::from_utf8(df.stdout).ok());
        let free = free.and_then(|table| table.lines().nth(1)?.trim().parse::<u64>().ok());
        let is_writable = tempfile::tempfile_in(memory).is_ok();
        if is_writable && free.is_some_and(|free| free >= STORAGE_BYTES) {
            memory
        } else {
            Path::new(env!("CARGO_TARGET_TMPDIR"))
        }
    })
}

/// A server process that a test owns.
#[derive(Debug)]
pub struct Server {
    dir: PathBuf,
    port: u16,
    arguments: Vec<String>,
    watchdog: Option<Child>,
    pid: u32,
}

impl Server {
    /// A server without a replica set: no transactions, no change streams.
    pub fn standalone() -> Self {
        let server = Self::start(&SMALL_CACHE);
        server.until(|hello| hello.get_bool("isWritablePrimary").unwrap_or(false));
        server
    }

    /// A replica set of one member.
    pub fn replica_set() -> Self {
        Self::replica_set_with(&SMALL_CACHE)
    }

    /// The same with more arguments.
    pub fn replica_set_with(arguments: &[&str]) -> Self {
        let server = Self::start(&[&["--replSet", "rs", "--oplogSize", "64"], arguments].concat());
        server.initiate(&[&server]);
        server
    }

    /// A server with these arguments that answers and is not yet set up.
    pub fn start(arguments: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = storage().join(format!("goldsmith-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        // Free at this moment; another process may take it before the server does.
        let port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let mut server = Self { dir, port: port(), arguments, watchdog: None, pid: 0 };
        for _ in 0..5 {
            server.run();
            if server.answers() {
                return server;
            }
            server.kill();
            server.port = port();
        }
        panic!("{} does not start", mongod().display());
    }

    fn run(&mut self) {
        let _ = std::fs::remove_file(self.dir.join("keep"));
        let port = self.port.to_string();
        let mut watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(&self.dir)
            .arg(mongod())
            .arg("--dbpath")
            .arg(&self.dir)
            .args(["--port", &port, "--bind_ip", "127.0.0.1"])
            .arg("--unixSocketPrefix")
            .arg(&self.dir)
            .args(["--setParameter", "diagnosticDataCollectionEnabled=false"])
            .args(["--setParameter", "enableTestCommands=1", "--logpath"])
            .arg(self.dir.join("log"))
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(watchdog.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.pid = line.trim().parse().unwrap();
        self.watchdog = Some(watchdog);
    }

    /// Whether it accepts connections in time and before it ends.
    fn answers(&self) -> bool {
        let started = Instant::now();
        while started.elapsed() < START_TIMEOUT {
            if std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            if !Path::new(&format!("/proc/{}", self.pid)).exists() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// `kill -9`; its files stay.
    pub fn kill(&mut self) {
        std::fs::write(self.dir.join("keep"), "").unwrap();
        if let Some(mut watchdog) = self.watchdog.take() {
            drop(watchdog.stdin.take());
            watchdog.wait().unwrap();
        }
    }

    /// Starts a killed server again, on the same port and files.
    pub fn start_again(&mut self) {
        self.run();
        assert!(self.answers(), "the server does not start again");
    }

    /// Sends a signal by name: `STOP` and `CONT` make it hang for a while.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid.to_string()).status();
        assert!(sent.unwrap().success());
    }

    /// `host:port`
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The connection string of this server alone, also within a set.
    pub fn direct_uri(&self) -> String {
        format!("mongodb://{}/?directConnection=true", self.host())
    }

    pub fn uri(&self) -> String {
        format!("mongodb://{}/", self.host())
    }

    /// Makes a set of these servers, of which this is the first, and waits for a primary.
    pub fn initiate(&self, members: &[&Server]) {
        // The first one wins the first election.
        let priority = |id: i32| doc! { "priority": if id == 0 { 2 } else { 1 } };
        self.initiate_with(members, priority);
    }

    /// The same with settings of each member.
    pub fn initiate_with(&self, members: &[&Server], settings: impl Fn(i32) -> Document) {
        let list: Vec<Document> = members
            .iter()
            .zip(0_i32..)
            .map(|(member, id)| {
                let mut listed = doc! { "_id": id, "host": member.host() };
                listed.extend(settings(id));
                listed
            })
            .collect();
        let settings = doc! { "electionTimeoutMillis": 2_000 };
        let set = doc! { "_id": "rs", "members": list, "settings": settings };
        wait(async {
            let client = Client::with_uri_str(self.direct_uri()).await.unwrap();
            let admin = client.database("admin");
            admin.run_command(doc! { "replSetInitiate": set }).await.unwrap();
        });
        self.until(|hello| hello.get_bool("isWritablePrimary").unwrap_or(false));
    }

    /// Waits until the server's `hello` meets a condition.
    pub fn until(&self, meets: impl Fn(&Document) -> bool + Sync) {
        wait(async {
            let client = Client::with_uri_str(self.direct_uri()).await.unwrap();
            let started = Instant::now();
            loop {
                let hello = client.database("admin").run_command(doc! { "hello": 1 }).await;
                if hello.as_ref().is_ok_and(&meets) {
                    return;
                }
                assert!(started.elapsed() < START_TIMEOUT, "not in time: {hello:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }

    /// Makes commands fail, by the server's own fail point.
    pub fn fail(&self, times: i32, data: Document) {
        self.configure(doc! { "mode": { "times": times }, "data": data });
    }

    /// Ends that. Returns how often commands failed.
    pub fn failed(&self) -> i64 {
        let count = self.configure(doc! { "mode": "off" }).get("count").cloned();
        count
            .map_or(0, |count| count.as_i64().unwrap_or_else(|| i64::from(count.as_i32().unwrap())))
    }

    fn configure(&self, settings: Document) -> Document {
        let mut command = doc! { "configureFailPoint": "failCommand" };
        command.extend(settings);
        wait(async {
            let client = Client::with_uri_str(self.direct_uri()).await.unwrap();
            client.database("admin").run_command(command).await.unwrap()
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.dir.join("keep"));
        if let Some(mut watchdog) = self.watchdog.take() {
            drop(watchdog.stdin.take());
            let _ = watchdog.wait();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A replica set of three members with authentication; its user `root` may do everything.
#[derive(Debug)]
pub struct Cluster {
    members: Vec<Server>,
}

impl Cluster {
    /// Started, with a primary.
    pub fn with_authentication() -> Self {
        static KEY: OnceLock<PathBuf> = OnceLock::new();
        let key = KEY.get_or_init(|| {
            let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
            let mut file = tempfile::NamedTempFile::new_in(dir).unwrap();
            file.write_all(b"b25seSBmb3IgdGVzdHM=").unwrap();
            // Readable by its owner alone: the server insists on that.
            let key = dir.join("cluster-key");
            file.persist(&key).unwrap();
            key
        });
        let key = key.to_str().unwrap();
        let arguments = ["--replSet", "rs", "--oplogSize", "64", "--keyFile", key];
        let arguments = [&SMALL_CACHE[..], &arguments].concat();
        let members: Vec<Server> = (0..3).map(|_| Server::start(&arguments)).collect();
        members[0].initiate(&members.iter().collect::<Vec<_>>());
        let cluster = Self { members };
        wait(async {
            // The first user may be created from this machine without authentication.
            let client = Client::with_uri_str(cluster.members[0].direct_uri()).await.unwrap();
            let root = doc! {
                "createUser": "root", "pwd": "root", "roles": ["root"],
                "writeConcern": { "w": "majority" },
            };
            client.database("admin").run_command(root).await.unwrap();
        });
        cluster
    }

    /// The connection string of a user.
    pub fn uri(&self, user: &str, password: &str) -> String {
        let hosts: Vec<String> = self.members.iter().map(Server::host).collect();
        format!("mongodb://{user}:{password}@{}/?replicaSet=rs&authSource=admin", hosts.join(","))
    }

    /// Makes the primary step down.
    pub fn step_down(&self) {
        wait(async {
            let client = Client::with_uri_str(self.uri("root", "root")).await.unwrap();
            let admin = client.database("admin");
            // The server may close the connection before it answers.
            let _ = admin.run_command(doc! { "replSetStepDown": 5, "force": true }).await;
        });
    }
}

/// The connection string of the replica set that tests share: `TEST_MONGODB_URI`, or one that ends
/// with this process.
pub fn shared_uri() -> String {
    static SHARED: OnceLock<(Option<Server>, String)> = OnceLock::new();
    let (_, uri) = SHARED.get_or_init(|| match std::env::var("TEST_MONGODB_URI") {
        Ok(uri) if !uri.is_empty() => (None, uri),
        _ => {
            let server = Server::replica_set();
            let uri = server.uri();
            (Some(server), uri)
        }
    });
    uri.clone()
}

/// The connection string of a standalone server that tests share; it ends with this process.
pub fn shared_standalone_uri() -> String {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(Server::standalone).uri()
}

/// A database of a test's own with the one of manifests beside it, dropped at its end.
#[derive(Debug)]
pub struct TestDb {
    pub uri: String,
    pub name: String,
}

impl TestDb {
    /// On the shared replica set.
    pub fn new() -> Self {
        Self::at(shared_uri())
    }

    /// On this server.
    pub fn at(uri: String) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self { uri, name: format!("test_{}_{number}", std::process::id()) }
    }

    /// The settings that make the binary use it, with a short lease so that tests need not wait long.
    pub fn variables(&self) -> Vec<(String, String)> {
        [
            ("MONGODB_URI", self.uri.as_str()),
            ("MONGODB_DB", self.name.as_str()),
            ("MONGODB__LEASE_SECS", "1"),
            ("MONGODB__SERVER_SELECTION_SECS", "2"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// Options of a store on it.
    pub fn options(&self) -> MongoOptions {
        MongoOptions {
            uri: self.uri.clone().into(),
            database: self.name.clone(),
            read_preference: None,
            server_selection_timeout: Duration::from_secs(5),
            query_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_mins(1),
            lease: Duration::from_secs(1),
        }
    }

    /// A client of its own.
    pub async fn client(&self) -> Client {
        let mut options = ClientOptions::parse(&self.uri).await.unwrap();
        options.server_selection_timeout = Some(Duration::from_secs(5));
        Client::with_options(options).unwrap()
    }

    /// Works with the database directly.
    pub fn with<T: Send, F: Future<Output = T> + Send>(
        &self,
        work: impl FnOnce(mongodb::Database) -> F + Send,
    ) -> T {
        wait(async { work(self.client().await.database(&self.name)).await })
    }

    /// The names of its collections and views, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names = self.with(|db| async move { db.list_collection_names().await.unwrap() });
        names.sort();
        names
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let dropped = std::panic::catch_unwind(|| {
            wait(async {
                let client = self.client().await;
                for name in [self.name.clone(), format!("{}_ops", self.name)] {
                    // The test may have killed the server.
                    let _ = client.database(&name).drop().await;
                }
            });
        });
        assert!(dropped.is_ok() || std::thread::panicking());
    }
}
