//! A real S3 server: the one that `TEST_S3_ENDPOINT` names, with the keys in `TEST_S3_ACCESS_KEY` and
//! `TEST_S3_SECRET_KEY`, or Ceph's RADOS gateway of our own, which ends with this process.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use goldsmith::lake::Lake;
use goldsmith::lake::location::Template;
use goldsmith::lake::s3::{S3, S3Options};

/// The keys of our own server's only user, as `scripts/s3-server.sh` makes it.
const KEYS: (&str, &str) = ("S3TESTKEY", "S3/test+secret");

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
            let wanted = |name| {
                variable(name).unwrap_or_else(|| panic!("TEST_S3_ENDPOINT is set: set {name} too"))
            };
            let (key, secret) = (wanted("TEST_S3_ACCESS_KEY"), wanted("TEST_S3_SECRET_KEY"));
            Server { endpoint, key, secret }
        }
        None => own().server(),
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A process of the script's, ended by the end of its standard input.
#[derive(Debug)]
struct Script {
    child: Child,
    /// The gateway.
    pid: u32,
    port: u16,
}

impl Script {
    /// Starts it; `None` when a port was taken meanwhile.
    fn start(arguments: impl Fn(u16) -> Vec<String>) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/s3-server.sh");
        let mut stderr = String::new();
        for _ in 0..5 {
            let port = free_port();
            let mut child = Command::new(&script)
                .args(arguments(port))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut line = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
            if let Some(pid) = line.trim().strip_prefix("ready ") {
                return Self { pid: pid.parse().unwrap(), child, port };
            }
            drop(child.stdin.take());
            child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
            child.wait().unwrap();
        }
        panic!("these tests need an S3 server: {stderr}");
    }

    fn end(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Our own cluster with its first gateway.
#[derive(Debug)]
pub struct Cluster {
    dir: PathBuf,
    script: Script,
}

/// The cluster of this process, also where the tests share another server: its gateways may be killed.
pub fn own() -> &'static Cluster {
    static OWN: OnceLock<Cluster> = OnceLock::new();
    OWN.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("s3-{}", std::process::id()));
        let script = Script::start(|port| {
            let ports = [port, free_port(), free_port()].map(|port| port.to_string());
            [vec!["run".to_owned(), dir.display().to_string()], ports.to_vec()].concat()
        });
        Cluster { dir, script }
    })
}

impl Cluster {
    fn server(&self) -> Server {
        at(self.script.port)
    }

    /// One more way into it.
    pub fn gateway(&self) -> Gateway {
        let dir = self.dir.clone();
        let start = move |port: u16| {
            vec!["gateway".to_owned(), dir.display().to_string(), port.to_string()]
        };
        let script = Script::start(&start);
        Gateway { dir: self.dir.clone(), script }
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

    /// `kill -9`; what is kept stays.
    pub fn kill(&mut self) {
        let pid = self.script.pid.to_string();
        assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        self.script.end();
    }

    /// Starts again what was killed, on the same port.
    pub fn start_again(&mut self) {
        let (dir, port) = (self.dir.display().to_string(), self.script.port);
        self.script =
            Script::start(move |_| vec!["gateway".to_owned(), dir.clone(), port.to_string()]);
        self.script.port = port;
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
