//! Real S3 servers: the one that `TEST_S3_ENDPOINT` names, with the keys in `TEST_S3_ACCESS_KEY`
//! and `TEST_S3_SECRET_KEY`, or a SeaweedFS of this process; besides, Ceph's gateway where it is
//! installed. What a test process starts ends with it, however that ends.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use goldsmith::lake::location::Template;
use goldsmith::lake::s3::{S3, S3Options};
use goldsmith::lake::{Lake, Layer};

/// The keys of the only user that both scripts create.
const KEYS: (&str, &str) = ("S3TESTKEY", "S3/test+secret");
/// How long a server may take until it stores an object.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// A server and its keys.
#[derive(Debug, Clone)]
pub struct Server {
    /// `http://host:port`
    pub endpoint: String,
    /// Access key.
    pub key: String,
    /// Secret key.
    pub secret: String,
}

/// The server that tests share.
pub fn shared() -> Server {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    match variable("TEST_S3_ENDPOINT") {
        Some(endpoint) => {
            let required = |name| {
                variable(name).unwrap_or_else(|| panic!("TEST_S3_ENDPOINT is set: set {name} too"))
            };
            let (key, secret) = (required("TEST_S3_ACCESS_KEY"), required("TEST_S3_SECRET_KEY"));
            Server { endpoint, key, secret }
        }
        None => own().server(),
    }
}

/// Whether the shared server is SeaweedFS, the default.
pub fn is_seaweedfs() -> bool {
    std::env::var("TEST_S3_ENDPOINT").map_or(true, |endpoint| endpoint.is_empty())
}

/// Different ports, free at this moment; another process may take one before the server does.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.each_ref().map(|listener| listener.local_addr().unwrap().port())
}

fn target_tmp() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

fn script(name: &str) -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name))
}

/// A server started by a script, which ends it when standard input closes.
#[derive(Debug)]
struct Script {
    child: Child,
    /// The server itself.
    pid: u32,
    /// Where S3 listens.
    port: u16,
}

impl Script {
    /// Starts `script MODE DIRECTORIES PORTS`, with other ports when one was taken meanwhile.
    fn start<const N: usize>(
        name: &str,
        mode: &str,
        directories: &[&Path],
        ports: impl Fn() -> [u16; N],
    ) -> Self {
        let mut errors = String::new();
        for _ in 0..5 {
            let ports = ports();
            let mut child = script(name)
                .arg(mode)
                .args(directories)
                .args(ports.map(|port| port.to_string()))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut line = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
            if let Some(pid) = line.trim().strip_prefix("ready ") {
                return Self { pid: pid.parse().unwrap(), child, port: ports[0] };
            }
            drop(child.stdin.take());
            child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
            child.wait().unwrap();
        }
        panic!("these tests need an S3 server: {errors}");
    }

    fn end(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// SeaweedFS with its first gateway.
#[derive(Debug)]
pub struct SeaweedFs {
    dir: PathBuf,
    script: Script,
}

/// Where SeaweedFS is installed: in the target directory, once.
fn seaweedfs() -> &'static Path {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let place = target_tmp().join("seaweedfs");
        let installed = script("s3-server.sh").arg("install").arg(&place).output().unwrap();
        let errors = String::from_utf8_lossy(&installed.stderr);
        assert!(installed.status.success(), "these tests need an S3 server: {errors}");
        place
    })
}

/// The SeaweedFS of this process, also where the tests share another server: its gateways may be
/// killed.
pub fn own() -> &'static SeaweedFs {
    static OWN: OnceLock<SeaweedFs> = OnceLock::new();
    OWN.get_or_init(|| {
        let dir = target_tmp().join(format!("s3-{}", std::process::id()));
        let script = Script::start("s3-server.sh", "run", &[seaweedfs(), &dir], free_ports::<8>);
        wait_until_it_stores(&at(script.port));
        SeaweedFs { dir, script }
    })
}

/// Ceph's RADOS gateway, a production store, where it is installed.
pub fn ceph() -> Option<Server> {
    static CEPH: OnceLock<Option<Script>> = OnceLock::new();
    let script = CEPH.get_or_init(|| {
        if !script("ceph-s3.sh").arg("installed").status().unwrap().success() {
            return None;
        }
        let dir = target_tmp().join(format!("ceph-{}", std::process::id()));
        let script = Script::start("ceph-s3.sh", "run", &[&dir], free_ports::<3>);
        wait_until_it_stores(&at(script.port));
        Some(script)
    });
    script.as_ref().map(|script| at(script.port))
}

/// A server answers before it takes objects.
fn wait_until_it_stores(server: &Server) {
    let started = Instant::now();
    let store = async {
        let lake = server.lake(&format!("s3://{}/{{layer}}", unique()));
        loop {
            let stored = match lake.prepare().await {
                Ok(()) => lake.put(Layer::Gold, "ready", "yes".into()).await,
                Err(error) => Err(error),
            };
            match stored {
                Ok(()) => return,
                Err(error) => assert!(started.elapsed() < START_TIMEOUT, "not ready: {error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    // The test may be asynchronous itself.
    std::thread::scope(|scope| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        scope.spawn(move || runtime.block_on(store)).join().unwrap();
    });
}

impl SeaweedFs {
    fn server(&self) -> Server {
        at(self.script.port)
    }

    /// Starts one more gateway of it.
    pub fn gateway(&self) -> Gateway {
        let dir = self.dir.clone();
        let script =
            Script::start("s3-server.sh", "gateway", &[seaweedfs(), &dir], free_ports::<2>);
        Gateway { dir, script }
    }
}

fn at(port: u16) -> Server {
    let endpoint = format!("http://127.0.0.1:{port}");
    Server { endpoint, key: KEYS.0.to_owned(), secret: KEYS.1.to_owned() }
}

/// A gateway that can be killed.
#[derive(Debug)]
pub struct Gateway {
    dir: PathBuf,
    script: Script,
}

impl Gateway {
    /// How it is reached.
    pub fn server(&self) -> Server {
        at(self.script.port)
    }

    /// `kill -9`; the objects stay.
    pub fn kill(&mut self) {
        let pid = self.script.pid.to_string();
        assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        self.script.end();
    }

    /// Starts it again after [`Gateway::kill`], on the same port.
    pub fn start_again(&mut self) {
        let port = self.script.port;
        let ports = || [port, free_ports::<1>()[0]];
        self.script = Script::start("s3-server.sh", "gateway", &[seaweedfs(), &self.dir], ports);
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.script.end();
    }
}

/// A name that no other test has.
pub fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("gt-{}-{number}", std::process::id())
}

impl Server {
    /// How the lake is told of it.
    pub fn options(&self) -> S3Options {
        S3Options {
            endpoint: Some(self.endpoint.clone()),
            keys: Some((self.key.clone().into(), self.secret.clone().into())),
            session_token: None,
            region: "us-east-1".to_owned(),
            virtual_hosted_style: false,
            identity: Vec::new(),
            create_buckets: true,
            request_timeout: Duration::from_secs(20),
            retries: 3,
        }
    }

    /// A lake in it at a template such as `s3://{layer}`.
    pub fn lake(&self, template: &str) -> Lake {
        open(template, self.options())
    }

    /// How the binary is told of it.
    pub fn variables(&self) -> Vec<(&str, &str)> {
        vec![
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("AWS_ACCESS_KEY_ID", &self.key),
            ("AWS_SECRET_ACCESS_KEY", &self.secret),
        ]
    }
}

/// A lake at a template.
pub fn open(template: &str, options: S3Options) -> Lake {
    let template = Template { setting: "lake.url", url: template.to_owned() };
    let s3 = Arc::new(S3::new(options).unwrap());
    Lake::open(&std::array::from_fn(|_| template.clone()), Some(&s3)).unwrap()
}
